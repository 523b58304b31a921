package ledger

import (
	"encoding/json"
	"time"

	"gatehouse/internal/awslog"
	"gatehouse/internal/call"
)

// A call as hunts and rules read it is the invocation log's record where that
// log covers the operation, the members of CloudTrail's that it has not got
// (who, from where, with what), and what only the gateway knows. Names are
// AWS's, so that one query reads AWS's records and ours.
type (
	loggedCall struct {
		*awslog.Invocation
		trailAndGate
	}
	otherCall struct {
		unlogged
		trailAndGate
	}
)

type trailAndGate struct {
	EventSource         string                      `json:"eventSource"`
	EventName           string                      `json:"eventName"`
	EventCategory       string                      `json:"eventCategory"`
	EventID             string                      `json:"eventID"`
	AWSRegion           string                      `json:"awsRegion"`
	SourceIPAddress     string                      `json:"sourceIPAddress,omitempty"`
	UserAgent           string                      `json:"userAgent,omitempty"`
	UserIdentity        awslog.UserIdentity         `json:"userIdentity"`
	ErrorMessage        string                      `json:"errorMessage,omitempty"`
	ReadOnly            bool                        `json:"readOnly"`
	RequestParameters   json.RawMessage             `json:"requestParameters,omitempty"`
	AdditionalEventData *awslog.AdditionalEventData `json:"additionalEventData,omitempty"`
	TLSDetails          *awslog.TLSDetails          `json:"tlsDetails,omitempty"`

	Gateway gatewayPart `json:"gateway"`
}

// unlogged stands for the invocation record where that log has none.
type unlogged struct {
	Timestamp awslog.Time `json:"timestamp"`
	AccountID string      `json:"accountId"`
	RequestID string      `json:"requestId"`
	ModelID   string      `json:"modelId,omitempty"`
	ErrorCode string      `json:"errorCode,omitempty"`
}

type gatewayPart struct {
	CallID      string `json:"callId"`
	Time        string `json:"time"`    // to the nanosecond; AWS's timestamp has seconds
	Outcome     string `json:"outcome"` // refused, or call.Outcome
	Reason      string `json:"reason,omitempty"`
	RefusedBy   string `json:"refusedBy,omitempty"` // the limit, or the reason where no limit refused
	Status      int64  `json:"status,omitempty"`
	User        string `json:"user,omitempty"`
	Team        string `json:"team,omitempty"`
	Key         string `json:"key,omitempty"`
	Scheme      string `json:"scheme,omitempty"`
	Model       string `json:"model,omitempty"`
	Country     string `json:"country,omitempty"`
	Method      string `json:"method,omitempty"`
	Path        string `json:"path,omitempty"`
	MaxTokens   int64  `json:"maxTokens,omitempty"`
	Estimate    int64  `json:"inputEstimate,omitempty"`
	Cost        int64  `json:"costNanoUsd"`
	LatencyMS   int64  `json:"latencyMs,omitempty"`
	FirstByteMS int64  `json:"firstByteMs,omitempty"`
	Notes       []Note `json:"notes,omitempty"`
}

// Telemetry renders any record, refused requests for no operation too.
func (r *Record) Telemetry(o RenderOptions) any {
	code, message := r.failure()
	rest := trailAndGate{
		EventSource: awslog.EventSource, EventName: r.Operation, EventCategory: awslog.Management,
		EventID: eventID(r.ID), AWSRegion: r.Region, UserAgent: r.UserAgent, UserIdentity: r.identity(),
		ErrorMessage: message, ReadOnly: readOnly(r.Operation), RequestParameters: r.parameters(),
		AdditionalEventData: r.additional(), Gateway: r.gateway(),
	}
	if trail, ok := r.CloudTrail(); ok {
		rest.EventCategory, rest.TLSDetails = trail.EventCategory, trail.TLSDetails
	}
	if r.IP.IsValid() {
		rest.SourceIPAddress = r.IP.String()
	}
	if logged, ok := r.Invocation(o); ok {
		return loggedCall{logged, rest}
	}
	return otherCall{unlogged{awslog.Time{Time: r.Time}, r.Account, r.requestID(), r.ModelAsked, code}, rest}
}

// blockedBy is the rule of the guard that ended an admitted call.
func (r *Record) blockedBy() string {
	if r.Result.Outcome != call.Blocked {
		return ""
	}
	for _, notes := range [][]Note{r.Notes, r.Result.Notes} {
		for _, n := range notes {
			if n.Action == "block" && !n.Observe {
				return n.Name
			}
		}
	}
	return ""
}

func (r *Record) gateway() gatewayPart {
	p := &r.Principal
	g := gatewayPart{
		CallID: r.ID, Time: r.Time.UTC().Format(time.RFC3339Nano), User: p.User, Team: p.Team, Key: p.Key, Scheme: p.Scheme, Model: r.Model,
		Country: r.Country, MaxTokens: r.MaxTokens, Estimate: r.InputEstimate, Notes: r.Notes,
	}
	if f := r.Refusal; f != nil {
		g.Outcome, g.Reason, g.RefusedBy, g.Status = "refused", f.Reason, f.Limit, f.Status
		g.Method, g.Path = f.Method, f.Path
		if g.RefusedBy == "" {
			g.RefusedBy = f.Reason
		}
		return g
	}
	g.RefusedBy = r.blockedBy()
	g.Outcome, g.Status, g.Cost = string(r.Result.Outcome), r.Result.Status, r.Result.Cost
	g.LatencyMS, g.FirstByteMS = r.Result.Latency/1e6, r.Result.FirstByte/1e6
	g.Notes = append(g.Notes[:len(g.Notes):len(g.Notes)], r.Result.Notes...)
	return g
}
