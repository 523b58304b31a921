package lake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"

	"gatehouse/internal/event"
)

// day is the first of the days that tests fill.
var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// happening makes an event of a strand with an identity.
func happening(strand event.Strand, id string, at time.Time) *event.Event {
	sum := sha256.Sum256([]byte(id))
	e := &event.Event{Time: at, Strand: strand, Format: "cloudtrail", ID: event.ID(sum[:16])}
	e.SetText(event.EventName, "InvokeModel")
	e.SetText(event.RequestID, id)
	e.SetText(event.PromptText, "say "+id)
	e.SetInt(event.InputTokenCount, int64(len(id)))
	e.SetBool(event.ReadOnly, true)
	e.Raw = fmt.Appendf(nil, `{"eventName":"InvokeModel","requestID":%q,"detail":{"n":%d,"tags":["a"]}}`, id, len(id))
	return e
}

// columns reads a file back: a map of column name to value for each row.
func columns(t testing.TB, name string) []map[string]parquet.Value {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return readRows(t, b)
}

func readRows(t testing.TB, b []byte) []map[string]parquet.Value {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	r := parquet.NewReader(f)
	names := f.Schema().Columns()
	var all []map[string]parquet.Value
	for buf := make([]parquet.Row, 1); ; {
		n, err := r.ReadRows(buf)
		if n == 0 {
			return all
		}
		m := map[string]parquet.Value{}
		for _, v := range buf[0] {
			if !v.IsNull() {
				m[strings.Join(names[v.Column()], "/")] = v.Clone()
			}
		}
		all = append(all, m)
		if err != nil {
			return all
		}
	}
}

// readColumns reads only some columns of a file.
func readColumns(t testing.TB, b []byte, fields ...event.Field) [][]parquet.Value {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]parquet.Value, len(fields))
	for _, g := range f.RowGroups() {
		for i, field := range fields {
			pages := g.ColumnChunks()[field].Pages()
			for p, err := pages.ReadPage(); err == nil; p, err = pages.ReadPage() {
				values := make([]parquet.Value, p.NumValues())
				p.Values().ReadValues(values)
				for _, v := range values {
					all[i] = append(all[i], v.Clone())
				}
			}
			pages.Close()
		}
	}
	return all
}

func TestBuilderWritesWhatWasAdded(t *testing.T) {
	b := NewBuilder(BuilderOptions{Dir: t.TempDir()})
	e := happening(event.Management, "one", day)
	e.SetText(event.UserAgent, "broken \xff text")
	e.SetInt(event.MetricValue, 7)       // an integer where a float is wanted
	e.SetText(event.PID, "not a number") // a text where an integer is wanted
	if err := b.Add(e); err != nil {
		t.Fatal(err)
	}
	files, _, err := b.Flush()
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v", files, err)
	}
	got := columns(t, files[0].Path)[0]
	for name, want := range map[string]string{
		"_messageid": fmt.Sprintf("%x", e.ID[:]), "_messagetime": fmt.Sprint(day.UnixMilli()),
		"_strand": "management", "_format": "cloudtrail", "eventName": "InvokeModel", "requestId": "one",
		"prompt_text": "say one", "input.inputTokenCount": "3", "readOnly": "true",
		"userAgent": "broken \uFFFD text", "metric_value": "7", "_raw": string(e.Raw),
	} {
		if got[name].String() != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("columns that were not set: %v", got)
	}
	if f := files[0]; f.Rows != 1 || !f.MinTime.Equal(day) || !f.MaxTime.Equal(day) || f.Bytes == 0 {
		t.Errorf("file: got %+v", f)
	}
}

func TestSchemaIsTheTable(t *testing.T) {
	var want []string
	for f := range event.NumFields {
		want = append(want, event.Columns[f].Name)
	}
	want = append(want, RawColumn)
	for i, path := range schema.Columns() {
		if len(path) != 1 || path[0] != want[i] {
			t.Errorf("column %d: got %q, want %q", i, path, want[i])
		}
	}
}

func TestBuilderBoundsGroupsAndFiles(t *testing.T) {
	b := NewBuilder(BuilderOptions{Dir: t.TempDir(), GroupRows: 100, FileRows: 300})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 950 {
		at := day.Add(time.Duration(r.IntN(3600)) * time.Second)
		if err := b.Add(happening(event.Data, fmt.Sprint(i), at)); err != nil {
			t.Fatal(err)
		}
	}
	files, c, err := b.Flush()
	if err != nil {
		t.Fatal(err)
	}
	var rows []int64
	for _, f := range files {
		rows = append(rows, f.Rows)
		last := int64(0)
		for i, row := range columns(t, f.Path) {
			at := row["_messagetime"].Int64()
			if i%100 != 0 && at < last {
				t.Fatalf("%s: row %d is before the one above it", f.Path, i)
			}
			last = at
		}
	}
	if got := fmt.Sprint(rows); got != "[300 300 300 50]" {
		t.Errorf("rows a file: got %s, want [300 300 300 50]", got)
	}
	if got := c.Resolve("detail.n")[0].Kinds[Number]; got != 950 {
		t.Errorf("catalogue counts %d, want 950", got)
	}
	if files, _, err := b.Flush(); len(files) != 0 || err != nil {
		t.Errorf("a second flush: got %v, %v", files, err)
	}
}

func TestBuilderSkipsWideStatistics(t *testing.T) {
	b := NewBuilder(BuilderOptions{Dir: t.TempDir()})
	for i := range 10 {
		b.Add(happening(event.Data, fmt.Sprint(i), day))
	}
	files, _, err := b.Flush()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(files[0].Path)
	f, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for col, chunk := range f.Metadata().RowGroups[0].Columns {
		s := chunk.MetaData.Statistics
		has := len(s.MinValue) > 0
		switch name := columnName(col); {
		case wide(col) && has:
			t.Errorf("%s has statistics", name)
		case name == "_messagetime" && !has, name == "eventName" && !has:
			t.Errorf("%s has no statistics", name)
		}
	}
	if f.RowGroups()[0].ColumnChunks()[event.RequestID].BloomFilter() == nil {
		t.Error("requestId has no bloom filter")
	}
}

func TestBuilderRefusesTheHugeAndGoesOn(t *testing.T) {
	b := NewBuilder(BuilderOptions{Dir: t.TempDir()})
	e := happening(event.Data, "big", day)
	e.Raw = make([]byte, MaxRow)
	var bad *RowError
	if err := b.Add(e); !errors.As(err, &bad) {
		t.Fatalf("got %v, want a RowError", err)
	}
	if err := b.Add(happening(event.Data, "small", day)); err != nil {
		t.Fatal(err)
	}
	if files, _, err := b.Flush(); err != nil || files[0].Rows != 1 {
		t.Errorf("got %v, %v, want one row", files, err)
	}
}

func TestBuilderTellsWhereItFailed(t *testing.T) {
	b := NewBuilder(BuilderOptions{Dir: filepath.Join(t.TempDir(), "none")})
	b.Add(happening(event.Data, "a", day))
	if _, _, err := b.Flush(); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v, want an error that names the folder", err)
	}
}

func TestWriteWritesAStream(t *testing.T) {
	for _, n := range []int{0, 1, 250} {
		var out bytes.Buffer
		c, err := Write(&out, func(yield func(*event.Event) bool) {
			for i := range n {
				if !yield(happening(event.Data, fmt.Sprint(i), day)) {
					return
				}
			}
		}, BuilderOptions{GroupRows: 100})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(readRows(t, out.Bytes())); got != n {
			t.Errorf("got %d rows, want %d", got, n)
		}
		if len(c.Paths) > 0 != (n > 0) {
			t.Errorf("%d rows: %d paths", n, len(c.Paths))
		}
	}
}

// TestBrief: files of one question hold what others hold, under a compression
// that is quick.
func TestBrief(t *testing.T) {
	events := mix(300)
	var read [2][]map[string]parquet.Value
	for i, brief := range []bool{false, true} {
		b := NewBuilder(BuilderOptions{Dir: t.TempDir(), Brief: brief})
		for _, e := range events {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		files, _, err := b.Flush()
		if err != nil || len(files) != 1 {
			t.Fatalf("brief %v: %v, %v", brief, files, err)
		}
		read[i] = columns(t, files[0].Path)
		for _, c := range codecs(t, files[0].Path) {
			if brief != (c == pqformat.Snappy) {
				t.Errorf("brief %v is written with %v", brief, c)
			}
		}
	}
	if len(read[1]) != len(events) || !reflect.DeepEqual(read[0], read[1]) {
		t.Errorf("a brief file of %d rows differs", len(read[1]))
	}
}

// codecs are those of a file's columns.
func codecs(t *testing.T, name string) (all []pqformat.CompressionCodec) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Metadata().RowGroups[0].Columns {
		all = append(all, c.MetaData.Codec)
	}
	return all
}

// TestRowsGrow: the memory of rows is not copied over and over, and does not
// end far above what it is given room for.
func TestRowsGrow(t *testing.T) {
	e := mix(4)[3]
	r := rows{room: 1 << 20}
	moves, last := 0, 0
	for len(r.buf) < 900<<10 {
		if err := r.add(e); err != nil {
			t.Fatal(err)
		}
		if cap(r.buf) != last {
			moves, last = moves+1, cap(r.buf)
		}
	}
	if moves > 12 || last != 1<<20 {
		t.Errorf("%d moves to %d bytes, want at most 12 to %d", moves, last, 1<<20)
	}
	want := bytes.Clone(r.raw(r.at[0]))
	if err := r.add(e); err != nil || !bytes.Equal(r.raw(r.at[0]), want) {
		t.Errorf("the first row changed: %v", err)
	}
}
