package journal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/journal"
)

// open opens a journal that needs little disk, and closes it with the test.
func open(t testing.TB, o journal.Options, replay func(journal.Entry) error) (*journal.Journal, journal.Recovery) {
	t.Helper()
	if o.BallastBytes == 0 {
		o.BallastBytes = -1
	}
	if o.LowBytes == 0 {
		o.LowBytes, o.LowPercent = -1, -1
	}
	if o.StopBytes == 0 {
		o.StopBytes = -1
	}
	if o.FS == nil {
		o.MaxWait = time.Minute // the machine's disk is not what is tested
	}
	j, rec, err := journal.Open(context.Background(), o, replay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, rec
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	o := journal.Options{Dir: dir, Snapshot: func() []byte { return []byte("state") }}
	for round := range 3 {
		var replayed int
		j, rec := open(t, o, func(e journal.Entry) error { replayed++; return nil })
		if want := min(round, 1) * 11; replayed != want {
			t.Fatalf("round %d: replayed %d entries, want %d (%+v)", round, replayed, want, rec)
		}
		for i := range 10 {
			meta := fmt.Appendf(nil, "meta %d", i)
			if err := j.Append(2, meta, fmt.Appendf(nil, "body %d", i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := journal.Verify(nil, dir)
	if err != nil || !r.OK() || r.Frames != 33 || r.Bodies != 30 || r.Tail != 0 {
		t.Fatalf("%v\n%v %+v", err, &r, r)
	}
	seq := uint64(12)
	for e, err := range journal.Read(nil, dir, 12) {
		if err != nil || e.Seq != seq {
			t.Fatalf("got %d, %v, want %d", e.Seq, err, seq)
		}
		seq++
	}
	if seq != 34 {
		t.Fatalf("read to %d, want 34", seq)
	}
}
