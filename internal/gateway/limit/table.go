package limit

import (
	"hash/maphash"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// table keeps the buckets of limits that count the same calls by the same
// things: of each key an entry, with a bucket for each of these limits. So a call
// finds its user once, however many limits a user has. Entries are spread over
// shards by hash of the key. A reservation locks one shard of each table, in the
// order of the tables.
type table struct {
	columns []column
	max     int // entries a shard keeps
	seed    maphash.Seed
	shards  [shardCount]shard
}

// column is how one limit counts: what its bucket of every entry means.
type column struct {
	meaning  string // what is counted, and by what: another meaning, other counts
	window   Window
	counting store.Counting
}

const shardCount = 256

// shard holds some entries. Those that count something are in a ring by last
// use, the one unused for longest behind its head; those that hold nothing, since
// all was given back, are in another: who makes one call after another finds
// their bucket of open calls again.
type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	ring    entry
	empty   entry
	spare   *entry // forgotten, to be used again
}

// entry is what a table has of one key.
type entry struct {
	key        string // empty: it is forgotten
	buckets    []bucket
	prev, next *entry
	used       int64 // when it was put at the end of the ring; 0: long ago
}

func newTable(maxKeys int, columns ...column) *table {
	t := &table{columns: columns, max: max(1, maxKeys/shardCount), seed: maphash.MakeSeed()}
	t.clear()
	return t
}

// clear forgets everything.
func (t *table) clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.entries, s.spare = nil, nil
		s.ring.next, s.ring.prev = &s.ring, &s.ring
		s.empty.next, s.empty.prev = &s.empty, &s.empty
	}
}

func (t *table) shard(key []byte) *shard {
	return &t.shards[maphash.Bytes(t.seed, key)%shardCount]
}

// full reports whether the shard has no room for a new key, after forgetting
// idle ones, and if so after what time the first can be forgotten.
func (t *table) full(s *shard, at instant) (full bool, wait time.Duration) {
	for range 2 { // one that may have become idle, and one to shrink by
		if e := s.ring.next; e != &s.ring && e.idleIn(t, at) == 0 {
			s.forget(e)
		}
	}
	if e := s.empty.next; e != &s.empty && len(s.entries) > t.max/8 {
		s.forget(e)
	}
	if len(s.entries) < t.max {
		return false, 0
	}
	return true, s.ring.next.idleIn(t, at)
}

// idleIn is after what time nothing of e can matter any more.
func (e *entry) idleIn(t *table, at instant) (wait time.Duration) {
	for i := range e.buckets {
		w := t.columns[i].window
		wait = max(wait, e.buckets[i].idleIn(w, at.of(w)))
	}
	return wait
}

// add returns a new entry. All its buckets are empty.
func (t *table) add(s *shard, key string) (e *entry) {
	if e, s.spare = s.spare, nil; e == nil {
		e = &entry{buckets: make([]bucket, len(t.columns))}
	}
	if s.entries == nil {
		s.entries = make(map[string]*entry)
	}
	e.key = key
	s.entries[key] = e
	e.link(&s.ring)
	return e
}

// use makes e the entry used last, unless that was done within this second:
// finer the order need not be, and its neighbours need not be looked for.
func (s *shard) use(e *entry, at instant) {
	if at.passed-e.used >= int64(time.Second) {
		e.unlink()
		e.link(&s.ring)
		e.used = at.passed
	}
}

// link puts e at the end of a ring.
func (e *entry) link(ring *entry) {
	e.prev, e.next = ring.prev, ring
	e.prev.next, ring.prev = e, e
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (e *entry) empty() bool {
	for i := range e.buckets {
		if !e.buckets[i].empty() {
			return false
		}
	}
	return true
}

func (s *shard) forget(e *entry) {
	delete(s.entries, e.key)
	e.unlink()
	for i := range e.buckets {
		e.buckets[i].clear()
	}
	e.key, e.used = "", 0
	s.spare = e
}

// adjust counts n more, or less, in one column, of what was taken at a moment.
// It reports whether there is more room now. Who knows the place of key saves
// looking for it; p may be nil.
func (t *table) adjust(p *place, column int, key, item string, at, n int64) (freed bool) {
	if n == 0 {
		return false
	}
	if p == nil {
		p = &place{shard: &t.shards[maphash.String(t.seed, key)%shardCount]}
	}
	s := p.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	e := p.entry
	if e == nil || e.key != key { // it may have been forgotten
		e = s.entries[key]
	}
	if n > 0 {
		t.adjustUp(s, e, column, key, item, at, n)
		return false
	}
	if e == nil {
		return false
	}
	k, b := &t.columns[column], &e.buckets[column]
	if k.counting == store.Distinct {
		b.backItem(item, -n)
	} else {
		b.back(k.window.index(at), -n)
	}
	if b.empty() && e.empty() {
		e.unlink()
		e.link(&s.empty)
		e.used = 0
	}
	return true
}

func (t *table) adjustUp(s *shard, e *entry, column int, key, item string, at, n int64) {
	if e == nil {
		e = t.add(s, key)
	} else {
		e.unlink()
		e.link(&s.ring)
	}
	k := &t.columns[column]
	k.add(&e.buckets[column], k.window.index(at), item, n)
}

func (k *column) add(b *bucket, index int64, item string, n int64) {
	if k.counting == store.Distinct {
		b.addItem(k.window, index, item, n)
		return
	}
	b.add(k.window, index, n)
}

// each calls f with every bucket of a column that holds something, its shard locked.
func (t *table) each(column int, f func(key string, b *bucket)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for e := s.ring.next; e != &s.ring; e = e.next {
			if b := &e.buckets[column]; !b.empty() {
				f(e.key, b)
			}
		}
		s.mu.Unlock()
	}
}

// size is how many buckets of a column hold something.
func (t *table) size(column int) (n int) {
	t.each(column, func(string, *bucket) { n++ })
	return n
}
