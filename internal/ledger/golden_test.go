package ledger

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/journal"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// fixture is one entry of testdata/export/*/entries.json. Lengths that the
// recorder would have filled in may be left out; loadEntries does so.
type fixture struct {
	Kind   string
	Meta   json.RawMessage
	Body   string
	Events [][2]string // type and payload: the body is these frames
	Chunks []string    // native documents: likewise
	Erased bool
}

var kinds = map[string]journal.Kind{
	"admit": KindAdmit, "part": KindPart, "result": KindResult, "refused": KindRefused, "tally": KindTally, "account": KindAccount,
}

func loadEntries(t testing.TB, path string) []journal.Entry {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []fixture
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out []journal.Entry
	streamed := map[string]int64{}
	for i, f := range list {
		e := journal.Entry{Kind: kinds[f.Kind], Body: []byte(f.Body), Erased: f.Erased}
		for _, ev := range f.Events {
			e.Body = eventstream.AppendEvent(e.Body, ev[0], []byte(ev[1]))
		}
		for _, c := range f.Chunks {
			e.Body = eventstream.AppendChunk(e.Body, []byte(c), "abc")
		}
		m, err := Decode(e.Kind, f.Meta)
		if err != nil {
			t.Fatalf("%s: entry %d: %v", path, i, err)
		}
		switch m := m.(type) {
		case *Admit:
			m.BodyBytes += int64(len(e.Body))
		case *Part:
			m.Bytes += int64(len(e.Body))
			streamed[m.ID] += m.Bytes
		case *Result:
			m.BodyBytes += streamed[m.ID] + int64(len(e.Body))
		}
		if e.Erased {
			clear(e.Body)
		}
		e.Meta = m.AppendMeta(nil)
		out = append(out, e)
	}
	return out
}

func each(entries []journal.Entry) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// TestExport renders each folder's entries in both formats. Review what
// -update changes: these are the records that rules and hunts read.
func TestExport(t *testing.T) {
	dirs, _ := filepath.Glob("testdata/export/*")
	if len(dirs) == 0 {
		t.Fatal("no testdata")
	}
	for _, dir := range dirs {
		entries := loadEntries(t, filepath.Join(dir, "entries.json"))
		for _, as := range []Format{InvocationLog, CloudTrail, Telemetry} {
			t.Run(filepath.Base(dir)+"/"+string(as), func(t *testing.T) {
				var got bytes.Buffer
				s, err := Export(each(entries), ExportOptions{As: as}, &got)
				if err != nil {
					t.Fatal(err)
				}
				if int64(strings.Count(got.String(), "\n")) != s.Written {
					t.Errorf("%d lines, summary %+v", strings.Count(got.String(), "\n"), s)
				}
				golden(t, filepath.Join(dir, string(as)+".jsonl"), got.Bytes())
			})
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}

func TestExportMaxBody(t *testing.T) {
	entries := loadEntries(t, "testdata/export/converse/entries.json")
	in, out := int64(len(entries[0].Body)), int64(len(entries[1].Body))
	for _, tt := range []struct {
		max     int64
		in, out bool
	}{{0, true, true}, {max(in, out), true, true}, {in, true, out <= in}, {out, in <= out, true}, {1, false, false}} {
		var b bytes.Buffer
		if _, err := Export(each(entries), ExportOptions{Render: RenderOptions{MaxBody: tt.max}}, &b); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if strings.Contains(got, "inputBodyJson") != tt.in || strings.Contains(got, "outputBodyJson") != tt.out || !strings.Contains(got, "outputTokenCount") {
			t.Errorf("at most %d of %d and %d bytes: got %s", tt.max, in, out, got)
		}
	}
}

func TestExportGoesOnAfterDamage(t *testing.T) {
	entries := loadEntries(t, "testdata/export/converse/entries.json")
	bad := fmt.Errorf("segment 7: bad crc")
	seq := func(yield func(journal.Entry, error) bool) {
		_ = yield(journal.Entry{}, bad) && yield(journal.Entry{Kind: KindAdmit, Meta: []byte(`{`)}, nil) &&
			yield(entries[0], nil) && yield(entries[1], nil)
	}
	var got bytes.Buffer
	s, err := Export(seq, ExportOptions{}, &got)
	if s != (Summary{Written: 1, Damaged: 2}) || err == nil || !strings.Contains(err.Error(), bad.Error()) {
		t.Errorf("got %+v, %v; want one line, two damages, the first of them told", s, err)
	}
}

func TestExportRefuses(t *testing.T) {
	entries := loadEntries(t, "testdata/export/converse/entries.json")
	if _, err := Export(each(entries), ExportOptions{As: "csv"}, io.Discard); err == nil {
		t.Error("an unknown format was accepted")
	}
	r, w := io.Pipe()
	r.Close()
	if _, err := Export(each(entries), ExportOptions{}, w); err != io.ErrClosedPipe {
		t.Errorf("got %v, want the writer's error", err)
	}
}
