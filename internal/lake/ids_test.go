package lake

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/testkit/disk"
)

// someID is one of few ids: many share their first bytes, as no hash does.
func someID(r *rand.Rand) (id event.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(r.IntN(40)))
	if r.IntN(2) == 0 {
		binary.BigEndian.PutUint64(id[:], r.Uint64())
	}
	binary.BigEndian.PutUint64(id[8:], uint64(r.IntN(300)))
	return id
}

// TestRunsFindWhatIsInThem compares runs, alone and merged, with and without
// filters, with a map.
func TestRunsFindWhatIsInThem(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	fsys := forgetful{disk.New(0)}
	for _, n := range []int{0, 1, 255, 256, 257, 5000} {
		want := map[event.ID]known{}
		for range n {
			k := known{someID(r), uint8(r.IntN(3)), int32(r.IntN(20) - 10)}
			want[k.id] = k
		}
		var runs []*run
		var part []known
		for _, k := range want {
			if part = append(part, k); len(part) > n/3 {
				runs, part = append(runs, makeRun(t, fsys, part)), nil
			}
		}
		runs = append(runs, makeRun(t, fsys, part))
		for _, horizon := range []int32{-100, 0, 100} {
			e, err := writeRun(fsys, "/", "merged.ids", int64(n), mergeIDs(runs, horizon))
			do(t, err)
			for _, room := range []int64{0, 1 << 20} {
				merged, err := openRun(fsys, "/", e, &room)
				do(t, err)
				if (merged.filter != nil) != (room > 0) {
					t.Errorf("room %d: filter of %d words", room, len(merged.filter))
				}
				checkRun(t, merged, want, horizon)
			}
		}
	}
}

func makeRun(t *testing.T, fsys FS, part []known) *run {
	t.Helper()
	e, err := writeRun(fsys, "/", "part.ids", int64(len(part)), inOrder(part))
	do(t, err)
	// A file of its own for each, under one name: the handle keeps it.
	room := int64(1 << 20)
	r, err := openRun(fsys, "/", e, &room)
	do(t, err)
	do(t, fsys.Remove("/part.ids"))
	return r
}

func checkRun(t *testing.T, run *run, want map[event.ID]known, horizon int32) {
	t.Helper()
	n := 0
	for id, k := range want {
		got, ok, err := run.find(id)
		do(t, err)
		if ok != (k.day >= horizon) || ok && got != k {
			t.Fatalf("%x of day %d, horizon %d: got %v, %v", id, k.day, horizon, got, ok)
		}
		if ok {
			n++
		}
		id[15]++
		id[7] ^= 0x80
		if _, in := want[id]; !in {
			if _, ok, _ := run.find(id); ok {
				t.Fatalf("%x was found and is not there", id)
			}
		}
	}
	if int64(n) != run.Count {
		t.Fatalf("%d ids, want %d", run.Count, n)
	}
}

// TestFilterIsWorthIt: nearly all ids that are new need no read.
func TestFilterIsWorthIt(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	hash := func() (id event.ID) {
		binary.BigEndian.PutUint64(id[:], r.Uint64())
		binary.BigEndian.PutUint64(id[8:], r.Uint64())
		return id
	}
	f := make(filter, filterWords(100_000))
	for range 100_000 {
		f.add(hash())
	}
	maybe := 0
	for range 100_000 {
		if f.may(hash()) {
			maybe++
		}
	}
	if maybe > 3000 {
		t.Errorf("%d of 100,000 new ids pass the filter, want at most 3 %%", maybe)
	}
}

func TestRunsThatAreNone(t *testing.T) {
	d := disk.New(0)
	for name, e := range map[string]runEntry{
		"empty.ids": {Count: 0}, "short.ids": {Count: 10}, "long.ids": {Count: 1 << 60}, "gone.ids": {Count: 1},
	} {
		e.Name = name
		if name != "gone.ids" {
			d.Put("/"+name, make([]byte, map[string]int{"short.ids": 100, "long.ids": 1000}[name]))
		}
		room := int64(1 << 20)
		if r, err := openRun(forgetful{d}, "/", e, &room); err == nil {
			t.Errorf("%s was opened: %+v", name, r.runEntry)
		}
	}
}
