package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// sample returns a disk with a journal of one segment of n entries of one commit
// each, the segment's bytes, and where each frame starts.
func sample(t testing.TB, n int) (d *disk.Disk, name string, content []byte, offsets []int64) {
	t.Helper()
	d = disk.New(0)
	j, _ := open(t, inMemory(d), nil)
	for i := range n {
		if err := j.Append(2, fmt.Appendf(nil, "meta %d", i), bytes.Repeat([]byte{'a' + byte(i)}, 20*i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for e, err := range journal.Read(d, "/j", 1) {
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.Join("/j", e.Segment)
		offsets = append(offsets, e.Offset)
	}
	content = d.Bytes(name)
	return d, name, content, append(offsets, int64(len(content)))
}

// reopen puts content in the place of the segment, opens the journal, appends
// one entry, and returns what Open found and the metas that are then in it.
func reopen(t *testing.T, name string, content []byte) (journal.Recovery, []string, *disk.Disk) {
	t.Helper()
	d := disk.New(0)
	d.Put(name, content)
	j, rec := open(t, inMemory(d), func(journal.Entry) error { return nil })
	if err := j.Append(2, []byte("new"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	d.Crash() // what Open cut must stay cut
	var metas []string
	for e, err := range journal.Read(d, "/j", 0) {
		if _, damaged := errors.AsType[*journal.Damage](err); err != nil && !damaged {
			t.Fatal(err)
		}
		if err == nil {
			metas = append(metas, string(e.Meta))
		}
	}
	return rec, metas, d
}

// TestTail (D02): whatever the end of the last frame looks like, the journal
// is cut behind the frame before it, and goes on.
func TestTail(t *testing.T) {
	const n = 4
	_, name, content, offsets := sample(t, n)
	last := offsets[n-1]
	garbage := func(b []byte) {
		r := rand.New(rand.NewPCG(1, uint64(len(b))))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	for _, c := range []struct {
		name string
		fill func([]byte) // the bytes from the cut to the end; nil: there are none
	}{{"short", nil}, {"zeros", func(b []byte) { clear(b) }}, {"garbage", garbage}} {
		for at := last; at < int64(len(content)); at++ {
			b := bytes.Clone(content)
			if c.fill == nil {
				b = b[:at]
			} else {
				c.fill(b[at:])
			}
			rec, metas, d := reopen(t, name, b)
			kept := n - 1
			// Zeros in place of exactly the body are an erased body, not a torn one.
			if c.name == "zeros" && at == offsets[n]-20*(n-1) {
				kept = n
			}
			if len(metas) != kept+1 || metas[kept] != "new" || rec.Last != uint64(kept) || len(rec.Damage) != 0 {
				t.Fatalf("%s from byte %d: kept %q, %+v", c.name, at, metas, rec)
			}
			if want := int64(len(b)) - offsets[kept]; rec.Dropped != want {
				t.Fatalf("%s from byte %d: %d bytes dropped, want %d", c.name, at, rec.Dropped, want)
			}
			mustVerify(t, d, "/j", uint64(kept)+1)
		}
	}
	// Anything behind the last frame is cut too.
	for _, tail := range [][]byte{make([]byte, 5000), bytes.Repeat([]byte("tail"), 100), content[offsets[1]:offsets[2]]} {
		rec, metas, d := reopen(t, name, append(bytes.Clone(content), tail...))
		if len(metas) != n+1 || rec.Dropped != int64(len(tail)) {
			t.Fatalf("tail of %d bytes: kept %q, %+v", len(tail), metas, rec)
		}
		mustVerify(t, d, "/j", n+1)
	}
}

// TestNewSegmentTorn: a segment in which no frame got durable is removed, at every length.
func TestNewSegmentTorn(t *testing.T) {
	_, name, content, offsets := sample(t, 1)
	for at := range offsets[1] {
		rec, metas, d := reopen(t, name, content[:at])
		if len(metas) != 1 || rec.Dropped != at {
			t.Fatalf("cut at %d: kept %q, %+v", at, metas, rec)
		}
		mustVerify(t, d, "/j", 1)
	}
}

// TestDamage (D03): damage with good frames behind it is reported and nothing
// is cut; all other frames stay readable, whichever byte is hit.
func TestDamage(t *testing.T) {
	const n, hit = 5, 2
	_, name, content, offsets := sample(t, n)
	for at := offsets[hit]; at < offsets[hit+1]; at++ {
		b := bytes.Clone(content)
		b[at] ^= 1 << (at % 8)
		rec, metas, d := reopen(t, name, b)
		if rec.Dropped != 0 || rec.Last != n {
			t.Fatalf("byte %d: %+v", at, rec)
		}
		inBody := at >= offsets[hit+1]-20*hit
		if damaged := rec.Damaged(); !inBody && (len(damaged) != 1 || damaged[0] != filepath.Base(name)) {
			t.Fatalf("byte %d: damaged segments %q", at, damaged)
		}
		if want := []string{"meta 0", "meta 1", "meta 3", "meta 4", "new"}; fmt.Sprint(metas) != fmt.Sprint(want) {
			t.Fatalf("byte %d: readable are %q, want %q", at, metas, want)
		}
		if !bytes.Equal(d.Bytes(name), b) {
			t.Fatalf("byte %d: the damaged segment was changed", at)
		}
		if r, err := journal.Verify(d, "/j"); err != nil || r.OK() || r.Tail != 0 {
			t.Fatalf("byte %d: %v\n%v", at, err, &r)
		}
	}
}

// TestDamagedHeader: the frames of a segment whose header is damaged stay readable.
func TestDamagedHeader(t *testing.T) {
	const n = 3
	_, name, content, _ := sample(t, n)
	for at := range 64 {
		b := bytes.Clone(content)
		b[at] ^= 0x10
		rec, metas, _ := reopen(t, name, b)
		if len(metas) != n+1 || len(rec.Damage) != 1 || rec.Dropped != 0 {
			t.Fatalf("byte %d: kept %q, %+v", at, metas, rec)
		}
	}
}

// TestUnreadable: a segment of which nothing is readable is neither deleted nor passed over.
func TestUnreadable(t *testing.T) {
	_, name, content, _ := sample(t, 3)
	d := disk.New(0)
	for i := range content {
		content[i] ^= 0x55
	}
	d.Put(name, content)
	if _, _, err := journal.Open(context.Background(), inMemory(d), nil); err == nil {
		t.Fatal("opened")
	}
	if !bytes.Equal(d.Bytes(name), content) {
		t.Error("the file was changed")
	}
}

// TestNewerVersion (D09): a segment of a newer format is refused, not repaired.
func TestNewerVersion(t *testing.T) {
	d := disk.New(0)
	d.Put("/j/00000000000000000001.seg", journal.HeaderOfVersion(2))
	if _, _, err := journal.Open(context.Background(), inMemory(d), nil); !errors.Is(err, journal.ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
}

// TestReplay: replay begins with the newest snapshot that is readable.
func TestReplay(t *testing.T) {
	d := disk.New(0)
	o := inMemory(d)
	state := 0
	o.Snapshot = func() []byte { return fmt.Appendf(nil, "state %d", state) }
	for state = range 3 {
		j, _ := open(t, o, nil)
		j.Append(2, fmt.Appendf(nil, "entry %d", state), nil, nil)
		j.Close()
	}
	replay := func() (got []string) {
		j, _ := open(t, o, func(e journal.Entry) error { got = append(got, string(e.Meta)); return nil })
		j.Close()
		return got
	}
	if got, want := fmt.Sprint(replay()), "[state 2 entry 2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	name := "/j/00000000000000000005.seg"
	b := d.Bytes(name)
	b[64+108] ^= 1 // the snapshot's first byte
	d.Put(name, b)
	if got, want := fmt.Sprint(replay()), "[state 1 entry 1 entry 2]"; got != want {
		t.Errorf("with a damaged snapshot: got %s, want %s", got, want)
	}
	failed := errors.New("replay says no")
	if _, _, err := journal.Open(t.Context(), o, func(journal.Entry) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v, want replay's error", err)
	}
}
