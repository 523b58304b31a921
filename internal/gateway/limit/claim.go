package limit

import (
	"time"

	"gatehouse/internal/call"
)

// claim is one bucket's part in a reservation.
type claim struct {
	rule   *rule // nil in a Memory
	place  *place
	column int // of the place's table
	window Window
	item   string // of Distinct
	n      int64
	max    int64
	at     int64 // when it is counted
	force  bool  // taken also beyond max

	slot      int64         // the present slot of the bucket
	used      int64         // in the window that ends there
	over      bool          // n does not fit
	full      bool          // for want of room for the key
	unchecked bool          // the shared store is down, and the limit allows
	wait      time.Duration // if over, until it would fit
	reset     time.Duration // until used begins to fall
}

// place is where a reservation finds its buckets in one table.
type place struct {
	table *table // nil: no limit of the table has claimed anything
	key   []byte
	shard *shard // nil: the table does not count the call
	entry *entry // nil: there is none yet

	full bool          // and there is no room for it
	wait time.Duration // until there may be
}

// locate sets where key is.
func (p *place) locate(key []byte) { p.key, p.shard = key, p.table.shard(key) }

func lock(places []place) {
	for i := range places {
		if p := &places[i]; p.shard != nil {
			p.shard.mu.Lock()
		}
	}
}

func unlock(places []place) {
	for i := range places {
		if p := &places[i]; p.shard != nil {
			p.shard.mu.Unlock()
		}
	}
}

// find looks for the entries of places, whose shards are locked. With add, room
// is made for those that are missing.
func find(places []place, at instant, add bool) {
	for i := range places {
		p := &places[i]
		if p.shard == nil {
			continue
		}
		if p.entry = p.shard.entries[string(p.key)]; p.entry == nil && add {
			p.full, p.wait = p.table.full(p.shard, at)
		}
	}
}

// use returns the entry of p, which is made if there is none, as the one used last.
func (p *place) use(at instant) *entry {
	if p.entry == nil {
		p.entry = p.table.add(p.shard, string(p.key))
	}
	p.shard.use(p.entry, at)
	return p.entry
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
	w, b := c.window, &none
	if p := c.place; p.entry != nil {
		b = &p.entry.buckets[c.column]
	} else if p.full && c.n > 0 {
		c.full, c.over, c.wait = true, true, p.wait
	}
	now := w.index(c.at)
	c.slot = b.now(w, now)
	used, oldest := b.used(w, c.slot)
	if c.used = used; used > 0 {
		c.reset = time.Duration(w.start(oldest+w.span()) - c.at)
	}
	n := c.n
	if c.item != "" && b.seen(w, c.slot, c.item) {
		n = 0
	}
	if n > 0 && used+n > c.max {
		c.over, c.wait = true, time.Duration(b.frees(w, c.slot, c.max-n)-c.at)
	}
	if c.slot != now {
		c.at = w.moment(c.slot)
	}
}

// take counts the claim and returns the entry's own key, empty when nothing is
// asked or there is no room for the key.
func (c *claim) take(at instant) (key string) {
	if c.full || c.n == 0 {
		return ""
	}
	w, e := c.window, c.place.use(at)
	b := &e.buckets[c.column]
	c.place.table.columns[c.column].add(b, c.slot, c.item, c.n)
	if c.item != "" {
		c.used, _ = b.used(w, c.slot)
	} else {
		c.used += c.n
	}
	if c.reset == 0 {
		c.reset = time.Duration(w.start(c.slot+w.span()) - c.at)
	}
	return e.key
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
	s += " of " + string(c.place.key) + ": " + c.rule.text(c.used) + " of " + c.rule.text(c.max) + " used, " + c.rule.text(c.n) + " asked"
	switch {
	case c.n > c.max:
		return s + ", more than it ever admits"
	case c.rule.lease():
		return s
	}
	return s + ", fits at " + now.Add(c.wait).UTC().Format(time.RFC3339)
}
