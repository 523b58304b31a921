package limit

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// shared asks a store that several gateways share. A call is admitted when the
// store says so, and then counted here too, beyond any maximum, so that there
// are counts of our own to go by while the store is down. Then each limit does
// as its OnStoreError says:
//
//	deny         the call is refused as call.StoreDown
//	local_share  our own counts decide, by Max divided by the gateways
//	allow        the call passes, with a note
//
// The store is asked for every call, so it is used again as soon as it answers.
// A Take without an answer may have counted; the settlement that follows puts
// that right. Settlements are told in the background until the store has them.
type shared struct {
	l     *Limiter
	store store.Counts
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu       sync.Mutex
	state    StoreState
	queue    []settlement
	inFlight int
	changed  chan struct{} // closed and replaced when queue or inFlight changes
}

// settlement is a call that has ended, and what it came to in each bucket.
type settlement struct {
	call   string
	finals []store.Final
}

// StoreState is how the shared store is doing.
type StoreState struct {
	Up      bool      // it answered when it was last asked
	Since   time.Time // since when it has been so; zero: not asked yet
	Pending int       // ended calls it has not been told of
	Errors  int64     // times it did not answer
	Dropped int64     // ended calls it will never be told of, since too many were pending: it keeps what they reserved
}

const (
	maxPending = 1 << 15
	settlers   = 4
)

func newShared(l *Limiter) *shared {
	ctx, stop := context.WithCancel(context.Background())
	s := &shared{l: l, store: l.o.Shared, stop: stop, changed: make(chan struct{}), state: StoreState{Up: true}}
	for range settlers {
		s.done.Go(func() { s.settleAll(ctx) })
	}
	s.done.Go(func() { s.renew(ctx) })
	return s
}

// State is how the shared store is doing; without one, nothing to worry about.
func (l *Limiter) State() StoreState {
	if l.shared == nil {
		return StoreState{Up: true}
	}
	s := l.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.Pending = len(s.queue) + s.inFlight
	return state
}

// attempt fills r as Limiter.attempt says.
func (s *shared) attempt(ctx context.Context, r *reservation, c *call.Call, now time.Time) {
	s.l.mu.RLock()
	s.l.claim(r, c, now)
	s.l.mu.RUnlock()
	if s.l.isOpen(c.ID) || len(r.claims) == 0 {
		s.take(r, c.ID)
		return
	}
	r.shared = true
	counts, taken, err := s.ask(ctx, s.store.Take, c.ID, r.claims)
	switch {
	case err != nil:
		s.alone(r, c.ID, err)
	case taken:
		for i := range r.claims {
			r.claims[i].force = true
		}
		s.take(r, c.ID)
		r.tell(counts)
		s.l.alertShared(r, now)
	default:
		r.refused = r.tell(counts)
	}
}

func (l *Limiter) isOpen(id string) bool {
	o := l.opened(id)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[id] != nil
}

// take counts in our own memory.
func (s *shared) take(r *reservation, id string) {
	s.l.mu.RLock()
	defer s.l.mu.RUnlock()
	s.l.take(r, id)
}

// alone decides without the store.
func (s *shared) alone(r *reservation, id string, err error) {
	if rule := r.share(s.l.o.Replicas()); rule != nil {
		r.down = call.StoreDown.With("limit " + rule.Name + ": " + err.Error())
		r.down.Limit = rule.Name
	} else {
		s.take(r, id)
	}
	if r.down != nil || r.refused >= 0 {
		s.enqueue(settlement{call: id}) // in case it was taken
	}
}

// share makes each claim what its limit says of a store that is down. It
// returns a rule that cannot do without.
func (r *reservation) share(replicas int) (denies *rule) {
	for i := range r.claims {
		c := &r.claims[i]
		switch {
		case c.rule.soft:
		case c.rule.OnStoreError == Deny:
			return c.rule
		case c.rule.OnStoreError == Allow:
			c.force, c.unchecked = true, true
		default:
			c.max = max(1, c.max/int64(max(1, replicas)))
			if c.rule.tokens {
				c.n = min(c.n, c.max)
			}
		}
	}
	return nil
}

// extend asks for more of sums of an open call. It reports whether our own
// counts may be asked, or told.
func (s *shared) extend(ctx context.Context, r *reservation, id string) bool {
	if len(r.claims) == 0 {
		return true
	}
	_, taken, err := s.ask(ctx, s.store.Extend, id, r.claims)
	if err != nil {
		return r.share(s.l.o.Replicas()) == nil
	}
	for i := range r.claims {
		r.claims[i].force = true
	}
	return taken
}

// ask asks the store about claims, for a bounded time. The caller's leaving does
// not end it: a Take that is cut off would have to be settled.
func (s *shared) ask(ctx context.Context, of func(context.Context, string, []store.Claim, []store.Count) (bool, error), id string, claims []claim) ([]store.Count, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.l.o.StoreTimeout)
	defer cancel()
	asked, counts := make([]store.Claim, len(claims)), make([]store.Count, len(claims))
	for i := range claims {
		c := &claims[i]
		asked[i] = store.Claim{Limit: c.rule.Name, Key: string(c.place.key), Item: c.item, Counting: c.rule.counting, Window: s.window(c.rule), Max: c.max, N: c.n, Force: c.force}
	}
	taken, err := of(ctx, id, asked, counts)
	if err == nil && !taken && !refuses(asked, counts) {
		err = errors.New("shared store refuses without a reason")
	}
	s.note(err)
	return counts, taken, err
}

// refuses reports whether an answer that refuses says which claim is over.
func refuses(claims []store.Claim, counts []store.Count) bool {
	for i := range counts {
		if counts[i].Over && !claims[i].Force {
			return true
		}
	}
	return false
}

// window is that of a rule in the store, where leases are short and renewed.
func (s *shared) window(r *rule) time.Duration {
	if r.lease() {
		return s.l.o.LeaseTTL
	}
	return time.Duration(r.Window)
}

// tell puts the store's counts into r, and returns which claim refuses.
func (r *reservation) tell(counts []store.Count) (refused int) {
	refused = -1
	for i := range r.claims {
		c, n := &r.claims[i], &counts[i]
		c.used, c.over, c.full, c.wait, c.reset, c.force = n.Used, n.Over, n.Full, n.Wait, n.Reset, c.rule.soft
		if c.over && !c.force && (refused < 0 || c.wait > r.claims[refused].wait) {
			refused = i
		}
	}
	return refused
}

// note puts down whether the store answered.
func (s *shared) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up := err == nil; up != s.state.Up || s.state.Since.IsZero() {
		s.state.Up, s.state.Since = up, time.Now()
	}
	if err != nil {
		s.state.Errors++
	}
}
