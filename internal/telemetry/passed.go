package telemetry

import (
	"hash/maphash"
	"sync"
)

// Passed remembers which requests went through our own gateway, by AWS's
// request id, so that AWS's records of them can be marked. It holds hashes of
// the newest maxPassed to twice as many; older ones are forgotten. It is safe
// for concurrent use, and the zero value is not ready: use NewPassed.
type Passed struct {
	seed maphash.Seed

	mu       sync.RWMutex
	new, old map[uint64]struct{}
}

// maxPassed bounds memory, at some 20 bytes a request; CloudTrail is a quarter
// of an hour late.
const maxPassed = 2 << 20

// NewPassed returns an empty set.
func NewPassed() *Passed {
	return &Passed{seed: maphash.MakeSeed(), new: map[uint64]struct{}{}}
}

// Add remembers a request.
func (p *Passed) Add(request string) {
	if request == "" {
		return
	}
	h := maphash.String(p.seed, request)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.new) >= maxPassed {
		p.old, p.new = p.new, map[uint64]struct{}{}
	}
	p.new[h] = struct{}{}
}

// Has reports whether the request went through the gateway, as far as is
// remembered.
func (p *Passed) Has(request string) bool {
	h := maphash.String(p.seed, request)
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.new[h]
	if !ok {
		_, ok = p.old[h]
	}
	return ok
}
