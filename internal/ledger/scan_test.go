package ledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// TestCalls: of a journal with a call an hour, each ending an hour later, the
// calls of a span come, whole but for their bodies, which were never read.
func TestCalls(t *testing.T) {
	d := disk.New(0)
	now := day
	j, _, err := journal.Open(context.Background(), journal.Options{FS: d, Dir: "/j", SegmentBytes: 600, BallastBytes: -1, Now: func() time.Time { return now }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(m ledger.Meta, body string) {
		if err := j.Append(m.Kind(), m.AppendMeta(nil), []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		now = day.Add(time.Duration(i) * time.Hour)
		write(&ledger.Admit{Asked: ledger.Asked{ID: string(rune('a' + i)), Time: now, BodyBytes: 3}}, "ask")
		if i > 0 {
			write(&ledger.Result{ID: string(rune('a' + i - 1)), Time: now, Outcome: call.OK, BodyBytes: 6}, "answer")
		}
	}
	j.Close()
	for _, tt := range []struct {
		from, to int // hours; negative: open
		want     string
	}{
		{-1, -1, "a b c d e f g h i j"},
		{3, -1, "d e f g h i j"},
		{-1, 3, "a b c"},
		{2, 5, "c d e"},
		{5, 5, ""},
		{9, 20, "j"},
	} {
		span := func(h int) (at time.Time) {
			if h >= 0 {
				at = day.Add(time.Duration(h) * time.Hour)
			}
			return at
		}
		var got []string
		for r, err := range ledger.Calls(d, "/j", span(tt.from), span(tt.to)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, r.ID); r.ID != "j" && (r.Result.Outcome != call.OK || r.Response.Size != 6) || r.Request.Size != 3 || r.Request.Bytes != nil {
				t.Errorf("call %s: %+v", r.ID, r)
			}
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("calls from %d to %d: got %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
	n := 0
	for e, err := range ledger.Scan(d, "/j", day.Add(9*time.Hour)) {
		if n++; err != nil || e.Meta == nil || e.Of.Body != nil {
			t.Fatalf("scan: %v, %+v", err, e)
		}
	}
	if n == 0 || n > 4 {
		t.Errorf("scanned %d entries for the last hour's 2", n)
	}
}
