package parse

import "bytes"

// A textFormat reads a stream that is not JSON, such as XML or audit lines. It
// is chosen by the first bytes of the stream.
type textFormat struct {
	name string
	// match is given the first 4 KiB at most, after white space.
	match func(head []byte) bool
	// scan reads the whole stream and delivers each record as JSON.
	scan func(t *Text) error
}

// Text is the stream that a textFormat reads, in pieces.
type Text struct {
	s *scanner
}

const headSize = 4 << 10

// text tells which text format the stream is of, nil for none.
func (s *scanner) text() *textFormat {
	if _, ok := s.in.peek(spaces); !ok {
		return nil
	}
	s.in.keep = s.in.pos
	for s.in.end-s.in.pos < headSize && s.in.fill() {
	}
	head := s.in.buf[s.in.pos:min(s.in.end, s.in.pos+headSize)]
	for i := range s.texts {
		if s.texts[i].match(head) {
			return &s.texts[i]
		}
	}
	return nil
}

// Next returns the next piece of the stream that ends with sep (a line break,
// a closing tag), sep included; the last piece may lack it. The piece is valid
// until the next call. A piece longer than the bound of a record is a problem
// and is passed.
func (t *Text) Next(sep string) (piece []byte, ok bool) {
	in := &t.s.in
	in.keep = in.pos
	t.s.begin()
	for told := false; ; {
		from := max(in.keep, in.pos-len(sep)+1)
		if i := bytes.Index(in.buf[from:in.end], []byte(sep)); i >= 0 {
			in.pos = from + i + len(sep)
			if !told {
				return in.buf[in.keep:in.pos], true
			}
			in.keep, told = in.pos, false
			t.s.begin()
			continue
		}
		in.pos = in.end
		if in.pos-in.keep > t.s.o.MaxRecord {
			if !told {
				t.s.fail(t.s.at, TooLong, "longer than the bound of one record", in.buf[in.keep:in.pos])
			}
			told, in.keep = true, in.pos-len(sep)
		}
		if !in.fill() {
			return in.buf[in.keep:in.pos], in.pos > in.keep && !told
		}
	}
}

// Record delivers a record, one JSON object, through the table of formats.
func (t *Text) Record(json []byte) error { return t.s.insideText(json, t.s.depth) }

// Bad tells of a piece that is no record.
func (t *Text) Bad(code, reason string, piece []byte) { t.s.fail(t.s.at, code, reason, piece) }

// Cut tells that the stream ended inside the piece.
func (t *Text) Cut(piece []byte) { t.s.cut(t.s.at, piece) }

// MaxRecord bounds what may be gathered for one record.
func (t *Text) MaxRecord() int { return t.s.o.MaxRecord }

// here is where the stream stands; in a stream that is itself part of a value,
// where that value began.
func (s *scanner) here() place {
	if s.fixed {
		return s.at
	}
	return s.in.here()
}

// begin notes where the value to come begins.
func (s *scanner) begin() { s.at = s.here() }
