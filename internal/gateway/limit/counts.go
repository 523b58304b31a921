package limit

import (
	"hash/maphash"
	"sync"

	"gatehouse/internal/store"
)

// counts are the buckets of one limit, spread over shards by hash of the key.
// A reservation locks one shard of each limit, in the order of their names.
type counts struct {
	window   Window
	counting store.Counting
	seed     maphash.Seed
	shards   [shardCount]shard
}

const shardCount = 256

// shard holds some buckets. Those that count something are in a ring by last
// use, the one unused for longest behind its head; those that hold nothing, since
// all was given back, are in another: who makes one call after another finds
// their bucket of open calls again.
type shard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	ring    bucket
	empty   bucket
	max     int
	spare   *bucket // forgotten, to be used again
}

func newCounts(w Window, counting store.Counting, maxKeys int) *counts {
	c := &counts{window: w, counting: counting, seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.max = max(1, maxKeys/shardCount)
		s.ring.next, s.ring.prev = &s.ring, &s.ring
		s.empty.next, s.empty.prev = &s.empty, &s.empty
	}
	return c
}

func (c *counts) shard(key []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, key)%shardCount]
}

// full reports whether the shard has no room for a new key, after forgetting
// idle ones, and if so when the first can be forgotten.
func (s *shard) full(w Window, at int64) (full bool, until int64) {
	for range 2 { // one that may have become idle, and one to shrink by
		if b := s.ring.next; b != &s.ring && b.idle(w, at) {
			s.forget(b)
		}
	}
	if b := s.empty.next; b != &s.empty && len(s.buckets) > s.max/8 {
		s.forget(b)
	}
	if len(s.buckets) < s.max {
		return false, 0
	}
	_, newest := s.ring.next.ends()
	keep := w.span()
	if w < 0 {
		keep++
	}
	return true, w.start(newest + keep)
}

// use makes a bucket, nil for a new one of key, the one used last.
func (s *shard) use(b *bucket, key []byte) *bucket {
	if b == nil {
		b = s.add(key)
	} else {
		b.unlink()
	}
	b.link(&s.ring)
	return b
}

func (s *shard) add(key []byte) (b *bucket) {
	if b, s.spare = s.spare, nil; b == nil {
		b = new(bucket)
		b.slots = b.few[:0]
	}
	if s.buckets == nil {
		s.buckets = make(map[string]*bucket)
	}
	b.key = string(key)
	s.buckets[b.key] = b
	return b
}

// link puts b at the end of a ring.
func (b *bucket) link(ring *bucket) {
	b.prev, b.next = ring.prev, ring
	b.prev.next, ring.prev = b, b
}

func (b *bucket) unlink() { b.prev.next, b.next.prev = b.next, b.prev }

func (s *shard) forget(b *bucket) {
	delete(s.buckets, b.key)
	b.unlink()
	*b = bucket{slots: b.slots[:0], items: b.items[:0]}
	s.spare = b
}

// adjust counts n more, or less, of what was taken at a moment. It reports
// whether there is more room now.
func (c *counts) adjust(key, item string, at, n int64) (freed bool) {
	s := &c.shards[maphash.String(c.seed, key)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	index := c.window.index(at)
	b := s.buckets[key]
	switch {
	case n == 0:
		return false
	case n > 0:
		c.add(s.use(b, []byte(key)), index, item, n)
		return false
	case b == nil:
		return false
	case c.counting == store.Distinct:
		b.backItem(item, -n)
	default:
		b.back(index, -n)
	}
	if b.empty() {
		b.unlink()
		b.link(&s.empty)
	}
	return true
}

func (c *counts) add(b *bucket, index int64, item string, n int64) {
	if c.counting == store.Distinct {
		b.addItem(c.window, index, item, n)
		return
	}
	b.add(c.window, index, n)
}

// size is how many buckets hold something.
func (c *counts) size() (n int) {
	c.each(func(*bucket) { n++ })
	return n
}

// each calls f with every bucket that holds something, its shard locked.
func (c *counts) each(f func(b *bucket)) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for b := s.ring.next; b != &s.ring; b = b.next {
			f(b)
		}
		s.mu.Unlock()
	}
}
