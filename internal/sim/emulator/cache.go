package emulator

import (
	"sync"
	"time"
)

// promptCache remembers which prefixes of conversations were sent before: a
// cache point after one of at least minCached tokens writes it the first time
// and reads it until cacheLife after the last use.
type promptCache struct {
	mu   sync.Mutex
	life map[uint64]time.Time // hash of model and prefix → when it is forgotten
}

const (
	minCached = 1024
	cacheLife = 5 * time.Minute
	maxCached = 4096 // prefixes; beyond, all are forgotten
)

// use returns the tokens that are read from the cache and written to it.
func (p *promptCache) use(c *call) (read, write int64) {
	if c.ask.cacheTokens < minCached {
		return 0, 0
	}
	key := hash64(hash64(hashStart, c.ref.ID), c.ask.text[:c.ask.cacheText])
	now := c.e.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	known := now.Before(p.life[key])
	if len(p.life) >= maxCached && !known {
		clear(p.life)
	}
	p.life[key] = now.Add(cacheLife)
	if known {
		return c.ask.cacheTokens, 0
	}
	return 0, c.ask.cacheTokens
}
