package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// TestErase: bodies go, everything else stays, on the real file system as on the fake.
func TestErase(t *testing.T) {
	d := disk.New(0)
	for _, o := range []journal.Options{{Dir: t.TempDir(), SegmentBytes: 30_000}, {FS: d, Dir: "/j", SegmentBytes: 30_000}} {
		j, _ := open(t, o, nil)
		for i := range 20 {
			if err := j.Append(2, fmt.Appendf(nil, "user %d", i%2), bytes.Repeat([]byte("secret"), 1000), nil); err != nil {
				t.Fatal(err)
			}
		}
		user1 := func(e journal.Entry) bool { return string(e.Meta) == "user 1" }
		if n, err := j.Erase(t.Context(), 5, 15, user1); n != 5 || err != nil {
			t.Fatalf("erased %d, %v, want 5", n, err)
		}
		if n, err := j.Erase(t.Context(), 5, 15, user1); n != 0 || err != nil {
			t.Fatalf("erased %d again, %v", n, err)
		}
		for e, err := range journal.Read(o.FS, o.Dir, 1) {
			gone := e.Seq >= 5 && e.Seq <= 15 && e.Seq%2 == 0
			if err != nil || e.Erased != gone || (e.Body == nil) != gone || e.BodySum == [32]byte{} || len(e.Meta) != 6 {
				t.Fatalf("entry %d: %v, erased %v, body of %d bytes", e.Seq, err, e.Erased, len(e.Body))
			}
			again, err := journal.Load(o.FS, o.Dir, e.Segment, e.Offset)
			if err != nil || again.Seq != e.Seq || !bytes.Equal(again.Body, e.Body) {
				t.Fatalf("load entry %d: got %d, %v", e.Seq, again.Seq, err)
			}
		}
		if n, err := j.Erase(t.Context(), 0, 1<<63, nil); n != 15 || err != nil {
			t.Fatalf("erased %d, %v, want the other 15", n, err)
		}
		r, err := journal.Verify(o.FS, o.Dir)
		if err != nil || !r.OK() || r.Erased != 20 || r.Bodies != 0 {
			t.Fatalf("%v\n%v", err, &r)
		}
		if err := j.Append(2, []byte("after"), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	d.Crash()
	if d.Synced([]byte("secret")) {
		t.Error("an erased body is still on the disk")
	}
}

// TestEraseCrash: a crash at any moment of an erasure leaves a journal that
// verifies, before and after it is opened again; then no body is half there.
func TestEraseCrash(t *testing.T) {
	finished := false
	for n := int64(1); !finished; n++ {
		for seed := range uint64(10) {
			d := disk.New(seed)
			o := inMemory(d)
			j, _ := open(t, o, nil)
			for range 3 {
				j.Append(2, nil, bytes.Repeat([]byte("secret"), 500), nil)
			}
			crashAt(d, n, 1000)
			_, err := j.Erase(t.Context(), 0, 100, nil)
			finished = err == nil
			j.Close()
			d.Crash()
			d.Hook(nil)
			for _, when := range []string{"before", "after"} {
				if r, err := journal.Verify(d, "/j"); err != nil || !r.OK() || r.Frames != 3 {
					t.Fatalf("crash at operation %d, %s opening: %v\n%v", n, when, err, &r)
				}
				j, _ = open(t, o, nil)
				j.Close()
			}
			left := 0
			for e, err := range journal.Read(d, "/j", 1) {
				if err != nil {
					t.Fatal(err)
				}
				if !e.Erased {
					left++
				}
			}
			if left != 0 && left != 3 {
				t.Fatalf("crash at operation %d: %d bodies are left", n, left)
			}
		}
	}
}

// TestEraseError: what failed half-way is finished by the next erasure.
func TestEraseError(t *testing.T) {
	d := disk.New(0)
	j, _ := open(t, inMemory(d), nil)
	j.Append(2, nil, []byte("secret"), nil)
	d.Hook(func(op disk.Op) error {
		if op.Kind == disk.Sync && strings.HasSuffix(op.Name, ".seg") {
			return syscall.EIO
		}
		return nil
	})
	if _, err := j.Erase(t.Context(), 0, 100, nil); err == nil {
		t.Fatal("no error")
	}
	d.Hook(nil)
	if _, err := j.Erase(t.Context(), 0, 100, nil); err != nil {
		t.Fatal(err)
	}
	d.Crash()
	if d.Synced([]byte("secret")) {
		t.Error("the body is still on the disk")
	}
}

// TestEraseNote: a note that is not one of ours is not obeyed.
func TestEraseNote(t *testing.T) {
	_, name, content, _ := sample(t, 3)
	for _, note := range [][]byte{
		nil,
		[]byte("garbage"),
		journal.EraseNote(filepath.Base(name), 0, 64),               // not a body
		journal.EraseNote("00000000000000000099.seg", 64, 1),        // no such segment
		journal.EraseNote(filepath.Base(name), 1<<62, 1<<62),        // far outside
		bytes.Repeat([]byte{0xff}, 28+16),                           // bad checksum
		journal.EraseNote("../../../../etc/passwd/x", 1<<62, 1<<62), // no segment's name
	} {
		d := disk.New(0)
		d.Put(name, content)
		d.Put("/j/erasing", note)
		j, _, err := journal.Open(context.Background(), inMemory(d), nil)
		if err != nil {
			t.Fatalf("%q: %v", note, err)
		}
		j.Close()
		if !bytes.Equal(d.Bytes(name), content) || d.Bytes("/j/erasing") != nil {
			t.Errorf("%q was obeyed, or left", note)
		}
	}
}

// TestVerifyBesideErase: a body that is being erased is not taken for a damaged one.
func TestVerifyBesideErase(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir}, nil)
	const n = 40
	for range n {
		j.Write(2, nil, bytes.Repeat([]byte("secret"), 10_000), nil)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint64(n) {
			if _, err := j.Erase(t.Context(), i+1, i+1, nil); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		mustVerify(t, nil, dir, n)
		for e, err := range journal.Read(nil, dir, 1) {
			if err != nil {
				t.Fatalf("entry %d: %v", e.Seq, err)
			}
		}
	}
}
