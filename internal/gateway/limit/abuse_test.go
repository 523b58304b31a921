package limit_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// TestShipped: the table that CONTRACTS states.
func TestShipped(t *testing.T) {
	token := limit.Match{Schemes: []call.Scheme{call.Token}}
	user, second := []string{"user"}, limit.Window(time.Second)
	want := []limit.Limit{
		{Name: "chat-day", Per: user, Measure: "requests", Max: 50, Window: limit.Day, Match: token},
		{Name: "requests", Per: user, Measure: "requests", Max: 100, Window: 60 * second},
		{Name: "tokens", Per: user, Measure: "tokens", Max: 400_000, Window: 60 * second},
		{Name: "slots", Per: user, Measure: "concurrency", Max: 20},
		{Name: "models", Per: user, Measure: "models", Max: 8, Window: 600 * second},
		{Name: "flood", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: 30, Window: 60 * second},
		{Name: "spend", Per: user, Measure: "usd", Max: 25_000_000_000, Window: limit.Day},
		{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 600, Window: 60 * second},
		{Name: "everyone", Per: []string{"everyone"}, Measure: "usd", Max: 50_000_000_000, Window: 3600 * second, Action: limit.Flag},
	}
	if diff := cmp.Diff(want, limit.Shipped); diff != "" {
		t.Error(diff)
	}
	newLimiter(t, noon, limit.Shipped...)
}

// TestAbuse: seed 002's patterns against the shipped table, each stopped by the
// row that is there for it; and what a person does in a day.
func TestAbuse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration
		calls int
		edit  func(i int, c *call.Call)
		open  bool // calls do not end
		want  int
		by    string
	}{
		{"prompt flooding", 10 * time.Millisecond, 300, func(i int, c *call.Call) { say(t, c, everyday[i%len(everyday)]) }, false, 100, "requests"},
		{"identical prompts", 10 * time.Millisecond, 300, func(_ int, c *call.Call) { say(t, c, floods[3]) }, false, 30, "flood"},
		{"varied prompts", 10 * time.Millisecond, 300, func(i int, c *call.Call) { say(t, c, fmt.Sprint(floods[6], i)) }, false, 30, "flood"},
		{"token exhaustion", time.Second, 60, func(_ int, c *call.Call) { c.InputEstimate, c.MaxTokens = 10_000, 8_000 }, true, 8, "tokens"},
		{"sequential models", time.Second, 60, func(i int, c *call.Call) { c.Model.ID = fmt.Sprint("model-", i%20) }, false, 24, "models"},
		{"concurrent sessions", 10 * time.Millisecond, 60, func(i int, c *call.Call) { c.Principal.Key = call.KeyID(fmt.Sprint(i)) }, true, 20, "slots"},
		{"many users behind an address", 10 * time.Millisecond, 900, func(i int, c *call.Call) { c.Principal.UserID = fmt.Sprint(i) }, false, 600, "ip"},
		{"expensive calls", 20 * time.Minute, 60, func(_ int, c *call.Call) { c.InputEstimate, c.MaxTokens = 100_000, 60_000 }, true, 20, "spend"},
		{"a chat of a day", 5 * time.Minute, 51, func(i int, c *call.Call) { c.Principal.Scheme = call.Token; say(t, c, everyday[i]) }, false, 50, "chat-day"},
		{"a chat in a hurry", 500 * time.Millisecond, 51, func(i int, c *call.Call) { c.Principal.Scheme = call.Token; say(t, c, everyday[i]) }, false, 50, "chat-day"},
	} {
		midnight := noon.Add(-12 * time.Hour)
		l := newLimiter(t, midnight, limit.Shipped...)
		admitted, stopped := 0, map[string]int{}
		for i := range tt.calls {
			now := midnight.Add(time.Duration(i) * tt.every)
			c := modelCall("ann")
			c.Principal.Scheme = call.SigV4
			tt.edit(i, c)
			_, ref := l.Reserve(ctx, c, now)
			if ref != nil {
				stopped[ref.Limit]++
				continue
			}
			admitted++
			if !tt.open {
				l.Settle(c, &call.Result{Worked: true}, now)
			}
		}
		if admitted != tt.want || len(stopped) != 1 || stopped[tt.by] == 0 {
			t.Errorf("%s: admitted %d, stopped %v; want %d and then %s", tt.name, admitted, stopped, tt.want, tt.by)
		}
	}
}

// TestOvershoot is L01 for every measure: a thousand at once, and what they may
// come to never exceeds a limit, nor does what they came to.
func TestOvershoot(t *testing.T) {
	for _, tt := range []struct {
		limit limit.Limit
		want  int64 // admitted while all are open
	}{
		{per("requests", 50, limit.Day), 50},
		{per("requests", 70, minute), 70},
		{per("tokens", 100*1100, minute), 100},
		{per("input_tokens", 1050, minute), 10},
		{per("output_tokens", 999, minute), 4},
		{per("usd", 100*3_300_000-1, limit.Day), 99},
		{per("concurrency", 20, 0), 20},
		{per("models", 8, minute), 8 * 20},
	} {
		l := newLimiter(t, noon, tt.limit)
		calls := make([]*call.Call, 1000)
		for i := range calls {
			calls[i] = modelCall("ann")
			calls[i].Model.ID = fmt.Sprint("model-", i%50)
		}
		var admitted atomic.Int64
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for _, c := range calls {
			wg.Go(func() {
				<-gate
				if _, ref := l.Reserve(ctx, c, noon); ref == nil {
					admitted.Add(1)
				}
			})
		}
		close(gate)
		wg.Wait()
		if got := admitted.Load(); got != tt.want || l.Status(noon)[0].Debt != 0 {
			t.Errorf("%s: admitted %d, %+v; want %d", tt.limit.Name, got, l.Status(noon), tt.want)
		}
		for _, c := range calls {
			wg.Go(func() {
				l.Settle(c, &call.Result{Worked: true, Cost: 3_300_000, Usage: call.Usage{Input: 100, Output: 200}}, noon)
			})
		}
		wg.Wait()
		if n := len(l.Open()); n > 0 {
			t.Errorf("%s: %d calls are open", tt.limit.Name, n)
		}
		for _, row := range l.Status(noon) {
			if row.Debt != 0 || row.Reserved != 0 {
				t.Errorf("%s: settled to %+v", tt.limit.Name, row)
			}
		}
	}
}

// TestAbortedStreams is L14, and litellm#20256: ten thousand clients leave in
// every way there is, at once, and no slot stays taken.
func TestAbortedStreams(t *testing.T) {
	l := newLimiter(t, noon, per("concurrency", 20_000, 0))
	var wg sync.WaitGroup
	for i := range 10_000 {
		c := modelCall("ann")
		wg.Go(func() {
			if _, ref := l.Reserve(ctx, c, noon); ref != nil {
				t.Error(ref)
			}
			switch i % 5 {
			case 0:
				l.Settle(c, &call.Result{Outcome: call.ClientGone, Worked: true}, noon)
			case 1:
				l.Settle(c, &call.Result{Outcome: call.Unreachable}, noon)
			case 2:
				l.Release(c)
			case 3:
				l.Settle(c, &call.Result{Outcome: call.Interrupted, Worked: true}, noon)
				l.Release(c)
			case 4: // a restart in between, which closes what was open
				l.ReplayResult(c.ID, c.Amounts[:0])
			}
		})
	}
	wg.Wait()
	if rows := l.Status(noon); len(rows) > 0 || len(l.Open()) > 0 {
		t.Errorf("left %+v and %d open calls", rows, len(l.Open()))
	}
}

// TestLostSlot: a slot whose call never ends is free when no call can last that
// long, and not before.
func TestLostSlot(t *testing.T) {
	l, err := limit.New(limit.Options{Start: noon, Longest: 15 * time.Minute, Limits: []limit.Limit{per("concurrency", 1, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	l.Reserve(ctx, modelCall("ann"), noon)
	for _, s := range []struct {
		after time.Duration
		want  bool
	}{{time.Minute, false}, {15 * time.Minute, false}, {16 * time.Minute, true}} {
		_, ref := l.Reserve(ctx, modelCall("ann"), noon.Add(s.after))
		if (ref == nil) != s.want {
			t.Errorf("after %v: got %v, want admitted %v", s.after, ref, s.want)
		}
		if ref != nil && ref.RetryAfter != time.Second {
			t.Errorf("retry after %v, want a second", ref.RetryAfter)
		}
	}
}

// TestRetries is L07: each attempt of an SDK is a call of its own. What upstream
// did not do goes back to the day and to money, once.
func TestRetries(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 50, limit.Day), per("usd", limit.USD, limit.Day), perUser("rate", 50, minute))
	for attempt, r := range []*call.Result{
		{Outcome: call.Upstream, Status: 429}, {Outcome: call.Upstream, Status: 500}, {Outcome: call.Unreachable, Status: 503},
		{Outcome: call.OK, Status: 200, Worked: true, Cost: 1_000_000},
	} {
		c := modelCall("ann")
		c.SDKInvocationID = "the same for all"
		if _, ref := l.Reserve(ctx, c, noon); ref != nil {
			t.Fatalf("attempt %d: %v", attempt, ref)
		}
		l.Settle(c, r, noon)
		l.Settle(c, r, noon)
	}
	want := map[string]int64{"day ann": 1, "usd ann": 1_000_000, "rate ann": 4}
	if diff := cmp.Diff(want, counts(l, noon)); diff != "" {
		t.Error(diff)
	}
}

// TestScopesAddUp is L11 and L13: many keys of a user, many users behind an
// address, many addresses of a network and many models share what is theirs.
func TestScopesAddUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits []limit.Limit
		edit   func(i int, c *call.Call)
		want   int
	}{
		{"keys of a user", []limit.Limit{perUser("user", 9, minute), {Name: "key", Per: []string{"key"}, Measure: "requests", Max: 2, Window: minute}},
			func(i int, c *call.Call) { c.Principal.Key = call.KeyID(fmt.Sprint("K", i)) }, 9},
		{"one key of many", []limit.Limit{perUser("user", 9, minute), {Name: "key", Per: []string{"key"}, Measure: "requests", Max: 2, Window: minute}},
			func(int, *call.Call) {}, 2},
		{"users of an address", []limit.Limit{{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 7, Window: minute}},
			func(i int, c *call.Call) { c.Principal.UserID = fmt.Sprint(i) }, 7},
		{"a /64", []limit.Limit{{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 7, Window: minute}},
			func(i int, c *call.Call) { c.IP = netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1:%x::%x", i, i)) }, 7},
		{"users of a team", []limit.Limit{{Name: "team", Per: []string{"team"}, Measure: "requests", Max: 6, Window: minute}},
			func(i int, c *call.Call) { c.Principal.UserID, c.Principal.Team = fmt.Sprint(i), "red" }, 6},
		{"models, each with a cap", []limit.Limit{{Name: "model", Per: []string{"user", "model"}, Measure: "requests", Max: 5, Window: minute}, perUser("all", 12, minute)},
			func(i int, c *call.Call) { c.Model.ID = fmt.Sprint("m", i%10) }, 12},
		{"a family", []limit.Limit{{Name: "family", Per: []string{"family"}, Measure: "requests", Max: 4, Window: minute}},
			func(i int, c *call.Call) { c.Model.ID = fmt.Sprint("m", i) }, 4},
		{"countries", []limit.Limit{{Name: "country", Per: []string{"country"}, Measure: "requests", Max: 3, Window: minute}},
			func(i int, c *call.Call) { c.Country = []string{"DE", "FR"}[i%2] }, 6},
		{"unknown countries", []limit.Limit{{Name: "country", Per: []string{"country"}, Measure: "requests", Max: 3, Window: minute}},
			func(int, *call.Call) {}, 3},
	} {
		l := newLimiter(t, noon, tt.limits...)
		admitted := 0
		for i := range 40 {
			c := modelCall("ann")
			tt.edit(i, c)
			if _, ref := l.Reserve(ctx, c, noon); ref == nil {
				admitted++
			}
		}
		if admitted != tt.want {
			t.Errorf("%s: admitted %d of 40, want %d", tt.name, admitted, tt.want)
		}
	}
}

// TestOthersMistakes are what hurt in other gateways: the mechanism behind each
// of these issues, one at a time.
func TestOthersMistakes(t *testing.T) {
	ok := func(in, out int64) *call.Result {
		return &call.Result{Outcome: call.OK, Worked: true, Usage: call.Usage{Input: in, Output: out}, Cost: 3*in + 15*out}
	}
	reserve := func(t *testing.T, l *limit.Limiter, now time.Time) (*call.Call, *call.Refusal) {
		c := modelCall("ann")
		_, ref := l.Reserve(ctx, c, now)
		return c, ref
	}
	for name, run := range map[string]func(t *testing.T){
		"litellm#18730: parallel calls pass a limit on tokens before any has ended": func(t *testing.T) {
			l := newLimiter(t, noon, per("output_tokens", 1000, minute))
			n := 0
			for range 10 {
				if _, ref := reserve(t, l, noon); ref == nil {
					n++
				}
			}
			if n != 5 {
				t.Errorf("admitted %d of 200 tokens each, want 5", n)
			}
		},
		"litellm#29191: a small limit refuses the first call for its upper bound": func(t *testing.T) {
			l := newLimiter(t, noon, per("tokens", 100, minute))
			c, ref := reserve(t, l, noon)
			if ref != nil {
				t.Fatal(ref)
			}
			l.Settle(c, ok(10, 10), noon)
			if got := counts(l, noon)["tokens ann"]; got != 60 {
				t.Errorf("counts %d, want 60", got)
			}
		},
		"litellm#34223: several answers, each up to the bound": func(t *testing.T) {
			l := newLimiter(t, noon, per("output_tokens", 1000, minute))
			c := modelCall("ann")
			c.Answers = 4
			if l.Reserve(ctx, c, noon); c.Amounts[0].N != 800 {
				t.Errorf("reserved %d, want 800", c.Amounts[0].N)
			}
		},
		"litellm#34732: budgets of several scopes, passed by concurrent calls": func(t *testing.T) {
			l := newLimiter(t, noon, per("usd", 10*3_300_000, limit.Day), limit.Limit{Name: "team", Per: []string{"team"}, Measure: "usd", Max: 7 * 3_300_000, Window: limit.Month})
			var n atomic.Int64
			var wg sync.WaitGroup
			for range 100 {
				c := modelCall("ann")
				wg.Go(func() {
					if _, ref := l.Reserve(ctx, c, noon); ref == nil {
						n.Add(1)
					}
				})
			}
			wg.Wait()
			if n.Load() != 7 || counts(l, noon)["usd ann"] != 7*3_300_000 {
				t.Errorf("admitted %d, %v; want 7 by both", n.Load(), counts(l, noon))
			}
		},
		"litellm#20256: slots of calls that failed stay taken": func(t *testing.T) {
			l := newLimiter(t, noon, per("concurrency", 1, 0))
			for _, r := range []*call.Result{ok(1, 1), {Outcome: call.Upstream}, {Outcome: call.ClientGone}, {Outcome: call.Truncated, Worked: true}, {Outcome: call.Blocked}, {Outcome: call.Stopped}, {}} {
				c, ref := reserve(t, l, noon)
				if ref != nil {
					t.Fatal(ref)
				}
				l.Settle(c, r, noon)
			}
		},
		"litellm#39309: a call that has no slot uses up requests": func(t *testing.T) {
			l := newLimiter(t, noon, per("concurrency", 1, 0), per("requests", 5, minute))
			reserve(t, l, noon)
			for range 50 {
				if _, ref := reserve(t, l, noon); ref == nil || ref.Limit != "concurrency" {
					t.Fatal(ref)
				}
			}
			if got := counts(l, noon)["requests ann"]; got != 1 {
				t.Errorf("counts %d requests, want 1", got)
			}
		},
		"litellm#18953: blocked for minutes below the limit, and told a wrong time": func(t *testing.T) {
			l := newLimiter(t, noon, per("tokens", 10_000, minute))
			for i := range 9 {
				c, _ := reserve(t, l, noon.Add(time.Duration(i)*6*time.Second))
				l.Settle(c, &call.Result{Worked: true, Usage: call.Usage{Input: 1100}}, noon)
			}
			now := noon.Add(54 * time.Second) // 9,900 of 10,000 are used
			_, ref := reserve(t, l, now)
			if ref == nil || ref.RetryAfter > 7*time.Second {
				t.Fatalf("got %+v, want a wait for the oldest call only", ref)
			}
			if _, ref := reserve(t, l, now.Add(ref.RetryAfter)); ref != nil {
				t.Errorf("after waiting as told: %v", ref)
			}
		},
		"litellm#39713: a limit that changed is not seen": func(t *testing.T) {
			l := newLimiter(t, noon, per("requests", 5, minute))
			reserve(t, l, noon)
			if err := l.Replace([]limit.Limit{per("requests", 1, minute)}); err != nil {
				t.Fatal(err)
			}
			if _, ref := reserve(t, l, noon); ref == nil {
				t.Error("admitted by the old limit")
			}
		},
		"envoy-ai-gateway#1754: the header of what remains does not fall": func(t *testing.T) {
			l := newLimiter(t, noon, per("requests", 5, minute))
			for i := range 5 {
				d, _ := l.Reserve(ctx, modelCall("ann"), noon)
				h := make(http.Header)
				d.SetHeaders(h)
				if got, want := h.Get("X-RateLimit-Remaining"), fmt.Sprint(4-i); got != want {
					t.Errorf("call %d: remaining %s, want %s", i, got, want)
				}
			}
		},
	} {
		t.Run(name, run)
	}
}
