package emulator

// Amazon Titan text.
var titanText = shape{
	name: "titan-text", output: true, counts: true, defaultMax: 512,
	words:  [numStops]string{endTurn: "FINISH", maxTokens: "LENGTH", stopSequence: "STOP_CRITERIA_MET", filtered: "CONTENT_FILTERED", intervened: "CONTENT_FILTERED"},
	read:   readTitan,
	body:   titanBody,
	stream: titanStream,
}

func readTitan(c *call) *wireError {
	config := c.get(0, "textGenerationConfig")
	c.addStops(c.get(config, "stopSequences"))
	return firstError(c.prompt("inputText"), c.bound(0, "textGenerationConfig", "maxTokenCount"))
}

// titanNumber appends an integer. With a guardrail the service writes Titan's
// bodies anew, and its integers become floats.
func (c *call) titanNumber(dst []byte, prefix string, n int64) []byte {
	dst = number(dst, prefix, n)
	if c.answer.guard != nil {
		dst = append(dst, ".0"...)
	}
	return dst
}

func titanBody(c *call, dst []byte) []byte {
	a := &c.answer
	dst = c.titanNumber(dst, `{"inputTextTokenCount":`, a.usage.input)
	dst = c.titanNumber(dst, `,"results":[{"tokenCount":`, a.usage.output)
	dst = field(dst, `,"outputText":`, a.text)
	return append(field(dst, `,"completionReason":`, c.shape.word(a.stop)), `}]}`...)
}

// titanStream sends the counts and the reason with the last text; a prompt that
// a guardrail blocked has no reason.
func titanStream(s *stream) {
	c, a := s.c, &s.c.answer
	s.deltas(a.text, func(part []byte, _ int64, last bool) {
		s.doc = append(field(s.doc[:0], `{"outputText":`, part), `,"index":0`...)
		if last {
			s.last()
			s.doc = c.titanNumber(s.doc, `,"totalOutputTextTokenCount":`, a.usage.output)
			if a.stop != intervened {
				s.doc = field(s.doc, `,"completionReason":`, c.shape.word(a.stop))
			}
		}
		s.doc = c.titanNumber(s.doc, `,"inputTextTokenCount":`, a.usage.input)
		if last {
			s.finalChunk()
			return
		}
		s.doc = append(s.doc, '}')
		s.chunk()
	})
}

// Amazon Nova: Converse's blocks, with other names for the bounds and counts.
var nova = shape{
	name: "nova", output: true, tools: true, counts: true, words: converseStop,
	read:   readNova,
	body:   novaBody,
	stream: novaStream,
}

func readNova(c *call) *wireError {
	c.readTools(c.get(0, "toolConfig"))
	c.addContent(c.get(0, "system"))
	config := c.get(0, "inferenceConfig")
	c.addStops(c.get(config, "stopSequences"))
	key := "max_new_tokens"
	if !c.has(config, key) {
		key = "maxTokens"
	}
	return firstError(c.messages(c.get(0, "messages")), c.bound(0, "inferenceConfig", key))
}

func novaBody(c *call, dst []byte) []byte {
	dst = c.appendContent(append(dst, `{"output":{"message":{"content":[`...))
	dst = field(dst, `],"role":"assistant"}},"stopReason":`, c.shape.word(c.answer.stop))
	return append(c.appendNovaUsage(append(dst, `,"usage":`...)), '}')
}

func (c *call) appendNovaUsage(dst []byte) []byte {
	u := &c.answer.usage
	dst = number(dst, `{"inputTokens":`, u.input)
	dst = number(dst, `,"outputTokens":`, u.output)
	dst = number(dst, `,"totalTokens":`, u.total())
	dst = number(dst, `,"cacheReadInputTokenCount":`, u.cacheRead)
	return append(number(dst, `,"cacheWriteInputTokenCount":`, u.cacheWrite), '}')
}

// novaStream sends each delta as a block of its own, whose index rises.
func novaStream(s *stream) {
	c, a := s.c, &s.c.answer
	s.doc = append(s.doc[:0], `{"messageStart":{"role":"assistant"}}`...)
	s.chunk()
	index := int64(0)
	s.textDeltas(func(part []byte, _ int64, _ bool) {
		s.doc = field(s.doc[:0], `{"contentBlockDelta":{"delta":{"text":`, part)
		s.doc = append(number(s.doc, `},"contentBlockIndex":`, index), `}}`...)
		s.chunk()
		s.novaStop(index)
		index++
	})
	if a.toolName != "" {
		s.novaTool(index)
	}
	s.last()
	s.doc = append(field(s.doc[:0], `{"messageStop":{"stopReason":`, c.shape.word(a.stop)), `}}`...)
	s.chunk()
	s.doc = c.appendNovaUsage(append(s.doc[:0], `{"metadata":{"usage":`...))
	s.doc = append(s.doc, `,"metrics":{},"trace":{}}`...)
	s.finalChunk()
}

func (s *stream) novaStop(index int64) {
	s.doc = append(number(s.doc[:0], `{"contentBlockStop":{"contentBlockIndex":`, index), `}}`...)
	s.chunk()
}

func (s *stream) novaTool(index int64) {
	a := &s.c.answer
	s.doc = appendID(append(s.doc[:0], `{"contentBlockStart":{"start":{"toolUse":{"toolUseId":"tooluse_`...), &s.c.rng, toolIDLen)
	s.doc = field(s.doc, `","name":`, a.toolName)
	s.doc = append(number(s.doc, `}},"contentBlockIndex":`, index), `}}`...)
	s.chunk()
	s.doc = field(s.doc[:0], `{"contentBlockDelta":{"delta":{"toolUse":{"input":`, a.toolJSON)
	s.doc = append(number(s.doc, `}},"contentBlockIndex":`, index), `}}`...)
	s.chunk()
	s.novaStop(index)
}
