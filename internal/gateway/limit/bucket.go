package limit

import (
	"slices"
	"time"
)

// bucket is what one limit counts of one key: sums by slot or, of a limit on
// different items, when each was seen last. Both are in rising order of their slots.
type bucket struct {
	slots []slot
	few   [2]slot // memory for the first slots: most keys need no more
	items []item

	alerted int64 // the slot in which an alert was last raised
	level   int8  // how many of the limit's fractions were reached then
}

type slot struct{ index, n int64 }

// item is something that counts once, however often it was taken.
type item struct {
	name  string
	index int64 // the slot it was last taken in
	n     int64 // takes that have not been given back
}

const (
	// maxCount is where a slot stops counting, so that no sum of slots overflows.
	maxCount = int64(1e17)
	// maxItems is how many different items a bucket holds.
	maxItems = 256
)

func (b *bucket) empty() bool { return len(b.slots) == 0 && len(b.items) == 0 }

// clear forgets all but the memory.
func (b *bucket) clear() { *b = bucket{slots: b.slots[:0], items: b.items[:0]} }

// ends are the oldest and the newest slot of a bucket that is not empty.
func (b *bucket) ends() (oldest, newest int64) {
	if n := len(b.slots); n > 0 {
		return b.slots[0].index, b.slots[n-1].index
	}
	return b.items[0].index, b.items[len(b.items)-1].index
}

// now is the slot that counts at a moment that falls into slot s. Of a sliding
// window it is never before the newest slot, since callers read the clock before
// they get here. Of the calendar it is never before the oldest.
func (b *bucket) now(w Window, s int64) int64 {
	if b.empty() {
		return s
	}
	oldest, newest := b.ends()
	if w < 0 {
		return max(s, oldest)
	}
	return max(s, newest)
}

// counts reports whether slot index counts in the window that ends in slot s.
func (w Window) counts(index, s int64) bool { return s-w.span() < index && index <= s }

// used is the count in the window that ends in slot s, and the oldest slot that
// is part of it.
func (b *bucket) used(w Window, s int64) (sum, oldest int64) {
	oldest = s
	for i := len(b.slots) - 1; i >= 0; i-- {
		if x := &b.slots[i]; w.counts(x.index, s) {
			sum, oldest = sum+x.n, x.index
		}
	}
	for i := len(b.items) - 1; i >= 0; i-- {
		if x := &b.items[i]; w.counts(x.index, s) {
			sum, oldest = sum+1, x.index
		}
	}
	return sum, oldest
}

// frees is the moment from which no more than room is used, if nothing is
// added; s is the present slot.
func (b *bucket) frees(w Window, s, room int64) int64 {
	used, _ := b.used(w, s)
	for _, x := range b.slots {
		if !w.counts(x.index, s) {
			continue
		}
		if used -= x.n; used <= room {
			return w.start(x.index + w.span())
		}
	}
	for _, x := range b.items {
		if !w.counts(x.index, s) {
			continue
		}
		if used--; used <= room {
			return w.start(x.index + w.span())
		}
	}
	return w.start(s + w.span())
}

// seen reports whether an item counts already in the window that ends in slot s.
func (b *bucket) seen(w Window, s int64, name string) bool {
	i := b.find(name)
	return i >= 0 && w.counts(b.items[i].index, s)
}

func (b *bucket) find(name string) int {
	for i := range b.items {
		if b.items[i].name == name {
			return i
		}
	}
	return -1
}

// add counts n in slot s and forgets slots that have left the window. A
// calendar keeps one period more, for clocks that step back.
func (b *bucket) add(w Window, s, n int64) {
	if n == 0 {
		return
	}
	i := len(b.slots)
	for i > 0 && b.slots[i-1].index >= s {
		i--
	}
	if i < len(b.slots) && b.slots[i].index == s {
		b.slots[i].n = min(b.slots[i].n+min(n, maxCount), maxCount)
		return
	}
	if b.slots == nil {
		b.slots = b.few[:0]
	}
	b.slots = slices.Insert(b.slots, i, slot{s, min(n, maxCount)})

	drop := 0
	for w > 0 && b.slots[drop].index <= b.slots[len(b.slots)-1].index-w.span() {
		drop++
	}
	if w < 0 {
		drop = max(0, len(b.slots)-2)
	}
	b.slots = b.slots[:copy(b.slots, b.slots[drop:])]
}

// addItem counts an item n times more in slot s.
func (b *bucket) addItem(w Window, s int64, name string, n int64) {
	x := item{name: name, index: s}
	if i := b.find(name); i >= 0 && b.items[i].index >= s {
		b.items[i].n = min(b.items[i].n+n, maxCount)
		return
	} else if i >= 0 {
		x = b.items[i]
		x.index = s
		b.items = slices.Delete(b.items, i, i+1)
	}
	x.n = min(x.n+n, maxCount)
	drop := 0
	for drop < len(b.items) && b.items[drop].index < s-w.span() {
		drop++
	}
	b.items = slices.Delete(b.items, 0, drop)
	if len(b.items) >= maxItems {
		return
	}
	i := len(b.items)
	for i > 0 && b.items[i-1].index > x.index {
		i--
	}
	b.items = slices.Insert(b.items, i, x)
}

// back gives n back to slot s, if it is still there.
func (b *bucket) back(s, n int64) {
	for i := range b.slots {
		if b.slots[i].index != s {
			continue
		}
		if b.slots[i].n -= n; b.slots[i].n <= 0 {
			b.slots = b.slots[:i+copy(b.slots[i:], b.slots[i+1:])]
		}
		return
	}
}

// backItem gives back n takes of an item. It stays until all are given back.
func (b *bucket) backItem(name string, n int64) {
	i := b.find(name)
	if i < 0 {
		return
	}
	if b.items[i].n -= n; b.items[i].n <= 0 {
		b.items = slices.Delete(b.items, i, i+1)
	}
}

// idleIn is after what time nothing of b can matter any more; 0: now. A calendar's
// period is remembered through the next one, for clocks that step back.
func (b *bucket) idleIn(w Window, at int64) time.Duration {
	if b.empty() {
		return 0
	}
	_, newest := b.ends()
	keep := w.span()
	if w < 0 {
		keep++
	}
	return time.Duration(max(0, w.start(newest+keep)-at))
}
