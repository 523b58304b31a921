package limit

import (
	"slices"
	"time"
)

// slots is how many parts a sliding window is counted in, besides the one
// that has begun.
const slots = 60

// index is the slot that a moment, in Unix nanoseconds, falls into: a sixtieth
// of a sliding window, or a period of the calendar.
func (w Window) index(at int64) int64 {
	switch w {
	case Day:
		return floorDiv(at, int64(24*time.Hour))
	case Month:
		t := time.Unix(0, at).UTC()
		return int64(t.Year())*12 + int64(t.Month()) - 1
	}
	return floorDiv(at, w.width())
}

// start is when a slot begins.
func (w Window) start(index int64) int64 {
	switch w {
	case Day:
		return index * int64(24*time.Hour)
	case Month:
		return time.Date(int(floorDiv(index, 12)), time.Month(index-12*floorDiv(index, 12)+1), 1, 0, 0, 0, 0, time.UTC).UnixNano()
	}
	return index * w.width()
}

// moment stands for a slot's counts where the slots are not known: in a
// snapshot, and when a limit gets another window. That of a sliding window is
// not before any of them.
func (w Window) moment(index int64) int64 {
	if w < 0 {
		return w.start(index) // the end may be far in the future
	}
	return w.start(index+1) - 1
}

// width is the length of a sixtieth, rounded up: a window counted a little
// longer than asked keeps the promise.
func (w Window) width() int64 { return (int64(w) + slots - 1) / slots }

// span is how many slots count at once: the one that has begun and all that
// reach into the window.
func (w Window) span() int64 {
	if w < 0 {
		return 1
	}
	return slots + 1
}

// seconds is the window's length for headers; a month is told as 31 days.
func (w Window) seconds() int64 {
	switch w {
	case Day:
		return 24 * 60 * 60
	case Month:
		return 31 * 24 * 60 * 60
	}
	return ceilSeconds(time.Duration(w))
}

func ceilSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// bucket is the count of one key. Its slots are in rising order, none empty.
type bucket struct {
	key        string
	slots      []slot
	prev, next *bucket // in its shard, by last use
}

type slot struct{ index, n int64 }

// maxCount is where a slot stops counting, so that no sum of slots overflows.
const maxCount = int64(1e17)

// now is the slot that counts at a moment. Of a sliding window it is never
// before the newest slot, since callers read the clock before they get here. Of
// the calendar it is never before the oldest.
func (b *bucket) now(w Window, at int64) int64 {
	s := w.index(at)
	if len(b.slots) == 0 {
		return s
	}
	if w < 0 {
		return max(s, b.slots[0].index)
	}
	return max(s, b.slots[len(b.slots)-1].index)
}

// used is the count in the window that ends in slot s.
func (b *bucket) used(w Window, s int64) (sum int64) {
	for _, x := range b.slots {
		if s-w.span() < x.index && x.index <= s {
			sum += x.n
		}
	}
	return sum
}

// frees is the moment from which no more than room is used, if nothing is
// added; s is the present slot.
func (b *bucket) frees(w Window, s, room int64) int64 {
	used := b.used(w, s)
	for _, x := range b.slots {
		if x.index <= s-w.span() || x.index > s {
			continue
		}
		if used -= x.n; used <= room {
			return w.start(x.index + w.span())
		}
	}
	return w.start(s + w.span())
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

// idle reports whether nothing of b can matter any more. A calendar's period
// is remembered through the next one, for clocks that step back.
func (b *bucket) idle(w Window, at int64) bool {
	if len(b.slots) == 0 {
		return true
	}
	newest := b.slots[len(b.slots)-1].index
	if w < 0 {
		return newest < w.index(at)-1
	}
	return newest <= w.index(at)-w.span()
}
