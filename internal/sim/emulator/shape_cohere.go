package emulator

import "gatehouse/internal/strictjson"

var cohereWords = [numStops]string{endTurn: "COMPLETE", maxTokens: "MAX_TOKENS", filtered: "ERROR_TOXIC"}

// Cohere Command.
var command = shape{
	name: "command", output: true, counts: true, words: cohereWords,
	read: func(c *call) *wireError {
		c.addStops(c.get(0, "stop_sequences"))
		c.ask.stream = c.doc.Kind(c.get(0, "stream")) == strictjson.True
		return firstError(c.prompt("prompt"), c.bound(0, "max_tokens"))
	},
	body: func(c *call, dst []byte) []byte { return append(c.appendGenerations(dst), '}') },
	// Only a request that says "stream":true is answered in parts.
	stream: func(s *stream) {
		c, a := s.c, &s.c.answer
		if !c.ask.stream {
			s.last()
			s.doc = c.appendGenerations(s.doc[:0])
			s.finalChunk()
			return
		}
		s.deltas(a.text, func(part []byte, _ int64, _ bool) {
			s.doc = append(field(s.doc[:0], `{"text":`, part), `,"is_finished":false}`...)
			s.chunk()
		})
		s.last()
		s.doc = field(s.doc[:0], `{"is_finished":true,"finish_reason":`, c.shape.word(a.stop))
		s.finalChunk()
	},
}

// appendGenerations appends Command's document without its last brace.
func (c *call) appendGenerations(dst []byte) []byte {
	dst = field(dst, `{"id":`, c.requestID)
	dst = append(c.appendUUID(append(dst, `,"generations":[{"id":"`...)), '"')
	dst = field(dst, `,"text":`, c.answer.text)
	dst = field(dst, `,"finish_reason":`, c.shape.word(c.answer.stop))
	return field(dst, `}],"prompt":`, c.ask.promptText())
}

// appendUUID appends an id that follows from the prompt.
func (c *call) appendUUID(dst []byte) []byte {
	return appendUUID(dst, c.rng.Uint64(), c.rng.Uint64())
}

// Cohere Command R and R+.
var commandR = shape{
	name: "command-r", output: true, counts: true, words: cohereWords,
	read:   readCommandR,
	body:   func(c *call, dst []byte) []byte { return c.appendCommandR(dst) },
	stream: commandRStream,
}

func readCommandR(c *call) *wireError {
	c.addText(c.get(0, "preamble"))
	c.each(c.get(0, "chat_history"), func(turn node) { c.addText(c.get(turn, "message")) })
	c.each(c.get(0, "documents"), c.addJSON)
	c.each(c.get(0, "tools"), c.addJSON)
	c.each(c.get(0, "tool_results"), c.addJSON)
	c.addStops(c.get(0, "stop_sequences"))
	return firstError(c.prompt("message"), c.bound(0, "max_tokens"))
}

func (c *call) appendCommandR(dst []byte) []byte {
	a := &c.answer
	dst = field(dst, `{"response_id":`, c.requestID)
	dst = field(dst, `,"text":`, a.text)
	dst = append(c.appendUUID(append(dst, `,"generation_id":"`...)), `","chat_history":[`...)
	c.each(c.get(0, "chat_history"), func(turn node) {
		dst = append(append(dst, c.doc.Raw(turn)...), ',')
	})
	dst = field(dst, `{"role":"USER","message":`, c.ask.promptText())
	dst = field(dst, `},{"role":"CHATBOT","message":`, a.text)
	return append(field(dst, `}],"finish_reason":`, c.shape.word(a.stop)), '}')
}

func commandRStream(s *stream) {
	c, a := s.c, &s.c.answer
	s.deltas(a.text, func(part []byte, _ int64, _ bool) {
		s.doc = field(s.doc[:0], `{"is_finished":false,"event_type":"text-generation","text":`, part)
		s.doc = append(s.doc, '}')
		s.chunk()
	})
	s.last()
	s.doc = field(s.doc[:0], `{"is_finished":true,"event_type":"stream-end","finish_reason":`, c.shape.word(a.stop))
	s.doc = c.appendCommandR(append(s.doc, `,"response":`...))
	s.finalChunk()
}
