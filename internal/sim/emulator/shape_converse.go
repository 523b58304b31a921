package emulator

import (
	"strconv"

	"gatehouse/internal/strictjson"
)

// Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
// The service writes it compact, with the keys of every object in alphabetical
// order. In streams the padding member p stands in that order too.
var converse = shape{
	name: "converse", words: converseStop, output: true, tools: true, thinks: true,
	read:   readConverse,
	body:   converseBody,
	stream: converseStream,
}

func readConverse(c *call) *wireError { return c.readConverse(0) }

// readConverse reads a Converse request at n: a whole body, or the part of a
// CountTokens body that looks like one.
func (c *call) readConverse(n node) *wireError {
	c.readTools(c.get(n, "toolConfig"))
	system := c.get(n, "system")
	c.ask.system = c.doc.Len(system) > 0
	c.addContent(system)
	if err := c.converseMessages(c.get(n, "messages")); err != nil {
		return err
	}
	config := c.get(n, "inferenceConfig")
	c.addStops(c.get(config, "stopSequences"))
	c.readConverseOptions(n)
	switch {
	case !c.row.chat:
		return errNoConverse
	case c.ask.system && c.row.noSystem:
		return errNoSystem
	case len(c.ask.tools) > 0 && c.row.noTools:
		return errNoTools
	}
	return firstError(
		c.bound(n, "inferenceConfig", "maxTokens"),
		c.fraction(config, "temperature"),
		c.fraction(config, "topP"),
	)
}

func (c *call) readConverseOptions(n node) {
	extra := c.get(n, "additionalModelRequestFields")
	c.ask.thinking = c.row.name == "claude" && (c.isThinking(c.get(extra, "thinking")) || c.isThinking(c.get(extra, "reasoning_config")))
	guard := c.get(n, "guardrailConfig")
	c.ask.guardrail, c.ask.guardVersion = c.str(guard, "guardrailIdentifier"), c.str(guard, "guardrailVersion")
	trace := c.str(guard, "trace")
	c.ask.trace = trace == "enabled" || trace == "enabled_full"
	c.ask.tier, c.ask.latency = c.str(n, "serviceTier", "type"), c.str(n, "performanceConfig", "latency")
	c.each(c.get(n, "additionalModelResponseFieldPaths"), func(path node) {
		c.ask.stopField = c.ask.stopField || c.doc.Is(path, "/stop_sequence")
	})
}

// readTools reads a toolConfig, which Nova's own body has too.
func (c *call) readTools(config node) {
	c.each(c.get(config, "tools"), func(t node) {
		spec := c.get(t, "toolSpec")
		c.addTool(c.get(spec, "name"), c.get(spec, "description"), c.get(spec, "inputSchema", "json"))
		if c.has(t, "cachePoint") {
			c.addMember(t, c.get(t, "cachePoint"))
		}
	})
	choice := c.get(config, "toolChoice")
	switch {
	case c.has(choice, "any"):
		c.ask.choice = "any"
	case c.has(choice, "tool"):
		c.ask.choice, c.ask.chosen = "tool", c.str(choice, "tool", "name")
	}
}

func (c *call) converseMessages(list node) *wireError {
	if c.doc.Kind(list) != strictjson.Array {
		return missing("messages")
	}
	last, at := "", 0
	for m := c.doc.First(list); m != none; m = c.doc.Next(m) {
		role, content := c.str(m, "role"), c.get(m, "content")
		switch {
		case role == "":
			return missing("messages.member.role")
		case role != "user" && role != "assistant" && role != "system":
			return constraint("messages.member.role", "Member must satisfy enum value set: [user, assistant, system]")
		case c.doc.Kind(content) != strictjson.Array:
			return missing("messages.member.content")
		case last == "" && role == "assistant":
			return errNotUserFirst
		case last == role && role != "system":
			return errNotAlternating
		}
		if err := c.blankText(content, at); err != nil {
			return err
		}
		if role != "system" {
			last = role
		}
		c.addMessage(role, content)
		at++
	}
	if last == "" {
		return errNotUserFirst
	}
	return nil
}

// blankText refuses an empty text in the message of that number.
func (c *call) blankText(content node, message int) *wireError {
	block := 0
	for b := c.doc.First(content); b != none; b = c.doc.Next(b) {
		if c.doc.Is(c.get(b, "text"), "") {
			return validation("The text field in the ContentBlock object at messages." + strconv.Itoa(message) + ".content." +
				strconv.Itoa(block) + " is blank. Add text to the text field, and try again.")
		}
		block++
	}
	return nil
}

// fraction checks a number from 0 to 1.
func (c *call) fraction(config node, key string) *wireError {
	n := c.get(config, key)
	if n == none {
		return nil
	}
	if c.doc.Kind(n) != strictjson.Number {
		return errMalformed
	}
	v, _ := strconv.ParseFloat(string(c.doc.Raw(n)), 64)
	switch {
	case v < 0:
		return constraint("inferenceConfig."+key, "Member must have value greater than or equal to 0")
	case v > 1:
		return constraint("inferenceConfig."+key, "Member must have value less than or equal to 1")
	}
	return nil
}

func converseBody(c *call, dst []byte) []byte {
	a := &c.answer
	dst = append(dst, '{')
	if c.ask.stopField {
		dst = append(c.appendStopField(dst), ',')
	}
	dst = number(dst, `"metrics":{"latencyMs":`, a.latency.Milliseconds())
	dst = append(dst, `},"output":{"message":{"content":[`...)
	if len(a.thinking) > 0 {
		dst = c.appendSignature(append(dst, `{"reasoningContent":{"reasoningText":{"signature":`...))
		dst = append(field(dst, `,"text":`, a.thinking), `}}},`...)
	}
	dst = c.appendContent(dst)
	dst = append(dst, `],"role":"assistant"}}`...)
	dst = c.appendModes(dst)
	dst = field(dst, `,"stopReason":`, c.shape.word(a.stop))
	dst = append(c.appendConverseTrace(dst), `,"usage":`...)
	return append(c.appendConverseUsage(dst), '}')
}

// appendContent appends the blocks of the answer, which Nova writes alike.
func (c *call) appendContent(dst []byte) []byte {
	a := &c.answer
	if len(a.text) > 0 || a.toolName == "" {
		dst = append(field(dst, `{"text":`, a.text), '}')
	}
	if a.toolName == "" {
		return dst
	}
	if len(a.text) > 0 {
		dst = append(dst, ',')
	}
	dst = append(append(dst, `{"toolUse":{"input":`...), a.toolJSON...)
	dst = field(dst, `,"name":`, a.toolName)
	dst = append(dst, `,"toolUseId":"tooluse_`...)
	return append(appendID(dst, &c.rng, toolIDLen), `"}}`...)
}

// toolIDLen is the length of the random part of a toolUseId.
const toolIDLen = 22

func (c *call) appendStopField(dst []byte) []byte {
	dst = append(dst, `"additionalModelResponseFields":{"stop_sequence":`...)
	return append(c.appendStopText(dst), '}')
}

// appendStopText appends the stop sequence that was met, or null.
func (c *call) appendStopText(dst []byte) []byte {
	if c.answer.stop != stopSequence {
		return append(dst, "null"...)
	}
	return appendString(dst, c.answer.stopText)
}

// appendModes echoes the performance mode and service tier that were asked for.
func (c *call) appendModes(dst []byte) []byte {
	if c.ask.latency != "" {
		dst = append(field(dst, `,"performanceConfig":{"latency":`, c.ask.latency), '}')
	}
	if c.ask.tier != "" {
		dst = append(field(dst, `,"serviceTier":{"type":`, c.ask.tier), '}')
	}
	return dst
}

func (c *call) appendConverseTrace(dst []byte) []byte {
	if !c.ask.trace || c.answer.guard == nil {
		return dst
	}
	return c.answer.guard.appendTrace(append(dst, `,"trace":`...), c.answer.text)
}

func (c *call) appendConverseUsage(dst []byte) []byte {
	u, sep := &c.answer.usage, `{`
	caches := c.row.caches(c.ref.ID)
	if caches {
		dst = number(dst, `{"cacheReadInputTokens":`, u.cacheRead)
		dst = number(dst, `,"cacheWriteInputTokens":`, u.cacheWrite)
		sep = `,`
	}
	dst = number(append(dst, sep...), `"inputTokens":`, u.input)
	dst = number(dst, `,"outputTokens":`, u.output)
	if caches {
		dst = append(dst, `,"serverToolUsage":{}`...) // undocumented, and sent
	}
	return append(number(dst, `,"totalTokens":`, u.total()), '}')
}

func converseStream(s *stream) {
	c, a := s.c, &s.c.answer
	s.doc = append(s.padding(append(s.doc[:0], '{'), "", ","), `"role":"assistant"}`...)
	s.event("messageStart")
	index := int64(0)
	if len(a.thinking) > 0 {
		s.converseThinking()
		index++
	}
	if len(a.text) > 0 || a.toolName == "" {
		s.deltas(a.text, func(part []byte, _ int64, _ bool) {
			s.doc = number(s.doc[:0], `{"contentBlockIndex":`, index)
			s.doc = field(s.doc, `,"delta":{"text":`, part)
			s.doc = append(s.padding(append(s.doc, '}'), ",", ""), '}')
			s.event("contentBlockDelta")
		})
		s.blockStop(index)
		index++
	}
	if a.toolName != "" {
		s.converseTool(index)
		s.blockStop(index)
	}
	s.last()
	s.doc = append(s.doc[:0], '{')
	if c.ask.stopField {
		s.doc = append(c.appendStopField(s.doc), ',')
	}
	s.doc = append(field(s.padding(s.doc, "", ","), `"stopReason":`, c.shape.word(a.stop)), '}')
	s.event("messageStop")
	s.doc = number(s.doc[:0], `{"metrics":{"latencyMs":`, a.latency.Milliseconds())
	s.doc = s.padding(append(s.doc, '}'), ",", "")
	s.doc = c.appendConverseTrace(c.appendModes(s.doc))
	s.doc = append(c.appendConverseUsage(append(s.doc, `,"usage":`...)), '}')
	s.event("metadata")
}

func (s *stream) blockStop(index int64) {
	s.doc = number(s.doc[:0], `{"contentBlockIndex":`, index)
	s.doc = append(s.padding(s.doc, ",", ""), '}')
	s.event("contentBlockStop")
}

// converseThinking sends the reasoning as the first block, its signature last.
func (s *stream) converseThinking() {
	s.deltas(s.c.answer.thinking, func(part []byte, _ int64, _ bool) {
		s.doc = field(s.doc[:0], `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":`, part)
		s.doc = append(s.padding(append(s.doc, `}}`...), ",", ""), '}')
		s.event("contentBlockDelta")
	})
	s.doc = s.c.appendSignature(append(s.doc[:0], `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":`...))
	s.doc = append(s.padding(append(s.doc, `}}`...), ",", ""), '}')
	s.event("contentBlockDelta")
	s.blockStop(0)
}

// converseTool sends the use of a tool: its input comes in fragments, of which
// the first is empty.
func (s *stream) converseTool(index int64) {
	a := &s.c.answer
	s.doc = number(s.doc[:0], `{"contentBlockIndex":`, index)
	s.doc = s.padding(s.doc, ",", "")
	s.doc = field(s.doc, `,"start":{"toolUse":{"name":`, a.toolName)
	s.doc = appendID(append(s.doc, `,"toolUseId":"tooluse_`...), &s.c.rng, toolIDLen)
	s.doc = append(s.doc, `"}}}`...)
	s.event("contentBlockStart")
	fragment := func(part []byte, _ int64, _ bool) {
		s.doc = number(s.doc[:0], `{"contentBlockIndex":`, index)
		s.doc = field(s.doc, `,"delta":{"toolUse":{"input":`, part)
		s.doc = append(s.padding(append(s.doc, `}}`...), ",", ""), '}')
		s.event("contentBlockDelta")
	}
	fragment(nil, 0, false)
	s.deltas(a.toolJSON, fragment)
}
