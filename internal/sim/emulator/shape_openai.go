package emulator

var openAIWords = [numStops]string{endTurn: "stop", maxTokens: "length", stopSequence: "stop", toolUse: "tool_calls", filtered: "content_filter", intervened: "content_filter"}

// OpenAI's chat completions, the body of gpt-oss, Qwen, DeepSeek V3, Mistral's
// chat models and many more.
var openAI = shape{
	name: "openai", output: true, tools: true, counts: true, words: openAIWords,
	read:   readOpenAI,
	body:   openAIBody,
	stream: func(s *stream) { s.chatStream("chat.completion.chunk") },
}

func readOpenAI(c *call) *wireError {
	c.each(c.get(0, "tools"), func(t node) {
		f := c.get(t, "function")
		c.addTool(c.get(f, "name"), c.get(f, "description"), c.get(f, "parameters"))
	})
	c.readOpenAIChoice()
	c.addStops(c.get(0, "stop"))
	if model := c.get(0, "model"); model != none && !c.doc.Is(model, c.target.Model) {
		return validation("The model in the body does not match the model in the path.")
	}
	key := "max_completion_tokens"
	if !c.has(0, key) {
		key = "max_tokens"
	}
	return firstError(c.messages(c.get(0, "messages")), c.bound(0, key))
}

func (c *call) readOpenAIChoice() {
	choice := c.get(0, "tool_choice")
	switch {
	case c.doc.Is(choice, "required"):
		c.ask.choice = "any"
	case c.doc.Is(choice, "none"):
		c.ask.choice = "none"
	case c.has(choice, "function"):
		c.ask.choice, c.ask.chosen = "tool", c.str(choice, "function", "name")
	}
}

func openAIBody(c *call, dst []byte) []byte {
	dst = c.appendChatHead(dst, "chat.completion")
	dst = append(c.appendChoice(append(dst, `,"choices":[`...)), ']')
	return append(c.appendChatUsage(dst), '}')
}

func (c *call) appendChatHead(dst []byte, object string) []byte {
	dst = appendID(append(dst, `{"id":"chatcmpl-`...), &c.rng, 24)
	dst = field(dst, `","object":`, object)
	dst = number(dst, `,"created":`, c.e.now().Unix())
	return field(dst, `,"model":`, c.ref.ID)
}

func (c *call) appendChoice(dst []byte) []byte {
	a := &c.answer
	dst = field(dst, `{"index":0,"message":{"role":"assistant","content":`, a.text)
	if a.toolName != "" {
		dst = append(c.appendToolCall(append(dst, `,"tool_calls":[`...), `{"id":"call_`), ']')
	}
	return append(field(dst, `},"finish_reason":`, c.shape.word(a.stop)), '}')
}

func (c *call) appendToolCall(dst []byte, head string) []byte {
	dst = appendID(append(dst, head...), &c.rng, 24)
	dst = field(dst, `","type":"function","function":{"name":`, c.answer.toolName)
	return append(field(dst, `,"arguments":`, c.answer.toolJSON), `}}`...)
}

func (c *call) appendChatUsage(dst []byte) []byte {
	u := &c.answer.usage
	dst = number(dst, `,"usage":{"prompt_tokens":`, u.input)
	dst = number(dst, `,"completion_tokens":`, u.output)
	return append(number(dst, `,"total_tokens":`, u.total()), '}')
}

// chatStream sends chunks of the form that object names; Jamba's have none.
func (s *stream) chatStream(object string) {
	c, a := s.c, &s.c.answer
	if object == "" {
		s.scratch = append(appendID(append(s.scratch[:0], `{"id":"chatcmpl-`...), &c.rng, 24), '"')
	} else {
		s.scratch = c.appendChatHead(s.scratch[:0], object)
	}
	first := true
	s.textDeltas(func(part []byte, _ int64, _ bool) {
		s.chatDelta(first)
		s.doc = append(field(s.doc, `"content":`, part), `},"finish_reason":null}]}`...)
		s.chunk()
		first = false
	})
	if a.toolName != "" {
		s.chatDelta(first)
		s.doc = c.appendToolCall(append(s.doc, `"tool_calls":[`...), `{"index":0,"id":"call_`)
		s.doc = append(s.doc, `]},"finish_reason":null}]}`...)
		s.chunk()
	}
	s.last()
	s.doc = append(append(s.doc[:0], s.scratch...), `,"choices":[{"index":0,"delta":{},"finish_reason":`...)
	s.doc = append(appendString(s.doc, c.shape.word(a.stop)), `}]`...)
	s.doc = c.appendChatUsage(s.doc)
	s.finalChunk()
}

// chatDelta begins a chunk, up to the inside of its delta.
func (s *stream) chatDelta(first bool) {
	s.doc = append(append(s.doc[:0], s.scratch...), `,"choices":[{"index":0,"delta":{`...)
	if first {
		s.doc = append(s.doc, `"role":"assistant",`...)
	}
}
