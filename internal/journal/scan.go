package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

const (
	segmentSuffix = ".seg"
	readAhead     = 256 << 10
	sector        = 512 // what a disk writes whole or not at all
)

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// maxDigits keeps numbers from ever overflowing: it is 2^62.
const (
	maxSeq    = 1 << 62
	maxDigits = "04611686018427387904"
)

// segmentFirst is the number in a segment's name.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		first = first*10 + uint64(c-'0')
	}
	return first, digits < maxDigits
}

// listSegments returns the names of the segments in dir, oldest first.
func listSegments(fs FS, dir string) ([]string, error) {
	all, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range all {
		if _, ok := segmentFirst(n); ok {
			names = append(names, n)
		}
	}
	return names, nil
}

// window reads a file through a buffer that moves forwards.
type window struct {
	f    File
	size int64 // as it was when the file was opened: what comes later is not seen
	base int64
	buf  []byte
}

// at returns n bytes from off on, fewer at the end of the file. They are valid
// until the next call. It allocates no more than the file is long.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off >= w.size {
		return nil, nil
	}
	n = int(min(int64(n), w.size-off))
	if off >= w.base && off+int64(n) <= w.base+int64(len(w.buf)) {
		return w.buf[off-w.base:][:n], nil
	}
	want := int(min(int64(max(n, readAhead)), w.size-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	got, err := w.f.ReadAt(w.buf[:want], off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return nil, err
	}
	w.base, w.buf = off, w.buf[:got]
	return w.buf[:min(n, got)], nil
}

// scanner walks the frames of a segment. It never fails on what it reads, only
// on not being able to: where no frame stands it looks for the next one.
type scanner struct {
	window
	disk     FS
	dir      string
	name     string
	head     header
	headOK   bool
	anyFrame bool // the header is damaged: the first frame found tells the sync marker
	last     uint64
	off      int64

	// What the last call of next found.
	frame
	gap  int64 // bytes ahead of frame that are none
	tail int64 // after the last call: bytes at the end that are no frame
	err  error
}

// openSegment opens a segment for reading, or for writing too if flag says so.
// A damaged header is no error; that of a newer version is.
func openSegment(fs FS, dir, name string, flag int) (*scanner, error) {
	f, err := fs.Open(filepath.Join(dir, name), flag)
	if err != nil {
		return nil, err
	}
	s := &scanner{disk: fs, dir: dir, name: name, window: window{f: f}}
	if err := s.start(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read segment %s: %w", name, err)
	}
	return s, nil
}

func (s *scanner) start() error {
	var err error
	if s.size, err = s.f.Size(); err != nil {
		return err
	}
	b, err := s.at(0, headerSize)
	if err != nil {
		return err
	}
	s.head, s.headOK = parseHeader(b)
	if s.headOK && s.head.version > version {
		return ErrVersion
	}
	first, _ := segmentFirst(s.name)
	s.headOK = s.headOK && s.head.first == first
	s.rewind()
	return nil
}

// rewind makes next start over.
func (s *scanner) rewind() {
	first, _ := segmentFirst(s.name)
	s.last = max(first, 1) - 1
	s.off, s.gap, s.tail, s.err = headerSize, 0, 0, nil
	s.anyFrame = !s.headOK
}

func (s *scanner) close() error { return s.f.Close() }

// next moves to the next frame. It is false at the end and on an error.
func (s *scanner) next() bool {
	from := s.off
	for at := from; at >= 0 && s.err == nil; at = s.find(at + 1) {
		if s.parse(at) {
			s.gap = s.frame.off - from
			s.off = s.frame.end()
			s.last = s.seq
			if s.anyFrame {
				s.anyFrame, s.head.sync = false, s.frame.sync
			}
			return true
		}
	}
	s.tail = max(s.size-from, 0)
	return false
}

// parse reads the frame at off, if one stands there.
func (s *scanner) parse(off int64) bool {
	b, err := s.at(off, frameHead)
	if err != nil {
		s.err = err
		return false
	}
	f, ok := parseFrame(b)
	if !ok || f.seq <= s.last || f.seq >= maxSeq || int64(f.total) > s.size-off || !s.anyFrame && f.sync != s.head.sync {
		return false
	}
	if b, err = s.at(off, frameHead+f.metaLen); err != nil {
		s.err = err
		return false
	}
	if len(b) < frameHead+f.metaLen || be.Uint32(b[4:]) != frameCRC(b, b[frameHead:]) {
		return false
	}
	f.off, f.metaSum = off, sha256.Sum256(b[frameHead:])
	s.frame = f
	return true
}

// find returns the next place from off on where a frame may stand, or -1.
func (s *scanner) find(off int64) int64 {
	if s.anyFrame {
		if off+frameHead > s.size {
			return -1
		}
		return off
	}
	var marker [8]byte
	be.PutUint64(marker[:], s.head.sync)
	for s.err == nil && off+frameHead <= s.size {
		b, err := s.at(off+8, readAhead)
		if err != nil {
			s.err = err
			break
		}
		if i := bytes.Index(b, marker[:]); i >= 0 {
			return off + int64(i)
		}
		off += int64(max(len(b)-len(marker)+1, 1))
	}
	return -1
}

// meta returns the frame's metadata, valid until the scanner moves or reads a body.
func (s *scanner) meta() []byte {
	b, err := s.at(s.frame.off+frameHead, s.metaLen)
	if err != nil {
		s.err = err
	}
	return b
}

// state of a body.
type state uint8

const (
	whole  state = iota
	none         // there is none
	erased       // all zeros, or known by its sum only
	spoilt       // not what the sum says
)

// body reads the frame's body and says what became of it.
func (s *scanner) body() state {
	if was := s.readBody(); was != spoilt {
		return was
	}
	return s.recheck()
}

func (s *scanner) readBody() state {
	n := s.bodyLen()
	if n == 0 {
		if s.bodySum == emptySum {
			return none
		}
		return erased
	}
	h := sha256.New()
	zero := true
	for at := 0; at < n; {
		b, err := s.at(s.bodyOff()+int64(at), min(n-at, readAhead))
		if err != nil || len(b) == 0 {
			s.err = errors.Join(err)
			return spoilt
		}
		h.Write(b)
		zero = zero && allZero(b)
		at += len(b)
	}
	return judge([32]byte(h.Sum(nil)), s.bodySum, zero)
}

func judge(got, want [32]byte, zero bool) state {
	switch {
	case got == want:
		return whole
	case zero:
		return erased
	}
	return spoilt
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if be.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// recheck is for a body that was found spoilt: it may be under erasure just
// now, or half erased by one that a crash interrupted.
func (s *scanner) recheck() state {
	name, spans, err := readErase(s.disk, s.dir)
	if err != nil {
		s.err = err
		return spoilt
	}
	if name == s.name && slices.Contains(spans, span{s.bodyOff(), int64(s.bodyLen())}) {
		return erased
	}
	s.buf = s.buf[:0] // read anew: the erasure may have ended
	return s.readBody()
}

// torn says whether the file holds nothing but zeros between two sector
// boundaries, or from a boundary to the edge of the range: the trace of a
// sector that a crash kept from being written.
func (s *scanner) torn(from, to int64) bool {
	for from < to {
		end := min((from/sector+1)*sector, to)
		b, err := s.at(from, int(end-from))
		if err != nil {
			s.err = err
			return false
		}
		if allZero(b) {
			return true
		}
		from = end
	}
	return false
}

// load copies the frame into memory of its own. The error is a *Damage if the
// body is not what it was.
func (s *scanner) load() (Entry, error) {
	b, err := s.at(s.frame.off+frameHead, s.metaLen+s.bodyLen())
	if err != nil {
		return Entry{}, err
	}
	b = bytes.Clone(b)
	e := s.entry()
	e.Meta, e.Body = b[:s.metaLen:s.metaLen], b[s.metaLen:]
	if len(e.Body) == 0 {
		e.Body = nil
		return e, nil
	}
	was := judge(sha256.Sum256(e.Body), e.BodySum, allZero(e.Body))
	if was == spoilt {
		was = s.recheck()
	}
	switch was {
	case erased:
		e.Body, e.Erased = nil, true
	case spoilt:
		e.Body = nil
		return e, s.damage(s.bodyOff(), int64(s.bodyLen()), "body of frame %d does not match its hash", s.seq)
	}
	return e, nil
}

// entry is the frame without meta and body.
func (s *scanner) entry() Entry {
	return Entry{
		Seq: s.seq, Time: unixTime(s.time), Kind: s.kind, BodySum: s.bodySum,
		Erased:  s.bodyLen() == 0 && s.bodySum != emptySum,
		Segment: s.name, Offset: s.frame.off,
	}
}

func (s *scanner) damage(off, n int64, format string, args ...any) *Damage {
	return &Damage{Segment: s.name, Offset: off, Bytes: n, What: fmt.Sprintf(format, args...)}
}
