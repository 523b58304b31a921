package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// writeUsage makes a data directory of entries, each with its moment.
func writeUsage(t *testing.T, entries ...moment) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sub := filepath.Join(dir, CallsDir)
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	var now time.Time
	j, _, err := journal.Open(context.Background(), journal.Options{
		Dir: sub, BallastBytes: -1, LowBytes: -1, LowPercent: -1, StopBytes: -1, Now: func() time.Time { return now },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		now = e.at
		if err := j.Write(e.m.Kind(), e.m.AppendMeta(nil), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

type moment struct {
	at time.Time
	m  ledger.Meta
}

// someUsage are two days of two people.
func someUsage() []moment {
	at := func(h, m int) time.Time { return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute) }
	ann := ledger.Principal{UserID: "1", User: "ann", Team: "blue", Key: "GTHK1", Scheme: "sigv4"}
	bob := ledger.Principal{UserID: "2", User: "bob", Scheme: "token"}
	asked := func(id string, when time.Time, who ledger.Principal, model string) ledger.Asked {
		return ledger.Asked{ID: id, Time: when, Operation: "Converse", Model: model, Principal: who, MaxTokens: 100, InputEstimate: 50, Country: "DE"}
	}
	return []moment{
		{at(1, 0), &ledger.Admit{Asked: asked("a", at(1, 0), ann, "nova")}},
		{at(1, 1), &ledger.Part{ID: "a", Bytes: 9}},
		{at(1, 1), &ledger.Result{ID: "a", Time: at(1, 1), Outcome: call.OK, Cost: 1000, Usage: ledger.Usage{Input: 10, Output: 20, CacheRead: 3, CacheWrite: 4, Exact: true}}},
		{at(1, 2), &ledger.Refused{Asked: asked("b", at(1, 2), ann, "nova"), Reason: "rate_limited"}},
		{at(1, 3), &ledger.Tally{Principal: ann, Reason: "rate_limited", Count: 5, First: at(1, 2), Last: at(1, 3)}},
		{at(1, 3), &ledger.Tally{Principal: ann, Reason: "login refused", Count: 50, First: at(1, 2), Last: at(1, 3)}}, // of an account: no call
		{at(23, 30), &ledger.Admit{Asked: asked("c", at(23, 30), bob, "opus")}},
		{at(23, 31), &ledger.Admit{Asked: asked("d", at(23, 31), bob, "nova")}},
		{at(24, 1), &ledger.Result{ID: "c", Time: at(24, 1), Outcome: call.ClientGone, Cost: 500, Usage: ledger.Usage{Input: 7}}},
		{at(24, 2), &ledger.Result{ID: "d", Time: at(24, 2), Outcome: call.Interrupted, Usage: ledger.Usage{Input: 50, Output: 100}}},
		{at(25, 0), &ledger.Admit{Asked: asked("e", at(25, 0), bob, "nova")}}, // under way
	}
}

func TestUsage(t *testing.T) {
	dir := writeUsage(t, someUsage()...)
	next := day.Add(24 * time.Hour)
	for _, tt := range []struct {
		q    UsageQuery
		want string // a line each: what it is grouped by, then calls/refused/interrupted, tokens in/out/read/write, cost
	}{
		{UsageQuery{}, `
			default nova 2/0/2 100/200/0/0 4000
			blue nova 2/1/0 10/20/3/4 1000
			default opus 1/0/0 7/0/0/0 500
			blue  5/5/0 0/0/0/0 0`},
		{UsageQuery{By: []string{"user"}}, `
			bob 3/0/2 107/200/0/0 4500
			ann 7/6/0 10/20/3/4 1000`},
		{UsageQuery{By: []string{"key", "operation"}}, `
			 Converse 3/0/2 107/200/0/0 4500
			GTHK1 Converse 2/1/0 10/20/3/4 1000
			GTHK1  5/5/0 0/0/0/0 0`},
		{UsageQuery{By: []string{"outcome"}}, `
			interrupted 1/0/1 50/100/0/0 2000
			open 1/0/1 50/100/0/0 2000
			ok 1/0/0 10/20/3/4 1000
			client_gone 1/0/0 7/0/0/0 500
			rate_limited 6/6/0 0/0/0/0 0`},
		{UsageQuery{By: []string{"day"}}, `
			2026-11-22 9/6/1 67/120/3/4 3500
			2026-11-23 1/0/1 50/100/0/0 2000`},
		{UsageQuery{By: []string{"user", "day"}, TZ: "Europe/Berlin"}, `
			ann 2026-11-22 7/6/0 10/20/3/4 1000
			bob 2026-11-23 3/0/2 107/200/0/0 4500`},
		{UsageQuery{By: []string{"month", "country"}}, `
			2026-11  5/5/0 0/0/0/0 0
			2026-11 DE 5/1/2 117/220/3/4 5500`},
		// A call counts at the time it was asked, whenever it ended.
		{UsageQuery{By: []string{"user"}, From: day.Add(23*time.Hour + 31*time.Minute), To: next}, `
			bob 1/0/1 50/100/0/0 2000`},
		{UsageQuery{By: []string{"user"}, From: next}, `
			bob 1/0/1 50/100/0/0 2000`},
		{UsageQuery{By: []string{"user"}, To: day}, ""},
	} {
		rows, err := UsageOf(context.Background(), tt.q, UsageOptions{Dir: dir, Worst: func(*ledger.Asked) int64 { return 2000 }})
		if err != nil {
			t.Errorf("%+v: %v", tt.q, err)
			continue
		}
		if diff := cmp.Diff(strings.ReplaceAll(tt.want, "\n\t\t\t", "\n"), usageLines(tt.q, rows)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.q, diff)
		}
	}
}

func usageLines(q UsageQuery, rows []UsageRow) string {
	by := q.By
	if by == nil {
		by = DefaultUsage
	}
	var b strings.Builder
	for _, r := range rows {
		b.WriteByte('\n')
		for _, word := range by {
			for _, p := range usageParts {
				if p.name == word {
					b.WriteString(*p.field(&r) + " ")
				}
			}
		}
		fmt.Fprintf(&b, "%d/%d/%d %d/%d/%d/%d %d", r.Calls, r.Refused, r.Interrupted, r.Input, r.Output, r.CacheRead, r.CacheWrite, r.Cost)
	}
	return b.String()
}

// TestUsageIsBounded: many groups are an error that says what to do.
func TestUsageIsBounded(t *testing.T) {
	entries := make([]moment, maxUsage+1)
	for i := range entries {
		entries[i] = moment{day, &ledger.Refused{Asked: ledger.Asked{ID: fmt.Sprint(i), Time: day, Principal: ledger.Principal{UserID: "1", User: fmt.Sprint("user", i)}}, Reason: "rate_limited"}}
	}
	dir := writeUsage(t, entries...)
	told := int64(0)
	o := UsageOptions{Dir: dir, Last: uint64(len(entries)), Told: func(p Scan) { told = p.Read; _ = p.Of }}
	if _, err := UsageOf(context.Background(), UsageQuery{By: []string{"user"}}, o); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "leave something out") {
		t.Errorf("got %v, want what to leave out", err)
	}
	if rows, err := UsageOf(context.Background(), UsageQuery{By: []string{"team"}}, o); err != nil || len(rows) != 1 || rows[0].Calls != maxUsage+1 {
		t.Errorf("by team: %v, %v", rows, err)
	}
	if told < maxUsage/2 {
		t.Errorf("progress ended at %d of %d", told, len(entries))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := UsageOf(ctx, UsageQuery{}, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestUsageOfDamage: what can be read is added up, and nobody takes it for the whole.
func TestUsageOfDamage(t *testing.T) {
	dir := writeUsage(t, someUsage()...)
	segments, _ := filepath.Glob(filepath.Join(dir, CallsDir, "*.seg"))
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], "damage here, in the middle")
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if rows, err := UsageOf(context.Background(), UsageQuery{}, UsageOptions{Dir: dir}); !errors.Is(err, ErrDamaged) || len(rows) == 0 {
		t.Errorf("got %v, %v, want rows and ErrDamaged", rows, err)
	}
}
