// Package parse turns bytes of telemetry, however they were packed, into
// records: one JSON object each, of a known strand and format.
//
// [Scan] reads a stream in four steps, and holds one record at a time:
//
//   - open.go takes off what bytes are wrapped in: gzip and zstd, several
//     members, one inside another, byte order marks, UTF-16.
//   - json.go finds where each value begins and ends, in a file of one value,
//     an array, {"Records": [ … ]}, lines, or values one after another. Text
//     that is not JSON (XML, audit lines) is cut by the formats of text.go.
//   - mend.go makes sure that a value is JSON which every later reader takes,
//     and repairs what exports are known to break: invalid UTF-8, lone
//     surrogates, NaN. Telemetry is evidence, so what can be kept is kept.
//   - detect.go walks one table of formats. A row either says what a record is,
//     or unwraps an envelope, whose content walks the table again.
//
// To add a format, add its row to the table of its file, and a sample to
// testdata. What cannot be read becomes an [event.Problem] with its place and
// its bytes, and never stops the rest.
package parse

import (
	"context"
	"errors"
	"io"
	"time"

	"gatehouse/internal/event"
)

// Options say where the bytes come from and how much of them may be held. The
// zero value is ready to use.
type Options struct {
	Origin   event.Origin // Name and Host are kept; the rest counts from here
	Received time.Time
	// Strand is what the sender says these records are. "" finds out for each.
	// A record that is known to be of another strand is a problem.
	Strand event.Strand
	// MaxRecord bounds one record, in bytes of JSON; default 16 MiB. What is
	// longer is one problem, and reading goes on behind it.
	MaxRecord int
	// Bodies fetches bodies that invocation logs keep in S3; nil leaves the
	// records without them. Context is for it alone, and may be nil.
	Bodies  BodySource
	Context context.Context
}

// BodySource gets the object at an s3:// address, decompressed or not. An error
// is a problem of the body: its record is delivered without it.
type BodySource func(ctx context.Context, uri string) ([]byte, error)

// Stats count what a scan did.
type Stats struct {
	Records  int64                  // delivered
	Problems int64                  // told to problem
	Skipped  int64                  // known and of no interest: digests, control messages
	Bytes    int64                  // read, after decompression
	Strands  map[event.Strand]int64 // Records, by strand
}

const defaultMaxRecord = 16 << 20

// The codes of problems.
const (
	Truncated     = "truncated"      // ends inside a record or an archive
	NotJSON       = "not_json"       // neither JSON nor a text we know
	TooLong       = "too_long"       // longer than MaxRecord
	TooDeep       = "too_deep"       // nested deeper than 300
	BadGzip       = "bad_gzip"       // damaged gzip or zstd
	UnknownFormat = "unknown_format" // JSON, but no record we know
	WrongStrand   = "wrong_strand"   // a record of another strand than the sender said
	BadEnvelope   = "bad_envelope"   // an envelope whose content cannot be read
	NoBody        = "no_body"        // a body in S3 that could not be fetched
)

// Scan reads all of r. It calls record for each record, in their order, and
// problem for whatever was none; what they are given is valid until they
// return. An error of record, or of r, ends the scan and is returned; a stream
// that ends too early or is damaged is a problem and not an error.
func Scan(r io.Reader, o Options, record func(*event.Raw) error, problem func(event.Problem)) (Stats, error) {
	if o.MaxRecord <= 0 {
		o.MaxRecord = defaultMaxRecord
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	s := &scanner{shared: &shared{
		o: o, record: record, problem: problem, table: formats, texts: textFormats,
		stats: Stats{Strands: make(map[event.Strand]int64)},
	}}
	err := s.read(r)
	if err == nil {
		err = s.joiner().flush()
	}
	if errors.Is(err, errStop) {
		err = s.stopped
	}
	return s.stats, err
}

// shared is what a scan and the scans inside it (archives in envelopes) have
// in common.
type shared struct {
	o       Options
	record  func(*event.Raw) error
	problem func(event.Problem)
	table   []format // here, since rows of the table use the scanner
	texts   []textFormat
	stats   Stats
	stopped error     // what record returned
	parsers []*parser // by depth of envelopes
	raw     event.Raw
	audit   auditJoiner // of all streams: an envelope may hold one line each
}

// scanner reads one stream of bytes. It belongs to one goroutine.
type scanner struct {
	*shared
	src   source
	in    input
	at    place // of the value being read
	fixed bool  // at is that of an envelope that all of the stream comes from
	ended bool  // the stream stopped where it should not, or is given up
	depth int   // of envelopes around the stream
	again int64 // bytes that were read again behind a broken record
}

// place is where a value begins.
type place struct {
	offset int64
	line   int64
}

// errStop unwinds a scan after record returned an error.
var errStop = errors.New("stopped")

// fail reports a problem with what begins at p.
func (s *scanner) fail(p place, code, reason string, b []byte) {
	s.stats.Problems++
	origin := s.o.Origin
	origin.Record = s.stats.Records + s.stats.Problems + s.stats.Skipped
	origin.Line = p.line
	s.problem(event.Problem{
		Origin: origin, Offset: p.offset, Code: code, Reason: clip(reason, 1024),
		Bytes: b[:min(len(b), event.MaxProblemBytes)],
	})
}

// deliver hands a record over.
func (s *scanner) deliver(r *event.Raw) error {
	s.stats.Records++
	s.stats.Strands[r.Strand]++
	r.Received, r.Origin = s.o.Received, s.o.Origin
	r.Origin.Record = s.stats.Records + s.stats.Problems + s.stats.Skipped
	r.Origin.Line = s.at.line
	if err := s.record(r); err != nil {
		s.stopped = err
		return errStop
	}
	return nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
