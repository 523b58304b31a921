package limit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/store"
)

// flaky is a shared store whose line fails: before it is asked, behind its
// answer, or by never answering, when the question may arrive long after.
type flaky struct {
	store *limit.Memory
	mu    sync.Mutex
	fault func() fault
	late  sync.WaitGroup
}

type fault int

const (
	works fault = iota
	unreachable
	lost // done, but nobody hears of it
	slow // not done in time, and done in the end
)

func newFlaky() *flaky { return &flaky{store: limit.NewMemory(time.Now)} }

func (f *flaky) set(x fault) { f.setFunc(func() fault { return x }) }

func (f *flaky) setFunc(fn func() fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fn
}

func (f *flaky) do(ctx context.Context, op func(ctx context.Context)) error {
	f.mu.Lock()
	x := works
	if f.fault != nil {
		x = f.fault()
	}
	f.mu.Unlock()
	switch x {
	case unreachable:
		return store.ErrDown
	case lost:
		op(ctx)
		return store.ErrDown
	case slow:
		f.late.Go(func() {
			time.Sleep(5 * time.Second)
			op(context.WithoutCancel(ctx))
		})
		<-ctx.Done()
		return errors.Join(store.ErrDown, ctx.Err())
	}
	op(ctx)
	return nil
}

func (f *flaky) Take(ctx context.Context, call string, claims []store.Claim, counts []store.Count) (taken bool, err error) {
	got := make([]store.Count, len(counts))
	if err = f.do(ctx, func(ctx context.Context) { taken, _ = f.store.Take(ctx, call, claims, got) }); err != nil {
		return false, err
	}
	copy(counts, got)
	return taken, nil
}

func (f *flaky) Extend(ctx context.Context, call string, claims []store.Claim, counts []store.Count) (taken bool, err error) {
	got := make([]store.Count, len(counts))
	if err = f.do(ctx, func(ctx context.Context) { taken, _ = f.store.Extend(ctx, call, claims, got) }); err != nil {
		return false, err
	}
	copy(counts, got)
	return taken, nil
}

func (f *flaky) Settle(ctx context.Context, call string, finals []store.Final) error {
	return f.do(ctx, func(ctx context.Context) { f.store.Settle(ctx, call, finals) })
}

func (f *flaky) Renew(ctx context.Context, calls []string) error {
	return f.do(ctx, func(ctx context.Context) { f.store.Renew(ctx, calls) })
}

// used asks the store itself how full a user's bucket is.
func (f *flaky) used(l limit.Limit) int64 {
	c := store.Claim{Limit: l.Name, Key: "ann", Window: time.Duration(l.Window), Max: 1e15}
	switch l.Measure {
	case "concurrency":
		c.Counting, c.Window = store.Leases, 30*time.Second
	case "models":
		c.Counting = store.Distinct
	}
	counts := make([]store.Count, 1)
	f.store.Settle(ctx, "reader", nil)
	f.store.Take(ctx, "reader", []store.Claim{c}, counts)
	return counts[0].Used
}

func gateway(t testing.TB, f *flaky, replicas int, limits ...limit.Limit) *limit.Limiter {
	l, err := limit.New(limit.Options{Limits: limits, Shared: f, Replicas: func() int { return replicas }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shut closes a limiter and wants the store to know everything.
func shut(t testing.TB, l *limit.Limiter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil || l.State().Pending != 0 {
		t.Errorf("closed with %v, %+v", err, l.State())
	}
}

func onError(l limit.Limit, does string) limit.Limit {
	l.OnStoreError = does
	return l
}

// TestSharedExact is L02: three gateways, and exactly as many as one would admit.
func TestSharedExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		limits := []limit.Limit{perUser("day", 50, limit.Day), per("tokens", 1100*60, minute), per("concurrency", 70, 0)}
		var gates [3]*limit.Limiter
		for i := range gates {
			gates[i] = gateway(t, f, 3, limits...)
			defer shut(t, gates[i])
		}
		var admitted, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range 1000 {
			c := modelCall("ann")
			wg.Go(func() {
				d, ref := gates[i%3].Reserve(ctx, c, time.Now())
				if ref == nil {
					admitted.Add(1)
				} else if refused.Add(1); ref.Reason != "quota_exceeded" || d.Buckets[d.Tightest].Remaining != 0 {
					t.Errorf("refused by %+v, %+v", ref, d)
				}
			})
		}
		wg.Wait()
		if admitted.Load() != 50 || refused.Load() != 950 || f.used(limits[0]) != 50 {
			t.Errorf("admitted %d, refused %d, the store has %d; want 50, 950, 50", admitted.Load(), refused.Load(), f.used(limits[0]))
		}
	})
}

// TestStoreDown is L04: each limit does what it says while the store does not
// answer, whatever the way; and when it answers again it counts every call that
// passed and none that did not.
func TestStoreDown(t *testing.T) {
	requests, spend := perUser("requests", 9, minute), per("usd", 1e15, limit.Day)
	flag := spend
	flag.Name, flag.Action = "flag", limit.Flag
	for _, x := range []fault{unreachable, lost, slow} {
		for _, tt := range []struct {
			name   string
			limits []limit.Limit
			want   int // of 12, with three gateways
			reason call.Reason
			notes  int
		}{
			{"rates share", []limit.Limit{requests}, 3, "rate_limited", 0},
			{"money denies", []limit.Limit{requests, spend}, 0, "limit_store_down", 0},
			{"tokens deny", []limit.Limit{requests, per("tokens", 1e15, minute)}, 0, "limit_store_down", 0},
			{"money that only flags", []limit.Limit{requests, flag}, 3, "rate_limited", 0},
			{"a rate that denies", []limit.Limit{onError(requests, limit.Deny)}, 0, "limit_store_down", 0},
			{"money that shares", []limit.Limit{onError(spend, limit.LocalShare)}, 12, "", 0},
			{"all allowed", []limit.Limit{onError(requests, limit.Allow), onError(spend, limit.Allow)}, 12, "", 24},
			{"slots share", []limit.Limit{per("concurrency", 6, 0)}, 2, "rate_limited", 0},
			{"less than one each", []limit.Limit{per("concurrency", 2, 0)}, 1, "rate_limited", 0},
		} {
			synctest.Test(t, func(t *testing.T) {
				f := newFlaky()
				f.set(x)
				l := gateway(t, f, 3, tt.limits...)
				passed, notes := 0, 0
				var open []*call.Call
				for range 12 {
					c := modelCall("ann")
					began := time.Now()
					_, ref := l.Reserve(ctx, c, time.Now())
					if took := time.Since(began); took > 110*time.Millisecond {
						t.Errorf("%s: answered after %v", tt.name, took)
					}
					if ref == nil {
						passed++
						notes += len(c.Notes)
						open = append(open, c)
					} else if ref.Reason != tt.reason || ref.RetryAfter < time.Second {
						t.Errorf("%s: got %+v, want %s", tt.name, ref, tt.reason)
					}
				}
				if s := l.State(); passed != tt.want || notes != tt.notes || s.Up || s.Errors == 0 || s.Since.IsZero() {
					t.Errorf("fault %d, %s: passed %d with %d notes, state %+v; want %d, %d", x, tt.name, passed, notes, s, tt.want, tt.notes)
				}
				for _, c := range open {
					l.Settle(c, &call.Result{Worked: true, Cost: 7}, time.Now())
				}
				f.set(works)
				time.Sleep(20 * time.Second)
				f.late.Wait()
				if _, ref := l.Reserve(ctx, modelCall("bob"), time.Now()); ref != nil || !l.State().Up {
					t.Errorf("%s: after the store is back: %v, %+v", tt.name, ref, l.State())
				}
				shut(t, l)
				for _, row := range tt.limits {
					want := map[string]int64{"requests": 1, "usd": 7}[row.Measure] * int64(tt.want)
					if got := f.used(row); got != want {
						t.Errorf("fault %d, %s: the store has %d of %s, want %d", x, tt.name, got, row.Name, want)
					}
				}
			})
		}
	}
}

// TestStoreForgets: a store that lost its counts still decides, whatever ours are.
func TestStoreForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		l := gateway(t, f, 1, perUser("requests", 1, minute))
		defer shut(t, l)
		for range 2 {
			if _, ref := l.Reserve(ctx, modelCall("ann"), time.Now()); ref != nil {
				t.Errorf("the store is empty: got %v", ref)
			}
			if d, ref := l.Reserve(ctx, modelCall("ann"), time.Now()); ref == nil || d.Buckets[0].Used != 1 {
				t.Errorf("the store is full: got %+v, %v", d, ref)
			}
			f.store = limit.NewMemory(time.Now)
		}
	})
}

// TestSharedAlerts: a fraction that gateways reach together is told.
func TestSharedAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		var told atomic.Int64
		var gates [2]*limit.Limiter
		for i := range gates {
			var err error
			gates[i], err = limit.New(limit.Options{Shared: f, Limits: []limit.Limit{per("usd", limit.USD, limit.Day)}, Alert: func(a limit.Alert) { told.Add(a.Permille) }})
			if err != nil {
				t.Fatal(err)
			}
			defer shut(t, gates[i])
		}
		for i := range 8 { // 0.1 USD each: after the fifth, 500 of 1000
			c := modelCall("ann")
			gates[i%2].Reserve(ctx, c, time.Now())
			gates[i%2].Settle(c, &call.Result{Worked: true, Cost: limit.USD / 10}, time.Now())
			time.Sleep(time.Second)
		}
		if got := told.Load(); got != 2*500 {
			t.Errorf("told %d, want 500 by each", got)
		}
	})
}

// TestSharedTwice: a second Reserve of an open call asks for nothing more, so it
// does not matter that the store is down, and gives nothing back.
func TestSharedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		spend := per("usd", limit.USD, limit.Day)
		l := gateway(t, f, 1, spend)
		c := modelCall("ann")
		l.Reserve(ctx, c, time.Now())
		f.set(unreachable)
		if _, ref := l.Reserve(ctx, c, time.Now()); ref != nil {
			t.Error(ref)
		}
		f.set(works)
		shut(t, l)
		if got := f.used(spend); got != 3_300_000 {
			t.Errorf("the store has %d, want what was reserved", got)
		}
	})
}

// TestStoreFlaps: whatever fails when, in the end the store has counted what
// every call that passed came to, and holds nothing for those that have ended.
func TestStoreFlaps(t *testing.T) {
	limits := []limit.Limit{
		onError(per("requests", 1e6, limit.Day), limit.Allow), onError(per("usd", 1e15, limit.Month), limit.LocalShare),
		per("concurrency", 40, 0), per("models", 8, limit.Window(time.Hour)),
	}
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			f := newFlaky()
			faults := rand.New(rand.NewPCG(seed, 2)) // of its own: it is asked by other goroutines
			f.setFunc(func() fault { return fault(max(0, faults.IntN(9)-5)) })
			gates := [2]*limit.Limiter{gateway(t, f, 2, limits...), gateway(t, f, 2, limits...)}
			passed, cost := int64(0), int64(0)
			for range 150 {
				l, c := gates[rnd.IntN(2)], modelCall("ann")
				if _, ref := l.Reserve(ctx, c, time.Now()); ref != nil {
					continue
				}
				if rnd.IntN(8) == 0 {
					l.Release(c)
					continue
				}
				if rnd.IntN(4) == 0 {
					l.Extend(ctx, c, 10)
				}
				r := &call.Result{Worked: rnd.IntN(4) > 0}
				if r.Worked {
					r.Cost = rnd.Int64N(9_999_999)
					passed, cost = passed+1, cost+r.Cost
				}
				l.Settle(c, r, time.Now())
			}
			f.set(works)
			f.late.Wait()
			shut(t, gates[0])
			shut(t, gates[1])
			got := map[string]int64{"requests": f.used(limits[0]), "usd": f.used(limits[1]), "concurrency": f.used(limits[2])}
			if diff := cmp.Diff(map[string]int64{"requests": passed, "usd": cost, "concurrency": 0}, got); diff != "" {
				t.Errorf("seed %d, %+v: %s", seed, gates[0].State(), diff)
			}
		})
	}
}

// TestSharedLeases: a slot is held as long as its gateway lives and the call is
// open, and is free soon after the gateway died.
func TestSharedLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		slots := per("concurrency", 1, 0)
		l, other := gateway(t, f, 2, slots), gateway(t, f, 2, slots)
		defer shut(t, other)
		c := modelCall("ann")
		l.Reserve(ctx, c, time.Now())
		time.Sleep(10 * time.Minute)
		if _, ref := other.Reserve(ctx, modelCall("ann"), time.Now()); ref == nil || ref.RetryAfter != time.Second {
			t.Errorf("while the slot is held: got %+v, want a refusal for a second", ref)
		}
		shut(t, l) // it tells of calls that have ended, and this one has not
		time.Sleep(31 * time.Second)
		if _, ref := other.Reserve(ctx, modelCall("ann"), time.Now()); ref != nil {
			t.Errorf("after its gateway died: %v", ref)
		}
	})
}

// TestSharedWait: a slot that another gateway frees is noticed.
func TestSharedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		slots := waits(per("concurrency", 1, 0), 5*time.Second)
		l, other := gateway(t, f, 2, slots), gateway(t, f, 2, slots)
		defer shut(t, l)
		defer shut(t, other)
		c, began := modelCall("ann"), time.Now()
		l.Reserve(ctx, c, time.Now())
		time.AfterFunc(time.Second, func() { l.Settle(c, &call.Result{Worked: true}, time.Now()) })
		if _, ref := other.Reserve(ctx, modelCall("ann"), time.Now()); ref != nil || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("got %v after %v, want admitted after a second", ref, time.Since(began))
		}
	})
}

// TestSharedExtend: the store decides about more too.
func TestSharedExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		tokens := per("tokens", 2500, minute)
		l, other := gateway(t, f, 2, tokens), gateway(t, f, 2, tokens)
		defer shut(t, l)
		defer shut(t, other)
		a, b := modelCall("ann"), modelCall("ann")
		l.Reserve(ctx, a, time.Now())
		other.Reserve(ctx, b, time.Now())
		if !l.Extend(ctx, a, 50) || other.Extend(ctx, b, 50) {
			t.Error("want the first extension only")
		}
		f.set(unreachable)
		if l.Extend(ctx, a, 1) {
			t.Error("extended without the store, which tokens need")
		}
		f.set(works)
		l.Settle(a, &call.Result{Worked: true, Usage: call.Usage{Output: 250}}, time.Now())
		other.Release(b)
		time.Sleep(time.Second)
		if got := f.used(tokens); got != 1250 {
			t.Errorf("the store has %d, want 1250", got)
		}
	})
}

// TestPendingBound: a store that stays away does not fill the memory, and what
// it will not be told is counted.
func TestPendingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky()
		f.set(unreachable)
		l := gateway(t, f, 1, onError(perUser("requests", 1e9, minute), limit.Allow))
		const calls = 40_000
		for range calls {
			c := newCall("ann")
			d, _ := l.Reserve(ctx, c, time.Now())
			l.Settle(c, &call.Result{Worked: true}, time.Now())
			d.Free()
		}
		s := l.State()
		if s.Pending > 1<<15+4 || int64(s.Pending)+s.Dropped != calls {
			t.Errorf("got %+v, want all of %d pending or dropped", s, calls)
		}
		gone, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := l.Close(gone); err == nil {
			t.Error("closed without an error")
		}
	})
}
