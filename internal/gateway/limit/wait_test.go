package limit_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

func waits(l limit.Limit, d time.Duration) limit.Limit {
	l.Action, l.Wait = limit.Wait, d
	return l
}

// TestWait: calls wait for what time or others give back, no longer than the
// limit says, and count from when they are admitted.
func TestWait(t *testing.T) {
	slots := waits(per("concurrency", 1, 0), 5*time.Second)
	rate := waits(perUser("rate", 1, 2*limit.Window(time.Second)), 5*time.Second)
	tokens := waits(per("tokens", 1100, minute), 5*time.Second)
	for _, tt := range []struct {
		name   string
		limits []limit.Limit
		before func(l *limit.Limiter, first *call.Call) // a second after the first call
		ctx    time.Duration                            // ends the wait; 0: never
		want   bool
		after  time.Duration // since the first call
	}{
		{"a slot is freed", []limit.Limit{slots}, func(l *limit.Limiter, c *call.Call) { l.Settle(c, &call.Result{Worked: true}, time.Now()) }, 0, true, time.Second},
		{"no slot is freed", []limit.Limit{slots}, nil, 0, false, 5 * time.Second},
		{"the caller leaves", []limit.Limit{slots}, nil, 2 * time.Second, false, 2 * time.Second},
		{"the window passes", []limit.Limit{rate}, nil, 0, true, 2 * time.Second},
		{"released", []limit.Limit{rate}, func(l *limit.Limiter, c *call.Call) { l.Release(c) }, 0, true, time.Second},
		{"tokens go back", []limit.Limit{tokens}, func(l *limit.Limiter, c *call.Call) { l.Settle(c, &call.Result{Worked: true}, time.Now()) }, 0, true, time.Second},
		{"a longer window than the wait", []limit.Limit{waits(perUser("rate", 1, minute), 5*time.Second)}, nil, 0, false, 0},
		{"another limit refuses", []limit.Limit{slots, perUser("hard", 1, minute)}, nil, 0, false, 0},
		{"the shortest wait", []limit.Limit{slots, waits(per("tokens", 1100, minute), 3*time.Second)}, nil, 0, false, 3 * time.Second},
		{"another limit refuses after the wait", []limit.Limit{slots, perUser("hard", 1, limit.Window(time.Second)/2*3)}, nil, 0, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			l := newLimiter(t, began, tt.limits...)
			first, second := modelCall("ann"), modelCall("ann")
			if _, ref := l.Reserve(ctx, first, time.Now()); ref != nil {
				t.Fatal(ref)
			}
			if tt.before != nil {
				time.AfterFunc(time.Second, func() { tt.before(l, first) })
			}
			ctx := ctx
			if tt.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.ctx)
				defer cancel()
			}
			_, ref := l.Reserve(ctx, second, time.Now())
			took := time.Since(began)
			if (ref == nil) != tt.want || took < tt.after || took > tt.after+50*time.Millisecond {
				t.Errorf("%s: got %v after %v, want admitted %v after %v", tt.name, ref, took, tt.want, tt.after)
			}
			if ref == nil && second.Amounts[0].At < began.Add(tt.after).UnixNano() {
				t.Errorf("%s: counted at %d, before it was admitted", tt.name, second.Amounts[0].At)
			}
			if limit.Waiting(l) > 0 {
				t.Errorf("%s: somebody still waits", tt.name)
			}
		})
	}
}

// TestWaiters: everybody gets a turn, in time, and never more than Max at once;
// beyond the bound on waiters, of which one bucket may have a quarter, calls are
// refused at once.
func TestWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := limit.New(limit.Options{MaxWaiters: 200, Limits: []limit.Limit{waits(per("concurrency", 4, 0), time.Minute), per("requests", 1000, minute)}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var mu sync.Mutex
		running, most, done, refused := 0, 0, 0, 0
		var wg sync.WaitGroup
		for range 100 {
			c := modelCall("ann")
			wg.Go(func() {
				_, ref := l.Reserve(ctx, c, time.Now())
				mu.Lock()
				defer mu.Unlock()
				if ref != nil {
					refused++
					if took := time.Since(began); took > 0 {
						t.Errorf("refused after %v, want at once", took)
					}
					return
				}
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				done++
				l.Settle(c, &call.Result{Worked: true}, time.Now())
			})
		}
		wg.Wait()
		// 54 calls, four at a time, a second each.
		if took := time.Since(began); most != 4 || done != 54 || refused != 46 || took > 14*time.Second+50*time.Millisecond {
			t.Errorf("ran %d at once, %d in all, refused %d, took %v; want 4, 54, 46, 14 s", most, done, refused, took)
		}
	})
}

// TestManyWaiters: all buckets together have no more waiters than are allowed.
func TestManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := limit.New(limit.Options{MaxWaiters: 8, Limits: []limit.Limit{waits(per("concurrency", 1, 0), time.Minute)}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for i := range 40 {
			c := modelCall([]string{"a", "b", "c", "d", "e", "f", "g", "h"}[i%8])
			wg.Go(func() { l.Reserve(ctx, c, time.Now()) })
		}
		synctest.Wait()
		if n := limit.Waiters(l); n != 8 {
			t.Errorf("%d wait, want 8", n)
		}
		cancel()
		wg.Wait()
	})
}

// TestWaitersLeave: who gives up while being woken leaves its turn to the next.
func TestWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, time.Now(), waits(per("concurrency", 1, 0), time.Minute))
		first := modelCall("ann")
		l.Reserve(ctx, first, time.Now())
		leaves, cancel := context.WithCancel(ctx)
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { l.Reserve(leaves, modelCall("ann"), time.Now()) })
		synctest.Wait()
		wg.Go(func() {
			if _, ref := l.Reserve(ctx, modelCall("ann"), time.Now()); ref != nil || time.Since(began) > time.Second {
				t.Errorf("the next: %v after %v", ref, time.Since(began))
			}
		})
		synctest.Wait()
		time.Sleep(time.Second)
		cancel()
		l.Settle(first, &call.Result{Worked: true}, time.Now())
		wg.Wait()
	})
}
