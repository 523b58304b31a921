package journal_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// hourly returns a journal with one entry an hour of day, two in a segment.
func hourly(t testing.TB, d *disk.Disk, hours int) {
	t.Helper()
	now := day
	body := bytes.Repeat([]byte("body"), 500)
	j, _ := open(t, journal.Options{FS: d, Dir: "/j", SegmentBytes: 5000, Now: func() time.Time { return now }}, nil)
	for i := range hours {
		now = day.Add(time.Duration(i) * time.Hour)
		if err := j.Append(2, fmt.Append(nil, i), body, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMetas: everything from a time on is there, what is older mostly is not,
// and a segment that tells no time hides no other.
func TestMetas(t *testing.T) {
	d := disk.New(0)
	hourly(t, d, 9)
	names := segments(t, d)
	for _, spoil := range []string{"", names[1], names[3]} {
		if spoil != "" {
			whole := d.Bytes("/j/" + spoil)
			d.Put("/j/"+spoil, bytes.Repeat([]byte{7}, len(whole)))
			defer d.Put("/j/"+spoil, whole)
		}
		for since := -1; since <= 10; since++ {
			read, next, damaged := 0, -1, false
			for e, err := range journal.Metas(d, "/j", day.Add(time.Duration(since)*time.Hour)) {
				if damaged = damaged || err != nil; err != nil {
					continue
				}
				var n int
				fmt.Sscan(string(e.Meta), &n)
				if len(e.Body) > 0 || n <= next || next >= 0 && n != next+1 && !damaged {
					t.Fatalf("since %d: got entry %d behind %d, with %d bytes of body", since, n, next, len(e.Body))
				}
				if next = n; spoil == "" && n < since-2 {
					t.Errorf("since %d: entry %d is read", since, n)
				}
				read++
			}
			if want := min(9, 9-since); next != 8 || read < want && !damaged {
				t.Errorf("since %d: read %d to entry %d, want %d to 8", since, read, next, want)
			}
		}
	}
}

func segments(t testing.TB, d *disk.Disk) (names []string) {
	t.Helper()
	all, _ := d.List("/j")
	for _, n := range all {
		if len(n) == 24 {
			names = append(names, n)
		}
	}
	return names
}
