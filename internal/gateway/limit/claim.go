package limit

import (
	"time"

	"gatehouse/internal/call"
)

// claim is one bucket's part in a reservation.
type claim struct {
	rule   *rule // nil in a Memory
	counts *counts
	key    []byte
	item   string // of Distinct
	n      int64
	max    int64
	at     int64
	force  bool // taken also beyond max
	shard  *shard
	bucket *bucket // nil: there is none yet

	slot      int64         // the present slot of the bucket
	used      int64         // in the window that ends there
	over      bool          // n does not fit
	full      bool          // for want of room for the key
	unchecked bool          // the shared store is down, and the limit allows
	wait      time.Duration // if over, until it would fit
	reset     time.Duration // until used begins to fall
}

func lock(claims []claim) {
	for i := range claims {
		c := &claims[i]
		c.shard = c.counts.shard(c.key)
		c.shard.mu.Lock()
	}
}

func unlock(claims []claim) {
	for i := range claims {
		claims[i].shard.mu.Unlock()
	}
}

// none is the bucket of a key that has none. It is never changed.
var none bucket

// look reads the buckets and returns which claim refuses, that which takes
// longest to fit, or -1.
func look(claims []claim) (refused int) {
	refused = -1
	for i := range claims {
		c := &claims[i]
		c.look()
		if c.over && !c.force && (refused < 0 || c.wait > claims[refused].wait) {
			refused = i
		}
	}
	return refused
}

func (c *claim) look() {
	w := c.counts.window
	b := c.shard.buckets[string(c.key)]
	c.bucket = b
	if b == nil {
		b = &none
		if c.n > 0 {
			var until int64
			if c.full, until = c.shard.full(w, c.at); c.full {
				c.over, c.wait = true, time.Duration(until-c.at)
			}
		}
	}
	c.slot = b.now(w, c.at)
	c.used = b.used(w, c.slot)
	if c.used > 0 {
		c.reset = time.Duration(b.frees(w, c.slot, c.used-1) - c.at)
	}
	n := c.n
	if c.item != "" && b.seen(w, c.slot, c.item) {
		n = 0
	}
	if n > 0 && c.used+n > c.max {
		c.over, c.wait = true, time.Duration(b.frees(w, c.slot, c.max-n)-c.at)
	}
}

// take counts the claim and returns the bucket's own key, empty when nothing
// is asked or there is no room for the key.
func (c *claim) take() (key string) {
	if c.full || c.n == 0 {
		return ""
	}
	w := c.counts.window
	b := c.shard.use(c.bucket, c.key)
	c.counts.add(b, c.slot, c.item, c.n)
	if c.item != "" {
		c.used = b.used(w, c.slot)
	} else {
		c.used += c.n
	}
	if c.reset == 0 {
		c.reset = time.Duration(w.start(c.slot+w.span()) - c.at)
	}
	return b.key
}

// taken is when the claim was counted.
func (c *claim) taken() int64 {
	w := c.counts.window
	if w.index(c.at) != c.slot {
		return w.moment(c.slot)
	}
	return c.at
}

// refusal tells the caller when to come back, and the operator why.
func (c *claim) refusal(now time.Time) *call.Refusal {
	base, wait := call.RateLimited, c.wait
	switch {
	case c.full:
	case c.rule.quota:
		base = call.QuotaExceeded
	case c.rule.tokens:
		base = call.TokensLimited
	}
	if c.rule.lease() && !c.full {
		wait = time.Second // nobody knows when a call ends
	}
	r := base.After(max(wait, time.Second))
	r.Limit, r.Detail = c.rule.Name, c.detail(now)
	return r
}

// detail is what the operator gets to know: which limit, for whom, how full,
// what was asked, and when it would fit.
func (c *claim) detail(now time.Time) string {
	s := "limit " + c.rule.Name
	if c.full {
		return s + " has no room for another key"
	}
	s += " of " + string(c.key) + ": " + c.rule.text(c.used) + " of " + c.rule.text(c.max) + " used, " + c.rule.text(c.n) + " asked"
	switch {
	case c.n > c.max:
		return s + ", more than it ever admits"
	case c.rule.lease():
		return s
	}
	return s + ", fits at " + now.Add(c.wait).UTC().Format(time.RFC3339)
}
