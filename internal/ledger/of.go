package ledger

import (
	"cmp"
	"time"

	"gatehouse/internal/call"
)

// AskedOf takes from a call what is known of its request, in account and
// region. Text from the request is cut to bounds. Strings are shared with the
// call; of the operations that run models none allocates.
func AskedOf(c *call.Call, account, region string) Asked {
	a := Asked{
		ID: c.ID, RequestID: clip(c.RequestID, maxID), Time: c.Time,
		ModelAsked: clip(cmp.Or(c.Model.Asked, c.Target.Model), maxModel), Model: clip(c.Model.ID, maxModel),
		Account: account, Region: region,
		IP: c.IP, UserAgent: clip(c.UserAgent, maxAgent), Host: clip(c.Host, maxName),
		Proto: c.Proto, TLS: c.TLS, TLSCipher: c.TLSCipher, SDKInvocation: clip(c.SDKInvocationID, maxID),
		ContentType: clip(c.ContentType, maxName), Accept: clip(c.Accept, maxName), Guardrail: clip(guardrail(c), maxModel),
		BodyBytes: int64(len(c.Body)), BodySHA256: c.BodySHA256,
		MaxTokens: c.MaxTokens, InputEstimate: c.InputEstimate, Images: c.Images,
		Country: c.Country, Amounts: c.Amounts, Notes: notesOf(c.Notes),
	}
	if c.Answers > 1 {
		a.Answers = c.Answers
	}
	if c.OriginalSHA256 != c.BodySHA256 {
		a.OriginalSHA256 = c.OriginalSHA256
	}
	if c.Operation != nil {
		a.Operation = c.Operation.Name
	}
	if m := c.Header["X-Amzn-Bedrock-Request-Metadata"]; len(m) > 0 && len(m[0]) <= maxLabels {
		a.Metadata = m[0]
	}
	if c.Principal != nil {
		a.Principal = PrincipalOf(c.Principal)
	}
	return a
}

// PrincipalOf names a caller.
func PrincipalOf(p *call.Principal) Principal {
	return Principal{UserID: p.UserID, User: p.User, Team: p.Team, Key: string(p.Key), Scheme: p.Scheme.String()}
}

// guardrail is the one asked for, in a header or body, or by the path.
func guardrail(c *call.Call) string {
	if c.Guardrail == "" && c.Target.Guardrail != "" {
		return c.Target.Guardrail + ":" + c.Target.Version
	}
	return c.Guardrail
}

// AdmitOf makes the Admit of a call that has passed every stage.
func AdmitOf(c *call.Call, account, region string) Admit {
	return Admit{Asked: AskedOf(c, account, region)}
}

// ResultOf makes the Result of a call. parts is the number of Part entries
// written for it, and streamed the number of bytes in them.
func ResultOf(c *call.Call, r *call.Result, parts, streamed int64) Result {
	return Result{
		ID: c.ID, RequestID: clip(c.RequestID, maxID), Time: r.Time,
		Outcome: r.Outcome, Status: int64(r.Status), ErrorType: clip(r.ErrorType, maxName), Message: clip(r.Message, maxText),
		Region: r.Region,
		Usage: Usage{
			Input: r.Usage.Input, Output: r.Usage.Output,
			CacheRead: r.Usage.CacheRead, CacheWrite: r.Usage.CacheWrite, Write1h: r.Usage.Write1h,
			Images: r.Usage.Images, Exact: r.Usage.Exact,
		},
		Cost: r.Cost, Latency: int64(r.Latency), FirstByte: int64(r.FirstByte),
		ContentType: clip(r.ContentType, maxName), Stream: c.Operation != nil && c.Operation.Stream, Worked: r.Worked,
		Parts: parts, BodyBytes: streamed + int64(len(r.Body)),
		Settled: r.Settled, Notes: notesOf(r.Notes),
	}
}

func notesOf(notes []call.Note) []Note {
	if len(notes) == 0 {
		return nil
	}
	out := make([]Note, min(len(notes), maxNotes))
	for i := range out {
		n := &notes[i]
		out[i] = Note{Stage: n.Stage, Name: clip(n.Name, maxName), Action: n.Action, Observe: n.Observe, Detail: clip(n.Detail, maxText)}
	}
	return out
}

// RefusedOf makes the Refused of a call.
func RefusedOf(c *call.Call, r *call.Refusal, account, region string) Refused {
	return Refused{
		Asked:  AskedOf(c, account, region),
		Method: clip(c.Method, maxName), Path: clip(c.RawPath, maxModel),
		Reason: string(r.Reason), Status: int64(r.Status), ErrorType: r.Type, Message: clip(r.Message, maxText),
		Limit: clip(r.Limit, maxName), Detail: clip(r.Detail, maxText),
	}
}

// Interrupted makes the result of a call that was open when the gateway
// stopped. It keeps all that was reserved, since upstream may have done the
// work; the usage is the reservation's and the cost is left to the caller.
func (a *Admit) Interrupted(now time.Time) Result {
	return Result{
		ID: a.ID, RequestID: a.RequestID, Time: now,
		Outcome: call.Interrupted, Region: a.Region, Worked: true,
		Usage:   Usage{Input: a.InputEstimate, Output: a.MaxTokens * max(a.Answers, 1), Images: a.Images},
		Settled: a.Amounts,
	}
}

// Bounded returns a copy with every text cut to its bound.
func (a Account) Bounded() Account {
	a.Event, a.Outcome = clip(a.Event, maxName), clip(a.Outcome, maxName)
	a.Subject, a.Actor, a.Detail = clip(a.Subject, maxName), clip(a.Actor, maxName), clip(a.Detail, maxText)
	return a
}
