package journal_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// segmented returns a disk with a journal of several segments of two entries each, and their paths.
func segmented(t testing.TB, segments int) (*disk.Disk, []string) {
	t.Helper()
	d := disk.New(0)
	for i := range segments {
		j, _ := open(t, inMemory(d), nil)
		for k := range 2 {
			if err := j.Append(2, fmt.Appendf(nil, "meta %d.%d", i, k), []byte("the body"), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := d.List("/j")
	var paths []string
	for _, n := range names {
		if strings.HasSuffix(n, ".seg") {
			paths = append(paths, filepath.Join("/j", n))
		}
	}
	return d, paths
}

// TestFlips: no byte of any file can be changed unseen.
func TestFlips(t *testing.T) {
	d, paths := segmented(t, 3)
	for i, p := range paths {
		content := d.Bytes(p)
		for at := range content {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				b := bytes.Clone(content)
				b[at] ^= flip
				d.Put(p, b)
				r, err := journal.Verify(d, "/j")
				if err == nil && r.OK() && (r.Tail == 0 || i != len(paths)-1) {
					t.Fatalf("%s: byte %d changed by %#x is not seen:\n%v", p, at, flip, &r)
				}
			}
		}
		d.Put(p, content)
	}
	mustVerify(t, d, "/j", 6)
}

// TestTampering: frames and segments cannot be removed, repeated, swapped or
// forged unseen, except at the very end.
func TestTampering(t *testing.T) {
	d, paths := segmented(t, 4)
	first, second := d.Bytes(paths[0]), d.Bytes(paths[1])
	var at []int64
	for e := range journal.Read(d, "/j", 1) {
		if e.Segment == filepath.Base(paths[0]) {
			at = append(at, e.Offset)
		}
	}
	a, b := first[at[0]:at[1]], first[at[1]:]
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{first[:64]}, parts...), nil) }
	forged := journal.Reforge(a, []byte("META 0.0"))
	for _, c := range []struct {
		name, path string
		content    []byte
		want       string
	}{
		{"first frame removed", paths[0], join(b), "frame 1 is missing"},
		{"last frame of a segment removed", paths[0], join(a), "frame 2 is missing"},
		{"frames swapped", paths[0], join(b, a), "frame 1 is missing"},
		{"frame repeated", paths[0], join(a, a, b), "damaged"},
		{"frame put in", paths[0], join(a, b, b), "no frame is readable here"},
		{"frame of another segment put in", paths[0], join(a, second[at[0]:at[1]], b), "damaged"},
		{"meta changed with a right checksum", paths[0], join(forged, b), "frame 1 does not follow frame 0"},
		{"middle segment emptied", paths[1], second[:64], "frames 3 to 4 are missing"},
		{"middle segment cut to nothing", paths[1], nil, "header is damaged"},
		{"middle segment replaced", paths[1], first, "header is damaged"},
	} {
		old := d.Bytes(c.path)
		d.Put(c.path, c.content)
		r, err := journal.Verify(d, "/j")
		if err != nil || r.OK() || !strings.Contains(r.String(), c.want) || !strings.Contains(r.String(), "does NOT hold") {
			t.Errorf("%s: %v, want %q in\n%v", c.name, err, c.want, &r)
		}
		d.Put(c.path, old)
	}
	head := mustHead(t, d)
	if err := d.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	if r, _ := journal.Verify(d, "/j"); r.OK() || !strings.Contains(r.String(), "frames 3 to 4 are missing") {
		t.Errorf("middle segment deleted:\n%v", &r)
	}
	d.Put(paths[1], second)
	d.Remove(paths[3])
	if mustHead(t, d) == head {
		t.Error("the newest segment deleted: the head did not change")
	}
	d.Remove(paths[0])
	if r, _ := journal.Verify(d, "/j"); !r.OK() || r.First != 3 || !strings.Contains(r.String(), "Frames 1 to 2 are no longer kept") {
		t.Errorf("oldest segment deleted:\n%v", &r)
	}
}

func mustHead(t *testing.T, d *disk.Disk) [32]byte {
	t.Helper()
	r, err := journal.Verify(d, "/j")
	if err != nil || !r.OK() {
		t.Fatalf("%v\n%v", err, &r)
	}
	return r.Head
}

// TestCapped: the capped class stays within its bytes, and what is left verifies.
func TestCapped(t *testing.T) {
	d := disk.New(0)
	o := inMemory(d)
	o.MaxBytes = 8000
	j, _ := open(t, o, nil)
	for range 200 {
		if err := j.Append(2, make([]byte, 200), nil, nil); err != nil {
			t.Fatal(err)
		}
		if s := j.Stats(); s.Bytes > o.MaxBytes {
			t.Fatalf("%d bytes are kept, want at most %d", s.Bytes, o.MaxBytes)
		}
	}
	s := j.Stats()
	d.Crash()
	r, err := journal.Verify(d, "/j")
	if err != nil || !r.OK() || r.Last != 200 || r.Head != s.Head || r.Bytes != s.Bytes || r.Bytes < o.MaxBytes/2 {
		t.Errorf("%v\n%v\n%+v", err, &r, s)
	}
}

// TestVerifyBesideWriter: reading and verifying a journal that is being
// written, and whose oldest segments go, finds nothing wrong with it.
func TestVerifyBesideWriter(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir, MaxBytes: 32 << 10}, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 500 {
			if err := j.Append(2, make([]byte, 100), make([]byte, 500), nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if r, err := journal.Verify(nil, dir); err != nil || !r.OK() {
			t.Fatalf("%v\n%v", err, &r)
		}
		var seqs []uint64
		for e, err := range journal.Read(nil, dir, 0) {
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, e.Seq)
		}
		if !slices.IsSorted(seqs) {
			t.Fatal("entries out of order")
		}
	}
}
