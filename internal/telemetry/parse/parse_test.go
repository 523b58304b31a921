package parse

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/event"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func told(t testing.TB, in []byte, o Options) string { return tell(t, bytes.NewReader(in), o) }

// tell writes down all that a scan tells, a line each.
func tell(t testing.TB, in io.Reader, o Options) string {
	var b strings.Builder
	o.Origin.Name = "in"
	stats, err := Scan(in, o, func(r *event.Raw) error {
		if !json.Valid(r.JSON) || !utf8.Valid(r.JSON) {
			t.Errorf("not JSON: %s", r.JSON)
		}
		fmt.Fprintf(&b, "record %d, line %d: %s %s %s\n", r.Origin.Record, r.Origin.Line, r.Strand, r.Format, r.JSON)
		return nil
	}, func(p event.Problem) {
		fmt.Fprintf(&b, "problem %d, line %d, byte %d: %s: %s: %.60q\n", p.Origin.Record, p.Origin.Line, p.Offset, p.Code, p.Reason, p.Bytes)
	})
	if err != nil {
		t.Errorf("Scan: %v", err)
	}
	if stats.Skipped > 0 {
		fmt.Fprintf(&b, "skipped %d\n", stats.Skipped)
	}
	return b.String()
}

// TestGoldens scans each file of testdata/aws: each envelope, and each way of
// being broken.
func TestGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/aws/*")
	for _, file := range files {
		if filepath.Ext(file) == ".golden" {
			continue
		}
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", told(t, in, Options{}))
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s %v", file, got, want, err)
	}
}
