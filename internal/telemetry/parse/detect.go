package parse

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// A format is one row of the table that says what a JSON value is: a record,
// or an envelope around others. Rows are tried in order, so the narrow ones
// stand before the wide ones.
type format struct {
	name   string       // of a record: what normalise knows it by
	strand event.Strand // of a record
	match  func(v *fastjson.Value) bool
	// strandOf tells the strand where it depends on the record.
	strandOf func(v *fastjson.Value) event.Strand
	// unwrap makes an envelope of the row: it gives what is inside to
	// s.inside, s.insideText or s.insideBytes, with depth as it was given.
	unwrap func(s *scanner, v *fastjson.Value, depth int) error
}

// formats is the table: AWS's records, those of endpoints, and then the
// envelopes, whose words ("message", "data", "event") are also members of
// records.
var formats = func() []format {
	envelopes := slices.IndexFunc(awsFormats, func(f format) bool { return f.unwrap != nil })
	return slices.Concat(awsFormats[:envelopes], endpointFormats, wideFormats, awsFormats[envelopes:])
}()

// maxEnvelopes bounds envelopes in envelopes.
const maxEnvelopes = 8

// parser is what reads one level of envelopes. The values of a level live
// until the level is read again, so each level has its own.
type parser struct {
	json   fastjson.Parser
	text   []byte // of a record that was built here
	mended []byte
}

// level returns the parser of a level of envelopes.
func (s *scanner) level(depth int) *parser {
	for len(s.parsers) <= depth {
		s.parsers = append(s.parsers, new(parser))
	}
	return s.parsers[depth]
}

// candidate takes a value of the stream as it stands there.
func (s *scanner) candidate(at place, b []byte) error {
	s.at = at
	return s.insideText(b, s.depth)
}

// insideText takes what must be JSON.
func (s *scanner) insideText(b []byte, depth int) error {
	if depth > maxEnvelopes {
		s.fail(s.at, BadEnvelope, "too many envelopes in one another", b)
		return nil
	}
	p := s.level(depth)
	clean, err := p.clean(b, s.o.MaxRecord)
	if err != nil {
		code := NotJSON
		if errors.Is(err, errDeep) {
			code = TooDeep
		}
		s.fail(s.at, code, err.Error(), b)
		return nil
	}
	v, err := p.json.ParseBytes(clean)
	if err != nil {
		s.fail(s.at, NotJSON, err.Error(), b)
		return nil
	}
	return s.dispatch(v, clean, depth)
}

// clean returns b, mended where it must be.
func (p *parser) clean(b []byte, bound int) ([]byte, error) {
	err := check(b)
	if err != errMend {
		return b, err
	}
	p.mended = mend(p.mended[:0], b)
	if len(p.mended) > 6*bound {
		return nil, errJSON
	}
	return p.mended, check(p.mended)
}

// inside takes a value that an envelope holds: an object or array, or a text
// that is one.
func (s *scanner) inside(v *fastjson.Value, depth int) error {
	if v == nil {
		s.fail(s.at, BadEnvelope, "an envelope without content", nil)
		return nil
	}
	if v.Type() == fastjson.TypeString {
		return s.insideBytes(text(v), depth+1)
	}
	p := s.level(depth)
	p.text = appendJSON(p.text[:0], v)
	return s.dispatch(v, p.text, depth+1)
}

// dispatch finds out what v is. json is its text.
func (s *scanner) dispatch(v *fastjson.Value, json []byte, depth int) error {
	if depth > maxEnvelopes {
		s.fail(s.at, BadEnvelope, "too many envelopes in one another", json)
		return nil
	}
	if v.Type() == fastjson.TypeString {
		return s.insideBytes(text(v), depth+1)
	}
	for i := range s.table {
		f := &s.table[i]
		if !f.match(v) {
			continue
		}
		if f.unwrap != nil {
			return f.unwrap(s, v, depth)
		}
		return s.accept(f, v, json)
	}
	s.fail(s.at, UnknownFormat, "a JSON value, but no record of a known format", json)
	return nil
}

// accept delivers a record, unless the sender said that it is something else.
// Management and data events come in the same files, so a sender of one is
// taken to mean both.
func (s *scanner) accept(f *format, v *fastjson.Value, json []byte) error {
	strand := f.strand
	if f.strandOf != nil {
		strand = f.strandOf(v)
	}
	if want := s.o.Strand; want != "" && family(want) != family(strand) {
		s.fail(s.at, WrongStrand, fmt.Sprintf("a record of strand %s (%s), sent as %s", strand, f.name, want), json)
		return nil
	}
	s.raw.Strand, s.raw.Format, s.raw.JSON, s.raw.Doc = strand, f.name, json, v
	if f.strand == event.Invocation && s.o.Bodies != nil {
		s.fetchBodies(&s.raw)
	}
	return s.deliver(&s.raw)
}

func family(s event.Strand) event.Strand {
	if s == event.Data {
		return event.Management
	}
	return s
}

// skip counts something known and of no interest.
func (s *scanner) skip() error {
	s.stats.Skipped++
	return nil
}

// insideBytes takes what an envelope holds as bytes: JSON, lines of it, or an
// archive of such.
func (s *scanner) insideBytes(b []byte, depth int) error {
	t := bytes.TrimSpace(b)
	if len(t) > 0 && (t[0] == '{' || t[0] == '[') && !errors.Is(check(t), errJSON) {
		return s.insideText(t, depth)
	}
	if depth > maxEnvelopes {
		s.fail(s.at, BadEnvelope, "too many envelopes in one another", b)
		return nil
	}
	if mine, err := s.insideLine(t, depth+1); mine {
		return err
	}
	in := &scanner{shared: s.shared, depth: depth + 1, at: s.at, fixed: true}
	return in.read(bytes.NewReader(b))
}

// has reports whether an object has all of the members.
func has(v *fastjson.Value, keys ...string) bool {
	if v.Type() != fastjson.TypeObject {
		return false
	}
	for _, k := range keys {
		if v.Get(k) == nil {
			return false
		}
	}
	return true
}

// text is the text of a string, nil of anything else.
func text(v *fastjson.Value) []byte {
	if v == nil || v.Type() != fastjson.TypeString {
		return nil
	}
	b, _ := v.StringBytes()
	return b
}

// is reports whether the member is this string.
func is(v *fastjson.Value, key, want string) bool {
	return string(text(v.Get(key))) == want
}
