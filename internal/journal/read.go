package journal

import (
	"errors"
	"io/fs"
	"iter"
	"os"
)

// Read yields the entries of the journal in dir from sequence number from on;
// nil disk means OSFS. It needs no lock and may run beside a process that
// writes: it ends at the last whole frame there was when it came to the newest
// segment, which may not be durable yet (Stats.Seq tells), and skips segments
// that are deleted meanwhile.
//
// A *Damage as error stands for what is unreadable; reading goes on behind it.
// If the entry beside it is not empty, only its body is damaged. Any other error is the last.
// Entries own their memory.
func Read(disk FS, dir string, from uint64) iter.Seq2[Entry, error] {
	if disk == nil {
		disk = OSFS{}
	}
	return func(yield func(Entry, error) bool) {
		names, err := listSegments(disk, dir)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for i, name := range names {
			if i+1 < len(names) {
				if next, _ := segmentFirst(names[i+1]); next <= from {
					continue
				}
			}
			if !readSegment(disk, dir, name, from, i+1 == len(names), yield) {
				return
			}
		}
	}
}

func readSegment(disk FS, dir, name string, from uint64, newest bool, yield func(Entry, error) bool) bool {
	s, err := openSegment(disk, dir, name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(Entry{}, err)
		return false
	}
	defer s.close()
	for s.next() {
		if s.gap > 0 && !yield(Entry{}, s.damage(s.frame.off-s.gap, s.gap, "damaged")) {
			return false
		}
		if s.seq < from {
			continue
		}
		if e, err := s.load(); !yield(e, err) {
			return false
		}
	}
	return s.ended(newest, yield)
}

// ended yields what is wrong at the end of a segment. It is false when nothing
// more is to be yielded.
func (s *scanner) ended(newest bool, yield func(Entry, error) bool) bool {
	if s.err != nil {
		yield(Entry{}, s.err)
		return false
	}
	if s.tail > 0 && !newest {
		return yield(Entry{}, s.damage(s.size-s.tail, s.tail, "no frame is readable here"))
	}
	return true
}

// Load reads the one entry that Entry.Segment and Entry.Offset name.
func Load(disk FS, dir, segment string, offset int64) (Entry, error) {
	if disk == nil {
		disk = OSFS{}
	}
	if _, ok := segmentFirst(segment); !ok {
		return Entry{}, fs.ErrNotExist
	}
	s, err := openSegment(disk, dir, segment, os.O_RDONLY)
	if err != nil {
		return Entry{}, err
	}
	defer s.close()
	if offset < headerSize || !s.parse(offset) {
		return Entry{}, errors.Join(s.err, s.damage(max(offset, 0), 0, "no frame stands here"))
	}
	return s.load()
}
