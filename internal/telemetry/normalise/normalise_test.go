package normalise_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

var update = flag.Bool("update", false, "rewrite the goldens of AWS's records")

// received is when the records of tests came.
var received = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

// each normalises what is in the bytes. The event lives until the next one.
func each(t testing.TB, o normalise.Options, in []byte, f func(r *event.Raw, e *event.Event, err error)) {
	t.Helper()
	n := normalise.New(o)
	var e event.Event
	_, err := parse.Scan(bytes.NewReader(in), parse.Options{Received: received, Origin: event.Origin{Name: "in.json"}}, func(r *event.Raw) error {
		err := n.Event(r, &e)
		f(r, &e, err)
		return nil
	}, func(p event.Problem) { t.Errorf("%s: %s: %s", p.Code, p.Reason, p.Bytes) })
	if err != nil {
		t.Fatal(err)
	}
}

// dump writes all columns.
func dump(w *bytes.Buffer, e *event.Event) {
	fmt.Fprintf(w, "%s\n", e.Time.Format(time.RFC3339Nano))
	for f := range event.NumFields {
		switch v := e.Values[f]; v.Kind {
		case event.Text:
			fmt.Fprintf(w, "  %s = %q\n", f, v.S)
		case event.Int:
			fmt.Fprintf(w, "  %s = %d\n", f, v.N)
		case event.Bool:
			fmt.Fprintf(w, "  %s = %v\n", f, v.N == 1)
		case event.Float:
			fmt.Fprintf(w, "  %s = %v\n", f, v.F)
		}
	}
}

// TestGoldens: each record of testdata/aws with all its columns. The ids in
// them are stored in lakes: a change of one is a break.
func TestGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/aws/*.json")
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		each(t, normalise.Options{}, in, func(_ *event.Raw, e *event.Event, err error) {
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			dump(&got, e)
		})
		golden(t, strings.TrimSuffix(file, ".json")+".golden", got.Bytes())
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v\n got %s\nwant %s", file, err, got, want)
	}
}

func TestTime(t *testing.T) {
	noon := "2026-03-01T12:00:00Z"
	for in, want := range map[string]string{
		`"2026-03-01T12:00:00Z"`:           noon,
		`"2026-03-01T12:00:00.000000001Z"`: "2026-03-01T12:00:00.000000001Z",
		`"2026-03-01T12:00:00.1234567Z"`:   "2026-03-01T12:00:00.1234567Z",
		`"2026-03-01 12:00:00.000000000"`:  noon,
		`"2026-03-01 12:00:00"`:            noon,
		`"2026-03-01T12:00:00"`:            noon,
		`"2026-03-01 12:00:00.000 UTC"`:    noon,
		`"2026-03-01T13:00:00+01:00"`:      noon,
		`"2026-03-01T13:00:00.5+0100"`:     "2026-03-01T12:00:00.5Z",
		`"2026-01-31T12:00:00Z"`:           "2026-01-31T12:00:00Z",
		`"01/Mar/2026:12:00:00 +0000"`:     noon,
		`"Sun, 01 Mar 2026 12:00:00 GMT"`:  noon,
		`"Sun Mar  1 12:00:00 2026"`:       noon,
		`1772366400`:                       noon,
		`"1772366400"`:                     noon,
		`1772366400.25`:                    "2026-03-01T12:00:00.25Z",
		`1.7723664e9`:                      noon,
		`1772366400123`:                    "2026-03-01T12:00:00.123Z",
		`1772366400123456`:                 "2026-03-01T12:00:00.123456Z",
		`1772366400123456789`:              "2026-03-01T12:00:00.123456789Z",
		`"134168400000000000"`:             noon, // Windows
		`"/Date(1772366400000)/"`:          noon,
		`"/Date(1772366400000+0100)/"`:     noon,
		`"2026-02-30T12:00:00Z"`:           "",
		`"2026-03-01T25:00:00Z"`:           "",
		`"2026-03-01T12:00:00 WXYZ"`:       "",
		`"yesterday"`:                      "",
		`"03/01/2026 12:00"`:               "", // or is it the third of January
		`""`:                               "",
		`0`:                                "",
		`-1772366400`:                      "",
		`12345`:                            "",
		`1e300`:                            "",
		`"NaN"`:                            "",
		`true`:                             "",
		`{}`:                               "",
		`"0001-01-01T00:00:00Z"`:           "",
	} {
		got, ok := normalise.Time(fastjson.MustParse(in))
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v, want %q", in, got, ok, want)
		}
	}
}

// TestProblems: a record without a time that can be read is no event; one from
// the future is, at the time when it came.
func TestProblems(t *testing.T) {
	record := func(when string) []byte {
		return []byte(`{"eventTime":` + when + `,"eventSource":"s","eventName":"n"}`)
	}
	for when, want := range map[string]struct {
		code string
		kept bool
		at   time.Time
	}{
		`null`:                   {code: normalise.NoTime},
		`"soon"`:                 {code: normalise.BadTime},
		`"2026-03-02T12:29:00Z"`: {at: received.Add(24*time.Hour - time.Minute)},
		`"2026-03-02T12:31:00Z"`: {code: normalise.FutureTime, kept: true, at: received},
		`"1999-03-02T12:31:00Z"`: {at: time.Date(1999, 3, 2, 12, 31, 0, 0, time.UTC)},
	} {
		each(t, normalise.Options{}, record(when), func(r *event.Raw, e *event.Event, err error) {
			var p *normalise.Problem
			if errors.As(err, &p); p == nil {
				p = &normalise.Problem{}
			}
			if p.Code != want.code || p.Kept != want.kept || !want.at.IsZero() && (!e.Time.Equal(want.at) || e.Text(event.EventName) != "n") {
				t.Errorf("%s: %v at %v, want %+v", when, err, e.Time, want)
			}
			if err != nil {
				if got := normalise.ProblemOf(r, err); got.Code != want.code || !bytes.Equal(got.Bytes, r.JSON) || got.Origin.Record != 1 {
					t.Errorf("%s: %+v", when, got)
				}
			}
		})
	}
}

// TestOnce: the same happening has the same id, however it was told.
func TestOnce(t *testing.T) {
	ids := func(in string) (all []event.ID) {
		each(t, normalise.Options{}, []byte(in), func(_ *event.Raw, e *event.Event, err error) {
			if err != nil {
				t.Error(err)
			}
			all = append(all, e.ID)
		})
		return all
	}
	trail := `{"eventTime":"2026-03-01T12:00:00Z","eventSource":"s","eventName":"n","eventID":"e1"}`
	call := `{"timestamp":"2026-03-01T12:00:00Z","requestId":"r","operation":"Converse","modelId":"m","input":{}}`
	for _, same := range [][]string{
		{trail, `{"Records":[` + trail + `]}`, `{"eventID":"e1","eventTime":"2026-03-01 12:00:00","eventSource":"s","eventName":"n"}`,
			`{"eventtime":"2026-03-01 12:00:00","eventsource":"s","eventname":"n","eventid":"e1"}`},
		{call, `{"gateway":{"callId":"c"},` + call[1:]},
		{`{"gateway":{"callId":"c"},"timestamp":"2026-03-01T12:00:00Z"}`, `{"timestamp":"2026-03-01T12:00:00Z", "gateway":{"callId":"c"}}`},
	} {
		for _, in := range same[1:] {
			if a, b := ids(same[0]), ids(in); a[0] != b[0] {
				t.Errorf("%s and %s have different ids", same[0], in)
			}
		}
	}
	var seen []event.ID
	for _, in := range []string{
		trail, call, strings.Replace(trail, "e1", "e2", 1), strings.Replace(call, "Converse", "InvokeModel", 1),
		strings.Replace(trail, `,"eventID":"e1"`, "", 1), strings.Replace(trail, `,"eventID":"e1"`, `,"a":1`, 1),
		strings.Replace(trail, "e1", "", 1),
	} {
		for _, id := range ids(in) {
			for _, other := range seen {
				if id == other {
					t.Errorf("%s has the id of another record", in)
				}
			}
			seen = append(seen, id)
		}
	}
}

// TestGatewayOnce: what the ledger writes for telemetry and what AWS's log has
// of the same calls count once.
func TestGatewayOnce(t *testing.T) {
	folders, _ := filepath.Glob("../../ledger/testdata/export/*")
	for _, folder := range folders {
		ours, seen := map[event.ID]bool{}, 0
		for _, name := range []string{"telemetry.jsonl", "invocation.jsonl"} {
			in, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			each(t, normalise.Options{}, in, func(r *event.Raw, e *event.Event, err error) {
				if err != nil {
					t.Errorf("%s: %v: %s", folder, err, r.JSON)
				}
				if name == "telemetry.jsonl" {
					ours[e.ID] = true
				} else if seen++; !ours[e.ID] {
					t.Errorf("%s: the log's record is another: %s", folder, r.JSON)
				}
			})
		}
		if len(ours) < seen {
			t.Errorf("%s: %d calls, %d in the log", folder, len(ours), seen)
		}
	}
	if len(folders) == 0 {
		t.Error("no exports of the ledger")
	}
}

// TestAsks: what is known elsewhere of a request and of an address.
func TestAsks(t *testing.T) {
	in := []byte(`{"eventTime":"2026-03-01T12:00:00Z","eventSource":"s","eventName":"n","requestID":"ours","sourceIPAddress":"203.0.113.9"}
		{"eventTime":"2026-03-01T12:00:00Z","eventSource":"s","eventName":"n","requestID":"other","sourceIPAddress":"s3.amazonaws.com"}`)
	var got []string
	each(t, normalise.Options{
		ViaGateway: func(id string) bool { return id == "ours" },
		Places: func(a netip.Addr) (string, int64, string) {
			return "DE", 64500, "Example " + a.String()
		},
	}, in, func(_ *event.Raw, e *event.Event, _ error) {
		got = append(got, fmt.Sprint(e.Values[event.ViaGateway].N, e.Text(event.Country), e.Values[event.ASN].N, e.Text(event.ASOrganization)))
	})
	if want := `[1DE64500Example 203.0.113.9 00]`; fmt.Sprint(got) != strings.ReplaceAll(want, "_", " ") {
		t.Errorf("got %q", got)
	}
}

// TestSpelling: a column is filled by a member of its name in any case, the
// exact one first, and values take the kind of the column.
func TestSpelling(t *testing.T) {
	const head = `{"eventTime":"2026-03-01T12:00:00Z","eventSource":"s","eventName":"n",`
	for in, want := range map[string]struct {
		f event.Field
		v event.Value
	}{
		`"READONLY":"True"`:                        {event.ReadOnly, event.Value{Kind: event.Bool, N: 1}},
		`"readOnly":"maybe"`:                       {event.ReadOnly, event.Value{}},
		`"ERRORCODE":"a","errorCode":"b"`:          {event.ErrorCode, event.Value{Kind: event.Text, S: "b"}},
		`"errorCode":"b","ERRORCODE":"a"`:          {event.ErrorCode, event.Value{Kind: event.Text, S: "b"}},
		`"errorCode":null,"ERRORCODE":"a"`:         {event.ErrorCode, event.Value{Kind: event.Text, S: "a"}},
		`"errorMessage":{"a":[1,"ä\n"]}`:           {event.ErrorMessage, event.Value{Kind: event.Text, S: `{"a":[1,"ä\n"]}`}},
		`"errorMessage":7.50`:                      {event.ErrorMessage, event.Value{Kind: event.Text, S: "7.50"}},
		`"errorMessage":""`:                        {event.ErrorMessage, event.Value{Kind: event.Text}},
		`"pid":"12"`:                               {event.PID, event.Value{Kind: event.Int, N: 12}},
		`"pid":12.0`:                               {event.PID, event.Value{Kind: event.Int, N: 12}},
		`"pid":9e99`:                               {event.PID, event.Value{}},
		`"userIdentity":{"ARN":"x"}`:               {event.IdentityARN, event.Value{Kind: event.Text, S: "x"}},
		`"input":{"INPUTBODYJSON":{"Prompt":"p"}}`: {event.InputPrompt, event.Value{Kind: event.Text, S: "p"}},
		`"userIdentity":{"type":"AWSService","userName":"states","invokedBy":"states.amazonaws.com"}`: {event.UserUsername, event.Value{}},
		`"team":"x"`: {event.Team, event.Value{}}, // a column of ours alone
		`"requestParameters":null,"additionalEventData":null`: {event.ModelID, event.Value{}},
	} {
		each(t, normalise.Options{}, []byte(head+in+"}"), func(_ *event.Raw, e *event.Event, err error) {
			if got := e.Values[want.f]; err != nil || got != want.v {
				t.Errorf("%s: %s = %+v, %v, want %+v", in, want.f, got, err, want.v)
			}
		})
	}
}

// TestBound: texts stop at a mebibyte, at the end of a character.
func TestBound(t *testing.T) {
	long := strings.Repeat("ä", 400_000)
	in := `{"timestamp":"2026-03-01T12:00:00Z","requestId":"r","operation":"o","modelId":"m","input":{"inputBodyJson":{"messages":[{"role":"user","content":"xy` +
		long + `"},{"role":"user","content":"` + long + `"},{"role":"user","content":"more"}]}}}`
	each(t, normalise.Options{}, []byte(in), func(_ *event.Raw, e *event.Event, err error) {
		got := e.Text(event.PromptText)
		if want := ("xy" + long + "\n" + long)[:1<<20-1]; err != nil || got != want {
			t.Errorf("%d bytes, want %d; ends in %q", len(got), len(want), got[max(len(got)-4, 0):])
		}
	})
}

// TestKept: what an event holds stays as it is when the next is made, but for
// its Raw.
func TestKept(t *testing.T) {
	n := normalise.New(normalise.Options{})
	var e, first event.Event
	for _, name := range []string{"one", "two"} {
		doc := []byte(`{"eventTime":"2026-03-01T12:00:00Z","eventName":"` + name + `"}`)
		if err := n.Event(&event.Raw{Strand: event.Management, Format: "cloudtrail", JSON: doc, Doc: fastjson.MustParseBytes(doc)}, &e); err != nil {
			t.Fatal(err)
		}
		clear(doc)
		if first.Time.IsZero() {
			first = e
		}
	}
	if first.Text(event.EventName) != "one" || e.Text(event.EventName) != "two" || !bytes.Contains(e.Raw, []byte("two")) {
		t.Errorf("first %q, then %q, raw %s", first.Text(event.EventName), e.Text(event.EventName), e.Raw)
	}
}

// TestShrinks: an event that was huge once does not hold that memory.
func TestShrinks(t *testing.T) {
	record := func(n int) []byte {
		return []byte(`{"eventTime":"2026-03-01T12:00:00Z","eventSource":"s","eventName":"n","x":"` + strings.Repeat("x", n) + `"}`)
	}
	each(t, normalise.Options{}, append(record(4<<20), record(1)...), func(r *event.Raw, e *event.Event, _ error) {
		if r.Origin.Record == 2 && cap(e.Raw) > 1<<20 || len(e.Raw) != len(r.JSON) {
			t.Errorf("record %d: %d bytes hold %d", r.Origin.Record, len(e.Raw), cap(e.Raw))
		}
	})
}

// TestAllocations: an event costs its texts, and next to nothing else.
func TestAllocations(t *testing.T) {
	for file, most := range map[string]float64{"trail-callers.json": 3, "invocation-converse.json": 3, "invocation-families.json": 3, "gateway.json": 3} {
		in, _ := os.ReadFile("testdata/aws/" + file)
		var docs []event.Raw
		each(t, normalise.Options{}, in, func(r *event.Raw, _ *event.Event, _ error) {
			raw := *r
			raw.JSON = bytes.Clone(r.JSON)
			raw.Doc = fastjson.MustParseBytes(raw.JSON)
			docs = append(docs, raw)
		})
		n := normalise.New(normalise.Options{})
		var e event.Event
		got := testing.AllocsPerRun(20, func() {
			for i := range docs {
				n.Event(&docs[i], &e)
			}
		}) / float64(len(docs))
		if got > most {
			t.Errorf("%s: %v allocations a record, want %v at most", file, got, most)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	for _, name := range []string{"trail-callers", "invocation-converse"} {
		one, _ := os.ReadFile("testdata/aws/" + name + ".json")
		in := bytes.Repeat(one, 1000)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			n := normalise.New(normalise.Options{})
			var e event.Event
			for b.Loop() {
				if _, err := parse.Scan(bytes.NewReader(in), parse.Options{}, func(r *event.Raw) error { return n.Event(r, &e) }, func(event.Problem) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
