package limit

import "time"

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
		year, month, _ := time.Unix(0, at).UTC().Date()
		return int64(year)*12 + int64(month) - 1
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
