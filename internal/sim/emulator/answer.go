package emulator

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// stop is why an answer ended.
type stop uint8

const (
	endTurn stop = iota
	maxTokens
	stopSequence
	toolUse
	intervened // by a guardrail
	filtered
	malformedOutput
	malformedTool
	windowExceeded
	numStops
)

// converseStop is the word Converse has for each; the families' own words are
// in their shapes.
var converseStop = [numStops]string{"end_turn", "max_tokens", "stop_sequence", "tool_use", "guardrail_intervened",
	"content_filtered", "malformed_model_output", "malformed_tool_use", "model_context_window_exceeded"}

// usage is what a call is reported to have consumed. input is without the
// tokens that were read from or written to the prompt cache.
type usage struct{ input, output, cacheRead, cacheWrite int64 }

func (u *usage) total() int64 { return u.input + u.output + u.cacheRead + u.cacheWrite }

// answer is what the model says, in no family's words.
type answer struct {
	thinking []byte // reasoning, before the text
	text     []byte
	toolName string // a tool to use, after the text; empty for none
	toolJSON []byte // its input
	stop     stop
	stopText string // the stop sequence that was met
	usage    usage
	guard    *assessment // nil: no guardrail was asked for

	firstByte time.Duration // until the answer began, as it is reported and waited
	latency   time.Duration // until it ended
}

func (a *answer) reset() {
	*a = answer{thinking: a.thinking[:0], text: a.text[:0], toolJSON: a.toolJSON[:0]}
}

// decide fills in the answer: the guardrail on what comes in, the script's
// rule, the tools, the word chain, the bounds, the guardrail on what goes out.
func (c *call) decide(rule *scriptRule) {
	a := &c.answer
	if c.guard != nil {
		a.guard = c.guard.assess(c.ask.text, nil)
	}
	if a.guard.blocked() {
		a.text, a.stop = append(a.text, c.guard.BlockedInput...), intervened
		c.time()
		return
	}
	c.think(rule)
	c.compose(rule)
	c.cutAtStop()
	c.cutAtMax()
	c.count(rule)
	if rule != nil && rule.StopReason != "" {
		a.stop = rule.stop
	}
	if c.guard != nil {
		a.guard = c.guard.assess(c.ask.text, a.text)
		if a.guard.blocked() {
			a.text, a.toolName, a.stop = append(a.text[:0], c.guard.BlockedOutput...), "", intervened
			a.thinking = a.thinking[:0]
		}
	}
	c.time()
}

// thinkTokens is how long the reasoning is that nothing cuts short.
const thinkTokens = 24

// think writes the reasoning that was asked for, in at most half of the tokens.
func (c *call) think(rule *scriptRule) {
	a := &c.answer
	switch {
	case !c.shape.thinks:
		return
	case rule != nil && rule.Reasoning != "":
		a.thinking = append(a.thinking, rule.Reasoning...)
	case c.ask.thinking:
		a.thinking = appendProse(a.thinking, &c.rng, thinkTokens)
	}
	if c.ask.maxTokens > 0 {
		a.thinking = cut(a.thinking, c.ask.maxTokens/2)
	}
}

// compose writes the text or the use of a tool, without bounds.
func (c *call) compose(rule *scriptRule) {
	a := &c.answer
	if rule != nil && (rule.Text != "" || rule.Tool != nil) {
		a.text = append(a.text, rule.Text...)
		switch {
		case rule.Tool != nil && c.shape.tools:
			a.toolName, a.stop = rule.Tool.Name, toolUse
			a.toolJSON = append(a.toolJSON, rule.input...)
		case rule.Tool != nil: // said, for want of a way to use it
			a.text = append(a.text, rule.input...)
		}
		return
	}
	if t := c.toolAsked(); t != nil {
		a.toolName, a.stop = t.name, toolUse
		a.toolJSON = c.appendToolInput(a.toolJSON, t.schema, 0)
		if c.ask.choice == "" || c.ask.choice == "auto" {
			a.text = append(append(append(a.text, "I will use "...), t.name...), " for this."...)
		}
		return
	}
	if c.shape.lead {
		a.text = append(a.text, ' ')
	}
	a.text = appendProse(a.text, &c.rng, naturalLength(&c.rng))
}

// toolAsked is the emulator's whole idea of when a model uses a tool: it is
// made to, or the last user message, not itself a tool's result, names one.
// Underscores and hyphens of a name may be spaces in the message.
func (c *call) toolAsked() *tool {
	a := &c.ask
	if len(a.tools) == 0 || a.toolResult || a.choice == "none" {
		return nil
	}
	switch a.choice {
	case "any":
		return &a.tools[0]
	case "tool":
		if i := slices.IndexFunc(a.tools, func(t tool) bool { return t.name == a.chosen }); i >= 0 {
			return &a.tools[i]
		}
		return nil
	}
	prompt := spaced(string(a.promptText()))
	for i := range a.tools {
		if strings.Contains(prompt, spaced(a.tools[i].name)) {
			return &a.tools[i]
		}
	}
	return nil
}

var spacer = strings.NewReplacer("_", " ", "-", " ")

func spaced(s string) string { return spacer.Replace(strings.ToLower(s)) }

// maxToolDepth bounds the schemas followed, which a client wrote.
const maxToolDepth = 8

// appendToolInput makes up an input for a tool: every property of an object
// schema, with a value of its type.
func (c *call) appendToolInput(dst []byte, schema node, depth int) []byte {
	dst = append(dst, '{')
	first := true
	c.each(c.get(schema, "properties"), func(p node) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, c.doc.Key(p)), ':')
		dst = c.appendExample(dst, p, depth+1)
	})
	return append(dst, '}')
}

func (c *call) appendExample(dst []byte, schema node, depth int) []byte {
	if first := c.doc.First(c.get(schema, "enum")); first != none {
		return append(dst, c.doc.Raw(first)...)
	}
	switch c.str(schema, "type") {
	case "object":
		if depth < maxToolDepth {
			return c.appendToolInput(dst, schema, depth)
		}
		return append(dst, "{}"...)
	case "array":
		return append(dst, "[]"...)
	case "integer", "number":
		return append(dst, '1')
	case "boolean":
		return append(dst, "true"...)
	case "null":
		return append(dst, "null"...)
	}
	return appendString(dst, pick(&c.rng, chain[noun]))
}

// cutAtStop ends the text before the earliest stop sequence in it.
func (c *call) cutAtStop() {
	a := &c.answer
	for _, s := range c.ask.stops {
		if i := bytes.Index(a.text, []byte(s)); i >= 0 && s != "" {
			a.text, a.stop, a.stopText, a.toolName = a.text[:i], stopSequence, s, ""
		}
	}
}

// cutAtMax ends the answer at the bound asked for, or the family's own.
func (c *call) cutAtMax() {
	a, limit := &c.answer, c.ask.maxTokens
	if limit == 0 {
		limit = c.shape.defaultMax
	}
	if limit == 0 {
		return
	}
	limit -= tokens(len(a.thinking))
	if n := tokens(len(a.text)); n > limit {
		a.text, a.stop, a.toolName = cut(a.text, limit), maxTokens, ""
	} else if a.toolName != "" && n+tokens(len(a.toolJSON)) > limit {
		a.stop, a.toolName = maxTokens, ""
	}
}

// count fills in the usage, from the texts and the prompt cache.
func (c *call) count(rule *scriptRule) {
	u := &c.answer.usage
	u.input = max(c.ask.input, 1)
	if c.shape.output {
		u.output = max(tokens(len(c.answer.thinking))+tokens(len(c.answer.text)), 1)
		if c.answer.toolName != "" {
			u.output += tokens(len(c.answer.toolJSON))
		}
	}
	if c.ask.cacheTokens > 0 && c.row.caches(c.ref.ID) {
		u.cacheRead, u.cacheWrite = c.e.cache.use(c)
		u.input = max(u.input-u.cacheRead-u.cacheWrite, 0)
	}
	if rule != nil && rule.Usage != nil {
		*u = usage{rule.Usage.Input, rule.Usage.Output, rule.Usage.CacheRead, rule.Usage.CacheWrite}
	}
}

// time works out how long the answer takes to begin and to end. The numbers
// are those of the configured pace, not of the clock, so that one call always
// reports the same.
func (c *call) time() {
	a := &c.answer
	a.firstByte = c.e.ttft
	if c.fault != nil {
		a.firstByte += c.fault.Delay
	}
	a.latency = a.firstByte + c.e.pace(a.usage.output)
}

// seedRNG starts the generator from the emulator's seed, the model and the prompt.
func (c *call) seedRNG() {
	h := hash64(hash64(hashStart, c.ref.ID), c.ask.promptText())
	c.rng = *rand.NewPCG(c.e.seed, h)
}
