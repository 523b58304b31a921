package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// eraseName is the file in which an erasure under way is written down. A crash
// in the middle leaves bodies that are neither whole nor zeros; with the file,
// Open finishes the work, and Verify knows what it sees.
const eraseName = "erasing"

// span is one body.
type span struct{ off, n int64 }

// Erasing works in pieces of this much and rests behind each, so that calls
// get their commits in between.
const (
	wipeBytes = 4 << 20
	wipeSpans = 4096
)

// Erase overwrites with zeros the bodies of the entries from first to last
// for which match is true (nil: all), and gives their blocks back to the
// file system. match gets all of these entries in order, without bodies, and
// must not keep their Meta. Metadata, hashes and the chain stay. When it
// returns, the bodies are gone from the disk as far as the disk obeys writes in
// place. It reads the whole range and may run while the journal is written, of
// whose time it leaves half. When ctx ends or an error comes in between, what it
// did stays done; doing it again does the rest.
func (j *Journal) Erase(ctx context.Context, first, last uint64, match func(Entry) bool) (bodies int, err error) {
	return j.erase(&eraser{ctx: ctx, j: j, first: first, last: last, match: match, rests: 1})
}

func (j *Journal) erase(r *eraser) (bodies int, err error) {
	j.eraseMu.Lock()
	defer j.eraseMu.Unlock()
	if err := j.finishErase(); err != nil { // one that failed half-way
		return 0, err
	}
	r.last = min(r.last, j.Stats().Seq)
	names, err := listSegments(j.o.FS, j.o.Dir)
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		if i+1 < len(names) {
			if next, _ := segmentFirst(names[i+1]); next <= r.first {
				continue
			}
		}
		if start, _ := segmentFirst(name); start > r.last {
			break
		}
		if err := r.segment(name); err != nil {
			return r.bodies, fmt.Errorf("erase in %s: %w", name, err)
		}
	}
	return r.bodies, nil
}

// eraser is one erasure under way.
type eraser struct {
	ctx         context.Context
	j           *Journal
	first, last uint64
	match       func(Entry) bool
	rests       time.Duration // how many times as long as it works
	bodies      int

	found []span // in the segment at hand, not yet wiped
	size  int64  // of these
	since time.Time
}

func (r *eraser) segment(name string) error {
	s, err := openSegment(r.j.o.FS, r.j.o.Dir, name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) { // deleted since it was listed
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	r.since = time.Now()
	for s.next() && s.seq <= r.last {
		if s.seq < r.first || !r.wants(s) || s.bodyLen() == 0 || s.zeroed(s.bodyOff(), int64(s.bodyLen())) {
			continue
		}
		r.found = append(r.found, span{s.bodyOff(), int64(s.bodyLen())})
		if r.size += int64(s.bodyLen()); r.size < wipeBytes && len(r.found) < wipeSpans {
			continue
		}
		if err := r.wipe(s); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	return r.wipe(s)
}

func (r *eraser) wants(s *scanner) bool {
	if r.match == nil {
		return true
	}
	e := s.entry()
	e.Meta = s.meta()
	return s.err == nil && r.match(e)
}

// wipe erases what was found, and rests.
func (r *eraser) wipe(s *scanner) error {
	if len(r.found) > 0 {
		if err := r.j.noteErase(s.name, r.found); err != nil {
			return err
		}
		if err := wipe(s.f, r.found); err != nil {
			return err
		}
		if err := r.j.forgetErase(); err != nil {
			return err
		}
		r.bodies += len(r.found)
		r.found, r.size = r.found[:0], 0
	}
	t := time.NewTimer(r.rests * time.Since(r.since))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.since = time.Now()
	return nil
}

// zeroed says whether a range holds nothing but zeros.
func (s *scanner) zeroed(off, n int64) bool {
	for end := off + n; off < end; {
		b, err := s.at(off, int(min(end-off, readAhead)))
		if err != nil || len(b) == 0 {
			s.err = err
			return false
		}
		if !allZero(b) {
			return false
		}
		off += int64(len(b))
	}
	return true
}

// wipe overwrites the spans, and only once the zeros are on the disk gives
// their blocks back: a hole alone would leave the old bytes on it.
func wipe(f File, spans []span) error {
	for _, p := range spans {
		if err := writeZeros(f, p.off, p.n); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	for _, p := range spans {
		if err := f.Punch(p.off, p.n); err != nil {
			return err
		}
	}
	return nil
}

// noteErase makes durable what is about to be erased: the segment's name, the
// spans, and a checksum, without which the note counts for nothing.
func (j *Journal) noteErase(name string, spans []span) error {
	b := append([]byte(nil), name...)
	for _, p := range spans {
		b = be.AppendUint64(b, uint64(p.off))
		b = be.AppendUint64(b, uint64(p.n))
	}
	b = be.AppendUint32(b, checksum(b))
	f, err := j.o.FS.Open(j.path(eraseName), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, j.o.FS.Remove(j.path(eraseName)))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return j.o.FS.SyncDir(j.o.Dir)
}

func (j *Journal) forgetErase() error {
	if err := j.o.FS.Remove(j.path(eraseName)); err != nil {
		return err
	}
	return j.o.FS.SyncDir(j.o.Dir)
}

// readErase reads the note; spans is nil if there is none that counts.
func readErase(disk FS, dir string) (name string, spans []span, err error) {
	f, err := disk.Open(filepath.Join(dir, eraseName), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return "", nil, err
	}
	w := window{f: f, size: min(size, maxFrame)}
	b, err := w.at(0, int(w.size))
	if err != nil {
		return "", nil, err
	}
	name, spans = parseErase(b)
	return name, spans, nil
}

func parseErase(b []byte) (name string, spans []span) {
	const named = 20 + len(segmentSuffix)
	if len(b) < named+4 || (len(b)-named-4)%16 != 0 || be.Uint32(b[len(b)-4:]) != checksum(b[:len(b)-4]) {
		return "", nil
	}
	name = string(b[:named])
	if _, ok := segmentFirst(name); !ok {
		return "", nil
	}
	for b = b[named : len(b)-4]; len(b) > 0; b = b[16:] {
		spans = append(spans, span{int64(be.Uint64(b)), int64(be.Uint64(b[8:]))})
	}
	return name, spans
}

// finishErase ends an erasure that a crash interrupted. Only bodies of frames
// are overwritten, whatever the note says.
func (j *Journal) finishErase() error {
	f, err := j.o.FS.Open(j.path(eraseName), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	name, spans, err := readErase(j.o.FS, j.o.Dir)
	if err != nil {
		return err
	}
	if len(spans) > 0 {
		if err := j.redoErase(name, spans); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("finish erasing in %s: %w", name, err)
		}
	}
	return j.forgetErase()
}

func (j *Journal) redoErase(name string, spans []span) error {
	s, err := openSegment(j.o.FS, j.o.Dir, name, os.O_RDWR)
	if err != nil {
		return err
	}
	defer s.close()
	noted := make(map[span]bool, len(spans))
	for _, p := range spans {
		noted[p] = true
	}
	spans = spans[:0]
	for s.next() {
		if p := (span{s.bodyOff(), int64(s.bodyLen())}); noted[p] && p.n > 0 {
			spans = append(spans, p)
		}
	}
	if s.err != nil {
		return s.err
	}
	return wipe(s.f, spans)
}
