package emulator

import "strings"

// Claude's messages, the body of Anthropic's own API without model and stream.
var claude = shape{
	name: "claude", output: true, tools: true, thinks: true, counts: true,
	words:  [numStops]string{endTurn: "end_turn", maxTokens: "max_tokens", stopSequence: "stop_sequence", toolUse: "tool_use", filtered: "refusal", windowExceeded: "model_context_window_exceeded"},
	read:   readClaude,
	body:   claudeBody,
	stream: claudeStream,
}

func readClaude(c *call) *wireError {
	for _, key := range []string{"anthropic_version", "max_tokens"} {
		if !c.has(0, key) {
			return missingKey(key)
		}
	}
	c.each(c.get(0, "tools"), func(t node) {
		c.addTool(c.get(t, "name"), c.get(t, "description"), c.get(t, "input_schema"))
		if c.has(t, "cache_control") {
			c.addMember(t, c.get(t, "cache_control"))
		}
	})
	c.ask.choice, c.ask.chosen = c.str(0, "tool_choice", "type"), c.str(0, "tool_choice", "name")
	c.ask.thinking = c.isThinking(c.get(0, "thinking"))
	c.addContent(c.get(0, "system"))
	c.addStops(c.get(0, "stop_sequences"))
	return firstError(c.messages(c.get(0, "messages")), c.bound(0, "max_tokens"))
}

// isThinking reads the member that turns reasoning on.
func (c *call) isThinking(n node) bool {
	kind := c.str(n, "type")
	return kind == "enabled" || kind == "adaptive"
}

// appendSignature appends what vouches for the reasoning, as a string.
func (c *call) appendSignature(dst []byte) []byte {
	return append(appendID(append(dst, '"'), &c.rng, 64), '"')
}

// claudeModel is the name Anthropic has for a model: claude-3-haiku-20240307,
// and claude-2.1 of the legacy ones.
func (c *call) claudeModel() string {
	id := strings.TrimPrefix(c.ref.ID, "anthropic.")
	if c.row.shape == &claudeLegacy {
		return legacyName.Replace(id)
	}
	if i := strings.LastIndex(id, "-v"); i > 0 && len(id)-i <= len("-v10:0") {
		return id[:i]
	}
	return id
}

var legacyName = strings.NewReplacer("-v", "-", ":", ".")

func (c *call) appendClaudeHead(dst []byte) []byte {
	dst = appendID(append(dst, `{"id":"msg_bdrk_01`...), &c.rng, 22)
	dst = field(dst, `","type":"message","role":"assistant","model":`, c.claudeModel())
	return append(dst, `,"content":[`...)
}

func claudeBody(c *call, dst []byte) []byte {
	a := &c.answer
	dst = c.appendClaudeHead(dst)
	if len(a.thinking) > 0 {
		dst = field(dst, `{"type":"thinking","thinking":`, a.thinking)
		dst = append(c.appendSignature(append(dst, `,"signature":`...)), `},`...)
	}
	if len(a.text) > 0 || a.toolName == "" {
		dst = append(field(dst, `{"type":"text","text":`, a.text), '}')
	}
	if a.toolName != "" {
		if len(a.text) > 0 {
			dst = append(dst, ',')
		}
		dst = c.appendClaudeTool(dst)
		dst = append(append(append(dst, `,"input":`...), a.toolJSON...), '}')
	}
	dst = field(dst, `],"stop_reason":`, c.shape.word(a.stop))
	dst = c.appendStopText(append(dst, `,"stop_sequence":`...))
	return append(c.appendClaudeUsage(append(dst, `,"usage":`...), a.usage.output), '}')
}

// appendClaudeTool appends a tool_use block up to its input.
func (c *call) appendClaudeTool(dst []byte) []byte {
	dst = appendID(append(dst, `{"type":"tool_use","id":"toolu_bdrk_01`...), &c.rng, 22)
	return field(dst, `","name":`, c.answer.toolName)
}

func (c *call) appendClaudeUsage(dst []byte, output int64) []byte {
	u := &c.answer.usage
	dst = number(dst, `{"input_tokens":`, u.input)
	if c.row.caches(c.ref.ID) {
		dst = number(dst, `,"cache_creation_input_tokens":`, u.cacheWrite)
		dst = number(dst, `,"cache_read_input_tokens":`, u.cacheRead)
	}
	return append(number(dst, `,"output_tokens":`, output), '}')
}

func claudeStream(s *stream) {
	c, a := s.c, &s.c.answer
	s.doc = c.appendClaudeHead(append(s.doc[:0], `{"type":"message_start","message":`...))
	s.doc = append(s.doc, `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	s.doc = append(c.appendClaudeUsage(s.doc, 1), `}}`...)
	s.chunk()
	index := int64(0)
	if len(a.thinking) > 0 {
		s.claudeStart(index, append(s.scratch[:0], `{"type":"thinking","thinking":"","signature":""}`...))
		s.claudeDeltas(index, `{"type":"thinking_delta","thinking":`, a.thinking)
		s.doc = append(s.doc[:0], `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":`...)
		s.doc = append(c.appendSignature(s.doc), `}}`...)
		s.chunk()
		s.claudeStop(index)
		index++
	}
	if len(a.text) > 0 || a.toolName == "" {
		s.claudeStart(index, append(s.scratch[:0], `{"type":"text","text":""}`...))
		s.claudeDeltas(index, `{"type":"text_delta","text":`, a.text)
		s.claudeStop(index)
		index++
	}
	if a.toolName != "" {
		s.claudeStart(index, append(c.appendClaudeTool(s.scratch[:0]), `,"input":{}}`...))
		s.claudeDeltas(index, `{"type":"input_json_delta","partial_json":`, a.toolJSON)
		s.claudeStop(index)
	}
	s.last()
	s.doc = field(s.doc[:0], `{"type":"message_delta","delta":{"stop_reason":`, c.shape.word(a.stop))
	s.doc = c.appendStopText(append(s.doc, `,"stop_sequence":`...))
	s.doc = append(number(s.doc, `},"usage":{"output_tokens":`, a.usage.output), `}}`...)
	s.chunk()
	s.doc = append(s.doc[:0], `{"type":"message_stop"`...)
	s.finalChunk()
}

// claudeStart begins a content block.
func (s *stream) claudeStart(index int64, block []byte) {
	s.scratch = block
	s.doc = number(s.doc[:0], `{"type":"content_block_start","index":`, index)
	s.doc = append(append(append(s.doc, `,"content_block":`...), block...), '}')
	s.chunk()
}

// claudeDeltas sends a text as deltas of the form that head begins.
func (s *stream) claudeDeltas(index int64, head string, text []byte) {
	s.deltas(text, func(part []byte, _ int64, _ bool) {
		s.doc = number(s.doc[:0], `{"type":"content_block_delta","index":`, index)
		s.doc = append(field(append(s.doc, `,"delta":`...), head, part), `}}`...)
		s.chunk()
	})
}

func (s *stream) claudeStop(index int64) {
	s.doc = append(number(s.doc[:0], `{"type":"content_block_stop","index":`, index), '}')
	s.chunk()
}

// Claude's text completion, of the models before Claude 3. A natural end is the
// stop sequence before the next human turn.
var claudeLegacy = shape{
	name: "claude-legacy", output: true, counts: true, lead: true,
	words: [numStops]string{endTurn: "stop_sequence", maxTokens: "max_tokens"},
	read: func(c *call) *wireError {
		if !c.has(0, "max_tokens_to_sample") {
			return missingKey("max_tokens_to_sample")
		}
		c.addStops(c.get(0, "stop_sequences"))
		return firstError(c.prompt("prompt"), c.bound(0, "max_tokens_to_sample"))
	},
	body: func(c *call, dst []byte) []byte {
		dst = field(dst, `{"type":"completion","completion":`, c.answer.text)
		return append(c.appendLegacyEnd(dst), '}')
	},
	stream: func(s *stream) {
		s.deltas(s.c.answer.text, func(part []byte, _ int64, _ bool) {
			s.doc = field(s.doc[:0], `{"type":"completion","completion":`, part)
			s.doc = append(s.doc, `,"stop_reason":null,"stop":null}`...)
			s.chunk()
		})
		s.last()
		s.doc = s.c.appendLegacyEnd(append(s.doc[:0], `{"type":"completion","completion":""`...))
		s.finalChunk()
	},
}

func (c *call) appendLegacyEnd(dst []byte) []byte {
	a := &c.answer
	dst = field(dst, `,"stop_reason":`, c.shape.word(a.stop))
	switch a.stop {
	case maxTokens:
		return append(dst, `,"stop":null`...)
	case stopSequence:
		return field(dst, `,"stop":`, a.stopText)
	}
	return append(dst, `,"stop":"\n\nHuman:"`...)
}
