package journal

import (
	"fmt"
	"time"
)

func unixTime(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// Damage is something wrong with a journal that no crash explains. As an error
// of Read it stands for what could not be read; reading goes on behind it.
type Damage struct {
	Segment string
	Offset  int64
	Bytes   int64 // 0 where nothing is unreadable, but something is missing or false
	What    string
}

func (d *Damage) Error() string {
	if d.Bytes == 0 {
		return fmt.Sprintf("journal segment %s, byte %d: %s", d.Segment, d.Offset, d.What)
	}
	return fmt.Sprintf("journal segment %s, bytes %d to %d: %s", d.Segment, d.Offset, d.Offset+d.Bytes-1, d.What)
}

// auditor follows the chain from frame to frame and from segment to segment.
type auditor struct {
	seq   uint64 // last frame
	time  int64
	chain [32]byte
	known bool // chain is known: false at the start, until a frame or header tells
	found func(*Damage)
}

// enter checks a segment's header against what came before.
func (a *auditor) enter(s *scanner) {
	first, _ := segmentFirst(s.name)
	switch {
	case !s.headOK:
		a.found(s.damage(0, headerSize, "header is damaged"))
	case a.known && s.head.first == a.seq+1 && s.head.prev != a.chain:
		a.found(s.damage(0, 0, "does not follow the segment before it: its header names another chain"))
	}
	if a.known && first != a.seq+1 {
		a.missing(s, 0, first)
	}
	if s.headOK {
		a.seq, a.chain, a.known = s.head.first-1, s.head.prev, true
	} else if !a.known {
		a.seq = max(first, 1) - 1
	}
}

// frame checks the frame that s has moved to.
func (a *auditor) frame(s *scanner) {
	if s.gap > 0 {
		a.found(s.damage(s.frame.off-s.gap, s.gap, "damaged; the frames behind it are readable"))
	}
	switch {
	case s.seq != a.seq+1:
		a.missing(s, s.frame.off, s.seq)
	case a.known && s.gap == 0 && !s.follows(&a.chain):
		a.found(s.damage(s.frame.off, 0, "frame %d does not follow frame %d: the chain is broken", s.seq, a.seq))
	}
	if s.time < a.time {
		a.found(s.damage(s.frame.off, 0, "frame %d is older than the one before it", s.seq))
	}
	a.seq, a.time, a.chain, a.known = s.seq, s.time, s.chain, true
}

// missing reports the frames between the last one and next.
func (a *auditor) missing(s *scanner, off int64, next uint64) {
	switch {
	case next <= a.seq:
		a.found(s.damage(off, 0, "frame %d comes again behind frame %d", next, a.seq))
	case next == a.seq+2:
		a.found(s.damage(off, 0, "frame %d is missing", a.seq+1))
	default:
		a.found(s.damage(off, 0, "frames %d to %d are missing", a.seq+1, next-1))
	}
}
