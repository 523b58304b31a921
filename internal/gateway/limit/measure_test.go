package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// per is a limit per user on a measure.
func per(measure string, most int64, w limit.Window) limit.Limit {
	return limit.Limit{Name: measure, Per: []string{"user"}, Measure: measure, Max: most, Window: w}
}

// TestMeasures: what a call takes of each measure, and what it keeps.
func TestMeasures(t *testing.T) {
	// A call of modelCall: at most 100 tokens in and 200 out, of which each burns five.
	// 100 × 3 + 200 × 15 USD a million is 3,300,000 nano-USD.
	used := call.Usage{Input: 40, CacheRead: 20, CacheWrite: 10, Output: 60, Exact: true}
	over := call.Usage{Input: 140, Output: 300}
	ok := &call.Result{Outcome: call.OK, Worked: true, Usage: used, Cost: 1_200_000}
	for _, tt := range []struct {
		measure string
		window  limit.Window
		took    int64
		kept    map[string]int64 // by how the call ended
	}{
		{"requests", minute, 1, map[string]int64{"ok": 1, "over": 1, "no work": 1, "interrupted": 1, "blocked": 1, "cut": 1}},
		{"requests", limit.Day, 1, map[string]int64{"ok": 1, "over": 1, "no work": 0, "interrupted": 1, "blocked": 1, "cut": 1}},
		{"input_tokens", minute, 100, map[string]int64{"ok": 70, "over": 140, "no work": 0, "interrupted": 100, "blocked": 0, "cut": 100}},
		{"output_tokens", minute, 200, map[string]int64{"ok": 60, "over": 300, "no work": 0, "interrupted": 200, "blocked": 0, "cut": 25}},
		{"tokens", minute, 1100, map[string]int64{"ok": 370, "over": 1640, "no work": 0, "interrupted": 1100, "blocked": 0, "cut": 225}},
		{"tokens", limit.Month, 1100, map[string]int64{"ok": 370, "over": 1640, "no work": 0, "interrupted": 1100, "blocked": 0, "cut": 225}},
		{"usd", limit.Day, 3_300_000, map[string]int64{"ok": 1_200_000, "over": 4_920_000, "no work": 0, "interrupted": 3_300_000, "blocked": 0, "cut": 675_000}},
		{"concurrency", 0, 1, map[string]int64{"ok": 0, "over": 0, "no work": 0, "interrupted": 0, "blocked": 0, "cut": 0}},
		{"models", 10 * minute, 1, map[string]int64{"ok": 1, "over": 1, "no work": 1, "interrupted": 1, "blocked": 1, "cut": 1}},
	} {
		for how, r := range map[string]*call.Result{
			"ok":          ok,
			"over":        {Outcome: call.OK, Worked: true, Usage: over, Cost: 4_920_000},
			"no work":     {Outcome: call.Upstream, Status: 429},
			"interrupted": {Outcome: call.Interrupted, Worked: true},
			"blocked":     {Outcome: call.Blocked},
			// The client left: the input, and an estimate of what was seen.
			"cut": {Outcome: call.ClientGone, Worked: true, Usage: call.Usage{Input: 100, Output: 25}, Cost: 675_000},
		} {
			most := int64(1e9)
			if tt.measure == "models" {
				most = 8
			}
			l := newLimiter(t, noon, per(tt.measure, most, tt.window))
			c := modelCall("ann")
			if _, ref := l.Reserve(ctx, c, noon); ref != nil {
				t.Fatal(ref)
			}
			if got := counts(l, noon)[tt.measure+" ann"]; got != tt.took || c.Amounts[0].N != tt.took {
				t.Errorf("%s: took %d, %+v, want %d", tt.measure, got, c.Amounts, tt.took)
			}
			r := *r
			l.Settle(c, &r, noon.Add(time.Second))
			if got := counts(l, noon)[tt.measure+" ann"]; got != tt.kept[how] {
				t.Errorf("%s by %v, %s: kept %d, want %d", tt.measure, tt.window, how, got, tt.kept[how])
			}
			settled := int64(0)
			for _, a := range r.Settled {
				settled += a.N
			}
			if settled != tt.kept[how] {
				t.Errorf("%s, %s: settled %+v, want %d", tt.measure, how, r.Settled, tt.kept[how])
			}
		}
	}
}

// TestNothingAsked: a list operation has no tokens, money or model, and passes
// where these are used up.
func TestNothingAsked(t *testing.T) {
	l := newLimiter(t, noon, per("tokens", 10, minute), per("usd", 10, limit.Day), per("models", 1, minute))
	c := newCall("ann")
	if d, ref := l.Reserve(ctx, c, noon); ref != nil || d.Applies() || len(c.Amounts) > 0 {
		t.Errorf("got %+v, %v, want no bucket", d, ref)
	}
}

// TestLargeCalls: tokens are asked for up to the whole limit, money is not.
func TestLargeCalls(t *testing.T) {
	l := newLimiter(t, noon, per("tokens", 500, minute), per("usd", limit.USD, limit.Day))
	c := modelCall("ann")
	d, ref := l.Reserve(ctx, c, noon)
	if ref != nil || d.Buckets[0].Used != 500 || d.Buckets[0].Remaining != 0 {
		t.Fatalf("first call: %+v, %v; want the whole limit taken", d, ref)
	}
	if _, ref = l.Reserve(ctx, modelCall("ann"), noon); ref == nil || ref.Type != call.TokensLimited.Type || ref.Message != call.TokensLimited.Message {
		t.Errorf("second call: %+v, want %q", ref, call.TokensLimited.Message)
	}
	// What the first call did beyond the limit is a debt until it leaves.
	l.Settle(c, &call.Result{Worked: true, Usage: call.Usage{Input: 100, Output: 100}}, noon)
	if rows := l.Status(noon); rows[0].Used != 600 || rows[0].Debt != 100 {
		t.Errorf("got %+v, want a debt of 100", rows)
	}
	small := modelCall("ann")
	small.InputEstimate, small.MaxTokens = 1, 0
	if _, ref = l.Reserve(ctx, small, noon.Add(59*time.Second)); ref == nil {
		t.Error("admitted one token in debt")
	}
	if _, ref = l.Reserve(ctx, small, noon.Add(61*time.Second)); ref != nil {
		t.Errorf("after the window: %v", ref)
	}

	l = newLimiter(t, noon, per("usd", 3_000_000, limit.Day))
	if _, ref = l.Reserve(ctx, modelCall("ann"), noon); ref == nil || ref.Reason != "quota_exceeded" {
		t.Errorf("a call that may cost more than the limit: got %v, want a quota", ref)
	}
	want := "limit usd of ann: 0 USD of 0.003 USD used, 0.0033 USD asked, more than it ever admits"
	if ref.Detail != want || ref.Limit != "usd" {
		t.Errorf("got %q, want %q", ref.Detail, want)
	}
}

// TestExactSums is L08: ten thousand odd costs add up to the nano-USD, whatever
// was reserved for them.
func TestExactSums(t *testing.T) {
	l := newLimiter(t, noon, per("usd", 1e15, limit.Month), per("tokens", 1e15, limit.Window(24*time.Hour)))
	money, tokens := int64(0), int64(0)
	for i := range int64(10_000) {
		c := modelCall("ann")
		r := &call.Result{Worked: true, Cost: 2_500_000*i%9_999_991 + 1, Usage: call.Usage{Input: i % 97, Output: i % 89}}
		now := noon.Add(time.Duration(i) * time.Second)
		l.Reserve(ctx, c, now)
		l.Settle(c, r, now)
		money, tokens = money+r.Cost, tokens+i%97+5*(i%89)
	}
	want := map[string]int64{"usd ann": money, "tokens ann": tokens}
	if diff := cmp.Diff(want, counts(l, noon.Add(10_000*time.Second))); diff != "" {
		t.Error(diff)
	}
}

// TestModels: a model that was used already costs nothing; a refused one is not
// counted; each leaves a window after its last use.
func TestModels(t *testing.T) {
	l := newLimiter(t, noon, per("models", 2, 10*minute))
	for i, s := range []struct {
		after time.Duration
		model string
		want  bool
	}{
		{0, "a", true}, {time.Minute, "b", true}, {2 * time.Minute, "c", false}, {3 * time.Minute, "a", true},
		{4 * time.Minute, "c", false}, {12 * time.Minute, "c", true}, {12 * time.Minute, "b", false}, {12 * time.Minute, "a", true},
		{14 * time.Minute, "d", false}, {24 * time.Minute, "d", true},
	} {
		c := modelCall("ann")
		c.Model.ID = s.model
		_, ref := l.Reserve(ctx, c, noon.Add(s.after))
		if (ref == nil) != s.want {
			t.Errorf("step %d, model %s: got %v, want admitted %v", i, s.model, ref, s.want)
		}
		l.Settle(c, &call.Result{Worked: true}, noon)
	}
	// A call that is released does not take the model of another with it.
	l = newLimiter(t, noon, per("models", 1, minute))
	a, b := modelCall("ann"), modelCall("ann")
	l.Reserve(ctx, a, noon)
	l.Reserve(ctx, b, noon)
	l.Release(a)
	if n := counts(l, noon)["models ann"]; n != 1 {
		t.Errorf("after one of two is released: %d, want 1", n)
	}
	l.Release(b)
	if n := counts(l, noon)["models ann"]; n != 0 {
		t.Errorf("after both are released: %d, want 0", n)
	}
}

// TestSoft: limits that flag or observe count and note, and never refuse.
func TestSoft(t *testing.T) {
	flag, observe, hard := perUser("flag", 1, minute), perUser("observe", 1, limit.Day), perUser("hard", 3, minute)
	flag.Action, observe.Mode = limit.Flag, limit.Observe
	l := newLimiter(t, noon, flag, observe, hard)
	for i := range 5 {
		c := newCall("ann")
		d, ref := l.Reserve(ctx, c, noon)
		if (ref == nil) != (i < 3) || len(d.Buckets) != 1 {
			t.Errorf("call %d: %v, %+v; want the hard limit only to tell and to refuse", i, ref, d)
		}
		var want []call.Note
		if i == 1 || i == 2 {
			want = []call.Note{
				{Stage: "limit", Name: "flag", Action: "flag", Detail: fmt.Sprintf("limit flag of ann: %d requests of 1 requests used, 1 requests asked, fits at 2026-11-22T12:01:01Z", i+1)},
				{Stage: "limit", Name: "observe", Action: "refuse", Observe: true, Detail: fmt.Sprintf("limit observe of ann: %d requests of 1 requests used, 1 requests asked, fits at 2026-11-23T00:00:00Z", i+1)},
			}
		}
		if diff := cmp.Diff(want, c.Notes); diff != "" {
			t.Errorf("call %d: %s", i, diff)
		}
	}
	want := map[string]int64{"flag ann": 3, "observe ann": 3, "hard ann": 3}
	if diff := cmp.Diff(want, counts(l, noon)); diff != "" {
		t.Error(diff)
	}
}

// TestExtend is L06: a stream takes more while it runs, all or nothing, until
// the limits end it; in the end it is charged for what it was.
func TestExtend(t *testing.T) {
	start := time.Now()
	l := newLimiter(t, start, per("tokens", 2000, 10*minute), per("output_tokens", 1e6, 10*minute), per("usd", limit.USD, limit.Month), per("requests", 9, minute))
	c := modelCall("ann")
	if l.Extend(ctx, c, 1) {
		t.Error("extended a call that is not open")
	}
	l.Reserve(ctx, c, start)
	want := func(when string, tokens, output, usd int64) {
		t.Helper()
		m := map[string]int64{"tokens ann": tokens, "output_tokens ann": output, "usd ann": usd, "requests ann": 1}
		if diff := cmp.Diff(m, counts(l, time.Now())); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
	}
	want("reserved", 1100, 200, 3_300_000)
	if !l.Extend(ctx, c, 100) || !l.Extend(ctx, c, 50) {
		t.Error("not extended though there is room")
	}
	want("extended twice", 1850, 350, 5_550_000)
	if l.Extend(ctx, c, 50) {
		t.Error("extended beyond the limit")
	}
	want("refused", 1850, 350, 5_550_000)

	snapshot := l.Snapshot()
	r := &call.Result{Outcome: call.Stopped, Worked: true, Usage: call.Usage{Input: 90, Output: 340}, Cost: 5_370_000}
	l.Settle(c, r, time.Now())
	want("settled", 1790, 340, 5_370_000)
	again := newLimiter(t, start, per("tokens", 2000, 10*minute), per("output_tokens", 1e6, 10*minute), per("usd", limit.USD, limit.Month), per("requests", 9, minute))
	if err := again.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	again.ReplayResult(c.ID, r.Settled)
	if diff := cmp.Diff(counts(l, time.Now()), counts(again, time.Now())); diff != "" {
		t.Errorf("replayed: %s", diff)
	}
	if l.Extend(ctx, c, 1) {
		t.Error("extended a call that has ended")
	}
	for name, end := range map[string]func(*limit.Limiter){
		"released": func(l *limit.Limiter) { l.Release(c) },
		"nothing":  func(l *limit.Limiter) { l.ReplayResult(c.ID, nil) },
	} {
		l := newLimiter(t, start, per("tokens", 2000, 10*minute))
		l.Reserve(ctx, c, start)
		l.Extend(ctx, c, 100)
		if end(l); len(counts(l, time.Now())) > 0 {
			t.Errorf("%s: left %v", name, counts(l, time.Now()))
		}
	}
}

// TestAlerts: each fraction is told once a window, by what calls came to.
func TestAlerts(t *testing.T) {
	told := make(chan limit.Alert, 99)
	spend := per("usd", 10*limit.USD, limit.Day)
	rate := perUser("rate", 4, minute)
	rate.AlertAt = []int64{1000, 500}
	l, err := limit.New(limit.Options{Start: noon, Limits: []limit.Limit{spend, rate}, Alert: func(a limit.Alert) { told <- a }})
	if err != nil {
		t.Fatal(err)
	}
	do := func(after time.Duration, usd int64, want ...string) {
		t.Helper()
		c := modelCall("ann")
		l.Reserve(ctx, c, noon.Add(after))
		l.Settle(c, &call.Result{Worked: true, Cost: usd * limit.USD}, noon.Add(after))
		got := map[string]bool{}
		for range want {
			a := <-told
			got[fmt.Sprintf("%s %d of %d, %d, until %s", a.Limit, a.Used, a.Max, a.Permille, a.Ends.Format(time.TimeOnly))] = true
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("after %v: got %v, want %s", after, got, w)
			}
		}
	}
	do(0, 1)
	do(0, 1, "rate 2 of 4, 500, until 12:01:01")
	do(2*time.Minute, 4, "usd 6000000000 of 10000000000, 500, until 00:00:00")
	do(2*time.Minute, 1, "rate 2 of 4, 500, until 12:03:01")
	do(4*time.Minute, 5, "usd 12000000000 of 10000000000, 1000, until 00:00:00")
	do(13*time.Hour, 9, "usd 9000000000 of 10000000000, 800, until 00:00:00")
	if len(told) > 0 {
		t.Errorf("told %+v too", <-told)
	}
}
