package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/gateway/upstream"
)

// askGuardrail asks a guardrail of Bedrock about texts.
type askGuardrail func(ctx context.Context, c *call.Call, source string, texts []string) (guard.GuardrailAnswer, error)

// guardrailTime is the longest that callers wait for a guardrail.
const guardrailTime = 5 * time.Second

// guardrail makes the gateway's own calls of ApplyGuardrail, with its own
// credentials, for the guardrail "id:version".
func guardrail(to *upstream.Upstream, name string) askGuardrail {
	id, version, _ := strings.Cut(name, ":")
	return func(ctx context.Context, c *call.Call, source string, texts []string) (guard.GuardrailAnswer, error) {
		ctx, cancel := context.WithTimeout(ctx, guardrailTime)
		defer cancel()
		own := &call.Call{
			ID: c.ID, RequestID: call.NewRequestID(), Time: time.Now(), Method: http.MethodPost,
			Operation: bedrock.OperationOf("ApplyGuardrail"), CallerARN: c.CallerARN,
		}
		own.Target = bedrock.Target{Operation: own.Operation, Guardrail: id, Version: version}
		own.SetBody(guardrailBody(source, texts))
		var a guardrailAnswer
		to.Forward(ctx, own, &a, &call.Result{})
		return a.judge()
	}
}

func guardrailBody(source string, texts []string) []byte {
	type text struct {
		Text string `json:"text"`
	}
	type block struct {
		Text text `json:"text"`
	}
	content := make([]block, len(texts))
	for i, t := range texts {
		content[i] = block{text{t}}
	}
	body, _ := json.Marshal(map[string]any{"source": source, "content": content})
	return body
}

// guardrailAnswer keeps what Bedrock answers to one ApplyGuardrail. It is an
// upstream.Answer to which no stream ever comes.
type guardrailAnswer struct {
	status int
	body   []byte
	ref    *call.Refusal
}

func (a *guardrailAnswer) Whole(status int, _ http.Header, body []byte, _ *call.Result) error {
	a.status, a.body = status, body
	return nil
}

func (a *guardrailAnswer) Refuse(ref *call.Refusal) { a.ref = ref }

func (a *guardrailAnswer) Start(http.Header) error             { return errors.ErrUnsupported }
func (a *guardrailAnswer) Frames([]byte, bool) ([]byte, error) { return nil, errors.ErrUnsupported }
func (a *guardrailAnswer) Part([]byte) error                   { return errors.ErrUnsupported }
func (a *guardrailAnswer) More(int64) *call.Refusal            { return call.Internal }
func (a *guardrailAnswer) Finish(*call.Result)                 {}
func (a *guardrailAnswer) Abort()                              {}

// judge reads the answer. Anything but a clear word is an error.
func (a *guardrailAnswer) judge() (guard.GuardrailAnswer, error) {
	if a.ref != nil || a.status != http.StatusOK {
		return guard.GuardrailAnswer{}, fmt.Errorf("ApplyGuardrail: status %d", max(a.status, statusOf(a.ref)))
	}
	var said struct {
		Action  string `json:"action"`
		Outputs []struct {
			Text string `json:"text"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil {
		return guard.GuardrailAnswer{}, fmt.Errorf("ApplyGuardrail: %w", err)
	}
	switch said.Action {
	case "NONE":
		return guard.GuardrailAnswer{}, nil
	case "GUARDRAIL_INTERVENED":
		answer := guard.GuardrailAnswer{Intervened: true}
		if len(said.Outputs) > 0 {
			answer.Message = said.Outputs[0].Text
		}
		return answer, nil
	}
	return guard.GuardrailAnswer{}, fmt.Errorf("ApplyGuardrail: action %.40q", said.Action)
}

func statusOf(ref *call.Refusal) int {
	if ref == nil {
		return 0
	}
	return ref.Status
}
