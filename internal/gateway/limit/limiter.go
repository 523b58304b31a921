package limit

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// Options are what a Limiter is made of.
type Options struct {
	Limits     []Limit
	MaxKeys    int           // keys that limits which count the same calls by the same things keep, about; 0: a million
	Start      time.Time     // when this process began; zero: now
	Longest    time.Duration // that a call can last, after which its slot is free whatever happens; 0: an hour
	MaxWaiters int           // calls that wait for room at once, a quarter of them for that of one bucket; others are refused; 0: 1,024
	Alert      func(Alert)   // called when a fraction of a limit is reached, on a goroutine of its own; nil: not

	Shared       store.Counts  // counts that several gateways share; nil: each has its own
	Replicas     func() int    // how many gateways share it, for limits whose OnStoreError is local_share; nil: one
	StoreTimeout time.Duration // longest wait for the shared store; 0: 100 ms
	LeaseTTL     time.Duration // after which the shared store frees the slots of a gateway that died; 0: 30 s
}

func (o *Options) defaults() {
	or(&o.MaxKeys, 1<<20)
	or(&o.Longest, time.Hour)
	or(&o.MaxWaiters, 1024)
	or(&o.StoreTimeout, 100*time.Millisecond)
	or(&o.LeaseTTL, 30*time.Second)
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	if o.Replicas == nil {
		o.Replicas = func() int { return 1 }
	}
}

func or[T int | time.Duration](v *T, byDefault T) {
	if *v <= 0 {
		*v = byDefault
	}
}

// Limiter holds the limits, their counts, and the reservations of open calls.
// It is safe for concurrent use.
type Limiter struct {
	o      Options
	shared *shared // nil: there is no shared store

	// mu is held for reading while counts or reservations change, and for
	// writing while they must stand still together.
	mu     sync.RWMutex
	rules  []*rule  // by name
	tables []*table // of the rules, in the order of locking
	seed   maphash.Seed
	open   [shardCount]openCalls

	waiting  waiting
	alerting atomic.Int64 // alerts that are being told

	snapshotSize int // of the last one
}

// New returns a Limiter, or all that is wrong with the limits. One with a
// shared store must be closed.
func New(o Options) (*Limiter, error) {
	o.defaults()
	l := &Limiter{o: o, seed: maphash.MakeSeed()}
	var err error
	l.rules, l.tables, err = compile(o.Limits, &l.o)
	if err != nil {
		return nil, err
	}
	if o.Shared != nil {
		l.shared = newShared(l)
	}
	return l, nil
}

// Close stops what runs for the shared store, after telling it of calls that
// have ended, for which it waits no longer than ctx. Nothing may be asked of
// the limiter any more.
func (l *Limiter) Close(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	return l.shared.close(ctx)
}

// instant is a moment as windows count it: the calendar follows the clock,
// sliding windows follow the time that has passed since the start.
type instant struct{ clock, passed int64 }

func (l *Limiter) instant(now time.Time) instant {
	return instant{now.UnixNano(), l.o.Start.UnixNano() + int64(now.Sub(l.o.Start))}
}

func (i instant) of(w Window) int64 {
	if w < 0 {
		return i.clock
	}
	return i.passed
}

func (l *Limiter) at(w Window, now time.Time) int64 { return l.instant(now).of(w) }

// Reserve takes what c may come to from every bucket it belongs to, or nothing
// from any. now must be the present time: counting at an earlier one would let
// a caller who sends a head early and the body late slip between windows.
// Reserve sets c.Amounts, and c.Notes where a limit that only flags or observes
// is full. A second Reserve of an open call takes nothing more.
//
// When only limits with action wait refuse, Reserve waits for room, as long as
// the shortest of them says, and no longer than ctx.
func (l *Limiter) Reserve(ctx context.Context, c *call.Call, now time.Time) (Decision, *call.Refusal) {
	if c.Principal == nil {
		return Decision{}, call.Internal.With("limit: call has no principal")
	}
	r := l.attempt(ctx, c, now)
	if r.refused >= 0 && r.patience() > 0 {
		r = l.wait(ctx, c, r)
	}
	switch {
	case r.down != nil:
		return r.decide(), r.down
	case r.refused >= 0:
		x := &r.claims[r.refused]
		l.alertRefused(x, now)
		return r.decide(), x.refusal(now)
	}
	c.Amounts = r.held[:r.admitted:r.admitted]
	r.note(c, now)
	return r.decide(), nil
}

// attempt asks once, of the shared store when there is one.
func (l *Limiter) attempt(ctx context.Context, c *call.Call, now time.Time) *reservation {
	r := newReservation()
	if l.shared != nil {
		l.shared.attempt(ctx, r, c, now)
		return r
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.claim(r, c, now)
	l.take(r, c.ID)
	return r
}

// claim lists the buckets of c.
func (l *Limiter) claim(r *reservation, c *call.Call, now time.Time) {
	r.begin(len(l.tables), l.instant(now))
	for _, rule := range l.rules {
		if !rule.matches(c) {
			continue
		}
		n := min(rule.ask(c), maxCount)
		if n <= 0 {
			continue
		}
		if rule.tokens {
			n = min(n, rule.Max)
		}
		p := &r.places[rule.place]
		if p.table == nil {
			start := len(r.keys)
			r.keys = rule.appendKey(r.keys, c, &r.sketcher)
			if p.table = rule.table; len(r.keys) > start {
				p.locate(r.keys[start:])
			}
		}
		if p.shard != nil {
			r.claim(rule, c, p, n)
		}
	}
}

// begin makes room for the places of an attempt.
func (r *reservation) begin(tables int, at instant) {
	r.places, r.at = slices.Grow(r.places, tables)[:tables], at
}

func (r *reservation) claim(rule *rule, c *call.Call, p *place, n int64) {
	x := grow(&r.claims)
	x.rule, x.place, x.column, x.window, x.n, x.max, x.at, x.force = rule, p, rule.column, rule.Window, n, rule.Max, r.at.of(rule.Window), rule.soft
	if rule.counting == store.Distinct {
		x.item = c.Model.ID
	}
}

// take counts the claims of r for a call, unless one is refused.
func (l *Limiter) take(r *reservation, id string) {
	o := l.opened(id)
	o.mu.Lock()
	defer o.mu.Unlock()
	held := o.calls[id]
	if held != nil {
		for i := range r.claims {
			r.claims[i].n = 0
		}
	}
	lock(r.places)
	defer unlock(r.places)
	find(r.places, r.at, held == nil)
	if r.refused = look(r.claims); r.refused >= 0 {
		return
	}
	if held != nil {
		r.held, r.admitted = append(r.held, held.held...), held.admitted
		return
	}
	r.take()
	o.hold(id, r)
}

// Replace puts other limits in force. A limit that keeps its name, measure and
// what it is per keeps its counts, also with another window; calls that are
// open keep their reservations. On an error nothing changes.
func (l *Limiter) Replace(limits []Limit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules, tables, err := compile(limits, &l.o)
	if err != nil {
		return err
	}
	for i, t := range tables {
		if old := slices.IndexFunc(l.tables, func(o *table) bool { return slices.Equal(o.columns, t.columns) }); old >= 0 {
			tables[i] = l.tables[old]
		}
	}
	for _, r := range rules {
		r.table = tables[r.place]
		if old := l.rule(r.Name); old != nil && old.meaning == r.meaning {
			r.inherit(old)
		}
	}
	l.rules, l.tables = rules, tables
	return nil
}

// inherit takes over what was counted, unless old has the same table.
func (r *rule) inherit(old *rule) {
	r.similar = old.similar
	if r.table == old.table {
		return
	}
	old.each(func(key string, b *bucket) {
		for _, s := range b.slots {
			r.adjust(key, "", old.Window.moment(s.index), s.n)
		}
		for _, x := range b.items {
			r.adjust(key, x.name, old.Window.moment(x.index), x.n)
		}
		if e := r.table.shard([]byte(key)).entries[key]; e != nil && r.Window == old.Window {
			k := &e.buckets[r.column]
			k.alerted, k.level = b.alerted, b.level // and is not told again
		}
	})
}

func (l *Limiter) rule(name string) *rule {
	i, ok := slices.BinarySearchFunc(l.rules, name, func(r *rule, name string) int { return strings.Compare(r.Name, name) })
	if !ok {
		return nil
	}
	return l.rules[i]
}
