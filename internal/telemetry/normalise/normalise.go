// Package normalise makes events of records: the same columns for every source,
// typed, with the names that hunts and rules use.
//
// Each source has one table (source.go says what a row is) that says which
// column is found where. One loop walks it. What the table leaves empty is
// filled from the record itself, by the name of the column (fill.go), so that
// a column answers for its name in every strand.
//
// To add a source, write its table beside the format in package parse, and a
// record with its golden in testdata.
package normalise

import (
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// Options are what a Normaliser asks about. Any of them may be nil.
type Options struct {
	// Places tells where an address is; "" and 0 where it does not know.
	Places func(netip.Addr) (country string, asn int64, organization string)
	// ViaGateway reports whether the request went through our gateway.
	ViaGateway func(requestID string) bool
	Now        func() time.Time
}

// Normaliser makes events of records. It belongs to one goroutine.
type Normaliser struct {
	o       Options
	sources map[string]*source
	columns *branch

	e     *event.Event
	buf   []byte // texts of the event being made, one behind the other
	texts []span // which of them is whose
	cell  cell
	// filled are the columns that have a value, in e or in texts.
	filled [event.NumFields]bool
}

// span is the text of a column within buf.
type span struct {
	field    event.Field
	from, to int
}

// New returns a Normaliser for every source there is.
func New(o Options) *Normaliser {
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &Normaliser{o: o, sources: make(map[string]*source), columns: columns()}
	for _, table := range [][]source{awsSources, endpointSources} {
		for i := range table {
			n.sources[table[i].format] = &table[i]
		}
	}
	return n
}

// A Problem is what is wrong with a record's content. When Kept, the event was
// made nevertheless and stands for the record; else there is none.
type Problem struct {
	Code   string // no_time, bad_time, future_time
	Reason string
	Kept   bool
}

func (p *Problem) Error() string { return p.Reason }

// ProblemOf is what an error of Event says of the record r, for the dead
// letters. Its bytes are those of r.
func ProblemOf(r *event.Raw, err error) event.Problem {
	p := event.Problem{Origin: r.Origin, Reason: err.Error(), Bytes: r.JSON[:min(len(r.JSON), event.MaxProblemBytes)]}
	if own := (*Problem)(nil); errors.As(err, &own) {
		p.Code = own.Code
	}
	return p
}

// The codes of problems.
const (
	NoTime     = "no_time"
	BadTime    = "bad_time"
	FutureTime = "future_time"
)

// maxAhead is how far ahead of ours a clock may be.
const maxAhead = 24 * time.Hour

// Event makes e of r. Everything in e is overwritten, and nothing in it refers
// to r afterwards; its Raw reuses the memory that it had. An error is a
// *Problem: the record says no time, or none that can be read, and then there
// is no event; or its clock is more than a day ahead, and then the event has
// the time when the record came.
func (n *Normaliser) Event(r *event.Raw, e *event.Event) error {
	src := n.sources[r.Format]
	if src == nil {
		src = &anySource
	}
	*e = event.Event{Strand: r.Strand, Format: r.Format, Raw: append(fit(e.Raw, len(r.JSON)), r.JSON...)}
	n.e, n.buf, n.texts = e, fit(n.buf, len(r.JSON)), n.texts[:0]
	clear(n.filled[:])
	src.fill(n, r.Doc)
	n.columns.fill(n, r.Doc)
	when, err := n.when(src, r)
	if when.IsZero() {
		return err
	}
	e.Time = when
	e.ID = n.id(src, r)
	n.metadata(src, r)
	n.settle()
	return err
}

// when is the time of the record.
func (n *Normaliser) when(src *source, r *event.Raw) (time.Time, error) {
	received := r.Received
	if received.IsZero() {
		received = n.o.Now()
	}
	t, err := src.when(r.Doc)
	if err == nil && t.After(received.Add(maxAhead)) {
		return received, &Problem{Code: FutureTime, Reason: "the time " + t.Format(time.RFC3339) + " is in the future; the time of receipt stands for it", Kept: true}
	}
	return t, err
}

// when reads the time of a record. It is zero when there is an error.
func (s *source) when(doc *fastjson.Value) (time.Time, error) {
	if s.clock != nil {
		if t, ok := s.clock(doc); ok {
			return t, nil
		}
	}
	for _, p := range s.time {
		v := doc.Get(p...)
		if v == nil || v.Type() == fastjson.TypeNull {
			continue
		}
		if t, ok := Time(v); ok {
			return t, nil
		}
		return time.Time{}, &Problem{Code: BadTime, Reason: "the time " + shown(v) + " is of no known form"}
	}
	return time.Time{}, &Problem{Code: NoTime, Reason: "the record has no time"}
}

// metadata fills in the columns that are about the record.
func (n *Normaliser) metadata(src *source, r *event.Raw) {
	e := n.e
	const hex = "0123456789abcdef"
	c := cell{n, event.MessageID}
	for _, b := range e.ID {
		c.add([]byte{hex[b>>4], hex[b&15]})
	}
	e.SetInt(event.MessageTime, e.Time.UnixMilli())
	if !r.Received.IsZero() {
		e.SetInt(event.ReceiptTime, r.Received.UnixMilli())
	}
	e.SetText(event.StrandName, string(e.Strand))
	e.SetText(event.FormatName, e.Format)
	e.SetText(event.SourceCategory, category[e.Strand])
	set := func(f event.Field, s string) {
		if s != "" {
			e.SetText(f, s)
		}
	}
	set(event.Collector, src.collector)
	set(event.Index, src.index)
	set(event.SourceName, r.Origin.Name)
	set(event.SourceHost, r.Origin.Host)
	if n.o.ViaGateway != nil && e.Strand != event.Gateway {
		if id, ok := n.text(event.RequestID); ok {
			e.SetBool(event.ViaGateway, n.o.ViaGateway(id))
		}
	}
	n.place()
}

// category is what the language calls a strand.
var category = map[event.Strand]string{
	event.Management: "cloudtrail",
	event.Data:       "cloudtraildataevents",
	event.Invocation: "bedrock/invocations",
	event.Endpoint:   "endpoint",
	event.Metrics:    "metrics",
	event.Gateway:    "gateway",
}

// place fills in where the caller's address is.
func (n *Normaliser) place() {
	if n.o.Places == nil {
		return
	}
	ip, _ := n.text(event.SrcDeviceIP)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	country, asn, organization := n.o.Places(addr)
	if country != "" {
		n.e.SetText(event.Country, country)
	}
	if asn != 0 {
		n.e.SetInt(event.ASN, asn)
	}
	if organization != "" {
		n.e.SetText(event.ASOrganization, organization)
	}
}

// fit empties b for reuse, or drops it where it is far larger than what is to
// come: one huge record must not be held by each event of a pool.
func fit(b []byte, need int) []byte {
	if cap(b) > 1<<20 && need < cap(b)/8 {
		return nil
	}
	return b[:0]
}

// settle turns the texts into strings, all of one allocation, which nobody will
// write to.
func (n *Normaliser) settle() {
	all := string(n.buf)
	for _, t := range n.texts {
		n.e.Values[t.field] = event.Value{Kind: event.Text, S: all[t.from:t.to]}
	}
}

// text is the text of a column before settle.
func (n *Normaliser) text(f event.Field) (string, bool) {
	for i := len(n.texts) - 1; i >= 0; i-- {
		if t := n.texts[i]; t.field == f {
			return string(n.buf[t.from:t.to]), true
		}
	}
	return n.e.Values[f].S, n.e.Values[f].Kind == event.Text
}
