package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// Shared is a store of counts as the suite needs it, empty.
type Shared struct {
	Counts  store.Counts        // one gateway's
	Other   store.Counts        // another's, of the same store; may be the same
	Now     func() time.Time    // the store's clock
	Advance func(time.Duration) // moves it; nil: it moves by itself
}

// Counts runs the suite of store.Counts. open returns an empty store each time.
// Stores whose clock cannot be moved run what does not need it, and one test
// that waits for a window of a second.
func Counts(t *testing.T, open func(t *testing.T) Shared) {
	tests := []struct {
		name string
		run  func(t *testing.T, s Shared)
	}{
		{"all or nothing", countAllOrNothing},
		{"take twice", countTwice},
		{"forced", countForced},
		{"settle", countSettle},
		{"settle unknown", countUnknown},
		{"give back", countGiveBack},
		{"extend", countExtend},
		{"leases", countLeases},
		{"distinct", countDistinct},
		{"large amounts", countLarge},
		{"names", countNames},
		{"concurrent takes", countConcurrent},
		{"concurrent settles", countConcurrentSettles},
		{"two gateways replay", countReplay},
	}
	moving := []struct {
		name string
		run  func(t *testing.T, s Shared)
	}{
		{"give back where taken", countWhereTaken},
		{"leases lapse", countLapse},
		{"calendar", countCalendar},
		{"wait is true", countWait},
		{"sliding against a log", countSliding},
		{"distinct against a log", countDistinctSliding},
	}
	if open(t).Advance != nil {
		tests = append(tests, moving...)
	} else {
		tests = append(tests, struct {
			name string
			run  func(t *testing.T, s Shared)
		}{"a second passes", countSecond})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var calls atomic.Int64

func newCall() string { return fmt.Sprintf("call-%d", calls.Add(1)) }

// The claims of most tests.
func sum(limit string, most, n int64) store.Claim {
	return store.Claim{Limit: limit, Key: "ann", Window: time.Minute, Max: most, N: n}
}

func lease(most int64) store.Claim {
	return store.Claim{Limit: "slots", Key: "ann", Counting: store.Leases, Window: time.Minute, Max: most, N: 1}
}

func item(name string, most int64) store.Claim {
	return store.Claim{Limit: "models", Key: "ann", Item: name, Counting: store.Distinct, Window: 10 * time.Minute, Max: most, N: 1}
}

// take takes for a new call and checks whether it may.
func (s Shared) take(t *testing.T, want bool, claims ...store.Claim) (call string, counts []store.Count) {
	t.Helper()
	call = newCall()
	return call, s.takeAs(t, call, want, claims...)
}

func (s Shared) takeAs(t *testing.T, call string, want bool, claims ...store.Claim) []store.Count {
	t.Helper()
	counts := make([]store.Count, len(claims))
	taken, err := s.Counts.Take(ctx, call, claims, counts)
	if taken != want || err != nil {
		t.Fatalf("Take(%s, %+v): got %v, %v, want %v; %+v", call, claims, taken, err, want, counts)
	}
	return counts
}

// used reads a bucket, as a call that has ended may.
func (s Shared) used(t *testing.T, c store.Claim) int64 {
	t.Helper()
	call := newCall()
	s.settle(t, call)
	return s.takeAs(t, call, true, c)[0].Used
}

func (s Shared) checkUsed(t *testing.T, c store.Claim, want int64) {
	t.Helper()
	if got := s.used(t, c); got != want {
		t.Errorf("%s of %.20q uses %d, want %d", c.Limit, c.Key, got, want)
	}
}

func (s Shared) settle(t *testing.T, call string, finals ...store.Final) {
	t.Helper()
	if err := s.Counts.Settle(ctx, call, finals); err != nil {
		t.Fatalf("Settle(%s): %v", call, err)
	}
}

// final is what a claim comes to in the end.
func final(c store.Claim, n, at int64) store.Final {
	return store.Final{Limit: c.Limit, Key: c.Key, Item: c.Item, Counting: c.Counting, Window: c.Window, N: n, At: at}
}

func countAllOrNothing(t *testing.T, s Shared) {
	wide, narrow := sum("wide", 10, 1), sum("narrow", 1, 1)
	s.take(t, true, wide, narrow)
	for _, claims := range [][]store.Claim{{wide, narrow}, {narrow, wide, lease(5)}, {item("a", 5), wide, lease(5), narrow}} {
		_, counts := s.take(t, false, claims...)
		for i, c := range claims {
			if over := c.Limit == "narrow"; counts[i].Over != over || over != (counts[i].Wait > 0) {
				t.Errorf("%s: got over %v, wait %v, want over %v and a wait only then", c.Limit, counts[i].Over, counts[i].Wait, over)
			}
		}
	}
	s.checkUsed(t, wide, 1)
	s.checkUsed(t, narrow, 1)
	s.checkUsed(t, lease(5), 0)
	s.checkUsed(t, item("a", 5), 0)
}

func countTwice(t *testing.T, s Shared) {
	claims := []store.Claim{sum("requests", 1, 1), lease(1), item("a", 1)}
	call, first := s.take(t, true, claims...)
	for i, c := range s.takeAs(t, call, true, claims...) {
		if c.Used != 1 || first[i].Used != 1 || c.Over {
			t.Errorf("%s: got %+v and again %+v, want 1 used both times", claims[i].Limit, first[i], c)
		}
	}
	s.settle(t, call)
	s.takeAs(t, call, true, claims...) // it has ended
	for _, c := range claims {
		s.checkUsed(t, c, 0)
	}
}

func countForced(t *testing.T, s Shared) {
	flag := sum("flag", 2, 2)
	flag.Force = true
	for i, over := range []bool{false, true, true} {
		if _, counts := s.take(t, true, flag, sum("requests", 10, 1)); counts[0].Over != over || counts[0].Used != int64(2*i+2) {
			t.Errorf("call %d: got %+v, want over %v", i, counts[0], over)
		}
	}
	s.take(t, false, flag, sum("requests", 3, 1))
	s.checkUsed(t, flag, 6)
	forced := lease(1)
	forced.Force = true
	s.take(t, true, forced)
	s.take(t, true, forced)
	s.checkUsed(t, lease(1), 2)
}

func countSettle(t *testing.T, s Shared) {
	for _, c := range []struct {
		name        string
		take, final int64
		twice       bool
		used        int64
	}{
		{"as taken", 100, 100, false, 100},
		{"less", 100, 30, false, 30},
		{"none", 100, 0, false, 0},
		{"more", 100, 130, false, 130},
		{"debt", 900, 2500, false, 2500},
		{"twice", 100, 130, true, 130},
		{"less twice", 100, 30, true, 30},
		{"nothing was asked", 0, 70, false, 70},
	} {
		for _, window := range []time.Duration{time.Minute, store.Day, store.Month} {
			claim := sum("settle", 1000, c.take)
			claim.Key, claim.Window = c.name, window
			call, counts := s.take(t, true, claim)
			s.settle(t, call, final(claim, c.final, counts[0].At))
			if c.twice {
				s.settle(t, call, final(claim, c.final*2, counts[0].At))
			}
			s.checkUsed(t, claim, c.used)
			claim.N = 1
			s.take(t, c.used < 1000, claim)
		}
	}
}

func countUnknown(t *testing.T, s Shared) {
	// What is known only from a journal is counted, once.
	call, now := newCall(), s.Now().UnixNano()
	tokens, model := sum("tokens", 1000, 400), item("a", 1)
	for range 2 {
		s.settle(t, call, final(tokens, 300, now), final(model, 1, now))
	}
	s.checkUsed(t, tokens, 300)
	s.take(t, false, item("b", 1))
	s.take(t, true, model)
	// A take that lands behind its settle takes nothing.
	s.takeAs(t, call, true, tokens, lease(1))
	s.checkUsed(t, tokens, 300)
	s.checkUsed(t, lease(1), 0)
	// What was taken before the window goes nowhere.
	s.settle(t, newCall(), final(tokens, 300, now-int64(2*time.Minute)))
	s.checkUsed(t, tokens, 300)
}

func countGiveBack(t *testing.T, s Shared) {
	// A refused call has nothing to give back, whatever its caller believes.
	claim := sum("requests", 2, 1)
	a, _ := s.take(t, true, claim)
	b, _ := s.take(t, true, claim)
	refused, _ := s.take(t, false, claim)
	s.settle(t, refused)
	s.checkUsed(t, claim, 2)
	for range 2 {
		s.settle(t, a)
		s.checkUsed(t, claim, 1)
	}
	s.settle(t, b)
	s.checkUsed(t, claim, 0)
}

func countExtend(t *testing.T, s Shared) {
	tokens, usd := sum("tokens", 100, 40), sum("usd", 1000, 10)
	call, counts := s.take(t, true, tokens, usd)
	extend := func(call string, want bool, n int64) {
		t.Helper()
		tokens.N = n
		got, err := s.Counts.Extend(ctx, call, []store.Claim{tokens, usd}, make([]store.Count, 2))
		if got != want || err != nil {
			t.Errorf("Extend by %d: got %v, %v, want %v", n, got, err, want)
		}
	}
	extend(call, true, 50)
	extend(call, false, 20) // all or nothing
	extend(newCall(), false, 1)
	s.checkUsed(t, tokens, 90)
	s.checkUsed(t, usd, 20)
	s.settle(t, call, final(tokens, 60, counts[0].At))
	s.checkUsed(t, tokens, 60)
	s.checkUsed(t, usd, 0)
	extend(call, false, 1)
	s.checkUsed(t, tokens, 60)
}

func countLeases(t *testing.T, s Shared) {
	a, _ := s.take(t, true, lease(2))
	s.take(t, true, lease(2))
	s.take(t, false, lease(2))
	s.settle(t, a, final(lease(2), 1, 0)) // it ends, whatever is said of it
	s.checkUsed(t, lease(2), 1)
	if err := s.Counts.Renew(ctx, []string{a, newCall()}); err != nil {
		t.Error(err)
	}
	s.checkUsed(t, lease(2), 1)
	s.take(t, true, lease(2))
}

func countDistinct(t *testing.T, s Shared) {
	a, _ := s.take(t, true, item("a", 2))
	s.take(t, true, item("b", 2))
	s.take(t, false, item("c", 2)) // and is not counted
	again, _ := s.take(t, true, item("a", 2))
	s.settle(t, a) // another call has used it
	s.take(t, false, item("c", 2))
	s.settle(t, again, final(item("a", 2), 1, 0))
	s.checkUsed(t, item("a", 2), 2)
	alone, _ := s.take(t, true, item("c", 3))
	s.settle(t, alone)
	s.take(t, true, item("d", 3))
}

func countLarge(t *testing.T, s Shared) {
	const most = int64(1e15)
	for _, n := range []int64{most - 1, 1} {
		s.take(t, true, sum("usd", most, n))
	}
	s.take(t, false, sum("usd", most, 1))
	s.checkUsed(t, sum("usd", most, 1), most)
	odd := sum("odd", most, 999_999_999_999_997)
	call, counts := s.take(t, true, odd)
	s.settle(t, call, final(odd, 999_999_999_999_998, counts[0].At))
	s.checkUsed(t, odd, 999_999_999_999_998)
}

func countNames(t *testing.T, s Shared) {
	long := strings.Repeat("k", 300)
	for _, limit := range []string{"a", "a-b", "b"} {
		for _, key := range []string{"", "a", "a:a", "b:a", "ann,eu", "2001:db8::/64", "{x}", "}:leases:", "ü\x00\xff\r\n", "open", "end", long, long + "k"} {
			c := store.Claim{Limit: limit, Key: key, Window: time.Minute, Max: 2, N: 1}
			call, counts := s.take(t, true, c)
			if counts[0].Used != 1 {
				t.Errorf("limit %q, key %.20q: got %d used, want 1 of its own", limit, key, counts[0].Used)
			}
			s.settle(t, call, final(c, 2, counts[0].At))
			s.checkUsed(t, c, 2)
		}
	}
}

// each runs f a thousand times at once, by turns with both gateways.
func (s Shared) each(f func(i int, c store.Counts)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range 1000 {
		wg.Go(func() {
			<-gate
			f(i, []store.Counts{s.Counts, s.Other}[i%2])
		})
	}
	close(gate)
	wg.Wait()
}

func countConcurrent(t *testing.T, s Shared) {
	for _, c := range []struct {
		name  string
		claim func(i int) store.Claim
		want  int64
	}{
		{"requests", func(int) store.Claim { return sum("requests", 50, 1) }, 50},
		{"tokens", func(int) store.Claim { return sum("tokens", 400, 7) }, 57},
		{"slots", func(int) store.Claim { return lease(20) }, 20},
		{"models", func(i int) store.Claim { return item(fmt.Sprint(i), 8) }, 8},
	} {
		var taken atomic.Int64
		s.each(func(i int, counts store.Counts) {
			claims := []store.Claim{sum("every "+c.name, 1e6, 1), c.claim(i)}
			ok, err := counts.Take(ctx, newCall(), claims, make([]store.Count, 2))
			if err != nil {
				t.Error(err)
			}
			if ok {
				taken.Add(1)
			}
		})
		if taken.Load() != c.want {
			t.Errorf("%s: got %d taken, want %d", c.name, taken.Load(), c.want)
		}
		s.checkUsed(t, sum("every "+c.name, 1e6, 1), c.want)
	}
}

func countConcurrentSettles(t *testing.T, s Shared) {
	claims := []store.Claim{sum("tokens", 1e6, 9), lease(1e6), sum("kept", 1e6, 3)}
	s.each(func(i int, c store.Counts) {
		call := newCall()
		counts := make([]store.Count, len(claims))
		if ok, err := c.Take(ctx, call, claims, counts); !ok || err != nil {
			t.Errorf("Take: got %v, %v", ok, err)
		}
		for range 2 {
			if err := c.Settle(ctx, call, []store.Final{final(claims[2], 2, counts[2].At)}); err != nil {
				t.Error(err)
			}
		}
	})
	for i, want := range []int64{0, 0, 2000} {
		s.checkUsed(t, claims[i], want)
	}
}

func countReplay(t *testing.T, s Shared) {
	var ids [500]string
	for i := range ids {
		ids[i] = newCall()
	}
	claim := sum("spend", 1e6, 3)
	s.each(func(i int, c store.Counts) {
		if err := c.Settle(ctx, ids[i/2], []store.Final{final(claim, 3, s.Now().UnixNano())}); err != nil {
			t.Error(err)
		}
	})
	s.checkUsed(t, claim, 1500)
}

func countWhereTaken(t *testing.T, s Shared) {
	tokens := sum("tokens", 1000, 40)
	call, counts := s.take(t, true, tokens)
	s.Advance(30 * time.Second)
	s.take(t, true, sum("tokens", 1000, 100))
	if ok, err := s.Counts.Extend(ctx, call, []store.Claim{sum("tokens", 1000, 20)}, make([]store.Count, 1)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.settle(t, call, final(tokens, 10, counts[0].At))
	s.checkUsed(t, tokens, 110)
	s.Advance(40 * time.Second) // past the first, not the second
	s.checkUsed(t, tokens, 100)
}

func countLapse(t *testing.T, s Shared) {
	a, _ := s.take(t, true, lease(2))
	b, _ := s.take(t, true, lease(2))
	for range 5 { // the other lapses
		s.Advance(40 * time.Second)
		if err := s.Counts.Renew(ctx, []string{a}); err != nil {
			t.Fatal(err)
		}
	}
	s.checkUsed(t, lease(2), 1)
	s.settle(t, b)
	s.checkUsed(t, lease(2), 1)
	s.Advance(61 * time.Second)
	s.checkUsed(t, lease(2), 0)
	s.take(t, true, lease(1))
}

func countCalendar(t *testing.T, s Shared) {
	for i := range 50 { // months of every length, a leap year's too
		now := s.Now().UTC()
		midnight := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		s.Advance(midnight.Add(-100 * time.Millisecond).Sub(now))
		day, month := sum("day", 50, 50), sum("month", 50, 50)
		day.Window, month.Window = store.Day, store.Month
		month.Key = fmt.Sprint("month", i)
		call, counts := s.take(t, true, day, month)
		for _, c := range counts {
			if want := 100 * time.Millisecond; c.Reset > want || c.Reset < want-time.Microsecond {
				t.Errorf("%v: resets in %v, want %v", midnight, c.Reset, want)
			}
		}
		s.take(t, false, day)
		s.Advance(200 * time.Millisecond)
		s.take(t, true, day, month)
		s.take(t, false, month)
		// The call before midnight is charged to the period that it began in.
		s.settle(t, call, final(day, 70, counts[0].At), final(month, 20, counts[1].At))
		s.checkUsed(t, day, 50)
		s.checkUsed(t, month, 50)
	}
}

func countWait(t *testing.T, s Shared) {
	for _, c := range []struct {
		name   string
		fill   []store.Claim
		refuse store.Claim
	}{
		{"sums", []store.Claim{sum("t", 100, 30), sum("t", 100, 30), sum("t", 100, 30)}, sum("t", 100, 70)},
		{"leases", []store.Claim{lease(3), lease(3), lease(3)}, lease(2)},
		{"distinct", []store.Claim{item("a", 3), item("b", 3), item("c", 3)}, item("d", 3)},
	} {
		for _, f := range c.fill {
			s.take(t, true, f)
			s.Advance(7 * time.Second)
		}
		_, counts := s.take(t, false, c.refuse)
		s.Advance(counts[0].Wait - time.Millisecond)
		s.take(t, false, c.refuse)
		s.Advance(2 * time.Millisecond)
		s.take(t, true, c.refuse)
	}
}

// logged is a naive log of what was taken, and when.
type logged []struct {
	at   time.Time
	n    int64
	item string
}

// within is what the log holds of the time since, and what an item adds to it.
func (l logged) within(since time.Time) (sum int64, items map[string]bool) {
	items = map[string]bool{}
	for _, e := range l {
		if e.at.After(since) {
			sum += e.n
			items[e.item] = true
		}
	}
	return sum, items
}

// countSliding compares a bucket with a log at random times: never more than
// Max in any window, and nothing refused that would fit a window and a
// thirtieth.
func countSliding(t *testing.T, s Shared) {
	r := rand.New(rand.NewPCG(1, 2))
	var log logged
	const most = 100
	window := 61 * time.Second // not a multiple of sixty
	for range 2000 {
		s.Advance(time.Duration(r.Int64N(int64(4 * time.Second))))
		c := store.Claim{Limit: "sliding", Key: "ann", Window: window, Max: most, N: 1 + r.Int64N(20)}
		call := newCall()
		counts := make([]store.Count, 1)
		taken, err := s.Counts.Take(ctx, call, []store.Claim{c}, counts)
		if err != nil {
			t.Fatal(err)
		}
		exact, _ := log.within(s.Now().Add(-window))
		late, _ := log.within(s.Now().Add(-window - window/30))
		if taken && exact+c.N > most || !taken && late+c.N <= most {
			t.Fatalf("got taken %v of %d, where the window holds %d and a longer one %d of %d", taken, c.N, exact, late, most)
		}
		if !taken {
			continue
		}
		kept := r.Int64N(c.N + 3) // less, or some debt
		s.settle(t, call, final(c, kept, counts[0].At))
		log = append(log, logged{{s.Now(), kept, ""}}...)
	}
}

func countDistinctSliding(t *testing.T, s Shared) {
	r := rand.New(rand.NewPCG(3, 4))
	var log logged
	const most = 4
	window := 10 * time.Minute
	for range 2000 {
		s.Advance(time.Duration(r.Int64N(int64(3 * time.Minute))))
		c := item(fmt.Sprint(r.IntN(9)), most)
		taken, err := s.Counts.Take(ctx, newCall(), []store.Claim{c}, make([]store.Count, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, exact := log.within(s.Now().Add(-window))
		_, late := log.within(s.Now().Add(-window - window/30))
		exact[c.Item], late[c.Item] = true, true
		if taken && len(exact) > most || !taken && len(late) <= most {
			t.Fatalf("got taken %v of %q, where the window comes to %d and a longer one to %d of %d", taken, c.Item, len(exact), len(late), most)
		}
		if taken {
			log = append(log, logged{{s.Now(), 1, c.Item}}...)
		}
	}
}

// countSecond lets a window of a second pass on the store's own clock.
func countSecond(t *testing.T, s Shared) {
	c := sum("second", 3, 1)
	c.Window = time.Second
	l := lease(1)
	l.Window = time.Second
	begun := time.Now()
	s.take(t, true, c, l)
	s.take(t, true, c)
	s.take(t, true, c)
	for {
		ok, err := s.Counts.Take(ctx, newCall(), []store.Claim{c, l}, make([]store.Count, 2))
		if err != nil {
			t.Fatal(err)
		}
		passed := time.Since(begun)
		switch {
		case ok && passed < time.Second:
			t.Fatalf("taken after %v, want a second at least", passed)
		case ok:
			return
		case passed > 5*time.Second:
			t.Fatalf("still refused after %v", passed)
		}
	}
}
