package emulator

// Meta Llama 2, 3 and 4.
var llama = shape{
	name: "llama", output: true, counts: true, lead: true, defaultMax: 512,
	words: [numStops]string{endTurn: "stop", maxTokens: "length"},
	read: func(c *call) *wireError {
		c.each(c.get(0, "images"), func(node) { c.ask.input += mediaTokens })
		return firstError(c.prompt("prompt"), c.bound(0, "max_gen_len"))
	},
	body: func(c *call, dst []byte) []byte {
		a := &c.answer
		dst = field(dst, `{"generation":`, a.text)
		dst = number(dst, `,"prompt_token_count":`, a.usage.input)
		dst = number(dst, `,"generation_token_count":`, a.usage.output)
		return append(field(dst, `,"stop_reason":`, c.shape.word(a.stop)), '}')
	},
	stream: llamaStream,
}

// llamaStream tells the prompt's tokens once, and the answer's as they run.
func llamaStream(s *stream) {
	a := &s.c.answer
	first := true
	s.deltas(a.text, func(part []byte, done int64, _ bool) {
		s.doc = append(field(s.doc[:0], `{"generation":`, part), `,"prompt_token_count":`...)
		if first {
			s.doc = number(s.doc, "", a.usage.input)
		} else {
			s.doc = append(s.doc, "null"...)
		}
		s.doc = append(number(s.doc, `,"generation_token_count":`, done), `,"stop_reason":null}`...)
		s.chunk()
		first = false
	})
	s.last()
	s.doc = number(s.doc[:0], `{"generation":"","prompt_token_count":null,"generation_token_count":`, a.usage.output)
	s.doc = field(s.doc, `,"stop_reason":`, s.c.shape.word(a.stop))
	s.finalChunk()
}

var textWords = [numStops]string{endTurn: "stop", maxTokens: "length"}

// Mistral's text models.
var mistral = textShape("mistral", `{"outputs":[`, true)

// DeepSeek R1.
var deepseek = textShape("deepseek", `{"choices":[`, false)

// textShape is the completion form of prompt in, one text and a reason out,
// within a list that head opens.
func textShape(name, head string, lead bool) shape {
	return shape{
		name: name, output: true, counts: true, lead: lead, words: textWords,
		read: func(c *call) *wireError {
			c.addStops(c.get(0, "stop"))
			return firstError(c.prompt("prompt"), c.bound(0, "max_tokens"))
		},
		body: func(c *call, dst []byte) []byte {
			dst = field(append(dst, head...), `{"text":`, c.answer.text)
			return append(field(dst, `,"stop_reason":`, c.shape.word(c.answer.stop)), `}]}`...)
		},
		stream: func(s *stream) {
			s.deltas(s.c.answer.text, func(part []byte, _ int64, _ bool) {
				s.doc = field(append(s.doc[:0], head...), `{"text":`, part)
				s.doc = append(s.doc, `,"stop_reason":null}]}`...)
				s.chunk()
			})
			s.last()
			s.doc = append(append(s.doc[:0], head...), `{"text":"","stop_reason":`...)
			s.doc = append(appendString(s.doc, s.c.shape.word(s.c.answer.stop)), `}]`...)
			s.finalChunk()
		},
	}
}

// TwelveLabs Pegasus: a question about a video.
var pegasus = shape{
	name: "pegasus", output: true, counts: true, words: textWords,
	read: func(c *call) *wireError {
		if !c.has(0, "mediaSource") {
			return missingKey("mediaSource")
		}
		c.ask.input += mediaTokens
		return firstError(c.prompt("inputPrompt"), c.bound(0, "maxOutputTokens"))
	},
	body: func(c *call, dst []byte) []byte {
		dst = field(dst, `{"message":`, c.answer.text)
		return append(field(dst, `,"finishReason":`, c.shape.word(c.answer.stop)), '}')
	},
	stream: func(s *stream) {
		s.deltas(s.c.answer.text, func(part []byte, _ int64, _ bool) {
			s.doc = append(field(s.doc[:0], `{"message":`, part), '}')
			s.chunk()
		})
		s.last()
		s.doc = field(s.doc[:0], `{"message":"","finishReason":`, s.c.shape.word(s.c.answer.stop))
		s.finalChunk()
	},
}
