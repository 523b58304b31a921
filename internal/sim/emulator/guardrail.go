package emulator

import (
	"bytes"
)

// Guardrail is a guardrail that the emulated account has: a list of words.
type Guardrail struct {
	ID            string // lower-case letters and digits
	Version       string // the one version there is beside DRAFT; empty is "1"
	Words         []string
	BlockedInput  string // said in place of an answer to a prompt with such a word
	BlockedOutput string // said in place of an answer with such a word
}

// DefaultGuardrail is the guardrail of an emulator that is given none.
var DefaultGuardrail = Guardrail{
	ID:            "emulated0001",
	Words:         []string{"guardrail-trigger"},
	BlockedInput:  "Sorry, the model cannot answer this question.",
	BlockedOutput: "Sorry, the model cannot answer this question.",
}

// assessment is what a guardrail found. A nil one is that of no guardrail.
type assessment struct {
	guardrail     *Guardrail
	input, output []string // the words met
	inputLen      int      // bytes looked at
	outputLen     int
	hasOutput     bool
}

func (a *assessment) blocked() bool {
	return a != nil && (len(a.input) > 0 || len(a.output) > 0)
}

// assess looks for the guardrail's words, whatever their case, in what comes in
// and, once it is known, in what goes out.
func (g *Guardrail) assess(input, output []byte) *assessment {
	return &assessment{
		guardrail: g, input: g.find(input), output: g.find(output),
		inputLen: len(input), outputLen: len(output), hasOutput: output != nil,
	}
}

func (g *Guardrail) find(text []byte) []string {
	var met []string
	lower := bytes.ToLower(text)
	for _, w := range g.Words {
		if w != "" && bytes.Contains(lower, bytes.ToLower([]byte(w))) {
			met = append(met, w)
		}
	}
	return met
}

func (g *Guardrail) version() string {
	if g.Version == "" {
		return "1"
	}
	return g.Version
}

// guardrailOf finds a guardrail by id or ARN and version.
func (e *Emulator) guardrailOf(id, version string) (*Guardrail, *wireError) {
	if prefix := e.arn("guardrail/"); len(id) > len(prefix) && id[:len(prefix)] == prefix {
		id = id[len(prefix):]
	}
	for i := range e.guardrails {
		if g := &e.guardrails[i]; g.ID == id && (version == "DRAFT" || version == g.version()) {
			return g, nil
		}
	}
	return nil, errUnknownGuard
}

// appendTrace appends the guardrail trace of a Converse answer.
func (a *assessment) appendTrace(dst []byte, modelOutput []byte) []byte {
	dst = field(dst, `{"guardrail":{"actionReason":`, a.reason())
	dst = field(dst, `,"inputAssessment":{`, a.guardrail.ID)
	dst = append(appendAssessment(append(dst, ':'), a.input, a.inputLen), '}')
	if a.hasOutput {
		dst = field(dst, `,"modelOutput":[`, modelOutput)
		dst = field(dst, `],"outputAssessments":{`, a.guardrail.ID)
		dst = append(appendAssessment(append(dst, `:[`...), a.output, a.outputLen), `]}`...)
	}
	return append(dst, `}}`...)
}

// appendNativeTrace appends the trace that InvokeModel adds to a native body.
func (a *assessment) appendNativeTrace(dst []byte, modelOutput []byte) []byte {
	dst = append(dst, `{"guardrail":{`...)
	if a.hasOutput {
		dst = append(field(dst, `"modelOutput":[`, modelOutput), `],`...)
	}
	dst = field(dst, `"input":{`, a.guardrail.ID)
	dst = append(appendAssessment(append(dst, ':'), a.input, a.inputLen), '}')
	if a.hasOutput {
		dst = field(dst, `,"outputs":[{`, a.guardrail.ID)
		dst = append(appendAssessment(append(dst, ':'), a.output, a.outputLen), `}]`...)
	}
	return append(field(dst, `,"actionReason":`, a.reason()), `}}`...)
}

func (a *assessment) reason() string {
	if a.blocked() {
		return "Guardrail blocked."
	}
	return "No action."
}

// appendAssessment appends one assessment of n bytes in which words were met.
func appendAssessment(dst []byte, words []string, n int) []byte {
	dst = append(dst, `{"invocationMetrics":{"guardrailCoverage":`...)
	dst = appendCoverage(dst, n)
	dst = append(dst, `,"guardrailProcessingLatency":1,"usage":`...)
	dst = append(appendGuardUsage(dst, n), '}')
	if len(words) > 0 {
		dst = append(dst, `,"wordPolicy":{"customWords":[`...)
		for i, w := range words {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(field(dst, `{"action":"BLOCKED","detected":true,"match":`, w), '}')
		}
		dst = append(dst, `]}`...)
	}
	return append(dst, '}')
}

func appendCoverage(dst []byte, n int) []byte {
	dst = number(dst, `{"textCharacters":{"guarded":`, int64(n))
	return append(number(dst, `,"total":`, int64(n)), `}}`...)
}

// guardUnit is how many characters one unit of a guardrail's policy has.
const guardUnit = 1000

func appendGuardUsage(dst []byte, n int) []byte {
	units := int64(n+guardUnit-1) / guardUnit
	dst = append(dst, `{"contentPolicyImageUnits":0,"contentPolicyUnits":0,"contextualGroundingPolicyUnits":0,"sensitiveInformationPolicyFreeUnits":0,"sensitiveInformationPolicyUnits":0,"topicPolicyUnits":0`...)
	return append(number(dst, `,"wordPolicyUnits":`, units), '}')
}

// applyGuardrail is the operation ApplyGuardrail.
func (c *call) applyGuardrail() *wireError {
	g, werr := c.e.guardrailOf(c.target.Guardrail, c.target.Version)
	if werr != nil {
		return werr
	}
	content, source := c.get(0, "content"), c.str(0, "source")
	switch {
	case c.get(0, "source") == none:
		return missing("source")
	case source != "INPUT" && source != "OUTPUT":
		return constraint("source", "Member must satisfy enum value set: [INPUT, OUTPUT]")
	case !c.isList(content):
		return missing("content")
	}
	c.addContent(content)
	a := g.assess(c.ask.text, nil)
	c.out = c.appendApplied(c.out[:0], g, a, source)
	return nil
}

func (c *call) appendApplied(dst []byte, g *Guardrail, a *assessment, source string) []byte {
	action, said := "NONE", g.BlockedInput
	if source == "OUTPUT" {
		said = g.BlockedOutput
	}
	if a.blocked() {
		action = "GUARDRAIL_INTERVENED"
	}
	dst = field(dst, `{"action":`, action)
	dst = field(dst, `,"actionReason":`, a.reason())
	dst = append(dst, `,"assessments":[`...)
	if a.blocked() || c.str(0, "outputScope") == "FULL" {
		dst = appendAssessment(dst, a.input, a.inputLen)
	}
	dst = append(appendCoverage(append(dst, `],"guardrailCoverage":`...), a.inputLen), `,"outputs":[`...)
	if a.blocked() {
		dst = append(field(dst, `{"text":`, said), '}')
	}
	return append(appendGuardUsage(append(dst, `],"usage":`...), a.inputLen), '}')
}
