package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// aged are the options of hourly's journal, by a clock that stands.
func aged(d *disk.Disk, now *time.Time) journal.Options {
	return journal.Options{FS: d, Dir: "/j", SegmentBytes: 5000, Now: func() time.Time { return *now }}
}

// state lists the hours whose entries are there, those without body in brackets.
func state(t testing.TB, d *disk.Disk) string {
	t.Helper()
	var out []string
	for e, err := range journal.Read(d, "/j", 0) {
		switch {
		case err != nil:
			t.Fatal(err)
		case e.Kind == journal.KindDeleted:
		case e.Erased:
			out = append(out, "("+string(e.Meta)+")")
		default:
			out = append(out, string(e.Meta))
		}
	}
	return strings.Join(out, " ")
}

// TestRetain: what is there after the tenth hour, and what the report says.
func TestRetain(t *testing.T) {
	const h = time.Hour
	for _, tt := range []struct {
		r          journal.Retention
		want, says string
	}{
		{journal.Retention{}, "0 1 2 3 4 5 6 7 8 9", ""},
		{journal.Retention{Bodies: 4 * h}, "(0) (1) (2) (3) (4) (5) 6 7 8 9", ""},
		{journal.Retention{Bodies: 5*h + 1}, "(0) (1) (2) (3) (4) 5 6 7 8 9", ""},
		{journal.Retention{Bodies: 1}, "(0) (1) (2) (3) (4) (5) (6) (7) (8) (9)", ""},
		{journal.Retention{Frames: 4 * h}, "4 5 6 7 8 9", "Frames 1 to 4 were deleted by retention, as all of them were older than 2026-03-01T06:00:00Z"},
		{journal.Retention{Frames: 3 * h}, "6 7 8 9", "Frames 1 to 6 were deleted"},
		{journal.Retention{Bodies: 2 * h, Frames: 6 * h}, "(2) (3) (4) (5) (6) (7) 8 9", "Frames 1 to 2 were deleted"},
		{journal.Retention{Frames: 1}, "8 9", "Frames 1 to 8 were deleted"},
		{journal.Retention{Bodies: 100 * h, Frames: 100 * h}, "0 1 2 3 4 5 6 7 8 9", ""},
	} {
		d := disk.New(0)
		now := day.Add(10 * h)
		hourly(t, d, 10)
		j, _ := open(t, aged(d, &now), nil)
		done, err := j.Retain(t.Context(), tt.r)
		if err != nil {
			t.Fatal(err)
		}
		if got := state(t, d); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.r, got, tt.want)
		}
		if again, err := j.Retain(t.Context(), tt.r); err != nil || again != (journal.Retained{}) {
			t.Errorf("%+v: a second run did %+v, %v", tt.r, again, err)
		}
		report, err := journal.Verify(d, "/j")
		if err != nil || !report.OK() || report.Unexplained() != 0 || !strings.Contains(report.String(), tt.says) {
			t.Errorf("%+v: %v\n%v", tt.r, err, &report)
		}
		if err := j.Append(2, []byte("after"), nil, nil); err != nil {
			t.Fatal(err)
		}
		if n := len(segments(t, d)); j.Stats().Segments != n {
			t.Errorf("%+v: did %+v; %d segments, stats say %d", tt.r, done, n, j.Stats().Segments)
		}
		j.Close()
		if _, rec := open(t, aged(d, &now), nil); len(rec.Damage) > 0 {
			t.Errorf("%+v: opening finds damage: %v", tt.r, rec.Damage)
		}
	}
}

// TestRetainCrash: a crash at any moment leaves a journal that verifies, from
// which a start goes on, and what was not yet done is done by the next run.
func TestRetainCrash(t *testing.T) {
	r := journal.Retention{Bodies: 2 * time.Hour, Frames: 6 * time.Hour}
	finished := false
	for n := int64(1); !finished; n++ {
		for seed := range uint64(6) {
			d := disk.New(seed)
			now := day.Add(10 * time.Hour)
			hourly(t, d, 10)
			j, _ := open(t, aged(d, &now), nil)
			crashAt(d, n, 1<<40)
			_, err := j.Retain(t.Context(), r)
			finished = err == nil
			j.Close()
			d.Crash()
			d.Hook(nil)
			if rep, err := journal.Verify(d, "/j"); err != nil || !rep.OK() || rep.Unexplained() > 0 {
				t.Fatalf("crash at operation %d: %v\n%v", n, err, &rep)
			}
			j, rec := open(t, aged(d, &now), nil)
			if _, err := j.Retain(t.Context(), r); err != nil || len(rec.Damage) > 0 {
				t.Fatalf("crash at operation %d: %v, %v", n, err, rec.Damage)
			}
			if got := state(t, d); got != "(2) (3) (4) (5) (6) (7) 8 9" {
				t.Fatalf("crash at operation %d: got %s", n, got)
			}
			if rep, err := journal.Verify(d, "/j"); err != nil || !rep.OK() || rep.Unexplained() > 0 {
				t.Fatalf("crash at operation %d, second run: %v\n%v", n, err, &rep)
			}
			j.Close()
		}
	}
}

// TestTheft: a segment that is gone without a word is told from one that
// retention deleted.
func TestTheft(t *testing.T) {
	d := disk.New(0)
	now := day.Add(10 * time.Hour)
	hourly(t, d, 10)
	j, _ := open(t, aged(d, &now), nil)
	if _, err := j.Retain(t.Context(), journal.Retention{Frames: 6 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	j.Close()
	names := segments(t, d)
	if err := d.Remove("/j/" + names[0]); err != nil {
		t.Fatal(err)
	}
	rep, err := journal.Verify(d, "/j")
	if err != nil || rep.Unexplained() != 2 || !strings.Contains(rep.String(), "Frames 3 to 4 are no longer kept, and no retention") {
		t.Errorf("%v\n%v", err, &rep)
	}
}

// TestRetainReplay: what a start would replay is not deleted, however old.
func TestRetainReplay(t *testing.T) {
	for _, spoilt := range []bool{false, true} {
		d := disk.New(0)
		now := day
		o := aged(d, &now)
		o.Snapshot = func() []byte { return bytes.Repeat([]byte("state"), 100) }
		j, _ := open(t, o, nil)
		for i := range 8 {
			now = day.Add(time.Duration(i) * time.Hour)
			if err := j.Append(2, fmt.Append(nil, i), bytes.Repeat([]byte("b"), 1800), nil); err != nil {
				t.Fatal(err)
			}
		}
		names := segments(t, d)
		if newest := "/j/" + names[len(names)-1]; spoilt { // its snapshot cannot be read
			b := d.Bytes(newest)
			b[64+200] ^= 1
			d.Put(newest, b)
		}
		now = day.Add(1000 * time.Hour)
		if _, err := j.Retain(t.Context(), journal.Retention{Frames: time.Hour}); err != nil {
			t.Fatal(err)
		}
		want := 2 // with the one that the deletion is told in
		if spoilt {
			want = 3
		}
		if left := segments(t, d); len(left) != want {
			t.Errorf("spoilt %v: %d segments are left, want %d", spoilt, len(left), want)
		}
		j.Close()
	}
}

// TestSegmentAge: a segment does not wait to be full.
func TestSegmentAge(t *testing.T) {
	d := disk.New(0)
	now := day
	j, _ := open(t, journal.Options{FS: d, Dir: "/j", SegmentAge: 24 * time.Hour, Now: func() time.Time { return now }}, nil)
	for range 49 {
		if err := j.Append(2, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	if n := len(segments(t, d)); n != 3 {
		t.Errorf("%d segments for 49 hours, want 3", n)
	}
}

// TestRetainEnds: a run that is told to end does, and the next goes on.
func TestRetainEnds(t *testing.T) {
	d := disk.New(0)
	now := day.Add(10 * time.Hour)
	hourly(t, d, 10)
	j, _ := open(t, aged(d, &now), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range []journal.Retention{{Bodies: time.Hour}, {Frames: time.Hour}} {
		if _, err := j.Retain(ctx, r); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := j.Retain(t.Context(), journal.Retention{Bodies: time.Hour}); err != nil || !strings.HasPrefix(state(t, d), "(0) (1) (2)") {
		t.Errorf("%v: %s", err, state(t, d))
	}
}

// TestErasedNote: a note that does not count makes a run look at everything.
func TestErasedNote(t *testing.T) {
	for _, note := range []string{"", "short", "\xff\xff\xff\xff\xff\xff\xff\xff0000"} {
		d := disk.New(0)
		now := day.Add(10 * time.Hour)
		hourly(t, d, 10)
		j, _ := open(t, aged(d, &now), nil)
		d.Put("/j/erased", []byte(note))
		if done, err := j.Retain(t.Context(), journal.Retention{Bodies: 4 * time.Hour}); err != nil || done.Bodies != 6 {
			t.Errorf("note %q: %+v, %v", note, done, err)
		}
	}
}
