package clickhouse

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

func rowsOf(reply []byte) *rows {
	q := &query{e: &Engine{}, caller: context.Background(), ctx: context.Background()}
	return &rows{q: q, in: bufio.NewReader(bytes.NewReader(reply)), budget: lake.Budget{}.WithDefaults()}
}

// TestTypes reads one cell of each type; the bytes are those of ClickHouse 26.9.
func TestTypes(t *testing.T) {
	for _, c := range []struct {
		typ, cell string
		want      event.Value
	}{
		{"Bool", "\x01", event.Value{Kind: event.Bool, N: 1}},
		{"UInt8", "\xff", event.Value{Kind: event.Int, N: 255}},
		{"Int16", "\xfe\xff", event.Value{Kind: event.Int, N: -2}},
		{"UInt64", strings.Repeat("\xff", 8), event.Value{Kind: event.Float, F: 18446744073709551615}},
		{"Int128", "\xfe" + strings.Repeat("\xff", 15), event.Value{Kind: event.Int, N: -2}},
		{"UInt128", strings.Repeat("\x00", 15) + "\x01", event.Value{Kind: event.Float, F: 1.329227995784916e36}},
		{"Float64", "\x00\x00\x00\x00\x00\x00\xf8\x3f", event.Value{Kind: event.Float, F: 1.5}},
		{"Float32", "\x00\x00\xc0\x7f", event.Value{}},
		{"String", "\x02a\xff", event.Value{Kind: event.Text, S: "a\uFFFD"}},
		{"FixedString(2)", "ab", event.Value{Kind: event.Text, S: "ab"}},
		{"Nullable(Int64)", "\x01", event.Value{}},
		{"LowCardinality(Nullable(String))", "\x00\x01x", event.Value{Kind: event.Text, S: "x"}},
		{"Array(Nullable(String))", "\x02\x00\x01a\x01", event.Value{Kind: event.Text, S: `["a"]`}},
		{"Array(Nullable(String))", "\x01\x01", event.Value{}},
		{"Array(String)", "\x00", event.Value{Kind: event.Text, S: "[]"}},
		{"Date", "\x01\x00", event.Value{Kind: event.Text, S: "1970-01-02"}},
		{"DateTime('UTC')", "\x01\x00\x00\x00", event.Value{Kind: event.Text, S: "1970-01-01 00:00:01"}},
		{"DateTime64(3, 'UTC')", "\xff\xff\xff\xff\xff\xff\xff\xff", event.Value{Kind: event.Text, S: "1969-12-31 23:59:59.999"}},
		{"UUID", "\x07\x06\x05\x04\x03\x02\x01\x00\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08", event.Value{Kind: event.Text, S: "00010203-0405-0607-0809-0a0b0c0d0e0f"}},
		{"IPv4", "\x04\x03\x02\x01", event.Value{Kind: event.Text, S: "1.2.3.4"}},
		{"Nullable(Nothing)", "\x01", event.Value{}},
	} {
		r := rowsOf([]byte(head(c.typ) + row(c.cell)))
		got := make([]event.Value, 1)
		if err := r.header(); err != nil || !r.Next(got) || got[0] != c.want || r.Next(got) || r.Err() != nil {
			t.Errorf("%s: got %+v, want %+v (%v, %v)", c.typ, got[0], c.want, err, r.Err())
		}
	}
	for _, typ := range []string{"", "Map(String, String)", "Array(Int64)", "Array(Array(String))", "FixedString(-1)", "DateTime64(12)", "Nullable(", strings.Repeat("Nullable(", 9) + "String" + strings.Repeat(")", 9)} {
		if _, _, err := decoderOf(typ); err == nil {
			t.Errorf("the type %q is read", typ)
		}
	}
}
