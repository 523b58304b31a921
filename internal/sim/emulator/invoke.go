package emulator

import (
	"encoding/base64"
	"strconv"

	"gatehouse/internal/bedrock/model"
)

// converse serves the four operations that ask a model: resolve it, read the
// body, decide, answer.
func (c *call) converse() *wireError {
	werr := firstError(c.resolve(), c.parse(c.body))
	if werr != nil {
		return werr
	}
	c.shape = &converse
	if c.native() {
		c.shape = c.row.native(c)
	}
	if c.op.Stream && (c.shape.stream == nil || c.row.shape.stream == nil) {
		return errNoStreaming
	}
	if werr := firstErrorOf(c.readAsk, c.checkMax, c.findGuardrail); werr != nil {
		return werr
	}
	c.seedRNG()
	rule := c.e.script.match(c.op.Name, c.target.Model, c.ask.promptText())
	if rule != nil && rule.fault != nil && c.fault == nil {
		c.fault = rule.fault
		if done, werr := c.early(); done {
			return werr
		}
	}
	c.decide(rule)
	if c.op.Stream {
		c.serveStream()
		return nil
	}
	c.out = c.shape.body(c, c.out[:0])
	if c.native() {
		c.out = c.appendGuardMembers(c.out[:len(c.out)-1], true)
		c.out = append(c.out, '}')
		c.setCounts()
	}
	if c.wait(c.answer.latency) {
		c.respond()
	}
	return nil
}

// native reports whether the operation takes the family's own bodies.
func (c *call) native() bool { return c.op.Body == "" }

func (c *call) readAsk() *wireError { return c.shape.read(c) }

// firstErrorOf calls the steps in order, up to the first that fails.
func firstErrorOf(steps ...func() *wireError) *wireError {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds the model that the path names.
func (c *call) resolve() *wireError {
	id := c.target.Model
	if c.e.profileOnly[id] {
		return notOnDemand(id)
	}
	ref, err := c.e.models.Resolve(id)
	switch {
	case err == model.ErrDenied:
		return c.denied()
	case err != nil, ref.Mantle:
		return errUnknownModel
	}
	if c.row = familyOf(ref.Family); c.row == nil {
		return errUnknownModel
	}
	c.ref = ref
	return nil
}

// The headers that ask for a guardrail on InvokeModel, and the body member
// that goes with them.
const (
	guardHeader        = "X-Amzn-Bedrock-Guardrailidentifier"
	guardVersionHeader = "X-Amzn-Bedrock-Guardrailversion"
	traceHeader        = "X-Amzn-Bedrock-Trace"
	tierHeader         = "X-Amzn-Bedrock-Service-Tier"
	latencyHeader      = "X-Amzn-Bedrock-Performanceconfig-Latency"

	guardMember = "amazon-bedrock-guardrailConfig"
)

// findGuardrail looks up the guardrail the request asks for, if any.
func (c *call) findGuardrail() *wireError {
	if c.native() {
		h := c.r.Header
		c.ask.guardrail, c.ask.guardVersion = h.Get(guardHeader), h.Get(guardVersionHeader)
		trace := h.Get(traceHeader)
		c.ask.trace = trace == "ENABLED" || trace == "ENABLED_FULL"
		c.ask.tier, c.ask.latency = h.Get(tierHeader), h.Get(latencyHeader)
		if c.ask.guardrail == "" && c.has(0, guardMember) {
			return errGuardNoHeader
		}
	}
	if c.ask.guardrail == "" {
		return nil
	}
	var werr *wireError
	c.guard, werr = c.e.guardrailOf(c.ask.guardrail, c.ask.guardVersion)
	return werr
}

// appendGuardMembers appends what a guardrail adds to a native document: the
// action, and in the last or only document the trace.
func (c *call) appendGuardMembers(dst []byte, last bool) []byte {
	g := c.answer.guard
	if g == nil {
		return dst
	}
	action := "NONE"
	if g.blocked() {
		action = "INTERVENED"
	}
	dst = field(dst, `,"amazon-bedrock-guardrailAction":`, action)
	if last && c.ask.trace {
		dst = g.appendNativeTrace(append(dst, `,"amazon-bedrock-trace":`...), c.answer.text)
	}
	return dst
}

// setCounts sets the headers in which InvokeModel tells what was consumed.
func (c *call) setCounts() {
	h, u := c.w.Header(), &c.answer.usage
	set := func(name string, n int64) { h[name] = []string{strconv.FormatInt(n, 10)} }
	if c.shape.counts {
		set("X-Amzn-Bedrock-Input-Token-Count", u.input)
		if c.shape.output {
			set("X-Amzn-Bedrock-Output-Token-Count", u.output)
		}
		if c.row.caches(c.ref.ID) {
			set("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", u.cacheRead)
			set("X-Amzn-Bedrock-Cache-Write-Input-Token-Count", u.cacheWrite)
		}
	}
	set("X-Amzn-Bedrock-Invocation-Latency", c.answer.latency.Milliseconds())
	c.setModes()
}

// setModes echoes tier and latency mode of a native request in headers.
func (c *call) setModes() {
	h := c.w.Header()
	if c.ask.latency != "" {
		h["X-Amzn-Bedrock-PerformanceConfig-Latency"] = []string{c.ask.latency}
	}
	if c.ask.tier != "" {
		h["X-Amzn-Bedrock-Service-Tier"] = []string{c.ask.tier}
	}
}

// countTokens is the operation CountTokens.
func (c *call) countTokens() *wireError {
	if werr := firstErrorOf(c.resolve, func() *wireError { return c.parse(c.body) }); werr != nil {
		return werr
	}
	input := c.get(0, "input")
	var werr *wireError
	switch {
	case c.has(input, "converse"):
		c.shape = &converse
		werr = c.readConverse(c.get(input, "converse"))
	case c.has(input, "invokeModel"):
		werr = c.readInner(c.str(input, "invokeModel", "body"))
	default:
		werr = missing("input")
	}
	if werr != nil {
		return werr
	}
	c.out = append(number(c.out[:0], `{"inputTokens":`, max(c.ask.input, 1)), '}')
	return nil
}

// readInner reads the native body that is inside a CountTokens body.
func (c *call) readInner(encoded string) *wireError {
	inner, err := base64.StdEncoding.AppendDecode(c.inner[:0], []byte(encoded))
	c.inner = inner
	if err != nil {
		return errMalformed
	}
	if werr := c.parse(inner); werr != nil {
		return werr
	}
	c.shape = c.row.native(c)
	return c.shape.read(c)
}
