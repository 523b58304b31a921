package admin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/journal"
)

// TestVerifyTheft: oldest records that are gone are a problem, but not of the
// journal that deletes its own.
func TestVerifyTheft(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{CallsDir, StrangersDir} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		j, _, err := journal.Open(context.Background(), journal.Options{Dir: path, SegmentBytes: 300, BallastBytes: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := j.Append(99, []byte(strings.Repeat("m", 100)), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
		segments, _ := filepath.Glob(filepath.Join(path, "*.seg"))
		if err := os.Remove(segments[0]); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := VerifyJournals(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(rows[0].OK, rows[0].Problems, rows[1].OK, rows[1].Problems)
	if want := "false [records 1 to 1 are gone, and no retention deleted them] true []"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
