package gateway

import (
	"context"
	"errors"
	"testing"

	"gatehouse/internal/call"
)

// Who is frozen is refused, and whoever was under way is stopped, once and
// whatever the order; who is not goes on.
func TestFreeze(t *testing.T) {
	for name, tt := range map[string]struct {
		frozen  Frozen
		stopped map[string]bool // by team
	}{
		"nobody":       {Frozen{}, map[string]bool{}},
		"everybody":    {Frozen{All: true}, map[string]bool{"red": true, "blue": true, "": true}},
		"a team":       {Frozen{Teams: map[string]bool{"red": true}}, map[string]bool{"red": true}},
		"without team": {Frozen{Teams: map[string]bool{"default": true}}, map[string]bool{"": true}},
	} {
		g := New(Options{Rules: &Rules{}})
		before := map[string]context.Context{}
		for _, team := range []string{"red", "blue", ""} {
			ctx, leave := g.freezer.enter(context.Background(), team)
			defer leave()
			before[team] = ctx
		}
		g.Freeze(tt.frozen)
		for team, ctx := range before {
			after, leave := g.freezer.enter(context.Background(), team)
			for when, err := range map[string]error{"under way": context.Cause(ctx), "entered since": context.Cause(after)} {
				if got := errors.Is(err, call.Frozen); got != tt.stopped[team] {
					t.Errorf("%s: a call of team %q %s: %v, want stopped %v", name, team, when, err, tt.stopped[team])
				}
			}
			if ref := g.freezer.check(team); (ref != nil) != tt.stopped[team] {
				t.Errorf("%s: a new call of team %q: %v", name, team, ref)
			}
			leave()
		}
		g.Freeze(Frozen{})
		if ref := g.freezer.check("red"); ref != nil {
			t.Errorf("%s: thawed, and still %v", name, ref)
		}
	}
}

// A call that is over is forgotten.
func TestFreezeForgets(t *testing.T) {
	g := New(Options{Rules: &Rules{}})
	for range 100 {
		_, leave := g.freezer.enter(context.Background(), "red")
		leave()
	}
	if n := len(g.freezer.open); n != 0 {
		t.Errorf("%d calls are held after they ended", n)
	}
}
