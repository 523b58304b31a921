package guard

import (
	"sort"
	"time"
)

// A scan is one laying-out of the texts of a call, its folded form and what is
// known of it. A call has up to four: the texts as they are, those texts glued
// where a word may run on from one to the next, and two layers of what they hide.
type scan struct {
	e    *Engine
	raw  []byte // the texts, each followed by a line break
	segs []segment
	fold folding

	hits    [][]span // by finder, in folded bytes, rising by their ends
	touched []int32  // finders with hits

	detected [numDetectors][]span // in raw bytes
	looked   uint64               // which detectors have run
	digits   []span               // groups of digits in the folded text; made when first asked for
	deeper   *scan                // what this one hides; nil when not looked for
}

// span is a stretch of a scan's text.
type span struct{ start, end int32 }

// segment is one text of a scan.
type segment struct {
	raw, fold span
	role      uint8
	lastTurn  bool  // the user said it last
	first     bool  // of the glued: nothing runs on into it
	loose     bool  // has lost its word boundaries
	coded     bool  // came from an encoding, not from a way to write letters
	source    span  // what of the scan that hid it it comes from
	origin    span  // what of the first scan's raw it comes from; for it, itself
	block     int32 // of the job's recall
	marks     marks // what it has
	cut       bool  // what stands before it in the call is not read
	inner     bool  // runs on from a text that runs on from another one
	part      bool  // is not a whole text, but what is read of a known one
	token     slot
}

// slot is where a text stands in a document, so that parts of it can be masked.
type slot struct {
	start, end int32 // with the quotes
	kind       kind
	nested     bool // in the document that the call's carries
	free       bool // where any JSON may stand
}

type kind uint8

const (
	inString kind = iota
	inKey
	inBlob    // the text is the string's value, decoded from base64
	inNothing // the text is part of a binary value
	inNumber  // the text is a number as it is written
)

// keepBytes bounds the memory that is kept from one call for the next.
const keepBytes = 1 << 20

func (s *scan) reset() {
	for _, f := range s.touched {
		s.hits[f] = s.hits[f][:0]
		if cap(s.hits[f]) > keepBytes/256 {
			s.hits[f] = nil
		}
	}
	for i := range s.detected {
		s.detected[i] = s.detected[i][:0]
	}
	s.raw, s.segs, s.touched, s.looked = s.raw[:0], s.segs[:0], s.touched[:0], 0
	s.digits, s.deeper = s.digits[:0], nil
	s.fold.reset()
	if cap(s.raw) > keepBytes {
		s.raw, s.segs, s.fold = nil, nil, folding{}
	}
}

// begin starts a text; the caller appends it to s.raw and calls end.
func (s *scan) begin() int { return len(s.raw) }

// end takes what was appended since begin as one text.
func (s *scan) end(at int, seg segment) {
	seg.raw = span{int32(at), int32(len(s.raw))}
	if seg.origin == (span{}) {
		seg.origin = seg.raw
	}
	s.raw = append(s.raw, '\n')
	s.segs = append(s.segs, seg)
}

// read folds the texts and finds the words of all rules in them.
func (s *scan) read(c *clock) {
	if len(s.segs) == 0 {
		return
	}
	for i := range s.segs {
		seg := &s.segs[i]
		if c.spend(int(seg.raw.end - seg.raw.start)) {
			return
		}
		start := len(s.fold.buf)
		seen := s.fold.seen
		s.fold.seen = 0
		s.fold.add(s.raw[seg.raw.start:seg.raw.end], int(seg.raw.start))
		seg.fold = span{int32(start), int32(len(s.fold.buf))}
		seg.marks = s.fold.seen
		s.fold.seen |= seen
		s.fold.pin(int(seg.raw.end))
		s.fold.buf = append(s.fold.buf, '\n')
	}
	s.e.words.run(s.fold.buf, s)
}

// see takes a literal that ends at end.
func (s *scan) see(literal int32, end int) {
	start := end - len(s.e.literals[literal])
	loose := s.looseAt(start)
	for _, u := range s.e.uses[literal] {
		w := word{left: u.left && !loose, right: u.right && !loose}
		if !w.at(s.fold.buf, start, end) {
			continue
		}
		if len(s.hits[u.finder]) == 0 {
			s.touched = append(s.touched, u.finder)
		}
		s.hits[u.finder] = append(s.hits[u.finder], span{int32(start), int32(end)})
	}
}

func (s *scan) looseAt(at int) bool {
	i := s.segAt(int32(at), false)
	return i < len(s.segs) && s.segs[i].loose
}

// segAt returns the first text that ends behind pos.
func (s *scan) segAt(pos int32, raw bool) int {
	return sort.Search(len(s.segs), func(i int) bool {
		if raw {
			return s.segs[i].raw.end > pos
		}
		return s.segs[i].fold.end > pos
	})
}

// folded returns where raw[pos] stands in the folded text.
func (s *scan) folded(pos int32) int32 {
	at := s.fold.at
	i := sort.Search(len(at), func(i int) bool { return at[i].raw > pos }) - 1
	if i < 0 {
		return 0
	}
	f := at[i].fold + pos - at[i].raw
	if i+1 < len(at) {
		f = min(f, at[i+1].fold)
	}
	return min(f, int32(len(s.fold.buf)))
}

// inRoles reports whether sp lies in texts of these roles only.
func (s *scan) inRoles(sp span, roles uint8, raw bool) bool {
	if roles == allRoles {
		return true
	}
	for i := s.segAt(sp.start, raw); i < len(s.segs); i++ {
		at := s.segs[i].fold.start
		if raw {
			at = s.segs[i].raw.start
		}
		if at >= sp.end {
			break
		}
		if roles&(1<<s.segs[i].role) == 0 {
			return false
		}
	}
	return true
}

// origin returns what of the first scan's raw text sp, in raw bytes of s, is or is hidden in.
func (s *scan) origin(sp span, first bool) span {
	if first {
		return sp
	}
	out := span{-1, -1}
	for i := s.segAt(sp.start, true); i < len(s.segs) && s.segs[i].raw.start < sp.end; i++ {
		o := s.segs[i].origin
		if n := s.segs[i].raw; n.end-n.start == o.end-o.start { // glued, not decoded
			o = span{o.start + max(sp.start-n.start, 0), o.start + min(sp.end, n.end) - n.start}
		}
		if out.start < 0 {
			out = o
		}
		out = span{min(out.start, o.start), max(out.end, o.end)}
	}
	return out
}

// clock is what is left of the time for one call. It also counts the work.
type clock struct {
	deadline time.Time
	gone     <-chan struct{} // closed when nobody waits any more
	late     bool
	steps    int // bytes looked at
	next     int // steps at which to look at the time
}

// perLook is how much work is done between two looks at the time.
const perLook = 4 << 10

// spend counts n bytes of work, and reports what over does, some bytes later.
func (c *clock) spend(n int) bool {
	if c.steps += n; c.steps < c.next {
		return c.late
	}
	c.next = c.steps + perLook
	return c.over()
}

// over reports whether the time is used up, or nobody waits. Once it is it stays so.
func (c *clock) over() bool {
	select {
	case <-c.gone:
		c.late = true
	default:
		c.late = c.late || time.Now().After(c.deadline)
	}
	return c.late
}

// unfold turns a span of the folded text into one of the raw text.
func (s *scan) unfold(sp span) span {
	a, b := s.fold.original(s.raw, int(sp.start), int(sp.end))
	return span{int32(a), int32(b)}
}
