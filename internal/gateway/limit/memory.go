package limit

import (
	"context"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// Memory is a [store.Counts] in the memory of one process, on the same buckets
// as a Limiter's own. It is what other stores are compared with, and a store to
// share between limiters of one process. Its mutex makes each call one step.
type Memory struct {
	clock func() time.Time

	mu     sync.Mutex
	tables map[bucketKind]*table
	calls  map[string]*remembered
	ended  []ended // in the order of their ends
}

// bucketKind is a limit as it stands in claims.
type bucketKind struct {
	limit    string
	counting store.Counting
	window   time.Duration
}

// remembered is a call: what it took, until it ended.
type remembered struct {
	taken []taken
	ended bool
}

type taken struct {
	kind      bucketKind
	key, item string
	n, at     int64
}

type ended struct {
	call string
	at   time.Time
}

// remember is how long the end of a call is known.
const remember = time.Hour

// NewMemory returns an empty store that goes by clock.
func NewMemory(clock func() time.Time) *Memory {
	return &Memory{clock: clock, tables: make(map[bucketKind]*table), calls: make(map[string]*remembered)}
}

// Take implements store.Counts.
func (m *Memory) Take(_ context.Context, call string, claims []store.Claim, counts []store.Count) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	if m.calls[call] != nil {
		m.take(claims, counts, nil)
		return true, nil
	}
	r := new(remembered)
	if !m.take(claims, counts, r) {
		return false, nil
	}
	m.calls[call] = r
	return true, nil
}

// Extend implements store.Counts.
func (m *Memory) Extend(_ context.Context, call string, claims []store.Claim, counts []store.Count) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.calls[call]
	if r == nil || r.ended {
		m.take(claims, counts, nil)
		return false, nil
	}
	return m.take(claims, counts, r), nil
}

// take looks at claims, takes all of them for r unless one refuses, and fills
// counts. Without r it only looks.
func (m *Memory) take(asked []store.Claim, counts []store.Count, r *remembered) bool {
	claims, places, now := make([]claim, len(asked)), make([]place, len(asked)), m.clock().UnixNano()
	at := instant{now, now}
	for i, a := range asked {
		places[i].table = m.of(bucketKind{a.Limit, a.Counting, a.Window})
		places[i].locate([]byte(a.Key))
		claims[i] = claim{place: &places[i], window: Window(a.Window), item: a.Item, n: a.N, max: a.Max, force: a.Force, at: now}
		if r == nil {
			claims[i].n = 0
		}
	}
	find(places, at, r != nil)
	refused := look(claims)
	for i := range claims {
		c := &claims[i]
		if r != nil && refused < 0 && !c.full {
			find(places[i:i+1], at, false) // another claim may have made the entry
			c.take(at)
			r.taken = append(r.taken, taken{bucketKind{asked[i].Limit, asked[i].Counting, asked[i].Window}, asked[i].Key, c.item, c.n, c.at})
		}
		counts[i] = store.Count{Used: c.used, At: c.at, Over: c.over, Full: c.full, Wait: c.wait, Reset: c.reset}
	}
	return refused < 0
}

func (m *Memory) of(k bucketKind) *table {
	t := m.tables[k]
	if t == nil {
		t = newTable(1<<20, column{window: Window(k.window), counting: k.counting})
		m.tables[k] = t
	}
	return t
}

func (m *Memory) adjust(k bucketKind, key, item string, at, n int64) {
	m.of(k).adjust(nil, 0, key, item, at, n)
}

// Settle implements store.Counts.
func (m *Memory) Settle(_ context.Context, call string, finals []store.Final) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.calls[call]
	if r == nil {
		r = new(remembered)
		m.calls[call] = r
	}
	if r.ended {
		return nil
	}
	rest := slices.Clone(finals)
	for _, t := range r.taken {
		m.adjust(t.kind, t.key, t.item, t.at, t.final(rest)-t.n)
	}
	for _, f := range rest {
		if f.Counting != store.Leases {
			m.adjust(bucketKind{f.Limit, f.Counting, f.Window}, f.Key, f.Item, f.At, f.N)
		}
	}
	r.taken, r.ended = nil, true
	m.ended = append(m.ended, ended{call, m.clock()})
	return nil
}

// final is how much of t is kept; what is left of the bucket's final amount
// goes to what else was taken of it, or is counted where that was.
func (t *taken) final(rest []store.Final) (n int64) {
	for i := range rest {
		if f := &rest[i]; t.kind.counting != store.Leases && f.Limit == t.kind.limit && f.Key == t.key && f.Item == t.item {
			n = min(t.n, f.N)
			f.N, f.At = f.N-n, t.at
		}
	}
	return n
}

// Renew implements store.Counts.
func (m *Memory) Renew(_ context.Context, calls []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock().UnixNano()
	for _, call := range calls {
		r := m.calls[call]
		if r == nil {
			continue
		}
		for i := range r.taken {
			if t := &r.taken[i]; t.kind.counting == store.Leases {
				m.adjust(t.kind, t.key, "", t.at, -t.n)
				m.adjust(t.kind, t.key, "", now, t.n)
				t.at = now
			}
		}
	}
	return nil
}

// forget forgets calls that ended long ago.
func (m *Memory) forget() {
	for len(m.ended) > 0 && m.clock().Sub(m.ended[0].at) > remember {
		delete(m.calls, m.ended[0].call)
		m.ended = m.ended[1:]
	}
}
