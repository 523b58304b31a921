package limit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
)

// waiting are the calls that wait for room, in a queue for each bucket. Whoever
// gives something back wakes the first in the bucket's queue. Who leaves a
// queue after being woken wakes the next, so no room stays unused; who arrives
// meanwhile may be faster, since nothing is set aside for those that wait.
type waiting struct {
	number atomic.Int64
	mu     sync.Mutex
	queues map[queueKey][]chan struct{} // each of room for one
}

type queueKey struct{ limit, key string }

// pollShared is how often a call that waits asks a shared store, where others
// free room without telling.
const pollShared = 50 * time.Millisecond

// wake tells the first of a bucket's queue that there may be room.
func (w *waiting) wake(limit, key string) {
	if w.number.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.queues[queueKey{limit, key}]; len(q) > 0 {
		select {
		case q[0] <- struct{}{}:
		default:
		}
	}
}

// join returns nil when the queue is as long as it may be.
func (w *waiting) join(k queueKey, most int) chan struct{} {
	woken := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queues[k]) >= most {
		return nil
	}
	if w.queues == nil {
		w.queues = make(map[queueKey][]chan struct{})
	}
	w.queues[k] = append(w.queues[k], woken)
	return woken
}

func (w *waiting) leave(k queueKey, woken chan struct{}) {
	w.mu.Lock()
	q := w.queues[k]
	for i := range q {
		if q[i] == woken {
			q = append(q[:i], q[i+1:]...)
			break
		}
	}
	if len(q) == 0 {
		delete(w.queues, k)
	} else {
		w.queues[k] = q
	}
	w.mu.Unlock()
	w.wake(k.limit, k.key)
}

// patience is how long the limits that refuse r let it wait; 0 when one of them
// does not, or when nothing can change before then.
func (r *reservation) patience() (longest time.Duration) {
	longest = time.Minute
	for i := range r.claims {
		c := &r.claims[i]
		if !c.over || c.force {
			continue
		}
		if c.rule.Action != Wait || c.full || c.n > c.max {
			return 0
		}
		longest = min(longest, c.rule.Wait)
		if c.rule.more == nil && !c.rule.lease() && c.wait > c.rule.Wait {
			return 0 // only time gives requests back
		}
	}
	return longest
}

// wait asks again, whenever there may be room, until r's patience or ctx ends.
// It returns the last attempt.
func (l *Limiter) wait(ctx context.Context, c *call.Call, r *reservation) *reservation {
	w := &l.waiting
	defer w.number.Add(-1)
	if w.number.Add(1) > int64(l.o.MaxWaiters) {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	for goOn := true; goOn; {
		r, goOn = l.waitOnce(ctx, c, r)
	}
	return r
}

// waitOnce waits in the queue of the bucket that refuses r, as long as that is
// the one that does. It asks again after joining: what is freed in between wakes
// it. It reports whether to go on in the queue of another bucket.
func (l *Limiter) waitOnce(ctx context.Context, c *call.Call, r *reservation) (_ *reservation, goOn bool) {
	x := &r.claims[r.refused]
	k := queueKey{x.rule.Name, string(x.place.key)}
	woken := l.waiting.join(k, max(1, l.o.MaxWaiters/4))
	if woken == nil {
		return r, false
	}
	defer l.waiting.leave(k, woken)
	for {
		r.free()
		r = l.attempt(ctx, c, time.Now())
		switch {
		case r.refused < 0 || r.down != nil || r.patience() == 0:
			return r, false
		case !r.refusedBy(k):
			return r, true
		case !l.pause(ctx, &r.claims[r.refused], woken):
			return r, false
		}
	}
}

func (r *reservation) refusedBy(k queueKey) bool {
	x := &r.claims[r.refused]
	return x.rule.Name == k.limit && string(x.place.key) == k.key
}

// pause waits until x may fit. It reports false when ctx has ended.
func (l *Limiter) pause(ctx context.Context, x *claim, woken chan struct{}) bool {
	d := x.wait
	if l.shared != nil {
		d = min(d, pollShared)
	}
	timer := time.NewTimer(max(d, time.Millisecond))
	defer timer.Stop()
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}
