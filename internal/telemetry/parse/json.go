package parse

import (
	"bytes"
	"errors"
	"io"

	"gatehouse/internal/event"
)

// This file cuts a stream into JSON values without understanding them: it
// follows strings and brackets only, so that a value which is broken inside is
// still found whole, and the next one too. Arrays that hold records are not
// cut out as one value but element by element, which is what bounds memory by
// a record and not by the file.

// streamed are the members whose array holds records, with whether the member
// must come first in its object to be taken for that: the common words among
// them are also found deep inside single records.
var streamed = map[string]bool{
	"Records":         false, // CloudTrail in S3, Lambda's events
	"records":         false, // Firehose, Event Hubs
	"Events":          false, // LookupEvents
	"logEvents":       false, // CloudWatch Logs subscriptions
	"QueryResultRows": false, // CloudTrail Lake
	"events":          true,  // FilterLogEvents
	"value":           true,
	"results":         true,
	"rows":            true,
}

const (
	spaces     = " \t\r\n"
	separators = spaces + ",\x1e" // between values; JSON text sequences begin them with RS
	maxNested  = 4                // arrays of records inside arrays of records
)

// source remembers why the bytes ended, to tell a source that failed from an
// archive that is damaged.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// read reads a stream in whatever it is wrapped.
func (s *scanner) read(r io.Reader) error {
	s.src.r = r
	size := windowSize / 4
	if s.fixed {
		s.in.first, size = smallWindow, smallWindow
	}
	u, err := open(&s.src, size)
	defer u.close()
	if s.in.r, s.in.err = u, err; err == nil {
		err = s.all()
		if !s.fixed {
			s.stats.Bytes += s.in.base + int64(s.in.end)
		}
		if err != nil {
			return err
		}
	}
	if s.in.err != nil && s.in.err != io.EOF {
		s.cut(s.here(), nil)
	}
	return s.src.err
}

// cut ends the stream, which stopped where it should not: inside what begins
// at p, or inside an archive. It is told once.
func (s *scanner) cut(p place, b []byte) {
	if s.ended || s.src.err != nil {
		s.ended = true
		return
	}
	s.ended = true
	switch err := s.in.err; {
	case err == io.EOF:
		s.fail(p, Truncated, "ends inside a record", b)
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.fail(p, Truncated, "the archive ends too early", b)
	default:
		s.fail(p, BadGzip, "the archive is damaged: "+err.Error(), b)
	}
}

// all reads the whole stream.
func (s *scanner) all() error {
	if f := s.text(); f != nil {
		return f.scan(&Text{s: s})
	}
	for {
		c, ok := s.in.peek(separators)
		if !ok {
			return nil
		}
		var err error
		switch c {
		case '{', '"':
			err = s.value(0)
		case '[':
			s.in.pos++
			err = s.elements(0)
		default:
			s.stray()
		}
		if err != nil || s.ended {
			return err
		}
	}
}

// value reads the object or array at pos.
func (s *scanner) value(nest int) error {
	in := &s.in
	in.keep = in.pos
	s.begin()
	at := s.at
	w := walker{streams: nest < maxNested, first: true}
	dropped, told := false, false // nothing is kept: it was too long, which was told, or streamed
	for {
		n, found := w.walk(in.buf[in.pos:in.end])
		in.pos += n
		switch {
		case found == whole && dropped:
			return nil
		case found == whole:
			return s.candidate(at, in.buf[in.keep:in.pos])
		case found == array && !dropped && s.holdsRecords(&w):
			in.keep, dropped = in.pos, true
			if err := s.elements(nest + 1); err != nil || s.ended {
				return err
			}
			w.depth, w.prev = w.depth-1, ']'
			continue
		case found == another:
			const reason = "the next record begins inside this one"
			if !dropped && !s.resume(at, reason) {
				s.fail(at, Truncated, reason, in.buf[in.keep:in.pos])
			}
			return nil
		}
		if !dropped && in.pos-in.keep > s.o.MaxRecord {
			s.fail(at, TooLong, "longer than the bound of one record", in.buf[in.keep:in.pos])
			dropped, told = true, true
		}
		if dropped {
			in.keep = in.pos
		}
		if found == nothing && !in.fill() {
			if !dropped && in.err == io.EOF && s.resume(at, "ends inside a record") {
				return nil
			}
			s.ended = s.ended || told
			s.cut(at, in.buf[in.keep:in.pos])
			return nil
		}
	}
}

// resume tells of the record at p, which is not whole, if a line inside it begins
// like a record, and lets reading go on there: a line that was cut takes the next
// one for a value of its own. The bytes that are read again are bounded by those
// of the stream, so that reading stays linear.
func (s *scanner) resume(p place, reason string) bool {
	in := &s.in
	kept := in.buf[in.keep:in.pos]
	line := bytes.Index(kept, []byte("\n{")) + 1
	s.again += int64(len(kept) - line)
	if line == 0 || s.again > in.base+int64(in.pos)+windowSize {
		return false
	}
	s.fail(p, Truncated, reason, kept[:line])
	in.pos = in.keep + line
	return true
}

// holdsRecords reports whether the array that w has just entered is the value
// of a member in streamed.
func (s *scanner) holdsRecords(w *walker) bool {
	kept := s.in.buf[s.in.keep:s.in.pos]
	first, ok := streamed[string(kept[w.from:w.to])]
	return ok && (!first || w.first)
}

// elements reads the elements of the array that pos is in.
func (s *scanner) elements(nest int) error {
	in := &s.in
	for {
		c, ok := in.peek(separators)
		if !ok {
			s.cut(s.here(), nil)
			return nil
		}
		if c == ']' {
			in.pos++
			return nil
		}
		if err := s.value(nest); err != nil || s.ended {
			return err
		}
	}
}

// stray passes what cannot begin a value, up to the next brace. A short piece of
// a line is a prefix (a time, a syslog header) of the record behind it; all
// else is a problem, one for all of it.
func (s *scanner) stray() {
	in := &s.in
	in.keep = in.pos
	at, told := s.here(), false
	tell := func() {
		if !told {
			s.fail(at, NotJSON, "text that is no record", in.buf[in.keep:in.pos])
		}
		told, in.keep = true, in.pos
	}
	for {
		i := bytes.IndexByte(in.buf[in.pos:in.end], '{')
		if i >= 0 {
			in.pos += i
			break
		}
		in.pos = in.end
		if in.pos-in.keep > event.MaxProblemBytes {
			tell()
		}
		if !in.fill() {
			tell()
			return
		}
	}
	run := in.buf[in.keep:in.pos]
	if s.stats.Records == 0 && bytes.IndexByte(run, 0) >= 0 {
		tell() // a binary: braces in it mean nothing
		s.ended = true
	} else if len(run) > 1024 || bytes.IndexByte(run, '\n') >= 0 && !isRecordHead(run) {
		tell()
	}
}

// walker follows one value through the bytes of a stream, in as many pieces as
// they come. It allocates for depth only.
type walker struct {
	depth    int
	stack    [512]byte // the open brackets; deeper ones are only counted
	inString bool
	escaped  bool
	newline  bool // the byte before was a line break
	prev     byte // the last byte that was neither space nor inside a string
	streams  bool // say so when an array is entered in the outermost object
	first    bool // no member came before the last string of the outermost object
	n        int  // bytes walked
	from, to int  // the last string of the outermost object, by n
}

// found is why walk stopped.
type found int

const (
	nothing found = iota // all bytes were walked
	whole                // the value ends here
	array                // behind the bracket of an array in the outermost object
	another              // before the brace of what must be another value
)

// inText are the bytes that mean something inside a string.
var inText = [256]bool{'"': true, '\\': true, '\n': true}

// walk walks b as far as it can, and returns how far and why it stopped.
func (w *walker) walk(b []byte) (n int, why found) {
	defer func() { w.n += n }()
	for i := 0; i < len(b); i++ {
		c := b[i]
		if w.inString {
			if w.escaped {
				w.escaped = false
				continue
			}
			for !w.newline && !inText[c] {
				if i++; i == len(b) {
					return i, nothing
				}
				c = b[i]
			}
			switch {
			case w.newline && c == '{':
				return i, another
			case c == '\\':
				w.escaped = true
			case c == '"':
				w.inString, w.prev = false, '"'
				switch w.depth {
				case 0:
					return i + 1, whole
				case 1:
					w.to = w.n + i
				}
			}
			w.newline = c == '\n'
			continue
		}
		if w.depth == 0 && w.n+i > 0 && isOneOf(c, separators+"]}") {
			return i, whole // behind a number or a word
		}
		switch c {
		case ' ', '\t', '\r':
			continue
		case '\n':
			w.newline = true
			continue
		case '"':
			w.inString = true
			if w.depth == 1 {
				w.from = w.n + i + 1
			}
		case '{', '[':
			if c == '{' && w.newline && w.strange() {
				return i, another
			}
			w.open(c)
			if c == '[' && w.depth == 2 && w.streams && w.stack[0] == '{' {
				w.newline, w.prev = false, c
				return i + 1, array
			}
		case '}', ']':
			if w.depth--; w.depth <= 0 {
				return i + 1, whole
			}
		case ',':
			if w.depth == 1 {
				w.first = false
			}
		}
		w.newline, w.prev = false, c
	}
	return len(b), nothing
}

func (w *walker) open(c byte) {
	if w.depth < len(w.stack) {
		w.stack[w.depth] = c
	}
	w.depth++
}

// strange reports whether a brace at the beginning of a line cannot belong to
// the value: then the value was cut off, and this is the next.
func (w *walker) strange() bool {
	if w.depth == 0 || w.depth > len(w.stack) {
		return false
	}
	if w.stack[w.depth-1] == '{' {
		return w.prev != ':'
	}
	return w.prev != '[' && w.prev != ','
}
