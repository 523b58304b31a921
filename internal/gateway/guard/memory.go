package guard

import (
	"hash/maphash"
	"sync"
)

// A memory is a set of keys of what was read and found clean. It is of fixed
// size: of eight keys that compete for their places the one that was asked for
// longest ago goes. It is safe for concurrent use and allocates once a shard.
//
// Keys are hashes of 126 bits under seeds of this memory alone, which nobody
// learns, so that no text can be made to look like another one.
type memory struct {
	seeds  [2]maphash.Seed
	shards [numShards]shard
	sets   uint64 // of each shard
}

// key names something to remember. Its first bit is not part of the name, but
// said about it: see has.
type key [2]uint64

type shard struct {
	mu   sync.Mutex
	keys []key // sets of ways keys, the last asked for first; nil: nothing is known
}

const (
	numShards       = 64
	ways            = 8
	defaultRemember = 1 << 16
)

// newMemory returns a memory of up to n keys of 16 bytes.
func newMemory(n int) *memory {
	return &memory{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		sets:  uint64(max(n/(numShards*ways), 1)),
	}
}

// of returns the key of b. It is never zero, which stands for no key.
func (m *memory) of(b []byte) key {
	return key{maphash.Bytes(m.seeds[0], b)&^1 | 2, maphash.Bytes(m.seeds[1], b)}
}

// has reports whether k is known, and what was said when it was added.
func (m *memory) has(k key) (said, ok bool) {
	s := &m.shards[k[1]%numShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return false, false
	}
	set := s.set(m, k)
	i := find(set, k)
	if i < 0 {
		return false, false
	}
	k = set[i]
	front(set, i, k)
	return k[0]&1 == 1, true
}

// add remembers k and said.
func (m *memory) add(k key, said bool) {
	if said {
		k[0] |= 1
	}
	s := &m.shards[k[1]%numShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = make([]key, m.sets*ways)
	}
	set := s.set(m, k)
	i := find(set, k)
	if i < 0 {
		i = ways - 1
	}
	front(set, i, k)
}

// set returns the places of k, of which the caller holds the lock.
func (s *shard) set(m *memory, k key) []key {
	at := k[1] / numShards % m.sets * ways
	return s.keys[at : at+ways]
}

func find(set []key, k key) int {
	for i := range set {
		if set[i][1] == k[1] && set[i][0]|1 == k[0]|1 {
			return i
		}
	}
	return -1
}

// front puts k, which has place i, before all others.
func front(set []key, i int, k key) {
	copy(set[1:i+1], set[:i])
	set[0] = k
}
