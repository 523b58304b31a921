package normalise_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// TestProcessActivity: events of every sensor as OCSF, one a line, without the
// record that goes along.
func TestProcessActivity(t *testing.T) {
	const golden = "testdata/endpoint/process_activity.golden"
	files, _ := filepath.Glob("testdata/endpoint/*")
	var got bytes.Buffer
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".golden" {
			continue
		}
		n := normalise.New(normalise.Options{})
		var e event.Event
		parse.Scan(bytes.NewReader(b), parse.Options{}, func(r *event.Raw) error {
			if err := n.Event(r, &e); err != nil {
				t.Error(err)
			}
			var o map[string]any
			text, err := normalise.OCSF(&e, r.Doc, nil)
			if err != nil || json.Unmarshal(text, &o) != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if raw, ok := o["raw_data"].(string); ok && !json.Valid([]byte(raw)) {
				t.Errorf("raw_data is no JSON: %s", raw)
			}
			delete(o, "raw_data")
			line, _ := json.Marshal(o)
			got.Write(append(line, '\n'))
			return nil
		}, func(p event.Problem) { t.Error(p) })
	}
	if *updateEndpoint {
		os.WriteFile(golden, got.Bytes(), 0o644)
	}
	if want, _ := os.ReadFile(golden); !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}
