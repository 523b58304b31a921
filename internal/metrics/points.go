package metrics

import (
	"net/http"

	"gatehouse/internal/call"
)

// The metrics that alarms watch. The first nine are named and meant as in
// CloudWatch's namespace AWS/Bedrock, seen from the gateway's callers; the rest
// are ours.
const (
	Invocations            = "Invocations"            // answered calls; neither errors nor throttles
	InvocationLatency      = "InvocationLatency"      // ms to the last byte, of these
	InvocationClientErrors = "InvocationClientErrors" // Bedrock answered 4xx
	InvocationServerErrors = "InvocationServerErrors" // Bedrock answered 5xx, not at all, or not to the end
	InvocationThrottles    = "InvocationThrottles"    // Bedrock throttled the call, or a limit of ours refused it
	InputTokenCount        = "InputTokenCount"        // without cached tokens
	OutputTokenCount       = "OutputTokenCount"
	OutputImageCount       = "OutputImageCount"
	TimeToFirstToken       = "TimeToFirstToken" // ms, of streams

	Cost         = "Cost"         // USD
	Refusals     = "Refusals"     // requests refused before admission, for any reason
	GuardBlocked = "GuardBlocked" // prompts and answers
)

// Point is one measured value and what it belongs to. A dimension that does not
// apply is empty.
type Point struct {
	Metric string
	Value  float64
	Model  string // base id
	User   string // name
	Team   string
	Key    string // id
	Limit  string // that refused
}

// Sink takes points. Observe is called from the request path: it must be safe
// for concurrent use, must not block, and keeps nothing of the point but its
// strings.
type Sink interface {
	Observe(p Point)
}

// point fills the dimensions. Whoever has not proved to be the principal, as
// the caller's ARN tells, must not raise alarms in that one's name.
func point(c *call.Call) Point {
	var p Point
	if c.Principal != nil && c.CallerARN != "" {
		p.User, p.Team, p.Key = c.Principal.User, team(c), string(c.Principal.Key)
	}
	if c.Model.Model != nil {
		p.Model = c.Model.ID
	}
	return p
}

func (m *Metrics) refusedPoints(c *call.Call, ref *call.Refusal) {
	p := point(c)
	p.Value, p.Limit = 1, ref.Limit
	p.Metric = Refusals
	m.o.Sink.Observe(p)
	if ref.Limit != "" {
		p.Metric = InvocationThrottles
		m.o.Sink.Observe(p)
	}
}

func (m *Metrics) settledPoints(c *call.Call, res *call.Result) {
	p := point(c)
	if p.Model == "" { // lists and the like are no invocations
		return
	}
	see := func(metric string, v float64) {
		p.Metric, p.Value = metric, v
		m.o.Sink.Observe(p)
	}
	kind := invocation(res)
	if kind != "" {
		see(kind, 1)
	}
	if kind == Invocations {
		see(InvocationLatency, res.Latency.Seconds()*1000)
		if c.Operation != nil && c.Operation.Stream && res.FirstByte > 0 {
			see(TimeToFirstToken, res.FirstByte.Seconds()*1000)
		}
	}
	for _, v := range [...]struct {
		metric string
		n      float64
	}{
		{InputTokenCount, float64(res.Usage.Input)}, {OutputTokenCount, float64(res.Usage.Output)},
		{OutputImageCount, float64(res.Usage.Images)}, {Cost, float64(res.Cost) / 1e9},
	} {
		if v.n > 0 {
			see(v.metric, v.n)
		}
	}
}

// invocation is which of the four counts a call belongs to. CloudWatch counts a
// throttled call in neither Invocations nor errors. A call that its caller or
// we ended counts as an invocation if Bedrock saw it, since the model was at work.
func invocation(res *call.Result) string {
	switch res.Outcome {
	case call.ClientGone, call.Blocked, call.Stopped:
		if !res.Worked {
			return ""
		}
		return Invocations
	case call.OK:
		return Invocations
	}
	switch {
	case res.Status == http.StatusTooManyRequests || res.ErrorType == "ThrottlingException":
		return InvocationThrottles
	case res.Outcome == call.Upstream && res.Status >= 400 && res.Status < 500:
		return InvocationClientErrors
	}
	return InvocationServerErrors
}
