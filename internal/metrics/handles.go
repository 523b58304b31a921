package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// handles keeps the series of a vector that have been used, so that counting
// takes one look-up and no lock. There are at most max, and one that all others
// share. It is safe for concurrent use; init comes first.
type handles[K comparable, V any] struct {
	max  int
	rest K
	make func(K) V

	known atomic.Pointer[map[K]V] // never changed, only replaced
	mu    sync.Mutex              // held to replace it
}

func (h *handles[K, V]) init(max int, rest K, make func(K) V) {
	h.max, h.rest, h.make = max, rest, make
	h.known.Store(&map[K]V{})
}

func (h *handles[K, V]) get(k K) V {
	if v, ok := (*h.known.Load())[k]; ok {
		return v
	}
	return h.add(k)
}

func (h *handles[K, V]) add(k K) V {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := *h.known.Load()
	if len(known) >= h.max {
		k = h.rest
	}
	if v, ok := known[k]; ok { // another was faster, or the rest
		return v
	}
	more := maps.Clone(known)
	v := h.make(k)
	more[k] = v
	h.known.Store(&more)
	return v
}
