package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

func inMemory(d *disk.Disk) journal.Options { return journal.Options{FS: d, Dir: "/j"} }

// mustVerify fails unless the journal holds, with this many frames.
func mustVerify(t *testing.T, fs journal.FS, dir string, frames uint64) {
	t.Helper()
	r, err := journal.Verify(fs, dir)
	if err != nil || !r.OK() || r.Frames != frames || r.Tail != 0 {
		t.Fatalf("%v: want %d frames in\n%v", err, frames, &r)
	}
}

// TestFullDisk (D04): at every capacity, the journal takes what there is room
// for, leaves nothing half-written, and goes on by itself once there is room.
func TestFullDisk(t *testing.T) {
	for capacity := int64(60); capacity < 1600; capacity += 13 {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(0)
			d.SetCapacity(capacity)
			o := inMemory(d)
			o.SegmentBytes = 600
			j, _ := open(t, o, nil)
			appended := 0
			var err error
			for ; err == nil && appended < 20; appended++ {
				err = j.Append(2, fmt.Appendf(nil, "record %d", appended), nil, nil)
			}
			if !errors.Is(err, journal.ErrSlow) {
				t.Fatalf("capacity %d: got %v, want ErrSlow once the disk is full", capacity, err)
			}
			synctest.Wait() // for the flusher to be between two tries
			if err := j.Append(2, []byte("x"), nil, nil); !errors.Is(err, journal.ErrFull) {
				t.Fatalf("append on a full disk: %v, want ErrFull", err)
			}
			if err := j.Err(); !errors.Is(err, journal.ErrNoSpace) {
				t.Fatalf("Err on a full disk: %v, want ErrNoSpace", err)
			}
			if err := j.Write(2, []byte("a result"), nil, nil); err != nil {
				t.Fatalf("write on a full disk: %v", err)
			}
			r, err := journal.Verify(d, "/j")
			if err != nil || !r.OK() || r.Tail != 0 || r.Frames != uint64(appended-1) {
				t.Fatalf("capacity %d: %v, %d appended\n%v", capacity, err, appended, &r)
			}
			d.SetCapacity(0)
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
			if j.Err() != nil || j.Level() != journal.Normal {
				t.Fatalf("with room again: %v, level %v", j.Err(), j.Level())
			}
			mustVerify(t, d, "/j", uint64(appended)+1) // with the slow one, and the result
		})
	}
}

// TestFullDiskAtClose: what could not be written is reported, not dropped in silence.
func TestFullDiskAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		d.SetCapacity(300)
		j, _ := open(t, inMemory(d), nil)
		j.Write(2, make([]byte, 400), nil, nil)
		if err := j.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
	})
}

// TestBallast: a full disk first costs the ballast, and only the caller's
// admissions stop; when there is room the ballast comes back.
func TestBallast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		d.SetCapacity(2500)
		o := inMemory(d)
		o.BallastBytes, o.StopBytes, o.LowBytes, o.LowPercent = 1000, 400, 1200, -1
		j, _ := open(t, o, nil)
		if s := j.Stats(); !s.Ballast || s.Level != journal.Normal {
			t.Fatalf("at the start: %+v", s)
		}
		if err := j.Append(2, make([]byte, 500), nil, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if j.Level() != journal.Low || j.Err() != nil {
			t.Fatalf("level %v, %v, want low and no error", j.Level(), j.Err())
		}
		if err := j.Append(2, make([]byte, 1200), nil, nil); err != nil {
			t.Fatalf("append into the ballast's room: %v", err)
		}
		if s := j.Stats(); s.Ballast || !errors.Is(j.Err(), journal.ErrNoSpace) {
			t.Fatalf("after giving up the ballast: %+v, %v", s, j.Err())
		}
		d.SetCapacity(10_000)
		time.Sleep(2 * time.Second)
		if s := j.Stats(); !s.Ballast || s.Level != journal.Normal {
			t.Fatalf("with room again: %+v", s)
		}
		mustVerify(t, d, "/j", 2)
	})
}

// TestBrokenDisk (D05): the first error of sync, or of write other than a
// full disk, is the last thing that is done to the file.
func TestBrokenDisk(t *testing.T) {
	for _, kind := range []disk.Kind{disk.Sync, disk.Write, disk.SyncDir, disk.Create} {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(0)
			j, _ := open(t, inMemory(d), nil)
			if kind == disk.Sync || kind == disk.Write {
				j.Append(2, []byte("good"), nil, nil)
			}
			var after atomic.Int64
			d.Hook(func(op disk.Op) error {
				if op.Kind == kind {
					after.Add(1)
					return syscall.EIO
				}
				return nil
			})
			err := j.Append(2, []byte("lost"), nil, nil)
			if !errors.Is(err, journal.ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("%s: got %v, want ErrFailed and EIO", kind, err)
			}
			<-j.Failed()
			d.Hook(func(op disk.Op) error { t.Errorf("%s after a failed %s", op.Kind, kind); return nil })
			if err := j.Append(2, []byte("no"), nil, nil); !errors.Is(err, journal.ErrFailed) {
				t.Errorf("%s: append afterwards: %v", kind, err)
			}
			if err := j.Write(2, []byte("no"), nil, nil); !errors.Is(err, journal.ErrFailed) {
				t.Errorf("%s: write afterwards: %v", kind, err)
			}
			if !errors.Is(j.Err(), journal.ErrFailed) || !errors.Is(j.Sync(), journal.ErrFailed) || !errors.Is(j.Close(), journal.ErrFailed) {
				t.Errorf("%s: Err %v", kind, j.Err())
			}
			d.Hook(nil)
		})
	}
}

// TestSlowDisk (D06): a stalled sync holds callers no longer than MaxWait, later
// ones not at all, and memory stays within the queue.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		o := inMemory(d)
		o.QueueBytes = 10_000
		j, _ := open(t, o, nil)
		resume := make(chan struct{})
		d.Hook(func(op disk.Op) error {
			if op.Kind == disk.Sync {
				<-resume
			}
			return nil
		})
		start := time.Now()
		if err := j.Append(2, []byte("slow"), nil, nil); !errors.Is(err, journal.ErrSlow) || time.Since(start) != time.Second {
			t.Fatalf("got %v after %v, want ErrSlow after a second", err, time.Since(start))
		}
		time.Sleep(time.Millisecond)
		start = time.Now()
		if err := j.Append(2, []byte("later"), nil, nil); !errors.Is(err, journal.ErrFull) || time.Since(start) != 0 {
			t.Fatalf("got %v after %v, want ErrFull at once", err, time.Since(start))
		}
		taken := 0
		for j.Write(2, make([]byte, 900), nil, nil) == nil {
			taken++
		}
		if s := j.Stats(); taken != 9 || s.Queued > 10_000 {
			t.Errorf("took %d writes, %d bytes queued, want 9 and at most 10000", taken, s.Queued)
		}
		close(resume)
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := j.Append(2, []byte("well again"), nil, nil); err != nil {
			t.Error(err)
		}
		mustVerify(t, d, "/j", 11)
	})
}

// TestSyncedWhenAcknowledged: at the moment Append returns, a crash does not
// take the record; before the sync it would.
func TestSyncedWhenAcknowledged(t *testing.T) {
	d := disk.New(0)
	j, _ := open(t, inMemory(d), nil)
	d.Hook(func(op disk.Op) error {
		if op.Kind == disk.Sync && d.Synced([]byte("the admit record")) {
			t.Error("durable before it was synced")
		}
		return nil
	})
	if err := j.Append(2, []byte("the admit record"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if !d.Synced([]byte("the admit record")) {
		t.Error("acknowledged, but not durable")
	}
	d.Hook(nil)
}

// TestOpenRefuses (D07).
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	open(t, journal.Options{Dir: dir}, nil)
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct{ dir, want string }{
		{dir, "in use by another process"},
		{missing, missing},
	} {
		_, _, err := journal.Open(context.Background(), journal.Options{Dir: c.dir}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.dir, err, c.want)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a missing directory was made")
	}
}

// TestClock (D10): a clock that goes back does not take the entries with it, also across a restart.
func TestClock(t *testing.T) {
	d := disk.New(0)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	o := inMemory(d)
	o.Now = func() time.Time { return at }
	for _, step := range []time.Duration{0, time.Second, -time.Hour, -time.Hour, 3 * time.Hour} {
		at = at.Add(step)
		j, _ := open(t, o, nil)
		if err := j.Append(2, []byte("x"), nil, nil); err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
	var got []string
	for e, err := range journal.Read(d, "/j", 1) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Time.Format("15:04:05"))
	}
	want := "12:00:00 12:00:01 12:00:01 12:00:01 13:00:01"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
	mustVerify(t, d, "/j", 5)
}

// TestNoFiles: too many open files, as the next segment or its directory is
// opened, hold the commit; it goes through by itself once a file can be opened.
func TestNoFiles(t *testing.T) {
	for _, kind := range []disk.Kind{disk.Create, disk.SyncDir} {
		for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
			synctest.Test(t, func(t *testing.T) {
				d := disk.New(0)
				o := inMemory(d)
				o.SegmentBytes, o.BallastBytes = 600, 100
				j, _ := open(t, o, nil)
				if err := j.Append(2, make([]byte, 300), nil, nil); err != nil {
					t.Fatal(err)
				}
				d.Hook(func(op disk.Op) error {
					if op.Kind == kind {
						return &fs.PathError{Op: "open", Path: op.Name, Err: errno}
					}
					return nil
				})
				if err := j.Append(2, make([]byte, 300), nil, nil); !errors.Is(err, journal.ErrSlow) {
					t.Fatalf("%s, %v: got %v, want ErrSlow", kind, errno, err)
				}
				synctest.Wait()
				if err := j.Append(2, []byte("x"), nil, nil); !errors.Is(err, journal.ErrFull) {
					t.Errorf("%s, %v: got %v, want ErrFull", kind, errno, err)
				}
				if err := j.Write(2, []byte("a result"), nil, nil); err != nil {
					t.Errorf("%s, %v: write: %v", kind, errno, err)
				}
				if err := j.Err(); !errors.Is(err, journal.ErrNoFiles) || !j.Stats().Ballast {
					t.Errorf("%s, %v: Err %v, ballast %v; want ErrNoFiles, and the ballast kept", kind, errno, err, j.Stats().Ballast)
				}
				time.Sleep(time.Hour)
				d.Hook(nil)
				if err := j.Sync(); err != nil {
					t.Fatalf("%s, %v: %v", kind, errno, err)
				}
				if j.Err() != nil || j.Level() != journal.Normal {
					t.Errorf("%s, %v: afterwards: %v, level %v", kind, errno, j.Err(), j.Level())
				}
				if err := j.Append(2, []byte("well again"), nil, nil); err != nil {
					t.Error(err)
				}
				mustVerify(t, d, "/j", 4)
			})
		}
	}
}

// TestNoFilesElsewhere: from what was begun the same errors are final; and so
// is a directory that cannot be synced for want of room.
func TestNoFilesElsewhere(t *testing.T) {
	for _, tt := range []struct {
		kind disk.Kind
		err  error
	}{
		{disk.Write, &fs.PathError{Op: "write", Err: syscall.ENOMEM}},
		{disk.Sync, &fs.PathError{Op: "fdatasync", Err: syscall.EMFILE}},
		{disk.SyncDir, &fs.PathError{Op: "sync", Err: syscall.ENOMEM}},
		{disk.SyncDir, &fs.PathError{Op: "sync", Err: syscall.ENOSPC}},
		{disk.Create, &fs.PathError{Op: "open", Err: syscall.EACCES}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(0)
			j, _ := open(t, inMemory(d), nil)
			d.Hook(func(op disk.Op) error {
				if op.Kind == tt.kind {
					return tt.err
				}
				return nil
			})
			if err := j.Append(2, []byte("x"), nil, nil); !errors.Is(err, journal.ErrFailed) || !errors.Is(err, tt.err) {
				t.Errorf("%s: got %v, want ErrFailed and %v", tt.kind, err, tt.err)
			}
			d.Hook(nil)
		})
	}
}

// TestNoFilesAtClose: what waits for a file is reported, not dropped in silence.
func TestNoFilesAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		j, _ := open(t, inMemory(d), nil)
		d.Hook(func(op disk.Op) error { return &fs.PathError{Op: "open", Err: syscall.EMFILE} })
		j.Write(2, []byte("x"), nil, nil)
		if err := j.Close(); !errors.Is(err, syscall.EMFILE) || !errors.Is(err, journal.ErrNoFiles) {
			t.Errorf("got %v, want ErrNoFiles and EMFILE", err)
		}
	})
}

// TestRealNoFiles has the system itself run out of descriptors for the process.
func TestRealNoFiles(t *testing.T) {
	dir := t.TempDir()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	j, _ := open(t, journal.Options{Dir: dir, BallastBytes: -1, LowBytes: -1, StopBytes: -1, LowPercent: -1, MaxWait: time.Minute}, nil)
	none := was
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) }
	defer restore()
	done := make(chan error, 1)
	go func() { done <- j.Append(2, []byte("x"), nil, nil) }()
	for !errors.Is(j.Err(), journal.ErrNoFiles) {
		select {
		case err := <-done:
			t.Fatalf("got %v while no file can be opened", err)
		default:
			runtime.Gosched()
		}
	}
	restore()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
