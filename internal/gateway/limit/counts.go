package limit

import (
	"hash/maphash"
	"sync"
)

// counts are the buckets of one limit, spread over shards by hash of the key.
// A reservation locks one shard of each limit, in the order of their names.
type counts struct {
	window Window
	seed   maphash.Seed
	shards [shardCount]shard
}

const shardCount = 256

// shard holds some buckets, and a ring of them by last use: the one unused for
// longest follows the ring's head.
type shard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	ring    bucket
	max     int
}

func newCounts(w Window, maxKeys int) *counts {
	c := &counts{window: w, seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.max = max(1, maxKeys/shardCount)
		s.ring.next, s.ring.prev = &s.ring, &s.ring
	}
	return c
}

func (c *counts) shard(key string) *shard {
	return &c.shards[maphash.String(c.seed, key)%shardCount]
}

// full reports whether the shard has no room for a new key, after forgetting
// idle ones, and if so when the first can be forgotten.
func (s *shard) full(w Window, at int64) (full bool, until int64) {
	for range 2 { // one that may have become idle, and one to shrink by
		if b := s.ring.next; b != &s.ring && b.idle(w, at) {
			s.forget(b)
		}
	}
	if len(s.buckets) < s.max {
		return false, 0
	}
	oldest := s.ring.next.slots
	keep := w.span()
	if w < 0 {
		keep++
	}
	return true, w.start(oldest[len(oldest)-1].index + keep)
}

// use returns the bucket of key, making it when it is new, as the one used last.
func (s *shard) use(key string) *bucket {
	b := s.buckets[key]
	if b == nil {
		b = &bucket{key: key}
		if s.buckets == nil {
			s.buckets = make(map[string]*bucket)
		}
		s.buckets[key] = b
	} else {
		b.prev.next, b.next.prev = b.next, b.prev
	}
	b.prev, b.next = s.ring.prev, &s.ring
	b.prev.next, s.ring.prev = b, b
	return b
}

func (s *shard) forget(b *bucket) {
	delete(s.buckets, b.key)
	b.prev.next, b.next.prev = b.next, b.prev
}

// adjust counts n more, or less, of what was taken at a moment.
func (c *counts) adjust(key string, at, n int64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 {
		s.use(key).add(c.window, c.window.index(at), n)
		return
	}
	b := s.buckets[key]
	if b == nil || n == 0 {
		return
	}
	if b.back(c.window.index(at), -n); len(b.slots) == 0 {
		s.forget(b)
	}
}

// size is how many buckets there are.
func (c *counts) size() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// each calls f with every bucket, its shard locked.
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
