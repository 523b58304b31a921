package eval

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"gatehouse/internal/query/core"
)

// A Value is one cell. The zero Value is null.
type Value struct {
	Type core.Type
	N    int64   // Int, and Bool as 0 or 1
	F    float64 // finite
	S    string  // UTF-8
	L    []string
}

// BoolValue is a Bool.
func BoolValue(b bool) Value {
	v := Value{Type: core.Bool}
	if b {
		v.N = 1
	}
	return v
}

// IntValue is an Int.
func IntValue(n int64) Value { return Value{Type: core.Int, N: n} }

// FloatValue is a Float, or null when x is none.
func FloatValue(x float64) Value {
	if !finite(x) {
		return Value{}
	}
	return Value{Type: core.Float, F: x}
}

// TextValue is a Text.
func TextValue(s string) Value { return Value{Type: core.Text, S: s} }

// ListValue is a List; nil is the empty one.
func ListValue(l []string) Value { return Value{Type: core.List, L: l} }

// IsNull says that v is null.
func (v Value) IsNull() bool { return v.Type == core.Null }

// Any is v as core.Inline and core.Host hold it.
func (v Value) Any() any {
	switch v.Type {
	case core.Bool:
		return v.N != 0
	case core.Int:
		return v.N
	case core.Float:
		return v.F
	case core.Text:
		return v.S
	case core.List:
		if v.L == nil {
			return []string{}
		}
		return v.L
	}
	return nil
}

// FromAny is the opposite of Any.
func FromAny(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return Value{}, nil
	case bool:
		return BoolValue(x), nil
	case int64:
		return IntValue(x), nil
	case float64:
		if !finite(x) {
			return Value{}, fmt.Errorf("%v is no value", x)
		}
		return FloatValue(x), nil
	case string:
		return TextValue(x), nil
	case []string:
		return ListValue(x), nil
	}
	return Value{}, fmt.Errorf("%T is not among the types of values", x)
}

// compare orders two values of one type, neither null.
func compare(a, b Value) int {
	switch a.Type {
	case core.Float:
		return cmp.Compare(a.F, b.F)
	case core.Text:
		return strings.Compare(a.S, b.S)
	}
	return cmp.Compare(a.N, b.N)
}

// appendKey writes v so that equal values, and no others, are written alike.
// Null equals null.
func appendKey(key []byte, v Value) []byte {
	key = append(key, byte(v.Type))
	switch v.Type {
	case core.Bool, core.Int:
		return binary.BigEndian.AppendUint64(key, uint64(v.N))
	case core.Float:
		return binary.BigEndian.AppendUint64(key, math.Float64bits(v.F+0)) // -0 equals 0
	case core.Text:
		return appendText(key, v.S)
	case core.List:
		key = binary.AppendUvarint(key, uint64(len(v.L)))
		for _, s := range v.L {
			key = appendText(key, s)
		}
	}
	return key
}

func appendText(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// MaxText bounds the bytes of a text that an expression makes: as much as a
// whole record may have.
const MaxText = 128 << 20

// ErrText is the error of a row in which a text outgrew MaxText.
var ErrText = errors.New("an expression makes a text of more than 128 MiB")

// A Row is what functions are asked of: the values of an event or of a row of a
// plan, and what was found out about them on the way. It belongs to one
// goroutine; set it anew for each event, so that its memory is used again.
type Row struct {
	values []Value
	docs   [maxDocs]document
	used   int // of docs
	next   int // of docs, which is overwritten next when all are in use
	err    error
}

// maxDocs is how many JSON documents of one row are kept parsed: its record, and
// texts in it that are JSON once more.
const maxDocs = 4

// Set makes r the row of these values, in the order of the columns that the
// functions were compiled for. The values are not copied.
func (r *Row) Set(values []Value) {
	r.values, r.err = values, nil
	for i := range r.docs[:r.used] {
		r.docs[i].forget()
	}
	r.used, r.next = 0, 0
}

// Err says why values of this row are null that should not be: a text outgrew
// MaxText.
func (r *Row) Err() error { return r.err }

var null Value

// at gives a column of the row. One that the row does not have is null.
func (r *Row) at(i int) *Value {
	if i < len(r.values) {
		return &r.values[i]
	}
	return &null
}

// fits says that a text of n bytes may be made.
func (r *Row) fits(n int) bool {
	if n > MaxText {
		r.err = ErrText
		return false
	}
	return true
}

// document gives s parsed, from memory when it has been asked for in this row.
func (r *Row) document(s string) *document {
	for i := range r.docs[:r.used] {
		if r.docs[i].text == s {
			return &r.docs[i]
		}
	}
	d := &r.docs[r.next]
	r.used = max(r.used, r.next+1)
	r.next = (r.next + 1) % maxDocs
	d.parse(s)
	return d
}
