package journal

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"time"
)

// Metas is Read without bodies, for whoever needs only what the entries say of
// themselves, from some time on: it leaves out the segments that ended before
// since, so the first entries may be older. Entries have no Body, their Meta is
// valid until the next one, and Erased does not tell of bodies overwritten.
func Metas(disk FS, dir string, since time.Time) iter.Seq2[Entry, error] {
	if disk == nil {
		disk = OSFS{}
	}
	return func(yield func(Entry, error) bool) {
		names, err := listSegments(disk, dir)
		if err == nil {
			names, err = segmentsSince(disk, dir, names, since)
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for i, name := range names {
			if !readMetas(disk, dir, name, i+1 == len(names), yield) {
				return
			}
		}
	}
}

func readMetas(disk FS, dir, name string, newest bool, yield func(Entry, error) bool) bool {
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
		e := s.entry()
		e.Meta = s.meta()
		if s.err == nil && !yield(e, nil) {
			return false
		}
	}
	return s.ended(newest, yield)
}

// segmentsSince leaves out the segments whose frames are all older than since.
// Times never decrease, so a segment that begins before since makes those ahead
// of it older. One that tells no time counts as late: rather too much is read
// than too little.
func segmentsSince(disk FS, dir string, names []string, since time.Time) ([]string, error) {
	low, high := 0, len(names) // the first segment that begins at since or later is in between
	for !since.IsZero() && low < high {
		mid := (low + high) / 2
		began, err := segmentBegan(disk, dir, names[mid])
		if err != nil {
			return nil, err
		}
		if !began.IsZero() && began.Before(since) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return names[max(low-1, 0):], nil
}

// segmentBegan is the time of a segment's first readable frame, or the zero
// time where there is none.
func segmentBegan(disk FS, dir, name string) (time.Time, error) {
	s, err := openSegment(disk, dir, name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer s.close()
	if !s.next() {
		return time.Time{}, s.err
	}
	return unixTime(s.time), nil
}
