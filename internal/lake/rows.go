package lake

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"gatehouse/internal/event"
)

// MaxRow bounds the bytes of one row: all its columns and its text.
const MaxRow = 128 << 20

// rows are copies of events in one piece of memory: an event.Event is kilobytes
// of mostly absent cells, and its strings are borrowed from the normaliser.
//
// A row is its present cells one after another, each the number of its column
// and then 8 bytes of a number, or a length and that many bytes of text.
type rows struct {
	buf  []byte
	at   []rowAt
	room int // about how long buf gets in the end; 0: nobody knows
}

// rowAt is where a row is, with its time for sorting. The record's text is the
// last of its cells and ends with it.
type rowAt struct {
	ms            int64
	from, raw, to int
}

// add copies e, or refuses it for its size.
func (r *rows) add(e *event.Event) error {
	size := rowSize(e)
	if size > MaxRow {
		return fmt.Errorf("record %x has %d bytes with its columns; at most %d are kept", e.ID, size, MaxRow)
	}
	from, ms := len(r.buf), e.Time.UnixMilli()
	r.grow(size)
	var id [2 * len(e.ID)]byte
	hex.Encode(id[:], e.ID[:])
	r.buf = appendText(r.buf, int(event.MessageID), id[:])
	r.buf = appendNumber(r.buf, int(event.MessageTime), uint64(ms))
	r.buf = appendText(r.buf, int(event.StrandName), e.Strand)
	if e.Format != "" {
		r.buf = appendText(r.buf, int(event.FormatName), e.Format)
	}
	for f := range event.NumFields {
		if v := &e.Values[f]; v.Kind != event.None && !ownCell[f] {
			r.buf = appendCell(r.buf, f, v)
		}
	}
	r.end(from, ms, e.Raw)
	return nil
}

// grow makes room for n bytes. It doubles, as append does not once a slice is
// long: growing by quarters would copy what is kept three times more. Where the
// next step would be the last but one it takes what is needed in the end.
func (r *rows) grow(n int) {
	if n <= cap(r.buf)-len(r.buf) {
		return
	}
	to := max(len(r.buf)+n, 2*cap(r.buf))
	if to > r.room/2 {
		to = max(to, r.room)
	}
	r.buf = append(make([]byte, 0, to), r.buf...)
}

// end closes the row that began at from with the record's text.
func (r *rows) end(from int, ms int64, raw []byte) {
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	r.buf = appendText(r.buf, rawField, raw)
	to := len(r.buf)
	r.at = append(r.at, rowAt{ms, from, to - len(raw), to})
}

// raw is the text of a row's record.
func (r *rows) raw(row rowAt) []byte { return r.buf[row.raw:row.to] }

// copy adds a row of o.
func (r *rows) copy(o *rows, row rowAt) {
	move := len(r.buf) - row.from
	r.grow(row.to - row.from)
	r.buf = append(r.buf, o.buf[row.from:row.to]...)
	r.at = append(r.at, rowAt{row.ms, row.from + move, row.raw + move, row.to + move})
}

// append adds all rows of o.
func (r *rows) append(o *rows) {
	for _, row := range o.at {
		r.copy(o, row)
	}
}

// ownCell are the columns that are an event's own members.
var ownCell = [event.NumFields]bool{
	event.MessageID: true, event.MessageTime: true, event.StrandName: true, event.FormatName: true,
}

// rowSize is at least what add needs, before the replacing of broken UTF-8.
func rowSize(e *event.Event) int {
	n := len(e.Raw) + 128
	for f := range event.NumFields {
		if e.Values[f].Kind != event.None {
			n += len(e.Values[f].S) + 16
		}
	}
	return n
}

// appendCell appends a cell as its column's kind. A value of another kind is
// left out, for a reader trusts a column's type; an integer may be a float.
func appendCell(b []byte, f event.Field, v *event.Value) []byte {
	switch kind := event.Columns[f].Kind; {
	case kind == event.Float && v.Kind == event.Int:
		return appendNumber(b, int(f), math.Float64bits(float64(v.N)))
	case kind != v.Kind:
		return b
	case kind == event.Text:
		return appendText(b, int(f), v.S)
	case kind == event.Float:
		return appendNumber(b, int(f), math.Float64bits(v.F))
	}
	return appendNumber(b, int(f), uint64(v.N))
}

func appendNumber(b []byte, col int, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, byte(col)), n)
}

// appendText appends a text. Engines refuse a whole file for one broken
// sequence, so that is replaced here, whoever wrote it.
func appendText[T ~string | ~[]byte](b []byte, col int, s T) []byte {
	b = append(b, byte(col))
	if !validUTF8(s) {
		s = T(strings.ToValidUTF8(string(s), "\uFFFD"))
	}
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func validUTF8[T ~string | ~[]byte](s T) bool {
	switch s := any(s).(type) {
	case []byte:
		return utf8.Valid(s)
	case string:
		return utf8.ValidString(s)
	}
	return utf8.ValidString(string(s))
}

// sort puts the rows in the order of their times; equal times stay as they came.
func (r *rows) sort() {
	byTime := func(a, b rowAt) int {
		switch {
		case a.ms < b.ms:
			return -1
		case a.ms > b.ms:
			return 1
		}
		return a.from - b.from
	}
	if !slices.IsSortedFunc(r.at, byTime) {
		slices.SortFunc(r.at, byTime)
	}
}

// reset forgets the rows. Memory that a burst of large ones took is given back.
func (r *rows) reset(keep int) {
	r.at = r.at[:0]
	if r.buf = r.buf[:0]; cap(r.buf) > keep {
		r.buf = nil
	}
}

// cells calls f for each cell of a row. Cells that point into the row's memory
// are good as long as that is.
func (r *rows) cells(row rowAt, f func(col int, v parquet.Value)) {
	for b := r.buf[row.from:row.to]; len(b) > 0; {
		col := int(b[0])
		b = b[1:]
		if kind := columnKind(col); kind != event.Text {
			f(col, number(kind, binary.LittleEndian.Uint64(b)))
			b = b[8:]
			continue
		}
		n, w := binary.Uvarint(b)
		f(col, parquet.ByteArrayValue(b[w:w+int(n)]))
		b = b[w+int(n):]
	}
}

func columnKind(col int) event.Kind {
	if col == rawField {
		return event.Text
	}
	return event.Columns[col].Kind
}

func number(kind event.Kind, n uint64) parquet.Value {
	switch kind {
	case event.Float:
		return parquet.DoubleValue(math.Float64frombits(n))
	case event.Bool:
		return parquet.BooleanValue(n != 0)
	}
	return parquet.Int64Value(int64(n))
}
