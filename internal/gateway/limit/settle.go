package limit

import (
	"context"
	"time"

	"gatehouse/internal/call"
)

// Settle makes the reservation of c what the call came to, up or down, and sets
// r.Settled. For a call that is not open it does nothing. What was taken counts
// when it was taken, so what a call did not use was never used.
func (l *Limiter) Settle(c *call.Call, r *call.Result, now time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	held := l.end(c.ID)
	if held == nil {
		return
	}
	l.finish(held, func(rule *rule, _ int, held int64) int64 { return rule.settle(held, rule.Window, c, r) })
	r.Settled = held.settled
	l.alerts(held, now)
	l.shared.settle(c.ID, held)
}

// Release gives back all that is held for c, in every window: it was not
// admitted after all, and nothing was sent.
func (l *Limiter) Release(c *call.Call) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if held := l.end(c.ID); held != nil {
		l.finish(held, func(*rule, int, int64) int64 { return 0 })
		l.shared.settle(c.ID, held)
	}
}

// finish brings every bucket of a call that has ended to its final amount, and
// lists in settled what is left. final gets the first amount held of a bucket,
// by index, and the sum of all of them. What is final fills the oldest first.
func (l *Limiter) finish(r *reservation, final func(rule *rule, i int, sum int64) int64) {
	for i := range r.held {
		sum, last, first := r.sum(i)
		if !first {
			continue
		}
		rule := r.rule(i, l.ruleAt(i, r.held[i].Limit))
		rest := sum
		if rule != nil {
			rest = final(rule, i, sum)
		}
		for j := i; j <= last; j++ {
			if j > i && !same(&r.held[j], &r.held[i]) {
				continue
			}
			a := &r.held[j]
			n := min(a.N, rest)
			if j == last {
				n = rest
			}
			rest -= n
			if change := n - a.N; change != 0 && rule != nil && rule.table.adjust(r.place(j, rule), rule.column, a.Key, a.Item, a.At, change) {
				l.waiting.wake(a.Limit, a.Key)
			}
			if n != 0 {
				r.settled = append(r.settled, *a)
				r.settled[len(r.settled)-1].N = n
			}
		}
	}
}

// sum adds up what is held of the bucket of amount i, and tells the last amount
// of that bucket and whether i is the first. Only Extend makes several.
func (r *reservation) sum(i int) (sum int64, last int, first bool) {
	a := &r.held[i]
	if i >= r.admitted {
		for j := range i {
			if same(&r.held[j], a) {
				return 0, 0, false
			}
		}
	}
	sum, last = a.N, i
	for j := max(i+1, r.admitted); j < len(r.held); j++ {
		if same(&r.held[j], a) {
			sum, last = sum+r.held[j].N, j
		}
	}
	return sum, last, true
}

// rule returns the limit that now has the name of amount i's, nil when that
// counts something else than it did at admission.
func (r *reservation) rule(i int, now *rule) *rule {
	if now == nil || i < len(r.claims) && r.claims[i].rule == now {
		return now
	}
	for j := range r.claims {
		if then := r.claims[j].rule; then.Name == now.Name && then.meaning != now.meaning {
			return nil
		}
	}
	return now
}

// place is where amount i was taken, nil when that is not known any more.
func (r *reservation) place(i int, now *rule) *place {
	if i < len(r.claims) && r.claims[i].rule == now && string(r.claims[i].place.key) == r.held[i].Key {
		return r.claims[i].place
	}
	return nil
}

func same(a, b *call.Amount) bool { return a.Limit == b.Limit && a.Key == b.Key }

// ruleAt is rule, for the i-th amount of a call: most calls belong to all limits.
func (l *Limiter) ruleAt(i int, name string) *rule {
	if i < len(l.rules) && l.rules[i].Name == name {
		return l.rules[i]
	}
	return l.rule(name)
}

// Extend takes what so many more output tokens of a running call come to, from
// every limit that counts them, or nothing. It reports whether it did: when it
// did not, the answer must end. A call that is not open is not extended.
//
// The journal's admit does not carry what Extend took; the result carries what
// the call came to. Only a call that a crash interrupts is charged without it.
func (l *Limiter) Extend(ctx context.Context, c *call.Call, tokens int64) bool {
	r := newReservation()
	defer r.free()
	held := l.claimMore(r, c, tokens, time.Now())
	if held == nil || l.shared != nil && !l.shared.extend(ctx, r, c.ID) {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.opened(c.ID)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls[c.ID] != held {
		return false
	}
	lock(r.places)
	defer unlock(r.places)
	find(r.places, r.at, true)
	if look(r.claims) >= 0 {
		return false
	}
	r.take()
	held.held = append(held.held, r.held...)
	return true
}

// claimMore lists the buckets that so many more output tokens belong to, and
// returns what is held for the call, nil if it is not open.
func (l *Limiter) claimMore(r *reservation, c *call.Call, tokens int64, now time.Time) *reservation {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.opened(c.ID)
	o.mu.Lock()
	defer o.mu.Unlock()
	held := o.calls[c.ID]
	if held == nil {
		return nil
	}
	r.begin(len(l.tables), l.instant(now))
	for i := range held.held {
		a := &held.held[i]
		rule := held.rule(i, l.rule(a.Limit))
		if _, _, first := held.sum(i); !first || rule == nil || rule.more == nil {
			continue
		}
		n := min(rule.more(c, tokens), maxCount)
		if n <= 0 {
			continue
		}
		p := &r.places[rule.place]
		if p.table == nil {
			p.table = rule.table
			p.locate([]byte(a.Key))
		}
		if string(p.key) != a.Key {
			return nil // of a journal of other limits: no such call runs
		}
		r.claim(rule, c, p, n)
	}
	return held
}
