package app

import (
	"cmp"
	"context"
	"strings"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/ledger"
)

// Usage implements [admin.Scans], as AuditLimits does.
func (d *Data) Usage(ctx context.Context, q admin.UsageQuery, told func(admin.Scan)) ([]admin.UsageRow, error) {
	d.settle(ctx)
	return admin.UsageOf(ctx, q, admin.UsageOptions{
		Dir: d.dir, Disk: d.disk, Last: d.calls.Stats().Seq, Told: told,
		Worst: func(a *ledger.Asked) int64 { return callOf(a, d.models()).Worst() },
	})
}

// callOf is the call that an entry of the journal tells of, as far as it does,
// at the prices of models. A model that is not among them costs nothing.
func callOf(a *ledger.Asked, models *model.Table) *call.Call {
	c := &call.Call{
		ID: a.ID, RequestID: a.RequestID, Time: a.Time, Host: a.Host, Proto: a.Proto, TLS: a.TLS,
		IP: a.IP, UserAgent: a.UserAgent, Operation: operations[a.Operation], Guardrail: a.Guardrail,
		ContentType: a.ContentType, Accept: a.Accept, Country: a.Country,
		MaxTokens: a.MaxTokens, Answers: max(a.Answers, 1), Images: a.Images, InputEstimate: a.InputEstimate,
	}
	if p := a.Principal; p.UserID != "" {
		c.Principal = &call.Principal{UserID: p.UserID, User: p.User, Team: p.Team, Key: call.KeyID(p.Key), Scheme: schemeOf(p.Scheme)}
		c.CallerARN = c.Principal.ARN(a.Account)
	}
	if c.Operation != nil {
		c.Target.Operation, c.Target.Model = c.Operation, a.ModelAsked
	}
	if a.ModelAsked == "" { // ApplyGuardrail names one in its path
		c.Target.Guardrail, c.Target.Version, _ = strings.Cut(a.Guardrail, ":")
	}
	if id := cmp.Or(a.ModelAsked, a.Model); id != "" {
		c.Model, _ = models.Resolve(id)
	}
	return c
}

// operations by name.
var operations = func() map[string]*bedrock.Operation {
	m := map[string]*bedrock.Operation{}
	for i := range bedrock.Operations {
		m[bedrock.Operations[i].Name] = &bedrock.Operations[i]
	}
	return m
}()

func schemeOf(name string) call.Scheme {
	if list := schemes([]string{name}); len(list) > 0 {
		return list[0]
	}
	return call.None
}
