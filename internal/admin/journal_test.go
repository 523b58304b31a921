package admin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// writeJournals makes a data directory of these entries, one second apart from
// noon on:
//
//	12:00:00  calls      admit a
//	12:00:01  strangers  refused s
//	12:00:02  calls      admit b
//	12:00:03  calls      result a
//	12:00:04  calls      refused c
//	12:00:05  calls      admit d, which stays open as b does
func writeJournals(t *testing.T) (dir string, noon time.Time) {
	t.Helper()
	dir, noon = t.TempDir(), day.Add(12*time.Hour)
	now := noon
	open := func(sub string) *journal.Journal {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		j, _, err := journal.Open(context.Background(), journal.Options{
			Dir: filepath.Join(dir, sub), BallastBytes: -1, LowBytes: -1, LowPercent: -1, StopBytes: -1, Now: func() time.Time { return now },
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	calls, strangers := open(CallsDir), open(StrangersDir)
	asked := func(id string) ledger.Asked {
		return ledger.Asked{ID: id, RequestID: "request-" + id, Time: now, Operation: "Converse", Model: "amazon.nova-lite-v1:0", Region: "us-east-1"}
	}
	for _, write := range []func() (*journal.Journal, ledger.Meta){
		func() (*journal.Journal, ledger.Meta) { return calls, &ledger.Admit{Asked: asked("a")} },
		func() (*journal.Journal, ledger.Meta) {
			return strangers, &ledger.Refused{Asked: asked("s"), Reason: "unknown_key", Status: 403, ErrorType: "UnrecognizedClientException"}
		},
		func() (*journal.Journal, ledger.Meta) { return calls, &ledger.Admit{Asked: asked("b")} },
		func() (*journal.Journal, ledger.Meta) {
			return calls, &ledger.Result{ID: "a", Time: now, Outcome: call.OK, Status: 200}
		},
		func() (*journal.Journal, ledger.Meta) {
			return calls, &ledger.Refused{Asked: asked("c"), Reason: "rate_limited", Status: 429, ErrorType: "ThrottlingException"}
		},
		func() (*journal.Journal, ledger.Meta) { return calls, &ledger.Admit{Asked: asked("d")} },
	} {
		j, m := write()
		if err := j.Append(m.Kind(), m.AppendMeta(nil), nil, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	return dir, noon
}

func TestExportJournals(t *testing.T) {
	dir, noon := writeJournals(t)
	for _, tt := range []struct {
		name     string
		from, to int // seconds after noon; -1: open
		want     string
	}{
		{"all, by time of completion, open ones last", -1, -1, "s a c b d"},
		{"from", 2, -1, "c b d"},
		{"to leaves out what is asked at that moment", -1, 2, "s a"},
		{"the result of a call is never without its asking", 3, 5, "c"},
		{"nothing", 60, -1, ""},
	} {
		e := Export{As: ExportInvocations}
		if tt.from >= 0 {
			e.From = noon.Add(time.Duration(tt.from) * time.Second)
		}
		if tt.to >= 0 {
			e.To = noon.Add(time.Duration(tt.to) * time.Second)
		}
		var out bytes.Buffer
		if err := ExportJournals(dir, e, &out); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got []string
		for _, m := range regexp.MustCompile(`"requestId":"request-(.)"`).FindAllStringSubmatch(out.String(), -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, got, tt.want)
		}
	}
	var out bytes.Buffer
	if err := ExportJournals(dir, Export{As: ExportCloudTrail}, &out); err != nil || strings.Count(out.String(), `"eventName":"Converse"`) != 5 {
		t.Errorf("CloudTrail: %v, %s", err, &out)
	}
	if err := ExportJournals(t.TempDir(), Export{}, &out); err == nil {
		t.Error("a directory without journals is exported")
	}
}

func TestVerifyJournals(t *testing.T) {
	dir, _ := writeJournals(t)
	rows, err := VerifyJournals(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if len(rows[i].Head) != 64 || rows[i].Bytes == 0 {
			t.Errorf("%+v has no head", rows[i])
		}
		rows[i].Head, rows[i].Bytes = "", 0
	}
	want := []Verification{
		{Journal: "calls", OK: true, Records: 5, Segments: 1, FirstSeq: 1, LastSeq: 5, Open: 2, Problems: []string{}},
		{Journal: "strangers", OK: true, Records: 1, Segments: 1, FirstSeq: 1, LastSeq: 1, Problems: []string{}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	segments, _ := filepath.Glob(filepath.Join(dir, CallsDir, "*.seg"))
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte("request-b"))
	data[i+8] = 'x'
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	rows, err = VerifyJournals(dir)
	if err != nil || rows[0].OK || len(rows[0].Problems) == 0 || !rows[1].OK {
		t.Errorf("one changed byte: %v, %+v", err, rows)
	}
	if err := ExportJournals(dir, Export{As: ExportInvocations}, &bytes.Buffer{}); err == nil {
		t.Error("a damaged journal is exported without an error")
	}
}
