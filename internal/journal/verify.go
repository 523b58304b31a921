package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Report is what Verify found.
type Report struct {
	Segments int
	Bytes    int64
	First    uint64 // oldest frame kept; 0: there are none
	Last     uint64
	Frames   uint64
	Bodies   uint64 // that are whole
	Erased   uint64 // that were erased, or recorded by their sum only
	From, To time.Time
	Head     [32]byte  // chain of the last frame, to compare with one pinned elsewhere
	Tail     int64     // bytes at the very end that are no whole commit
	Damage   []*Damage // everything that is wrong and that no crash explains

	// What retention says that it deleted: the frames up to Deleted, all older
	// than Before; 0: nothing. Where First is larger than Deleted+1, the frames
	// between went without a word, as Options.MaxBytes deletes them.
	Deleted uint64
	Before  time.Time
}

// OK says that the chain holds and all bodies are whole or erased. A crash can
// leave a Tail; only until the journal is opened the next time, which cuts it.
func (r *Report) OK() bool { return len(r.Damage) == 0 }

// Unexplained counts the oldest frames that are gone and of which no retention
// tells. In a journal without MaxBytes somebody took them.
func (r *Report) Unexplained() uint64 {
	if r.First <= r.Deleted+1 {
		return 0
	}
	return r.First - r.Deleted - 1
}

// String says it in words.
func (r *Report) String() string {
	var b strings.Builder
	if r.Frames == 0 {
		fmt.Fprintf(&b, "The journal has %d segments and no frames.\n", r.Segments)
	} else {
		fmt.Fprintf(&b, "%d frames (%d to %d) in %d segments, %d bytes, from %s to %s.\n", r.Frames, r.First, r.Last,
			r.Segments, r.Bytes, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
		fmt.Fprintf(&b, "%d bodies are whole, %d are erased.\n", r.Bodies, r.Erased)
	}
	switch {
	case r.First <= 1:
	case r.Unexplained() == 0:
		fmt.Fprintf(&b, "Frames 1 to %d were deleted by retention, as all of them were older than %s; the chain is checked from frame %d on.\n",
			r.First-1, r.Before.Format(time.RFC3339), r.First)
	default:
		fmt.Fprintf(&b, "Frames %d to %d are no longer kept, and no retention says that it deleted them; the chain is checked from frame %d on.\n",
			r.Deleted+1, r.First-1, r.First)
	}
	if r.Tail > 0 {
		fmt.Fprintf(&b, "The last %d bytes are no whole commit: one that a crash interrupted or that is being written now, "+
			"or damage to the newest frame. Opening the journal cuts them.\n", r.Tail)
	}
	for _, d := range r.Damage {
		fmt.Fprintf(&b, "%v.\n", d)
	}
	if r.OK() {
		fmt.Fprintf(&b, "The chain holds. Its head is %x.\n", r.Head)
	} else {
		fmt.Fprintf(&b, "The journal does NOT hold: %d faults. Its head is %x.\n", len(r.Damage), r.Head)
	}
	return b.String()
}

// Verify reads the whole journal in dir and checks every frame, body and link;
// nil disk means OSFS. It may run beside a process that writes. What is wrong is
// in the report; an error means that it could not be read.
//
// It cannot see that the newest frames were removed, nor that everything from
// some frame on was rewritten by someone who knows the format: compare
// Report.Head, or an earlier frame's chain, with a copy kept elsewhere.
func Verify(disk FS, dir string) (Report, error) {
	if disk == nil {
		disk = OSFS{}
	}
	var v verifier
	v.found = func(d *Damage) { v.r.Damage = append(v.r.Damage, d) }
	names, err := listSegments(disk, dir)
	if err != nil {
		return v.r, err
	}
	for i, n := range names {
		if err := v.segment(disk, dir, n, i+1 == len(names)); err != nil {
			return v.r, err
		}
	}
	v.r.Last, v.r.Head = v.seq, v.chain
	return v.r, nil
}

type verifier struct {
	auditor
	r Report
}

func (v *verifier) segment(disk FS, dir, name string, newest bool) error {
	s, err := openSegment(disk, dir, name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return v.vanished(disk, dir, name)
	}
	if err != nil {
		return err
	}
	defer s.close()
	v.r.Segments++
	v.r.Bytes += s.size
	if newest {
		if keep, err := v.tail(s); err != nil || !keep {
			return err
		}
	}
	v.enter(s)
	for s.next() {
		v.frame(s)
		v.count(s)
	}
	if s.tail > 0 {
		v.found(s.damage(s.size-s.tail, s.tail, "no frame is readable here"))
	}
	return s.err
}

// tail leaves out of the newest segment what Open would cut. It is false if
// that is all of it.
func (v *verifier) tail(s *scanner) (keep bool, err error) {
	n, err := s.sound()
	if err != nil {
		return false, err
	}
	if n <= headerSize {
		if s.unreadable() {
			s.rewind()
			return true, s.err
		}
		v.r.Tail = s.size
		return false, s.err
	}
	v.r.Tail = s.size - n
	s.size = n
	s.rewind()
	return true, nil
}

// vanished is for a segment that was deleted since the directory was listed.
// That is right only for the oldest: then the chain starts anew behind it.
func (v *verifier) vanished(disk FS, dir, name string) error {
	names, err := listSegments(disk, dir)
	if err != nil {
		return err
	}
	if len(names) > 0 && names[0] > name {
		*v = verifier{auditor: auditor{found: v.found}, r: Report{Damage: v.r.Damage}}
	}
	return nil
}

// count adds the frame that s stands at to the report.
func (v *verifier) count(s *scanner) {
	r := &v.r
	if r.Frames++; r.Frames == 1 {
		r.First, r.From = s.seq, unixTime(s.time)
	}
	r.To = unixTime(s.time)
	if s.kind == KindDeleted {
		var told deletion
		if err := json.Unmarshal(s.meta(), &told); err != nil {
			v.found(s.damage(s.frame.off, 0, "frame %d does not tell what retention deleted", s.seq))
		}
		r.Deleted, r.Before = told.Last, told.Before
	}
	switch s.body() {
	case whole:
		r.Bodies++
	case erased:
		r.Erased++
	case spoilt:
		v.found(s.damage(s.bodyOff(), int64(s.bodyLen()), "body of frame %d does not match its hash", s.seq))
	}
}
