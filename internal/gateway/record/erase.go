package record

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// Erasure names the user whose bodies are to be erased, and who asked for it.
type Erasure struct {
	UserID string // empty: whoever called by that name, as users of an outside issuer do
	User   string // the name
	Actor  string // never empty
}

// Erased is what an erasure came to.
type Erased struct {
	Calls  int // whose admit is in the journal
	Bodies int // overwritten now, of requests, parts and answers
}

// EraseUser overwrites every body of a user's calls that is in the main
// journal: what the user said and was answered. The records stay, with
// hashes and lengths, and the chain verifies. That it was asked for is on disk
// first, what came of it is recorded at the end. What calls still under way
// write later is not erased. It takes as long as reading the journal twice, in
// memory that depends on how many of the user's calls were open at once;
// where ctx or an error ends it, doing it again does the rest.
func (r *Recorder) EraseUser(ctx context.Context, e Erasure) (done Erased, err error) {
	event := ledger.Account{Event: "user.erase", Subject: e.User, Actor: e.Actor, Outcome: "begun"}
	if err := r.Event(event); err != nil {
		return done, err
	}
	if err := r.o.Journal.Sync(); err != nil {
		return done, err
	}
	of := callsOf{Erasure: e, open: make(map[string]bool)}
	if of.written, err = jsontext.AppendQuote(nil, cmp.Or(e.UserID, e.User)); err != nil {
		return done, err
	}
	done.Bodies, err = r.o.Journal.Erase(ctx, 0, r.o.Journal.Stats().Seq, of.match)
	done.Calls = of.calls
	event.Outcome, event.Detail = OutcomeOK, fmt.Sprintf("%d bodies of %d calls", done.Bodies, done.Calls)
	if err != nil {
		event.Outcome = "not finished"
	}
	if err2 := r.Event(event); err == nil {
		err = err2
	}
	return done, err
}

// callsOf finds the entries of one user's calls in a journal that it is shown
// in order.
type callsOf struct {
	Erasure
	written []byte          // the user as metas have it
	open    map[string]bool // ids of the user's calls that have not ended
	calls   int
}

// match reports whether e belongs to a call of the user. Metas that cannot be
// decoded belong to nobody.
func (o *callsOf) match(e journal.Entry) bool {
	switch e.Kind {
	case ledger.KindAdmit:
		if !bytes.Contains(e.Meta, o.written) { // most are of others, and decoding costs
			return false
		}
	case ledger.KindPart, ledger.KindResult, ledger.KindRefused:
		if len(o.open) == 0 {
			return false
		}
	default:
		return false
	}
	m, err := ledger.Decode(e.Kind, e.Meta)
	if err != nil {
		return false
	}
	switch m := m.(type) {
	case *ledger.Admit:
		p := &m.Principal
		if o.UserID != "" && p.UserID != o.UserID || o.UserID == "" && p.User != o.User {
			return false
		}
		o.open[m.ID] = true
		o.calls++
		return true
	case *ledger.Part:
		return o.open[m.ID]
	case *ledger.Result:
		return o.take(m.ID)
	case *ledger.Refused:
		return o.take(m.ID)
	}
	return false
}

func (o *callsOf) take(id string) bool {
	was := o.open[id]
	delete(o.open, id)
	return was
}
