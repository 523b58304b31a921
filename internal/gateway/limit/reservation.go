package limit

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
)

// reservation is one attempt to reserve and, if it took something, what is held
// for the call until it ends. Its memory is used again after Decision.Free.
type reservation struct {
	claims  []claim // of the last attempt; they point into places
	places  []place // one a table of the limiter; they point into keys
	keys    []byte
	at      instant
	refused int           // which claim refuses, or -1
	down    *call.Refusal // the shared store is, and a limit cannot do without

	held     []call.Amount // guarded by openCalls.mu while the call is open
	admitted int           // how many of held were taken at admission; the rest by Extend
	settled  []call.Amount
	shared   bool // the shared store may know the call

	buckets  []Bucket
	sketcher sketcher
	open     atomic.Bool
}

// inline is how many limits a call can belong to before memory is allocated.
const inline = 12

var reservations = sync.Pool{New: func() any {
	return &reservation{
		claims: make([]claim, 0, inline), places: make([]place, 0, inline), keys: make([]byte, 0, 512),
		held: make([]call.Amount, 0, inline), settled: make([]call.Amount, 0, inline), buckets: make([]Bucket, 0, inline),
	}
}}

func newReservation() *reservation {
	r := reservations.Get().(*reservation)
	r.refused = -1
	return r
}

// grow makes s one longer, for a value that is filled in where it stands: copies
// of large values were a fifth of what an admission costs. It is zero but in held,
// of which free leaves the memory as it is.
func grow[T any](s *[]T) *T {
	*s = slices.Grow(*s, 1)[:len(*s)+1]
	return &(*s)[len(*s)-1]
}

// free gives the memory back. That of a call that is open stays.
func (r *reservation) free() {
	if r.open.Load() || cap(r.keys) > 4096 {
		return
	}
	// These would keep tables alive; held and settled only keep a few names.
	clear(r.claims)
	clear(r.places)
	clear(r.buckets)
	r.claims, r.places, r.keys, r.down, r.shared = r.claims[:0], r.places[:0], r.keys[:0], nil, false
	r.held, r.admitted, r.settled, r.buckets = r.held[:0], 0, r.settled[:0], r.buckets[:0]
	r.sketcher.reset()
	reservations.Put(r)
}

// take counts all claims. Their shards are locked.
func (r *reservation) take() {
	for i := range r.claims {
		c := &r.claims[i]
		if key := c.take(r.at); key != "" {
			a := grow(&r.held)
			a.Limit, a.Key, a.Item, a.N, a.At = c.rule.Name, key, c.item, c.n, c.at
		}
	}
	r.admitted = len(r.held)
}

// note puts down what limits that refuse nothing would have refused.
func (r *reservation) note(c *call.Call, now time.Time) {
	for i := range r.claims {
		x := &r.claims[i]
		n := call.Note{Stage: "limit", Name: x.rule.Name, Action: Flag, Observe: x.rule.Mode == Observe}
		switch {
		case x.unchecked:
			n.Detail = "limit " + x.rule.Name + ": passed without the shared store"
		case !x.over:
			continue
		case x.rule.Action != Flag:
			n.Action = Refuse
		}
		if n.Detail == "" {
			n.Detail = x.detail(now)
		}
		c.Notes = append(c.Notes, n)
	}
}

// openCalls are what the limits hold for calls that have not ended, by id.
type openCalls struct {
	mu    sync.Mutex
	calls map[string]*reservation
}

// opened returns the part of the open calls that id belongs to.
func (l *Limiter) opened(id string) *openCalls {
	return &l.open[maphash.String(l.seed, id)%shardCount]
}

func (o *openCalls) hold(id string, r *reservation) {
	if o.calls == nil {
		o.calls = make(map[string]*reservation)
	}
	r.open.Store(true)
	o.calls[id] = r
}

// eachOpen calls f with what is held for every open call. f must not keep it.
func (l *Limiter) eachOpen(f func(id string, r *reservation)) {
	for i := range l.open {
		o := &l.open[i]
		o.mu.Lock()
		for id, r := range o.calls {
			f(id, r)
		}
		o.mu.Unlock()
	}
}

// Open returns what is held for each open call, by id.
func (l *Limiter) Open() map[string][]call.Amount {
	l.mu.RLock()
	defer l.mu.RUnlock()
	open := make(map[string][]call.Amount)
	l.eachOpen(func(id string, r *reservation) { open[id] = slices.Clone(r.held) })
	return open
}

// end closes a call and returns what was held for it, nil if it was not open.
func (l *Limiter) end(id string) *reservation {
	o := l.opened(id)
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.calls[id]
	if r != nil {
		delete(o.calls, id)
		r.open.Store(false)
	}
	return r
}
