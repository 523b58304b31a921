package gateway

import (
	"context"
	"maps"
	"sync"

	"gatehouse/internal/call"
)

// Frozen is who may not spend.
type Frozen struct {
	All   bool
	Teams map[string]bool // by name; a principal without a team is of team "default"
}

func (f *Frozen) holds(team string) bool {
	if team == "" {
		team = "default"
	}
	return f.All || f.Teams[team]
}

// freezer refuses the calls of who is frozen, and ends those under way. Its zero
// value freezes nobody.
type freezer struct {
	mu     sync.Mutex
	frozen Frozen
	open   map[*openCall]struct{}
}

type openCall struct {
	team string
	stop context.CancelCauseFunc
}

// Freeze puts f in force: when it returns, no call of who is frozen is admitted
// any more, and those under way have been told to stop.
func (g *Gateway) Freeze(f Frozen) {
	z := &g.freezer
	z.mu.Lock()
	defer z.mu.Unlock()
	z.frozen = Frozen{All: f.All, Teams: maps.Clone(f.Teams)}
	for o := range z.open {
		if f.holds(o.team) {
			o.stop(call.Frozen)
		}
	}
}

func (z *freezer) check(team string) *call.Refusal {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.frozen.holds(team) {
		return call.Frozen.With("gatehouse freeze is on")
	}
	return nil
}

// enter counts a call as under way until leave. Its context ends, with
// call.Frozen as the cause, when the team is frozen, also when that happened
// since check.
func (z *freezer) enter(parent context.Context, team string) (ctx context.Context, leave func()) {
	ctx, stop := context.WithCancelCause(parent)
	o := &openCall{team, stop}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.open == nil {
		z.open = make(map[*openCall]struct{})
	}
	z.open[o] = struct{}{}
	if z.frozen.holds(team) {
		stop(call.Frozen)
	}
	return ctx, func() {
		z.mu.Lock()
		delete(z.open, o)
		z.mu.Unlock()
		stop(nil)
	}
}
