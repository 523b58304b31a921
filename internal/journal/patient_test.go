package journal_test

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// scarce is a disk on which nothing can be opened until a moment.
type scarce struct {
	*disk.Disk
	until time.Time
	errno error
}

func (s scarce) err(name string) error {
	if time.Now().Before(s.until) {
		return &fs.PathError{Op: "open", Path: name, Err: s.errno}
	}
	return nil
}

func (s scarce) Open(name string, flag int) (journal.File, error) {
	if err := s.err(name); err != nil {
		return nil, err
	}
	return s.Disk.Open(name, flag)
}

func (s scarce) List(dir string) ([]string, error) {
	if err := s.err(dir); err != nil {
		return nil, err
	}
	return s.Disk.List(dir)
}

// TestScarceAtOpen: a start bears with too many open files for some seconds,
// replays once, and then says what is wrong. Other errors end it at once.
func TestScarceAtOpen(t *testing.T) {
	for _, tt := range []struct {
		errno error
		wait  time.Duration
		want  error
		took  time.Duration
	}{
		{syscall.EMFILE, 3 * time.Second, nil, 3 * time.Second},
		{syscall.ENFILE, time.Hour, journal.ErrNoFiles, 5 * time.Second},
		{syscall.EACCES, time.Hour, syscall.EACCES, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, _ := segmented(t, 2)
			begin := time.Now()
			replayed := 0
			o := inMemory(d)
			o.FS = scarce{d, begin.Add(tt.wait), tt.errno}
			j, _, err := journal.Open(context.Background(), o, func(journal.Entry) error { replayed++; return nil })
			if !errors.Is(err, tt.want) || time.Since(begin) != tt.took {
				t.Errorf("%v: got %v after %v, want %v after %v", tt.errno, err, time.Since(begin), tt.want, tt.took)
			}
			if err == nil {
				if j.Close(); replayed != 4 {
					t.Errorf("replayed %d entries, want 4", replayed)
				}
			}
		})
	}
}

// TestInUse: who finds the directory taken can tell.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, journal.Options{Dir: dir}, nil)
	if _, _, err := journal.Open(context.Background(), journal.Options{Dir: dir}, nil); !errors.Is(err, journal.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}
