package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// ctx is of calls that nobody gives up.
var ctx = context.Background()

// noon is when these tests begin, unless they say otherwise.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newLimiter(t testing.TB, start time.Time, limits ...limit.Limit) *limit.Limiter {
	t.Helper()
	l, err := limit.New(limit.Options{Limits: limits, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func perUser(name string, max int64, w limit.Window) limit.Limit {
	return limit.Limit{Name: name, Per: []string{"user"}, Measure: "requests", Max: max, Window: w}
}

// basic are two limits on requests, one that slides and one of the calendar.
var basic = []limit.Limit{
	perUser("requests", 100, minute),
	{Name: "chat-day", Per: []string{"user"}, Measure: "requests", Max: 50, Window: limit.Day, Match: limit.Match{Schemes: []call.Scheme{call.Token}}},
}

const minute = limit.Window(time.Minute)

var lastID int

// newCall is another call of a user with a login token.
func newCall(user string) *call.Call {
	lastID++
	return &call.Call{ID: fmt.Sprint("call-", lastID), Principal: &call.Principal{UserID: user, User: user, Scheme: call.Token}}
}

// counts tells what Status says of every bucket, open or not.
func counts(l *limit.Limiter, now time.Time) map[string]int64 {
	m := make(map[string]int64)
	for _, r := range l.Status(now) {
		m[r.Limit+" "+r.Key] = r.Used + r.Reserved
	}
	return m
}

func TestReserve(t *testing.T) {
	l := newLimiter(t, noon, basic...)
	ann := newCall("ann")
	d, ref := l.Reserve(ctx, ann, noon)
	if ref != nil {
		t.Fatal(ref)
	}
	ignore := cmpopts.IgnoreUnexported(limit.Bucket{}, limit.Decision{})
	want := limit.Decision{Tightest: 0, Buckets: []limit.Bucket{
		{Limit: "chat-day", Max: 50, Used: 1, Remaining: 49, Reset: 12 * time.Hour},
		{Limit: "requests", Max: 100, Used: 1, Remaining: 99, Reset: 61 * time.Second},
	}}
	if diff := cmp.Diff(want, d, ignore); diff != "" {
		t.Error(diff)
	}
	amounts := []call.Amount{
		{Limit: "chat-day", Key: "ann", N: 1, At: noon.UnixNano()},
		{Limit: "requests", Key: "ann", N: 1, At: noon.UnixNano()},
	}
	if diff := cmp.Diff(amounts, ann.Amounts); diff != "" {
		t.Error(diff)
	}
	key := newCall("ann")
	key.Principal.Scheme = call.SigV4 // not of the chat quota
	if d, _ = l.Reserve(ctx, key, noon); len(d.Buckets) != 1 || d.Buckets[0].Used != 2 {
		t.Errorf("with a key: got %+v, want the second of requests only", d)
	}
	if _, ref := l.Reserve(ctx, &call.Call{ID: "x"}, noon); ref == nil || ref.Reason != call.Internal.Reason {
		t.Errorf("no principal: got %v, want a refusal", ref)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  limit.Limit
		now    time.Time
		reason call.Reason
		after  time.Duration
	}{
		{"rate", perUser("rate", 2, minute), noon, "rate_limited", 61 * time.Second},
		{"rate, half a slot later", perUser("rate", 2, minute), noon.Add(500 * time.Millisecond), "rate_limited", 60500 * time.Millisecond},
		{"day", perUser("day", 2, limit.Day), noon, "quota_exceeded", 12 * time.Hour},
		{"month", perUser("month", 2, limit.Month), noon, "quota_exceeded", 8*24*time.Hour + 12*time.Hour},
		{"last moment of the day", perUser("day", 2, limit.Day), noon.Add(12*time.Hour - 1), "quota_exceeded", time.Second},
		{"rate as quota", limit.Limit{Name: "x", Per: []string{"user"}, Measure: "requests", Max: 2, Window: minute, RefuseAs: limit.Quota}, noon, "quota_exceeded", 61 * time.Second},
		{"day as throttling", limit.Limit{Name: "x", Per: []string{"user"}, Measure: "requests", Max: 2, Window: limit.Day, RefuseAs: limit.Throttling}, noon, "rate_limited", 12 * time.Hour},
	} {
		l := newLimiter(t, noon, tt.limit)
		l.Reserve(ctx, newCall("ann"), tt.now)
		l.Reserve(ctx, newCall("ann"), tt.now)
		third := newCall("ann")
		d, ref := l.Reserve(ctx, third, tt.now)
		if ref == nil || ref.Reason != tt.reason || ref.RetryAfter != tt.after || ref.Limit != tt.limit.Name {
			t.Errorf("%s: got %+v, want %s after %v", tt.name, ref, tt.reason, tt.after)
			continue
		}
		if third.Amounts != nil || d.Buckets[0].Used != 2 || d.Buckets[0].Remaining != 0 {
			t.Errorf("%s: a refusal took something: %+v", tt.name, d)
		}
		if _, ref = l.Reserve(ctx, newCall("bob"), tt.now); ref != nil {
			t.Errorf("%s: another user: %v", tt.name, ref)
		}
		// Retry-After is exact: a nanosecond before is too early.
		if tt.after > time.Second {
			if _, ref = l.Reserve(ctx, newCall("ann"), tt.now.Add(tt.after-1)); ref == nil {
				t.Errorf("%s: admitted too early", tt.name)
			}
			if _, ref = l.Reserve(ctx, newCall("ann"), tt.now.Add(tt.after)); ref != nil {
				t.Errorf("%s: after waiting: %v", tt.name, ref)
			}
		}
	}
}

// TestAllOrNothing: one limit refuses, the others take nothing, and the refusal
// is that which lasts longest.
func TestAllOrNothing(t *testing.T) {
	l := newLimiter(t, noon, perUser("a", 9, minute), perUser("b", 1, minute), perUser("c", 1, limit.Day), perUser("d", 9, minute))
	if _, ref := l.Reserve(ctx, newCall("ann"), noon); ref != nil {
		t.Fatal(ref)
	}
	before := counts(l, noon)
	d, ref := l.Reserve(ctx, newCall("ann"), noon)
	if ref == nil || ref.Limit != "c" || d.Buckets[d.Tightest].Limit != "c" {
		t.Errorf("got %+v, %v, want c to refuse", d, ref)
	}
	if diff := cmp.Diff(before, counts(l, noon)); diff != "" {
		t.Error(diff)
	}
}

// TestConcurrent is L01: a thousand calls at once, fifty get through.
func TestConcurrent(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 50, limit.Day), perUser("rate", 70, minute), limit.Limit{Name: "all", Per: []string{"everyone"}, Measure: "requests", Max: 60, Window: minute})
	calls := make([]*call.Call, 1000)
	for i := range calls {
		calls[i] = newCall("ann")
	}
	var admitted sync.Map
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() {
			if _, ref := l.Reserve(ctx, c, noon); ref == nil {
				admitted.Store(c.ID, true)
				l.Settle(c, &call.Result{Worked: true}, noon)
			}
			l.Snapshot()
			l.Status(noon)
		})
	}
	wg.Wait()
	n := int64(0)
	admitted.Range(func(any, any) bool { n++; return true })
	want := map[string]int64{"day ann": 50, "rate ann": 50, "all everyone": 50}
	if diff := cmp.Diff(want, counts(l, noon)); n != 50 || diff != "" {
		t.Errorf("admitted %d, want 50\n%s", n, diff)
	}
}

func TestSettle(t *testing.T) {
	worked, idle := &call.Result{Worked: true}, &call.Result{}
	for _, tt := range []struct {
		name string
		end  func(l *limit.Limiter, c *call.Call)
		day  int64
		rate int64
	}{
		{"open", func(*limit.Limiter, *call.Call) {}, 2, 2},
		{"worked", func(l *limit.Limiter, c *call.Call) { l.Settle(c, worked, noon) }, 2, 2},
		{"did no work", func(l *limit.Limiter, c *call.Call) { l.Settle(c, idle, noon) }, 1, 2},
		{"no work, twice", func(l *limit.Limiter, c *call.Call) { l.Settle(c, idle, noon); l.Settle(c, idle, noon) }, 1, 2},
		{"worked, then not", func(l *limit.Limiter, c *call.Call) { l.Settle(c, worked, noon); l.Settle(c, idle, noon) }, 2, 2},
		{"released", func(l *limit.Limiter, c *call.Call) { l.Release(c) }, 1, 1},
		{"released twice", func(l *limit.Limiter, c *call.Call) { l.Release(c); l.Release(c) }, 1, 1},
		{"worked, then released", func(l *limit.Limiter, c *call.Call) { l.Settle(c, worked, noon); l.Release(c) }, 2, 2},
		{"reserved twice", func(l *limit.Limiter, c *call.Call) { l.Reserve(ctx, c, noon) }, 2, 2},
		{"reserved twice, released once", func(l *limit.Limiter, c *call.Call) { l.Reserve(ctx, c, noon); l.Release(c) }, 1, 1},
		{"a late reader of the clock, released", func(l *limit.Limiter, c *call.Call) {
			late := newCall("ann")
			l.Reserve(ctx, late, noon.Add(-10*time.Second))
			l.Release(late)
		}, 2, 2},
		{"long after", func(l *limit.Limiter, c *call.Call) { l.Settle(c, idle, noon.Add(48*time.Hour)) }, 1, 2},
	} {
		l := newLimiter(t, noon, perUser("day", 9, limit.Day), perUser("rate", 9, minute))
		l.Reserve(ctx, newCall("ann"), noon)
		c := newCall("ann")
		l.Reserve(ctx, c, noon)
		tt.end(l, c)
		if diff := cmp.Diff(map[string]int64{"day ann": tt.day, "rate ann": tt.rate}, counts(l, noon)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	l := newLimiter(t, noon, perUser("day", 9, limit.Day))
	for r, want := range map[*call.Result]int{worked: 1, idle: 0} {
		c := newCall("ann")
		l.Reserve(ctx, c, noon)
		if l.Settle(c, r, noon); r.Settled == nil || len(r.Settled) != want {
			t.Errorf("worked %v: settled %v, want %d amounts", r.Worked, r.Settled, want)
		}
	}
}

// TestUpstreamErrors: who provokes errors upstream gets there no more often
// than anybody else, also across a restart; the day is given back.
func TestUpstreamErrors(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 1000, limit.Day), perUser("rate", 100, minute))
	again := newLimiter(t, noon, perUser("day", 1000, limit.Day), perUser("rate", 100, minute))
	sent := int64(0)
	for range 300 {
		c, r := newCall("ann"), &call.Result{Status: 429}
		if _, ref := l.Reserve(ctx, c, noon); ref != nil {
			continue
		}
		sent++
		l.Settle(c, r, noon)
		again.ReplayAdmit(c.ID, c.Amounts)
		again.ReplayResult(c.ID, r.Settled)
	}
	for name, l := range map[string]*limit.Limiter{"live": l, "replayed": again} {
		if got := counts(l, noon); sent != 100 || got["rate ann"] != 100 || got["day ann"] != 0 {
			t.Errorf("%s: sent %d, counted %v; want 100, all in rate and none in day", name, sent, got)
		}
	}
}

// TestClock is L05.
func TestClock(t *testing.T) {
	midnight := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	const tenth = 100 * time.Millisecond
	fill := func(l *limit.Limiter, now time.Time) (n int) {
		for n < 1000 {
			if _, ref := l.Reserve(ctx, newCall("ann"), now); ref != nil {
				break
			}
			n++
		}
		return n
	}
	type step struct {
		at   time.Time
		want int // how many are admitted then
	}
	for _, tt := range []struct {
		name   string
		window limit.Window
		steps  []step
	}{
		{"fifty each side of midnight", limit.Day, []step{{midnight.Add(-tenth), 50}, {midnight.Add(tenth), 50}, {midnight.Add(tenth), 0}}},
		{"midnight elsewhere", limit.Day, []step{{midnight.Add(-tenth), 50}, {midnight.Add(tenth).In(time.FixedZone("", 5*3600)), 50}, {midnight.Add(19 * time.Hour).In(time.FixedZone("", 5*3600)), 0}}},
		{"clock steps back over midnight", limit.Day, []step{{midnight.Add(-tenth), 50}, {midnight.Add(tenth), 50}, {midnight.Add(-time.Hour), 0}, {midnight.Add(time.Hour), 0}}},
		{"clock was years ahead", limit.Day, []step{{noon, 50}, {noon.AddDate(70, 0, 0), 50}, {noon.Add(time.Hour), 0}, {noon.AddDate(0, 0, 1), 50}, {noon.AddDate(0, 0, 2), 50}}},
		{"clock before all that is known", limit.Day, []step{{noon, 50}, {noon.AddDate(0, 0, -1), 0}, {noon.AddDate(-70, 0, 0), 0}}},
		{"month", limit.Month, []step{{noon, 50}, {time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC), 0}, {time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), 50}}},
		{"window over midnight", minute, []step{{midnight.Add(-tenth), 50}, {midnight.Add(tenth), 0}, {midnight.Add(59 * time.Second), 0}, {midnight.Add(61 * time.Second), 50}}},
		{"window, earlier moment", minute, []step{{midnight, 50}, {midnight.Add(-time.Hour), 0}, {midnight.Add(time.Minute), 0}, {midnight.Add(61 * time.Second), 50}}},
	} {
		l := newLimiter(t, noon, perUser("x", 50, tt.window))
		for i, s := range tt.steps {
			if got := fill(l, s.at); got != s.want {
				t.Errorf("%s, step %d: admitted %d, want %d", tt.name, i, got, s.want)
			}
		}
	}
}

// TestSlidingWindow compares with a log of every admission: in any window,
// wherever it starts, never more than max; and an idle window later all is free.
func TestSlidingWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 60 {
		window := time.Duration(1+rnd.Int64N(90)) * time.Second
		limitMax := 1 + rnd.Int64N(20)
		l := newLimiter(t, noon, perUser("x", limitMax, limit.Window(window)))
		now := noon.Add(time.Duration(rnd.Int64N(1e12)))
		var log []time.Time
		for range 400 {
			now = now.Add(time.Duration(rnd.ExpFloat64() * float64(window) / float64(limitMax) / 2))
			c := newCall("ann")
			_, ref := l.Reserve(ctx, c, now)
			switch {
			case ref != nil:
				if ref.RetryAfter < time.Second || ref.RetryAfter > window+window/50+time.Second {
					t.Fatalf("window %v: retry after %v", window, ref.RetryAfter)
				}
			case rnd.IntN(8) == 0:
				l.Release(c)
			default:
				log = append(log, now)
			}
		}
		for i := range log {
			n := int64(0)
			for _, at := range log[i:] {
				if at.Sub(log[i]) <= window {
					n++
				}
			}
			if n > limitMax {
				t.Fatalf("%d admitted within %v, limit %d", n, window, limitMax)
			}
		}
		now = now.Add(window + window/50 + time.Nanosecond)
		for i := range limitMax {
			if _, ref := l.Reserve(ctx, newCall("ann"), now); ref != nil {
				t.Fatalf("window %v: call %d of %d after an idle window: %v", window, i, limitMax, ref)
			}
		}
	}
}

// TestMonotonic: sliding windows follow the time that passed, whatever the
// clock on the wall was set to meanwhile.
func TestMonotonic(t *testing.T) {
	start := time.Now() // with a monotonic reading
	for _, step := range []time.Duration{0, time.Hour, -time.Hour} {
		l := newLimiter(t, start, perUser("x", 1, minute))
		for _, s := range []struct {
			after time.Duration
			want  bool
		}{{time.Second, true}, {30 * time.Second, false}, {63 * time.Second, true}, {64 * time.Second, false}} {
			now := start.Add(s.after)
			if s.after > time.Second {
				now = setClock(now, step)
			}
			if _, ref := l.Reserve(ctx, newCall("ann"), now); (ref == nil) != s.want {
				t.Errorf("clock set by %v, after %v: got %v, want admitted %v", step, s.after, ref, s.want)
			}
		}
	}
}

// setClock changes the wall clock's part of a time with a monotonic reading,
// for which package time has no function: seconds above 30 bits of nanoseconds.
func setClock(t time.Time, by time.Duration) time.Time {
	want := t.Round(0).Add(by)
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	if !t.Round(0).Equal(want) {
		panic("the layout of time.Time has changed")
	}
	return t
}

// TestManyKeys is L12: a million addresses, bounded memory, and no count
// forgotten while it is in its window.
func TestManyKeys(t *testing.T) {
	const room = 1024
	l, err := limit.New(limit.Options{MaxKeys: room, Start: noon, Limits: []limit.Limit{{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 1, Window: minute}}})
	if err != nil {
		t.Fatal(err)
	}
	from := func(i int) *call.Call {
		c := newCall("ann")
		c.IP = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		return c
	}
	flood := func(now time.Time, first int) (admitted []int) {
		for i := first; i < first+500_000; i++ {
			c := from(i)
			d, ref := l.Reserve(ctx, c, now)
			if ref == nil {
				admitted = append(admitted, i)
				l.Settle(c, &call.Result{Worked: true}, now)
			} else if ref.RetryAfter != 61*time.Second || d.Buckets[0].Remaining != 0 || ref.Reason != "rate_limited" {
				t.Fatalf("without room: got %+v, %+v", ref, d)
			}
		}
		return admitted
	}
	first := flood(noon, 0)
	if len(first) != room || len(l.Status(noon)) != room {
		t.Errorf("admitted %d, kept %d, want %d", len(first), len(l.Status(noon)), room)
	}
	for _, i := range first {
		if _, ref := l.Reserve(ctx, from(i), noon.Add(59*time.Second)); ref == nil {
			t.Fatalf("the count of address %d was forgotten", i)
		}
	}
	later := noon.Add(61 * time.Second)
	if again := flood(later, 1<<20); len(again) != room {
		t.Errorf("a window later: admitted %d, want %d", len(again), room)
	}
	if size := len(l.Snapshot()); size > 100*room {
		t.Errorf("snapshot is %d bytes", size)
	}
}

// TestIdleKeysOverMidnight: a new day's callers do not make the limiter forget
// the old day's counts, in case the clock steps back; those of days later do.
func TestIdleKeysOverMidnight(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 1, limit.Day))
	ask := func(user string, now time.Time) *call.Refusal {
		c := newCall(user)
		_, ref := l.Reserve(ctx, c, now)
		l.Settle(c, &call.Result{Worked: true}, now)
		return ref
	}
	ask("ann", noon.Add(12*time.Hour-1))
	for i := range 2000 {
		ask(fmt.Sprint("early", i), noon.Add(12*time.Hour))
	}
	if ask("ann", noon.Add(11*time.Hour)) == nil {
		t.Error("admitted a second call of the old day")
	}
	for i := range 2000 {
		ask(fmt.Sprint("later", i), noon.Add(60*time.Hour))
	}
	if n := strings.Count(string(l.Snapshot()), "early"); n > 400 {
		t.Errorf("two days later %d of 2000 idle keys are kept", n)
	}
}

func TestKeys(t *testing.T) {
	with := func(edit func(c *call.Call)) *call.Call {
		c := newCall("u1")
		c.Principal.User, c.Principal.Key, c.IP = "ann@example.com", "GTHK1", netip.MustParseAddr("192.0.2.1")
		edit(c)
		return c
	}
	plain := with(func(*call.Call) {})
	claude := with(func(c *call.Call) { c.Model = model.Ref{ID: "anthropic.claude-3", Model: new(model.Model)} })
	for _, tt := range []struct {
		per   string
		match limit.Match
		call  *call.Call
		want  string // "" when the limit does not count the call
	}{
		{per: "user", call: plain, want: "u1"},
		{per: "key", call: plain, want: "GTHK1"},
		{per: "key", call: with(func(c *call.Call) { c.Principal.Key = "" }), want: ""},
		{per: "team", call: plain, want: "default"},
		{per: "team", call: with(func(c *call.Call) { c.Principal.Team = "red" }), want: "red"},
		{per: "ip", call: plain, want: "192.0.2.1"},
		{per: "ip", call: with(func(c *call.Call) { c.IP = netip.MustParseAddr("2001:db8:1:2:3:4:5:6") }), want: "2001:db8:1:2::/64"},
		{per: "ip", call: with(func(c *call.Call) { c.IP = netip.Addr{} }), want: "unknown"},
		{per: "model", call: plain, want: ""},
		{per: "model", call: claude, want: "anthropic.claude-3"},
		{per: "everyone", call: plain, want: "everyone"},
		{per: "user model", call: claude, want: "u1,anthropic.claude-3"},
		{per: "key model", call: plain, want: ""},
		{per: "team user", call: with(func(c *call.Call) { c.Principal.Team, c.Principal.UserID = "a,b", "c" }), want: "a%2Cb,c"},
		{per: "team user", call: with(func(c *call.Call) { c.Principal.Team, c.Principal.UserID = "a", "b,c%2C" }), want: "a,b%2Cc%252C"},
		{per: "user", match: limit.Match{Schemes: []call.Scheme{call.SigV4}}, call: plain, want: ""},
		{per: "user", match: limit.Match{Schemes: []call.Scheme{call.SigV4, call.Token}}, call: plain, want: "u1"},
		{per: "user", match: limit.Match{Users: []string{"ann@example.com"}}, call: plain, want: "u1"},
		{per: "user", match: limit.Match{Users: []string{"bob"}}, call: plain, want: ""},
		{per: "user", match: limit.Match{Teams: []string{"default"}}, call: plain, want: "u1"},
		{per: "user", match: limit.Match{Teams: []string{"red"}}, call: plain, want: ""},
		{per: "user", match: limit.Match{Models: []string{"meta.*", "anthropic.*"}}, call: claude, want: "u1"},
		{per: "user", match: limit.Match{Models: []string{"meta.*"}}, call: claude, want: ""},
		{per: "user", match: limit.Match{Models: []string{"*"}}, call: plain, want: ""},
	} {
		l := newLimiter(t, noon, limit.Limit{Name: "x", Per: strings.Fields(tt.per), Measure: "requests", Max: 9, Window: minute, Match: tt.match})
		d, ref := l.Reserve(ctx, tt.call, noon)
		got := ""
		if len(tt.call.Amounts) > 0 {
			got = tt.call.Amounts[0].Key
		}
		if ref != nil || got != tt.want || d.Applies() != (tt.want != "") {
			t.Errorf("per %s, match %+v: got %q, %v, want %q", tt.per, tt.match, got, ref, tt.want)
		}
	}
}

// TestHeaders is L16, and the form of each header.
func TestHeaders(t *testing.T) {
	l := newLimiter(t, noon, basic...)
	now := noon
	var all []string
	for i := range 52 {
		d, ref := l.Reserve(ctx, newCall("ann"), now)
		h := make(http.Header)
		d.SetHeaders(h)
		if i == 0 || ref != nil {
			all = append(all, h.Get("RateLimit"), h.Get("RateLimit-Policy"), h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"))
		}
	}
	want := []string{
		`"chat-day";r=49;t=43200, "requests";r=99;t=61`, `"chat-day";q=50;w=86400, "requests";q=100;w=60`, "50", "49", "43200",
		`"chat-day";r=0;t=43200, "requests";r=50;t=61`, `"chat-day";q=50;w=86400, "requests";q=100;w=60`, "50", "0", "43200",
		`"chat-day";r=0;t=43200, "requests";r=50;t=61`, `"chat-day";q=50;w=86400, "requests";q=100;w=60`, "50", "0", "43200",
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	h := make(http.Header)
	if limit.Decision.SetHeaders(limit.Decision{}, h); len(h) != 0 {
		t.Errorf("no limit applies: got %v, want no headers", h)
	}
	// A lower maximum leaves a debt, which headers and status do not show as negative.
	if err := l.Replace([]limit.Limit{perUser("requests", 10, minute)}); err != nil {
		t.Fatal(err)
	}
	d, ref := l.Reserve(ctx, newCall("ann"), now)
	d.SetHeaders(h)
	if ref == nil || h.Get("X-RateLimit-Remaining") != "0" || h.Get("RateLimit") != `"requests";r=0;t=61` {
		t.Errorf("in debt: got %v, %v", h, ref)
	}
	if rows := l.Status(now); len(rows) != 1 || rows[0].Debt != 40 || rows[0].Reserved != 50 || rows[0].Used != 0 {
		t.Errorf("in debt: got %+v", rows)
	}
}

func TestStatus(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 3, limit.Day), perUser("rate", 9, minute))
	for i, user := range []string{"bob", "ann", "ann"} {
		c := newCall(user)
		l.Reserve(ctx, c, noon)
		if i == 1 {
			l.Settle(c, &call.Result{Worked: true}, noon)
		}
	}
	per := []string{"user"}
	midnight, free := noon.Add(12*time.Hour), noon.Add(61*time.Second)
	want := []limit.Row{
		{Limit: "day", Per: per, Key: "ann", Measure: "requests", Max: 3, Used: 1, Reserved: 1, ResetsAt: midnight},
		{Limit: "day", Per: per, Key: "bob", Measure: "requests", Max: 3, Used: 0, Reserved: 1, ResetsAt: midnight},
		{Limit: "rate", Per: per, Key: "ann", Measure: "requests", Max: 9, Used: 1, Reserved: 1, ResetsAt: free},
		{Limit: "rate", Per: per, Key: "bob", Measure: "requests", Max: 9, Used: 0, Reserved: 1, ResetsAt: free},
	}
	if diff := cmp.Diff(want, l.Status(noon)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:2], l.Status(free)); diff != "" {
		t.Errorf("after the window: %s", diff)
	}
}

func TestReplace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit limit.Limit
		want  int64 // counted of two
	}{
		{"same", perUser("x", 5, minute), 2},
		{"other maximum", perUser("x", 2, minute), 2},
		{"longer window", perUser("x", 5, 2*minute), 2},
		{"a day", perUser("x", 5, limit.Day), 2},
		{"other name", perUser("y", 5, minute), 0},
		{"per something else", limit.Limit{Name: "x", Per: []string{"everyone"}, Measure: "requests", Max: 5, Window: minute}, 0},
	} {
		l := newLimiter(t, noon, perUser("x", 5, minute))
		open := newCall("ann")
		l.Reserve(ctx, open, noon)
		l.Reserve(ctx, newCall("ann"), noon)
		if err := l.Replace([]limit.Limit{tt.limit}); err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, n := range counts(l, noon) {
			sum += n
		}
		if sum != tt.want {
			t.Errorf("%s: got %d counted, want %d", tt.name, sum, tt.want)
		}
		l.Settle(open, &call.Result{Worked: true}, noon) // must not panic or go below zero
	}
	// A call that was admitted by another limit of the name does not count here.
	for _, other := range []limit.Limit{
		{Name: "x", Per: []string{"user"}, Measure: "tokens", Max: 1e6, Window: minute},
		{Name: "x", Per: []string{"user"}, Measure: "models", Max: 9, Window: minute},
		{Name: "x", Per: []string{"key"}, Measure: "requests", Max: 9, Window: limit.Day},
	} {
		l := newLimiter(t, noon, perUser("a", 9, minute), perUser("x", 9, minute))
		open := modelCall("ann")
		l.Reserve(ctx, open, noon)
		if err := l.Replace([]limit.Limit{other}); err != nil {
			t.Fatal(err)
		}
		l.Settle(open, &call.Result{Worked: true, Usage: call.Usage{Input: 70}}, noon)
		if got := counts(l, noon); len(got) > 0 {
			t.Errorf("%s per %s: counts %v, want nothing", other.Measure, other.Per, got)
		}
	}
	l := newLimiter(t, noon, perUser("x", 1, minute))
	l.Reserve(ctx, newCall("ann"), noon)
	if err := l.Replace([]limit.Limit{perUser("x", 0, minute)}); err == nil {
		t.Error("accepted a maximum of 0")
	}
	if _, ref := l.Reserve(ctx, newCall("ann"), noon); ref == nil {
		t.Error("a failed Replace changed something")
	}
}

func TestMerge(t *testing.T) {
	a, b := perUser("a", 1, minute), perUser("b", 1, minute)
	b2, c := perUser("b", 2, minute), perUser("c", 1, minute)
	base := []limit.Limit{a, b}
	if got := limit.Merge(base, []limit.Limit{c, b2}); !reflect.DeepEqual(got, []limit.Limit{a, b2, c}) || base[1].Max != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for want, edit := range map[string]func(l *limit.Limit){
		`measure "words" is not available`: func(l *limit.Limit) { l.Measure = "words" },
		`per "colour" is not available`:    func(l *limit.Limit) { l.Per = []string{"colour"} },
		"max 257 is more":                  func(l *limit.Limit) { l.Measure, l.Max = "models", 257 },
		"wait is not":                      func(l *limit.Limit) { l.Action = limit.Wait },
		`on_store_error "no"`:              func(l *limit.Limit) { l.OnStoreError = "no" },
		`mode "no"`:                        func(l *limit.Limit) { l.Mode = "no" },
		"per is missing":                   func(l *limit.Limit) { l.Per = nil },
		"max 0":                            func(l *limit.Limit) { l.Max = 0 },
		"max -1":                           func(l *limit.Limit) { l.Max = -1 },
		"max 9223372036854775807":          func(l *limit.Limit) { l.Max = math.MaxInt64 },
		"window":                           func(l *limit.Limit) { l.Window = 0 },
		"window is":                        func(l *limit.Limit) { l.Window = limit.Window(time.Millisecond) },
		"window is not":                    func(l *limit.Limit) { l.Window = limit.Window(32 * 24 * time.Hour) },
		"window is not day":                func(l *limit.Limit) { l.Window = -3 },
		`action "no"`:                      func(l *limit.Limit) { l.Action = "no" },
		`refuse_as "no"`:                   func(l *limit.Limit) { l.RefuseAs = "no" },
		"name":                             func(l *limit.Limit) { l.Name = `a"b` },
		"name is":                          func(l *limit.Limit) { l.Name = "" },
		"model pattern":                    func(l *limit.Limit) { l.Match.Models = []string{"["} },
	} {
		l := perUser("x", 1, minute)
		edit(&l)
		_, err := limit.New(limit.Options{Limits: []limit.Limit{perUser("good", 1, minute), l}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	x := perUser("x", 1, minute)
	if _, err := limit.New(limit.Options{Limits: []limit.Limit{x, x}}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("same name twice: got %v", err)
	}
	bad := perUser("bad", 0, 0)
	worse := perUser("worse", 0, 0)
	_, err := limit.New(limit.Options{Limits: []limit.Limit{bad, worse}})
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 2 {
		t.Errorf("two bad limits: got %v, want both errors", err)
	}
}

func TestParseWindow(t *testing.T) {
	for s, want := range map[string]limit.Window{"day": limit.Day, "month": limit.Month, "60s": minute, "1m0s": minute} {
		w, err := limit.ParseWindow(s)
		if err != nil || w != want {
			t.Errorf("%s: got %v, %v, want %v", s, w, err, want)
		}
		if again, err := limit.ParseWindow(w.String()); again != w || err != nil {
			t.Errorf("%s: printed as %q", s, w)
		}
	}
	for _, s := range []string{"", "week", "0s", "-1s", "60"} {
		if w, err := limit.ParseWindow(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, w)
		}
	}
}

// eight are limits of every kind that one call belongs to, never reached.
func eight() []limit.Limit {
	all := []limit.Limit{
		{Name: "a-day", Measure: "requests", Per: []string{"user"}, Window: limit.Day},
		{Name: "b-requests", Measure: "requests", Per: []string{"user"}, Window: minute},
		{Name: "c-tokens", Measure: "tokens", Per: []string{"user", "model"}, Window: minute},
		{Name: "d-slots", Measure: "concurrency", Per: []string{"user"}},
		{Name: "e-models", Measure: "models", Per: []string{"user"}, Window: 10 * minute},
		{Name: "f-spend", Measure: "usd", Per: []string{"key"}, Window: limit.Month},
		{Name: "g-ip", Measure: "requests", Per: []string{"ip"}, Window: minute},
		{Name: "h-everyone", Measure: "usd", Per: []string{"everyone"}, Window: limit.Window(time.Hour), Action: limit.Flag},
	}
	for i := range all {
		if all[i].Max = 1e15; all[i].Measure == "models" {
			all[i].Max = 8
		}
	}
	return all
}

// claude is a model with a price, whose output tokens burn five of a quota.
var claude = model.Ref{ID: "anthropic.claude-test", Model: &model.Model{ID: "anthropic.claude-test", Family: "claude",
	Price: model.Price{Input: 3_000_000_000, Output: 15_000_000_000, Known: true, OutputBurn: 5}}}

// modelCall is another call of a model: 100 tokens in at most, 200 out.
func modelCall(user string) *call.Call {
	c := newCall(user)
	c.Principal.Key, c.IP = call.KeyID("KEY"+user), netip.MustParseAddr("192.0.2.1")
	c.Model, c.InputEstimate, c.MaxTokens, c.Answers = claude, 100, 200, 1
	return c
}

// TestFree: memory that is still in use is not used again.
func TestFree(t *testing.T) {
	l := newLimiter(t, noon, per("tokens", 1e6, minute))
	open := modelCall("ann")
	d, _ := l.Reserve(ctx, open, noon)
	d.Free()
	d.Free()
	for range 100 {
		c := modelCall("bob")
		d, _ := l.Reserve(ctx, c, noon)
		l.Settle(c, &call.Result{Worked: true}, noon)
		d.Free()
	}
	if held := l.Open()[open.ID]; len(held) != 1 || held[0].Key != "ann" || held[0].N != 1100 || d.Applies() {
		t.Errorf("an open call holds %+v", held)
	}
	l.Settle(open, &call.Result{Worked: true, Usage: call.Usage{Input: 7}}, noon)
	if got := counts(l, noon); got["tokens ann"] != 7 || len(got) != 1 {
		t.Errorf("counts %v, want 7 of ann", got)
	}
}

func benchmarkAdmit(b *testing.B, keys int) {
	l := newLimiter(b, noon, eight()...)
	calls := make([]*call.Call, keys)
	for i := range calls {
		c := modelCall(fmt.Sprintf("5b1f4a52-0000-4000-8000-%012d", i))
		c.IP = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		calls[i] = c
	}
	r := &call.Result{Worked: true, Cost: 5, Usage: call.Usage{Input: 50, Output: 60}}
	now, i := noon, 0
	admit := func() {
		now, i = now.Add(time.Microsecond), i+1
		c := calls[i*7919%keys]
		d, ref := l.Reserve(ctx, c, now)
		if ref != nil {
			b.Fatal(ref)
		}
		l.Settle(c, r, now)
		d.Free()
	}
	for range 2 * keys {
		admit()
	}
	b.ReportAllocs()
	for b.Loop() {
		admit()
	}
}

// Both include Settle.
func BenchmarkAdmit8Hot(b *testing.B)      { benchmarkAdmit(b, 1) }
func BenchmarkAdmit8Keys100k(b *testing.B) { benchmarkAdmit(b, 100_000) }

func BenchmarkSetHeaders(b *testing.B) {
	l := newLimiter(b, noon, basic...)
	d, _ := l.Reserve(ctx, newCall("ann"), noon)
	h := make(http.Header)
	b.ReportAllocs()
	for b.Loop() {
		d.SetHeaders(h)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	l := newLimiter(b, noon, perUser("x", 9, minute))
	for i := range 100_000 {
		c := newCall(fmt.Sprintf("5b1f4a52-0000-4000-8000-%012d", i))
		l.Reserve(ctx, c, noon)
		l.Settle(c, &call.Result{Worked: true}, noon)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(l.Snapshot())))
	}
}
