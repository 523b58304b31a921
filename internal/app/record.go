package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/gateway/record"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
	"gatehouse/internal/strictjson"
)

// recordPolicy is what is recorded of bodies, and for how long.
func recordPolicy(c *config.Config) (record.Policy, error) {
	p := record.Policy{
		Bodies: record.Bodies(c.Record.Bodies), Teams: make(map[string]record.Bodies),
		Retention: journal.Retention{Bodies: time.Duration(c.Record.RetainBodies), Frames: time.Duration(c.Record.Retain)},
	}
	redacted := p.Bodies == record.Redacted
	for team, r := range c.Record.Teams {
		p.Teams[team] = record.Bodies(r.Bodies)
		redacted = redacted || p.Teams[team] == record.Redacted
	}
	var err error
	if redacted {
		if p.Redact, err = redactor(); err != nil {
			return p, err
		}
	}
	if c.Record.KeyFile != "" {
		if p.Keys, err = seal.ReadKeys(c.Record.KeyFile); err != nil {
			return p, fmt.Errorf("record.key_file: %w", err)
		}
	}
	return p, nil
}

// secrets are what mode redacted masks before a body is written, whatever the
// guard lets pass to the model.
var secrets = []string{"aws_key", "private_key", "api_token", "card", "iban", "national_id", "email", "phone"}

// redactor masks secrets and personal data with the guard's own detectors.
func redactor() (record.Redact, error) {
	o := guard.Options{OnError: "deny", Budget: time.Second, Everything: true}
	for _, d := range secrets {
		o.Rules = append(o.Rules, guard.Rule{
			Name: "redact-" + d, Action: guard.Mask, Direction: guard.Both, Decode: true, Match: guard.Cond{Detectors: []string{d}},
		})
	}
	e, err := guard.New(o)
	if err != nil {
		return nil, err
	}
	return func(c *call.Call, of record.Piece, contentType string, body []byte) ([]byte, bool) {
		switch of {
		case record.Request:
			return redactRequest(e, c, body)
		case record.Answer:
			own := &call.Call{Operation: c.Operation, Model: c.Model, Family: familyOf(c)}
			masked, v := e.Whole(context.Background(), own, contentType, body)
			return masked, own.Family != nil && !v.Blocked && v.Refusal == nil
		}
		return redactStream(e, c, body)
	}, nil
}

func redactRequest(e *guard.Engine, c *call.Call, body []byte) ([]byte, bool) {
	own := &call.Call{Operation: c.Operation, Model: c.Model, Family: familyOf(c), Doc: new(strictjson.Document)}
	if own.Family == nil || own.Doc.Parse(body, strictjson.Options{MaxNodes: 1 << 17}) != nil {
		return nil, false
	}
	v := e.Inbound(context.Background(), own)
	if v.Blocked || v.Refusal != nil {
		return nil, false
	}
	return own.Doc.Splice(nil, v.Edits...), true
}

func redactStream(e *guard.Engine, c *call.Call, frames []byte) (masked []byte, ok bool) {
	own := &call.Call{Operation: c.Operation, Model: c.Model, Family: familyOf(c)}
	s := e.Stream(own)
	if s == nil {
		return nil, false
	}
	for from := eventstream.NewReader(bytes.NewReader(frames), len(frames)); ; {
		f, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false
		}
		out, ended := s.Frame(f.Raw)
		if ended {
			return nil, false
		}
		masked = append(masked, out...)
	}
	out, ended := s.End()
	return append(masked, out...), !ended
}

// familyOf is the shape of a call's bodies, also after the body's index is gone.
func familyOf(c *call.Call) *bedrock.Family {
	switch {
	case c.Operation != nil && c.Operation.Body != "":
		return bedrock.FamilyOf(c.Operation.Body)
	case c.Model.Model != nil:
		return bedrock.FamilyOf(c.Model.Family)
	}
	return nil
}

// EraseUser implements [admin.Erasures].
func (d *Data) EraseUser(ctx context.Context, user string) (admin.Erasure, error) {
	done := admin.Erasure{User: user}
	var id string
	var err error
	if done.Prompts, id, err = d.accounts.ErasePrompts(ctx, user); err != nil && !errors.Is(err, account.ErrNoUser) {
		return done, failure(err)
	}
	erased, err := d.recorder.EraseUser(ctx, record.Erasure{UserID: id, User: user, Actor: "admin"})
	done.Calls, done.Bodies = erased.Calls, erased.Bodies
	if err == nil && id == "" && erased.Calls == 0 {
		return done, admin.ErrNotFound.Say("there is no user %q, and no call of one", user)
	}
	return done, err
}
