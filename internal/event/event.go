// Package event is the vocabulary of the event path: what a record is when it
// arrived (Raw), what it is once normalised (Event), and the table of fields
// that hunts and rules name.
//
// A record is one JSON object of one strand. Formats that are not JSON (XML,
// auditd) are turned into one by their parser, so that every record can be kept
// whole and asked for any path. Normalising fills the columns of the table in
// field.go: from the mapping of the record's source, or else with the value
// that the record itself has at the path of the column's name. A column
// therefore answers for its name in every strand, and a query needs the text
// of the record only for names that are not in the table.
//
// The package imports no other of ours and holds no state.
package event

import (
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// A Strand is one of the streams of telemetry.
type Strand string

const (
	Management Strand = "management" // CloudTrail, eventCategory Management (and Insight)
	Data       Strand = "data"       // CloudTrail, eventCategory Data and NetworkActivity
	Invocation Strand = "invocation" // Bedrock model invocation log
	Endpoint   Strand = "endpoint"   // processes and their command lines
	Metrics    Strand = "metrics"    // CloudWatch's numbers
	Gateway    Strand = "gateway"    // calls of our own gateway
)

// Strands lists them in the order people meet them.
var Strands = []Strand{Management, Data, Invocation, Endpoint, Metrics, Gateway}

// Raw is one record as its parser leaves it.
//
// JSON is the record's own text, one object, and Doc the same text parsed; both
// belong to the parser and are valid only until it is asked for the next
// record. Whoever keeps a record copies it (normalise does).
type Raw struct {
	Strand   Strand
	Format   string // what wrote it: cloudtrail, invocation, jamf, sysmon, …; a row of normalise's tables
	JSON     []byte
	Doc      *fastjson.Value
	Received time.Time
	Origin   Origin
}

// Origin says where a record came from, for errors, dead letters and _source.
type Origin struct {
	Name   string // file, s3:// address, "push", "journal"
	Record int64  // 1-based number of the record within it
	Line   int64  // 1-based line where it begins, 0 when it has none
	Host   string // who sent it, when known
}

// An Event is one normalised record. Values are indexed by Field; an absent
// value has kind None. ID is the key that duplicates share: equal IDs are the
// same happening told twice.
type Event struct {
	ID     ID
	Time   time.Time // when it happened, by the record
	Strand Strand
	Format string
	Values [NumFields]Value
	Raw    []byte
}

// ID is 128 bits of a hash over what makes a record itself: event id, request
// id and operation, or the whole record where it has neither.
type ID [16]byte

// Text is the value of a text column, "" when absent.
func (e *Event) Text(f Field) string { return e.Values[f].S }

// SetText sets a text column; an empty string is a value, absent is not.
func (e *Event) SetText(f Field, s string) { e.Values[f] = Value{Kind: Text, S: s} }

// SetInt sets an integer column.
func (e *Event) SetInt(f Field, n int64) { e.Values[f] = Value{Kind: Int, N: n} }

// SetBool sets a boolean column.
func (e *Event) SetBool(f Field, b bool) {
	e.Values[f] = Value{Kind: Bool}
	if b {
		e.Values[f].N = 1
	}
}

// SetFloat sets a number column.
func (e *Event) SetFloat(f Field, x float64) { e.Values[f] = Value{Kind: Float, F: x} }

// Value is one cell.
type Value struct {
	Kind Kind
	S    string
	N    int64 // Int, and Bool as 0 or 1
	F    float64
}

// Kind is the type of a column or cell.
type Kind uint8

const (
	None  Kind = iota // absent
	Text              // UTF-8
	Int               // int64
	Float             // float64
	Bool
)

func (k Kind) String() string { return [...]string{"none", "text", "int", "float", "bool"}[k] }

// A Problem is a record that could not be read, with its place and the reason.
// It goes to the dead-letter file with the bytes that were there.
type Problem struct {
	Origin Origin
	Offset int64  // of the bytes within the origin, after decompression
	Code   string // truncated, not_json, too_long, bad_gzip, unknown_format, bad_time, …
	Reason string
	Bytes  []byte // at most MaxProblemBytes of what was there
}

// MaxProblemBytes bounds what a dead letter keeps of a record.
const MaxProblemBytes = 64 << 10

// Lookup finds a column by name, whatever its case. Names that hold dots are
// columns too ("userIdentity.arn").
func Lookup(name string) (Field, bool) {
	f, ok := byName[strings.ToLower(name)]
	return f, ok
}
