package limit

import (
	"context"
	"time"

	"gatehouse/internal/store"
)

// settle tells the store, soon, what a call came to. What a crash keeps it from
// telling stays in the store as it was reserved, but for slots, whose leases end.
func (s *shared) settle(id string, r *reservation) {
	if s == nil || !r.shared {
		return
	}
	finals := make([]store.Final, 0, len(r.settled))
	for i := range r.settled {
		a := &r.settled[i]
		rule := s.l.rule(a.Limit)
		if rule == nil {
			continue // gone meanwhile: the store keeps nothing
		}
		finals = add(finals, store.Final{Limit: a.Limit, Key: a.Key, Item: a.Item, Counting: rule.counting, Window: s.window(rule), N: a.N, At: a.At})
	}
	s.enqueue(settlement{id, finals})
}

// add adds what a call came to in a bucket, where Extend made two amounts of it.
func add(finals []store.Final, f store.Final) []store.Final {
	for i := range finals {
		if finals[i].Limit == f.Limit && finals[i].Key == f.Key {
			finals[i].N += f.N
			return finals
		}
	}
	return append(finals, f)
}

// enqueue never waits. There is one settlement a call, and the store knows what
// the call took, so the order does not matter.
func (s *shared) enqueue(x settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= maxPending {
		s.state.Dropped++
		return
	}
	s.queue = append(s.queue, x)
	s.change()
}

// change wakes all who wait for the queue. The lock is held.
func (s *shared) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// next returns the first settlement of the queue, or what to wait for.
func (s *shared) next() (x settlement, ok bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return x, false, s.changed
	}
	x = s.queue[0]
	s.queue[0] = settlement{}
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	s.inFlight++
	return x, true, nil
}

// settleAll tells the store of one call after another.
func (s *shared) settleAll(ctx context.Context) {
	for ctx.Err() == nil {
		x, ok, changed := s.next()
		if !ok {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		s.settleOne(ctx, x)
		s.mu.Lock()
		s.inFlight--
		s.change()
		s.mu.Unlock()
	}
}

// settleOne tells the store of a call until it answers.
func (s *shared) settleOne(ctx context.Context, x settlement) {
	for pause := 10 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		attempt, cancel := context.WithTimeout(ctx, s.l.o.StoreTimeout)
		err := s.store.Settle(attempt, x.call, x.finals)
		cancel()
		if err == nil {
			return
		}
		s.note(err)
		sleep(ctx, pause)
	}
}

// renew keeps the leases of open calls alive.
func (s *shared) renew(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, s.l.o.LeaseTTL/3)
		ids := s.l.leased()
		for len(ids) > 0 && ctx.Err() == nil {
			n := min(len(ids), 512)
			attempt, cancel := context.WithTimeout(ctx, s.l.o.StoreTimeout)
			s.note(s.store.Renew(attempt, ids[:n]))
			cancel()
			ids = ids[n:]
		}
	}
}

// leased lists the calls that hold a slot.
func (l *Limiter) leased() (ids []string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.eachOpen(func(id string, r *reservation) {
		for i := range r.held {
			if rule := l.rule(r.held[i].Limit); r.shared && rule != nil && rule.lease() {
				ids = append(ids, id)
				return
			}
		}
	})
	return ids
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// close waits until all settlements are told, or for ctx, and stops.
func (s *shared) close(ctx context.Context) (err error) {
	for err == nil {
		s.mu.Lock()
		idle, changed := len(s.queue)+s.inFlight == 0, s.changed
		s.mu.Unlock()
		if idle {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.stop()
	s.done.Wait()
	return err
}
