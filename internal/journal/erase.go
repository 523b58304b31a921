package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// eraseName is the file in which an erasure under way is written down. A crash
// in the middle leaves bodies that are neither whole nor zeros; with the file,
// Open finishes the work, and Verify knows what it sees.
const eraseName = "erasing"

// span is one body.
type span struct{ off, n int64 }

// Erase overwrites with zeros the bodies of the entries from first to last
// for which match is true (nil: all), and gives their blocks back to the
// file system. match gets entries without body, and must not keep their Meta.
// Metadata, hashes and the chain stay. When it returns, the bodies are gone
// from the disk as far as the disk obeys writes in place. It reads the
// whole range, and may run while the journal is written.
func (j *Journal) Erase(first, last uint64, match func(Entry) bool) (bodies int, err error) {
	j.eraseMu.Lock()
	defer j.eraseMu.Unlock()
	if err := j.finishErase(); err != nil { // one that failed half-way
		return 0, err
	}
	last = min(last, j.Stats().Seq)
	names, err := listSegments(j.o.FS, j.o.Dir)
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		if i+1 < len(names) {
			if next, _ := segmentFirst(names[i+1]); next <= first {
				continue
			}
		}
		if start, _ := segmentFirst(name); start > last {
			break
		}
		n, err := j.eraseIn(name, first, last, match)
		bodies += n
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bodies, fmt.Errorf("erase in %s: %w", name, err)
		}
	}
	return bodies, nil
}

func (j *Journal) eraseIn(name string, first, last uint64, match func(Entry) bool) (int, error) {
	s, err := openSegment(j.o.FS, j.o.Dir, name, os.O_RDWR)
	if err != nil {
		return 0, err
	}
	defer s.close()
	var spans []span
	for s.next() && s.seq <= last {
		if s.seq < first || s.bodyLen() == 0 {
			continue
		}
		e := s.entry()
		e.Meta = s.meta()
		if s.err != nil || match != nil && !match(e) {
			continue
		}
		if !s.zeroed(s.bodyOff(), int64(s.bodyLen())) {
			spans = append(spans, span{s.bodyOff(), int64(s.bodyLen())})
		}
	}
	if s.err != nil || len(spans) == 0 {
		return 0, s.err
	}
	if err := j.noteErase(name, spans); err != nil {
		return 0, err
	}
	if err := wipe(s.f, spans); err != nil {
		return 0, err
	}
	return len(spans), j.forgetErase()
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
