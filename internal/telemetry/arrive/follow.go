package arrive

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"math"
	"strconv"

	"gatehouse/internal/journal"
)

// follower reads a journal from an entry on, again and again, beside whoever
// writes it. It belongs to one goroutine.
type follower struct {
	disk journal.FS
	dir  string
	next uint64 // the entry to read next
	// durable tells the newest entry that a crash cannot take back; what is
	// behind it must not be read, since another entry may get its number. Only
	// the process that writes knows: nil reads what there is.
	durable func() uint64

	segment string // where next stands, if it is in the segment of the one before it
	offset  int64  // 0: not known
}

// Frames stand back to back, so the place of the next follows from the one
// before. A wrong guess costs time only: a frame knows its number.
const frameHead = 108

// few entries are loaded one by one; for more it is cheaper to walk the segment.
const few = 64

// behind counts the entries that wait, -1 where nobody knows.
func (f *follower) behind() int64 {
	if f.durable == nil {
		return -1
	}
	return int64(f.durable()) - int64(f.next) + 1
}

// entries yields what there is by now. Errors are as those of [journal.Read].
func (f *follower) entries() iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		last := uint64(math.MaxUint64)
		if f.durable != nil {
			if last = f.durable(); last < f.next {
				return
			}
		}
		for f.offset > 0 && f.next <= last && last-f.next < few {
			e, err := journal.Load(f.disk, f.dir, f.segment, f.offset)
			if err != nil || e.Seq != f.next {
				break
			}
			f.advance(&e)
			if !yield(e, nil) {
				return
			}
		}
		if f.next <= last {
			f.walk(last, yield)
		}
	}
}

func (f *follower) walk(last uint64, yield func(journal.Entry, error) bool) {
	for e, err := range journal.Read(f.disk, f.dir, f.next) {
		if e.Seq > last {
			return
		}
		if e.Seq > 0 {
			f.advance(&e)
		}
		if !yield(e, err) {
			return
		}
	}
}

func (f *follower) advance(e *journal.Entry) {
	f.next, f.segment, f.offset = e.Seq+1, e.Segment, 0
	if !e.Erased && e.Body != nil {
		f.offset = e.Offset + frameHead + int64(len(e.Meta)) + int64(len(e.Body))
	} else if e.BodySum == noBody {
		f.offset = e.Offset + frameHead + int64(len(e.Meta))
	}
}

// The cursor of a journal is the number of the entry to read next.

func seqCursor(next uint64) string { return strconv.FormatUint(next, 10) }

func parseSeq(cursor string) (uint64, error) {
	if cursor == "" {
		return 1, nil
	}
	n, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad cursor %.40q: want the number of an entry", cursor)
	}
	return n, nil
}

// start is parseSeq for a journal that may have been replaced by a younger one:
// then it is read from its beginning, for nothing else is safe.
func (f *follower) start(cursor string) (replaced bool, err error) {
	if f.next, err = parseSeq(cursor); err != nil {
		return false, err
	}
	if f.durable != nil && f.next > f.durable()+1 {
		f.next, replaced = 1, true
	}
	return replaced, nil
}

// noBody is the sum of an entry that never had a body.
var noBody = sha256.Sum256(nil)
