package gateway

import (
	"net/http"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/guard"
)

// maxJudged is the longest body whose index is kept until a whole answer has
// been held against it; a stream takes what it needs before it begins.
const maxJudged = 1 << 20

// judgeAnswer makes the guard ready for the answer, and gives the parsed body's
// memory back as soon as nobody needs it: the call may be long.
func (x *exchange) judgeAnswer() {
	c := x.call
	if x.rules.Guard != nil && c.Operation.Stream {
		x.stream = x.rules.Guard.Stream(c)
	}
	if x.rules.Guard == nil || c.Operation.Stream || len(c.Body) > maxJudged {
		x.rules.Read.Release(c)
	}
}

// outbound judges a whole answer. What is sent in its place is what is recorded.
func (x *exchange) outbound(header http.Header, body []byte, res *call.Result) ([]byte, *call.Refusal) {
	c := x.call
	if c.Operation.Support == bedrock.Pass {
		filtered, ok := x.rules.Policy.FilterList(c, body)
		if !ok {
			res.Outcome = call.Upstream
			return nil, call.UpstreamUnavailable
		}
		return filtered, nil
	}
	if x.rules.Guard == nil {
		return body, nil
	}
	out, v := x.rules.Guard.Whole(x.r.Context(), c, header.Get("Content-Type"), body)
	x.judged(v, res)
	return out, v.Refusal
}

// judged notes what the guard said about an answer.
func (x *exchange) judged(v guard.Verdict, res *call.Result) {
	res.Notes = v.Notes
	if v.Blocked {
		res.Notes = append(res.Notes, blockNote(v))
		x.g.o.Observer.Guard(x.call, v.Rule)
	}
	if v.Blocked || v.Refusal != nil {
		res.Outcome = call.Blocked
	}
}

// blockNote says in the record which rule blocked.
func blockNote(v guard.Verdict) call.Note {
	return call.Note{Stage: "guard", Name: v.Rule, Action: string(guard.Block)}
}

// blocked answers a prompt that the guard blocked, as Bedrock answers where a
// guardrail of its own intervenes. Nothing was sent and nothing is charged.
func (x *exchange) blocked(v guard.Verdict, res *call.Result) {
	c := x.call
	*res = call.Result{Outcome: call.Blocked, Status: http.StatusOK}
	switch {
	case v.Refusal != nil: // there is no answer to put words into
		res.Status, res.ErrorType, res.Message = v.Refusal.Status, v.Refusal.Type, v.Refusal.Message
		x.Refuse(v.Refusal)
	case c.Operation.Stream:
		res.Body, res.ContentType = guard.BlockedStream(c, v.Message), eventStream
		if x.Start(http.Header{"Content-Type": {eventStream}}) == nil {
			x.Frames(res.Body, true)
		}
		x.Finish(res)
	default:
		kind, body, more := guard.BlockedWhole(c, v.Message)
		header := http.Header(more)
		header["Content-Type"], res.ContentType = []string{kind}, kind
		x.send(http.StatusOK, header, body, res)
	}
}

const eventStream = "application/vnd.amazon.eventstream"
