package disk

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

func create(t *testing.T, d *Disk, name, content string) File {
	t.Helper()
	f, err := d.Open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCrashForgets(t *testing.T) {
	for _, c := range []struct {
		name          string
		sync, syncDir bool
		want          string
	}{
		{"nothing synced", false, false, ""},
		{"only the name", false, true, ""},
		{"only the data", true, false, ""},
		{"both", true, true, "data"},
	} {
		d := New(0)
		f := create(t, d, "/a/b", "data")
		if c.sync {
			f.Sync()
		}
		if c.syncDir {
			d.SyncDir("/a")
		}
		if got := d.Synced([]byte("data")); got != (c.want != "") {
			t.Errorf("%s: Synced = %v", c.name, got)
		}
		d.Crash()
		if got := string(d.Bytes("/a/b")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if err := f.Sync(); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s: sync after the crash: %v", c.name, err)
		}
	}
}

func TestCrashTears(t *testing.T) {
	torn := 0
	for seed := range uint64(50) {
		d := New(seed + 1)
		f := create(t, d, "/a", "")
		f.Sync()
		d.SyncDir("/")
		b := make([]byte, 4*sector)
		for i := range b {
			b[i] = 'x'
		}
		f.WriteAt(b, 0)
		d.Crash()
		left := 0
		for at := 0; at+sector <= len(d.Bytes("/a")); at += sector {
			if d.Bytes("/a")[at] == 'x' {
				left++
			}
		}
		if left > 0 && left < 4 {
			torn++
		}
	}
	if torn < 10 {
		t.Errorf("%d of 50 crashes tore a write, want more", torn)
	}
}

func TestFailedSyncLosesForGood(t *testing.T) {
	d := New(0)
	f := create(t, d, "/a", "data")
	d.SyncDir("/")
	d.Hook(func(op Op) error {
		if op.Kind == Sync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	d.Hook(nil)
	if err := f.Sync(); err != nil || d.Synced([]byte("data")) {
		t.Errorf("a second sync brought the data back (%v)", err)
	}
}

func TestFull(t *testing.T) {
	d := New(0)
	d.SetCapacity(6)
	f := create(t, d, "/a", "data")
	if n, err := f.WriteAt([]byte("more"), 4); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %d, %v, want 2, ENOSPC", n, err)
	}
	if n, err := f.WriteAt([]byte("over"), 0); n != 4 || err != nil {
		t.Errorf("overwriting on a full disk: %d, %v", n, err)
	}
}
