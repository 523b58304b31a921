package normalise_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// TestOCSF: AWS's records and the gateway's as API Activity, one a line.
func TestOCSF(t *testing.T) {
	files, _ := filepath.Glob("testdata/aws/*.json")
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		each(t, normalise.Options{}, in, func(r *event.Raw, e *event.Event, _ error) {
			text, err := normalise.OCSF(e, r.Doc, []byte{})
			if e.Strand == event.Metrics {
				if err == nil || len(text) > 0 {
					t.Errorf("a number as %s", text)
				}
				return
			}
			var o struct {
				Class    int `json:"class_uid"`
				Type     int `json:"type_uid"`
				Activity int `json:"activity_id"`
				Time     int64
			}
			if err != nil || json.Unmarshal(text, &o) != nil || o.Class != 6003 || o.Type != 600300+o.Activity || o.Time != e.Time.UnixMilli() {
				t.Errorf("%s: %v: %s", file, err, text)
			}
			got.Write(append(text, '\n'))
		})
		if got.Len() == 0 {
			continue
		}
		golden(t, strings.TrimSuffix(file, ".json")+".ocsf", got.Bytes())
	}
}

// FuzzEvent: whatever a record holds, of whatever source it is taken to be,
// it becomes an event of valid texts, and valid OCSF.
func FuzzEvent(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.json")
	for _, file := range files {
		in, _ := os.ReadFile(file)
		for line := range bytes.Lines(in) {
			f.Add(line, uint8(0))
		}
	}
	formats := []struct {
		name   string
		strand event.Strand
	}{
		{"cloudtrail", event.Management}, {"invocation", event.Invocation}, {"gateway", event.Gateway},
		{"cloudwatch", event.Metrics}, {"sysmon", event.Endpoint}, {"none", event.Data},
	}
	f.Fuzz(func(t *testing.T, in []byte, as uint8) {
		n := normalise.New(normalise.Options{})
		var e event.Event
		parse.Scan(bytes.NewReader(in), parse.Options{MaxRecord: 1 << 16}, func(r *event.Raw) error {
			for _, format := range formats[int(as)%len(formats):] {
				if n.Event(r, &e) == nil {
					for _, v := range e.Values {
						if !utf8.ValidString(v.S) {
							t.Errorf("%q in %s", v.S, r.JSON)
						}
					}
					if text, err := normalise.OCSF(&e, r.Doc, nil); err == nil && !json.Valid(text) {
						t.Errorf("%s became %s", r.JSON, text)
					}
				}
				r.Format, r.Strand = format.name, format.strand
			}
			return nil
		}, func(event.Problem) {})
	})
}
