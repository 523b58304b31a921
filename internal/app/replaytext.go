package app

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/seal"
)

// replayTexts gives replayed calls the texts they had, where the journal still
// has them whole: not those of refused calls, which are never recorded.
type replayTexts struct {
	wanted bool       // something is decided by texts
	keys   *seal.Keys // of bodies that are sealed; nil: none
	absent int64      // calls that had none
}

func newReplayTexts(c *config.Config, table []limit.Limit) (t replayTexts, err error) {
	t.wanted = len(c.Guard.Packs)+len(c.Guard.Rules) > 0 || slices.ContainsFunc(table, func(l limit.Limit) bool { return slices.Contains(l.Per, "similar_prompt") })
	if c.Record.KeyFile != "" {
		t.keys, err = seal.ReadKeys(c.Record.KeyFile)
	}
	return t, err
}

// entries are those of the journal, with bodies if texts are wanted.
func (v *replayed) entries() iter.Seq2[journal.Entry, error] {
	dir := filepath.Join(v.o.Dir, callsDir)
	metas := journal.Metas(nil, dir, v.begin())
	if !v.texts.wanted {
		return metas
	}
	for first := range metas {
		return journal.Read(nil, dir, first.Seq)
	}
	return metas
}

// read gives c the text of its admission and has it read as the gateway would.
// Without a text c stays as the record tells.
func (v *replayed) read(c *call.Call, m *ledger.Admit, e *journal.Entry) *call.Refusal {
	if !v.texts.wanted || m.BodyBytes == 0 {
		return nil
	}
	body := e.Body
	if m.Sealed != "" && !e.Erased && v.texts.keys != nil {
		body, _ = v.texts.keys.Open(nil, m.Sealed, e.Body, ledger.SealContext(nil, e.Kind, m.ID, 0)) // none: counted below
	}
	if e.Erased || m.Redacted || int64(len(body)) != m.BodyBytes {
		v.absent(c)
		return nil
	}
	c.SetBody(body)
	return v.rules.Read.Parse(c)
}

// inbound asks the guard about the text of c, if there is one.
func (v *replayed) inbound(ctx context.Context, c *call.Call, now time.Time) *call.Refusal {
	if v.rules.Guard == nil || c.Doc == nil || c.Operation.Body == "apply-guardrail" { // as the gateway does
		return nil
	}
	verdict := v.rules.Guard.Inbound(ctx, c)
	c.Notes = append(c.Notes, verdict.Notes...)
	switch {
	case verdict.Blocked:
		v.limits.Settle(c, &call.Result{Time: now, Outcome: call.Blocked, Status: http.StatusOK}, now)
		ref := call.GuardDenied.With("rule " + verdict.Rule + " of the guard")
		ref.Limit = verdict.Rule
		return ref
	case verdict.Refusal != nil:
		v.limits.Release(c)
		return verdict.Refusal
	}
	return nil
}

func (v *replayed) absent(c *call.Call) {
	if v.texts.wanted && v.told(c.Time) {
		v.texts.absent++
	}
}

// forget lets go of the text of c.
func (v *replayed) forget(c *call.Call) {
	v.rules.Read.Release(c)
	c.Body = nil
}

func (v *replayed) notes() []string {
	notes := []string{}
	if v.texts.absent > 0 {
		notes = append(notes, fmt.Sprintf("%d calls have no recorded text: what goes by texts is not replayed for them", v.texts.absent))
	}
	if v.o.Config.Guard.ApplyBedrockGuardrail != "" {
		notes = append(notes, "Bedrock's guardrail is not asked")
	}
	return notes
}
