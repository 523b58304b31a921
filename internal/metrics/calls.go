package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
)

// Admitted counts a call that goes to Bedrock, once its admission is recorded.
func (m *Metrics) Admitted(c *call.Call) {
	m.calls.Inc()
	for i := range c.Amounts {
		m.admitted.get(c.Amounts[i].Limit).Inc()
	}
	m.noted(c.Notes)
}

// Refused counts a request that was refused before admission.
func (m *Metrics) Refused(c *call.Call, ref *call.Refusal) {
	m.refused.get(refusal{string(ref.Reason), ref.Limit}).Inc()
	m.noted(c.Notes)
	if m.o.Sink != nil {
		m.refusedPoints(c, ref)
	}
}

// Guard counts a block. Masks, flags and what observe mode let pass are counted
// from the call's notes.
func (m *Metrics) Guard(c *call.Call, rule string) {
	m.verdicts.get(verdict{rule: rule, action: "block"}).Inc()
	if m.o.Sink != nil {
		p := point(c)
		p.Metric, p.Value = GuardBlocked, 1
		m.o.Sink.Observe(p)
	}
}

// Settled counts how an admitted call ended, once it is settled and its result
// handed to the journal; the time since res.Time is the settle lag.
func (m *Metrics) Settled(c *call.Call, res *call.Result) {
	m.lag.Observe(time.Since(res.Time).Seconds())
	m.noted(res.Notes)
	w := work{op: c.Operation}
	if c.Model.Model != nil {
		w.model, w.family = c.Model.ID, c.Model.Family
	}
	m.timed(c, res, w)
	if w.model != "" {
		m.used(c, res, w)
	}
	if m.o.Sink != nil {
		m.settledPoints(c, res)
	}
}

// timed counts durations.
func (m *Metrics) timed(c *call.Call, res *call.Result, w work) {
	e := m.ends.get(end{w, errorType(res)})
	e.client.Observe(res.Latency.Seconds())
	total := res.Time.Sub(c.Time)
	e.server.Observe(total.Seconds())
	if res.Outcome != call.OK || res.FirstByte <= 0 {
		return
	}
	h, behind := m.work.get(w), res.Latency-res.FirstByte
	h.firstToken.Observe((total - behind).Seconds())
	if c.Operation != nil && c.Operation.Stream {
		h.firstChunk.Observe(res.FirstByte.Seconds())
		if res.Usage.Output > 1 {
			h.perToken.Observe(behind.Seconds() / float64(res.Usage.Output-1))
		}
	}
}

// used counts tokens and money of a call of a model.
func (m *Metrics) used(c *call.Call, res *call.Result, w work) {
	u := &res.Usage
	if n := u.Input + u.CacheRead + u.CacheWrite + u.Output; n > 0 {
		h := m.work.get(w)
		h.input.Observe(float64(n - u.Output))
		h.output.Observe(float64(u.Output))
	}
	b := m.bills.get(bill{team(c), w.model})
	add(b.cost, res.Cost)
	add(b.input, u.Input)
	add(b.output, u.Output)
	add(b.cacheRead, u.CacheRead)
	add(b.cacheWrite, u.CacheWrite)
	add(b.images, u.Images)
}

// add does not take what a counter panics at: an answer is not ours.
func add(c prometheus.Counter, n int64) {
	if n > 0 {
		c.Add(float64(n))
	}
}

func (m *Metrics) noted(notes []call.Note) {
	for i := range notes {
		n := &notes[i]
		if n.Stage == "guard" && n.Action == "block" && !n.Observe {
			continue // Guard has counted it
		}
		if n.Stage == "guard" {
			m.verdicts.get(verdict{n.Name, n.Action, n.Observe}).Inc()
		} else {
			m.notes.get(note{n.Stage, n.Name, n.Action, n.Observe}).Inc()
		}
	}
}

// errorType is OpenTelemetry's error.type: AWS's error code or, where the
// caller saw none, how the call ended. Empty is success.
func errorType(res *call.Result) string {
	if res.ErrorType == "" && res.Outcome != call.OK {
		return string(res.Outcome)
	}
	return res.ErrorType
}

// team is bounded by what administrators make; users make none.
func team(c *call.Call) string {
	if c.Principal == nil || c.Principal.Team == "" {
		return "default"
	}
	return c.Principal.Team
}

// families are the rows of the model table whose InvokeModel is not a chat, by
// OpenTelemetry's word for what it is.
var families = map[string]string{
	"claude-legacy": "text_completion", "titan-text": "text_completion", "command": "text_completion",
	"jurassic": "text_completion", "llama": "text_completion",
	"titan-embed": "embeddings", "nova-embed": "embeddings", "cohere-embed": "embeddings", "twelvelabs": "embeddings",
	"stability-image": "generate_content", "titan-image": "generate_content",
	"rerank": "rerank", // no word of theirs
}

// operation is OpenTelemetry's gen_ai.operation.name. Operations that it has
// no word for keep AWS's.
func operation(w work) string {
	switch {
	case w.op == nil:
		return other
	case w.op.Name == "Converse" || w.op.Name == "ConverseStream":
		return "chat"
	case w.op.Name != "InvokeModel" && w.op.Name != "InvokeModelWithResponseStream":
		return w.op.Name
	}
	if f := bedrock.FamilyOf(w.family); f != nil && families[f.Name] != "" {
		return families[f.Name]
	}
	return "chat"
}
