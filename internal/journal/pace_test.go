package journal_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// syncTimes notes when each sync begins, and makes it last for some time.
func syncTimes(d *disk.Disk, takes time.Duration) *[]time.Time {
	var at []time.Time // written by the flusher only
	d.Hook(func(op disk.Op) error {
		if op.Kind == disk.Sync {
			at = append(at, time.Now())
			time.Sleep(takes)
		}
		return nil
	})
	return &at
}

// appendMany makes n appends, one after the other.
func appendMany(t *testing.T, j *journal.Journal, who string, n int) {
	for i := range n {
		if err := j.Append(2, fmt.Appendf(nil, "%s %d", who, i), nil, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestPaceOfMany: waiters share commits, which begin a millisecond apart, or
// as far as the disk is slow.
func TestPaceOfMany(t *testing.T) {
	for _, tt := range []struct {
		sync, gap time.Duration
		most      int // commits
	}{
		{10 * time.Microsecond, time.Millisecond, 55},
		{500 * time.Microsecond, time.Millisecond, 55},
		{5 * time.Millisecond, 5 * time.Millisecond, 110}, // two sets of waiters may take turns
	} {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(0)
			j, _ := open(t, inMemory(d), nil)
			at := syncTimes(d, tt.sync)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() { appendMany(t, j, fmt.Sprint(w), 50) })
			}
			wg.Wait()
			// The first commit holds whoever came first: nobody knew yet of a crowd.
			for i := 2; i < len(*at); i++ {
				if gap := (*at)[i].Sub((*at)[i-1]); gap != tt.gap {
					t.Fatalf("syncs of %v: commit %d began %v after the one before, want %v", tt.sync, i, gap, tt.gap)
				}
			}
			if n := len(*at); n < 50 || n > tt.most {
				t.Errorf("syncs of %v: %d commits of 400 frames, want 50 to %d", tt.sync, n, tt.most)
			}
			d.Hook(nil)
			mustVerify(t, d, "/j", 400)
		})
	}
}

// TestPaceOfOne: who is alone waits for the disk and for nothing else.
func TestPaceOfOne(t *testing.T) {
	for _, takes := range []time.Duration{0, 100 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(0)
			j, _ := open(t, inMemory(d), nil)
			syncTimes(d, takes)
			start := time.Now()
			appendMany(t, j, "one", 50)
			if took := time.Since(start); took != 50*takes {
				t.Errorf("50 appends took %v, want %v", took, 50*takes)
			}
			d.Hook(nil)
		})
	}
}

// TestPaceAtClose: Close does not wait for the pace, and loses nothing.
func TestPaceAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		j, _ := open(t, inMemory(d), nil)
		syncTimes(d, 10*time.Microsecond)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { appendMany(t, j, fmt.Sprint(w), 3) })
		}
		wg.Wait()
		if err := j.Write(2, []byte("last"), nil, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the flusher is in its pause
		start := time.Now()
		if err := j.Close(); err != nil || time.Since(start) >= time.Millisecond/2 {
			t.Errorf("close: %v after %v, want none at once", err, time.Since(start))
		}
		d.Hook(nil)
		mustVerify(t, d, "/j", 13)
	})
}
