package normalise_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

var updateEndpoint = flag.Bool("update-endpoint", false, "rewrite the goldens of endpoint records")

// TestEndpointGoldens: each sample, as its file has it, becomes the events of
// the golden beside it.
func TestEndpointGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/endpoint/*")
	for _, file := range files {
		if filepath.Ext(file) == ".golden" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for _, e := range endpointEvents(t, b) {
			printEvent(&got, &e)
		}
		golden := file + ".golden"
		if *updateEndpoint {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, &got, want)
		}
	}
}

// endpointEvents normalises what is in a file. Strings of an event stay valid.
func endpointEvents(t *testing.T, b []byte) (events []event.Event) {
	t.Helper()
	now := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	n := normalise.New(normalise.Options{Now: func() time.Time { return now }})
	_, err := parse.Scan(bytes.NewReader(b), parse.Options{Received: now}, func(r *event.Raw) error {
		var e event.Event
		if err := n.Event(r, &e); err != nil {
			t.Errorf("%v: %s", err, r.JSON)
		}
		events = append(events, e)
		return nil
	}, func(p event.Problem) { t.Errorf("%s: %s: %s", p.Code, p.Reason, p.Bytes) })
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// aboutRecord are the columns that a golden leaves out: they are the same for
// all, or an id.
var aboutRecord = map[event.Field]bool{
	event.MessageID: true, event.MessageTime: true, event.ReceiptTime: true, event.StrandName: true,
	event.FormatName: true, event.SourceCategory: true, event.Index: true,
}

func printEvent(w *bytes.Buffer, e *event.Event) {
	fmt.Fprintf(w, "%s %s\n", e.Time.Format(time.RFC3339Nano), e.Format)
	for f := range event.NumFields {
		v := e.Values[f]
		if v.Kind == event.None || aboutRecord[f] {
			continue
		}
		s := v.S
		switch v.Kind {
		case event.Int, event.Bool:
			s = fmt.Sprint(v.N)
		}
		fmt.Fprintf(w, "  %-18s %s\n", f, strings.ReplaceAll(s, "\n", "\\n"))
	}
}

// TestEndpointSameProcess: the start of a process is one happening in whatever
// export it comes, and every other record is its own.
func TestEndpointSameProcess(t *testing.T) {
	files, _ := filepath.Glob("testdata/endpoint/*[nlg]")
	seen := make(map[event.ID]string)
	for _, file := range files {
		if filepath.Ext(file) == ".golden" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range endpointEvents(t, b) {
			name := fmt.Sprint(filepath.Base(file), " ", i)
			before, twice := seen[e.ID]
			if want := otherExport[name]; twice != (want != "") || before != want {
				t.Errorf("%s has the id of %q", name, before)
			}
			seen[e.ID] = name
		}
	}
	if len(seen) < 40 {
		t.Errorf("%d ids", len(seen))
	}
}

// otherExport are the samples that tell what another told, with its time cut
// or not.
var otherExport = map[string]string{
	"windows.xml 0": "windows.json 3",
	"windows.xml 1": "sysmon-winlogbeat.json 0",
}

// TestEndpointSeedPattern: the pattern of the seed's hunts finds a call by the
// CLI in what every sensor of the Jamf family writes.
func TestEndpointSeedPattern(t *testing.T) {
	for _, file := range []string{"jamf.json", "jamf-telemetry.json", "jamf-alert.json", "eslogger.json"} {
		b, err := os.ReadFile("testdata/endpoint/" + file)
		if err != nil {
			t.Fatal(err)
		}
		e := endpointEvents(t, b)[0]
		if line := e.Text(event.CommandLine); !strings.Contains(line, "aws,bedrock") || e.Text(event.Index) != "sec_record_endpoint" {
			t.Errorf("%s: %q in %q", file, line, e.Text(event.Index))
		}
	}
}

// TestEndpointTimes: the forms of time that sensors use, and the records that
// have none.
func TestEndpointTimes(t *testing.T) {
	const noon = "2026-03-01T12:00:00Z"
	for _, tt := range []struct{ in, want string }{
		{`{"cmdline":"ls","timestamp":1772366400}`, noon},
		{`{"cmdline":"ls","timestamp":"1772366400.000"}`, noon},
		{`{"cmdline":"ls","timestamp":"2026-03-01 12:00:00.000000 +0000 UTC"}`, noon},
		{`{"cmdline":"ls","timestamp":"n/a","time":134168400000000000}`, noon},
		{`{"cmdline":"ls","_time":"2026-03-01T14:00:00.000+0200"}`, noon},
		{`{"cmdline":"ls","TimeGenerated":"/Date(1772366400000)/"}`, noon},
		{`{"hostIdentifier":"h","columns":{"time":"12"},"calendarTime":"Sun Mar  1 12:00:00 2026 UTC"}`, noon},
		{`{"hostIdentifier":"h","columns":{"time":"12"},"unixTime":"1772366400"}`, noon},
		{`{"rule":"r","output_fields":{"evt.time":1772366400000000000},"time":"12:00"}`, noon},
		{`{"cmdline":"ls"}`, normalise.NoTime},
		{`{"cmdline":"ls","timestamp":"yesterday"}`, normalise.BadTime},
		{`{"header":{"event_name":"AUE_EXECVE"}}`, normalise.NoTime},
		{`{"Event":{"System":{"EventID":4688}}}`, normalise.NoTime},
		{`{"cmdline":"ls","timestamp":"2027-03-01T12:00:00Z"}`, normalise.FutureTime},
	} {
		now := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
		n := normalise.New(normalise.Options{})
		got := "no record"
		parse.Scan(strings.NewReader(tt.in), parse.Options{Received: now}, func(r *event.Raw) error {
			var e event.Event
			err := n.Event(r, &e)
			got = e.Time.Format(time.RFC3339Nano)
			if p := (*normalise.Problem)(nil); errors.As(err, &p) {
				got = p.Code
			}
			return nil
		}, func(event.Problem) {})
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

// TestEndpointShapes: a member of another type than its sensor gives it breaks
// nothing. Every member of every sample takes every type once.
func TestEndpointShapes(t *testing.T) {
	files, _ := filepath.Glob("testdata/endpoint/*.json")
	n := normalise.New(normalise.Options{})
	var e event.Event
	tried := 0
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for line := range bytes.Lines(b) {
			var doc any
			if err := json.Unmarshal(line, &doc); err != nil {
				t.Fatal(err)
			}
			misshape(doc, func() {
				text, _ := json.Marshal(doc)
				parse.Scan(bytes.NewReader(text), parse.Options{}, func(r *event.Raw) error {
					n.Event(r, &e)
					normalise.OCSF(&e, r.Doc, nil)
					tried++
					return nil
				}, func(event.Problem) {})
			})
		}
	}
	if tried < 1000 {
		t.Errorf("%d shapes", tried)
	}
}

// misshape gives each member of v a value of each type in turn, and calls f.
func misshape(v any, f func()) {
	odd := []any{nil, true, -7.5, "", "x", []any{}, []any{map[string]any{}}, map[string]any{}, map[string]any{"0": nil}}
	switch v := v.(type) {
	case map[string]any:
		for k, old := range v {
			for _, o := range odd {
				v[k] = o
				f()
			}
			v[k] = old
			misshape(old, f)
		}
	case []any:
		for _, old := range v {
			misshape(old, f)
		}
	}
}

// FuzzEndpointSources: no record breaks a table, whatever its members hold.
func FuzzEndpointSources(f *testing.F) {
	files, _ := filepath.Glob("testdata/endpoint/*.*")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && filepath.Ext(file) != ".golden" {
			f.Add(b)
		}
	}
	f.Add([]byte(`{"header":{"event_name":"AUE_POSIX_SPAWN"},"exec_args":[],"arguments":{"child_PID":{}},"path":7}`))
	f.Add([]byte(`{"related":{"processes":{}},"match":[],"input":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := normalise.New(normalise.Options{})
		var e event.Event
		parse.Scan(bytes.NewReader(b), parse.Options{MaxRecord: 64 << 10}, func(r *event.Raw) error {
			n.Event(r, &e)
			return nil
		}, func(event.Problem) {})
	})
}

// TestEndpointAllocations: what an ordinary process costs beyond the memory
// that is reused. (A call of the AWS CLI, which is rare, costs its words too.)
func TestEndpointAllocations(t *testing.T) {
	for _, in := range []string{
		`{"exec_args":{"args":{"1":"ls","2":"-l"},"args_compiled":"ls,-l"},"exec_chain_child":{"parent_path":"/bin/zsh","parent_pid":1},"header":{"event_name":"AUE_EXECVE","time_milliseconds_offset":7,"time_seconds_epoch":1772366400},"host_info":{"host_name":"h"},"return":{"error":0},"subject":{"audit_user_name":"ann","process_id":7,"process_name":"/bin/ls"}}`,
		`{"event":{"exec":{"args":["ls","-l"],"target":{"ppid":1,"audit_token":{"pid":2,"euid":501},"executable":{"path":"/bin/ls"}}}},"process":{"audit_token":{"pid":2},"executable":{"path":"/bin/zsh"}},"time":"2026-03-01T12:00:01.5Z"}`,
		`{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":1,"Computer":"h"},"EventData":{"UtcTime":"2026-03-01 12:00:07.198","ProcessId":42,"Image":"C:\\x.exe","CommandLine":"x","User":"D\\u","ParentProcessId":"4","ParentImage":"C:\\y.exe"}}}`,
		`{"event_simpleName":"ProcessRollup2","aid":"0","id":"1","timestamp":"1772366423417","ProcessStartTime":"1772366423.402","ComputerName":"h","UserName":"u","ImageFileName":"x","CommandLine":"x","RawProcessId":"7"}`,
		`{"name":"p","hostIdentifier":"h","unixTime":1772366417,"action":"added","columns":{"cmdline":"ls","path":"/bin/ls","pid":"8","parent":"7","uid":"1","time":"1772366416"}}`,
	} {
		n := normalise.New(normalise.Options{})
		var e event.Event
		parse.Scan(strings.NewReader(in), parse.Options{}, func(r *event.Raw) error {
			if got := testing.AllocsPerRun(100, func() { n.Event(r, &e) }); got > 8 {
				t.Errorf("%s: %v allocations", r.Format, got)
			}
			return nil
		}, func(p event.Problem) { t.Error(p.Reason, in) })
	}
}
