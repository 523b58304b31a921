package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/testkit/disk"
)

// forgetful is a disk that forgets what was not synced, as the FS of a lake.
type forgetful struct{ *disk.Disk }

func (f forgetful) Open(name string, flag int) (Handle, error) {
	h, err := f.Disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	if flag&os.O_TRUNC != 0 {
		err = h.Truncate(0)
	}
	return h, err
}

// world is an input of numbered events, a lake that reads it, and what must be
// true of the two.
type world struct {
	t    *testing.T
	d    *disk.Disk
	r    *rand.Rand
	now  time.Time
	l    *Lake
	from int // next event of the input to append
}

const inputs = 2 // strands of the input

// nth is the n-th event of the input. Some are told again later, some of them
// by another strand or with a time of another day, and some come days late.
func nth(n int) *event.Event {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	id := n
	if n > 20 && r.IntN(5) == 0 {
		id = n - 1 - r.IntN(20)
	}
	at := day.Add(time.Duration(n) * time.Minute)
	if r.IntN(10) == 0 {
		at = at.Add(-time.Duration(r.IntN(24)) * time.Hour)
	}
	return happening(event.Strands[r.IntN(inputs)], strconv.Itoa(id), at)
}

// distinct are the ids among the first n events of the input.
func distinct(n int) map[string]bool {
	ids := map[string]bool{}
	for i := range n {
		ids[fmt.Sprintf("%x", nth(i).ID[:])] = true
	}
	return ids
}

func (w *world) open() error {
	l, err := Open(context.Background(), Options{Dir: "/lake", FS: forgetful{w.d}, SealRows: 40, Grace: time.Hour, FilterBytes: 4 << 10,
		Now: func() time.Time { return w.now }})
	if err != nil {
		return err
	}
	w.l = l
	w.from, _ = strconv.Atoi(l.Cursors()["input"])
	return nil
}

func (w *world) append(n int) error {
	batch := make([]*event.Event, n)
	for i := range batch {
		batch[i] = nth(w.from + i)
	}
	_, _, err := w.l.Append(batch, map[string]string{"input": strconv.Itoa(w.from + n)})
	if err == nil {
		w.from += n
	}
	return err
}

// step does one thing at random.
func (w *world) step() error {
	w.now = w.now.Add(time.Duration(w.r.IntN(20)) * time.Minute)
	ctx := context.Background()
	switch w.r.IntN(10) {
	case 0, 1:
		return w.l.Seal(ctx)
	case 2:
		_, err := w.l.Merge(ctx, 0)
		return err
	case 3:
		return w.l.Tick(ctx)
	default:
		return w.append(1 + w.r.IntN(30))
	}
}

// check compares what a reader finds with the input as far as the cursor says.
func (w *world) check() {
	w.t.Helper()
	s, err := load(forgetful{w.d}, "/lake")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(s.Damaged) > 0 {
		w.t.Fatalf("damaged: %v", s.Damaged)
	}
	if bad, err := s.check(context.Background(), forgetful{w.d}); err != nil || len(bad) > 0 {
		w.t.Fatalf("damaged: %v, %v", bad, err)
	}
	cursor, _ := strconv.Atoi(s.Cursors["input"])
	want, got := distinct(cursor), map[string]bool{}
	for _, f := range s.Files(nil, time.Time{}, time.Time{}) {
		for _, id := range w.segmentIDs(f) {
			if got[id] {
				w.t.Fatalf("%s is there twice; cursor %d", id, cursor)
			}
			got[id] = true
		}
	}
	for id := range want {
		if !got[id] {
			w.t.Fatalf("%d events, want %d: %s is lost; cursor %d", len(got), len(want), id, cursor)
		}
	}
	if len(got) > len(want) {
		w.t.Fatalf("%d events, want %d", len(got), len(want))
	}
	if n := catalogued(s); n != int64(len(want)) {
		w.t.Fatalf("the catalogue counts %d records, want %d", n, len(want))
	}
}

func catalogued(s *Snapshot) (n int64) {
	for _, p := range s.Catalogue.Resolve("detail.n") {
		n += p.Kinds.Total()
	}
	return n
}

// readBefore are the ids of files, whose checksums check has compared: the
// worlds of the tests below differ in few of them.
var readBefore = map[uint32][]string{}

// segmentIDs reads a file and checks what it says of itself.
func (w *world) segmentIDs(f File) (ids []string) {
	w.t.Helper()
	if ids := readBefore[f.CRC]; int64(len(ids)) == f.Rows {
		return ids
	}
	last := int64(0)
	c := readColumns(w.t, w.d.Bytes(f.Path), event.MessageID, event.MessageTime, event.StrandName)
	for i, v := range c[1] {
		at, strand := v.Int64(), c[2][i].String()
		if at < last || strand != string(f.Strand) || time.UnixMilli(at).UTC().Format(time.DateOnly) != f.Day {
			w.t.Fatalf("%s: row of %s at %d after %d", f.Path, strand, at, last)
		}
		last = at
		ids = append(ids, c[0][i].String())
	}
	if int64(len(ids)) != f.Rows {
		w.t.Fatalf("%s: %d rows, want %d", f.Path, len(ids), f.Rows)
	}
	readBefore[f.CRC] = ids
	return ids
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, d: disk.New(seed), r: rand.New(rand.NewPCG(seed, 3)), now: day.Add(100 * time.Hour)}
}

var errPower = errors.New("power cut")

// TestModel runs random work with power cuts at random operations of the disk.
func TestModel(t *testing.T) {
	for seed := range uint64(12 / stride) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 12 {
				left := w.r.IntN(120)
				w.d.Hook(func(op disk.Op) error {
					if left--; left < 0 {
						return errPower
					}
					return nil
				})
				w.work(12)
				w.d.Hook(nil)
				w.d.Crash()
			}
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			w.check()
		})
	}
}

// work opens the lake and does some steps, until one fails.
func (w *world) work(steps int) {
	if err := w.open(); err != nil {
		if !errors.Is(err, errPower) {
			w.t.Fatal(err)
		}
		return
	}
	w.check()
	for range steps {
		if err := w.step(); err != nil {
			if !errors.Is(err, errPower) {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.check()
}

// acts are what is interrupted below.
var acts = map[string]func(w *world) error{"seal": seal, "merge": (*world).merge, "remove": remove}

func seal(w *world) error { return errors.Join(w.append(30), w.l.Seal(context.Background())) }

func (w *world) merge() error { _, err := w.l.Merge(context.Background(), 0); return err }

func remove(w *world) error {
	w.now = w.now.Add(2 * time.Hour)
	return w.l.Tick(context.Background())
}

// interrupted runs act with trouble at the n-th operation of the disk, and
// tells whether there were so many.
func (w *world) interrupted(n int, act func(w *world) error, trouble func(op disk.Op) error) bool {
	seen := 0
	w.d.Hook(func(op disk.Op) error {
		seen++
		if seen <= n {
			return nil
		}
		return trouble(op)
	})
	act(w)
	w.d.Hook(nil)
	return seen > n
}

// TestCrashAtEachOperation cuts the power before each operation of a seal, a
// merge and a removal in turn.
func TestCrashAtEachOperation(t *testing.T) {
	for name, act := range acts {
		for cut, more := 0, true; more; cut += stride {
			w := newWorld(t, uint64(cut%3)) // 0 keeps nothing unsynced, others some
			w.prepare(name == "remove")
			more = w.interrupted(cut, act, func(disk.Op) error { return errPower })
			w.d.Crash()
			if err := w.open(); err != nil {
				t.Fatalf("%s, cut at %d: %v", name, cut, err)
			}
			w.goOn()
		}
	}
}

// TestFailureAtEachOperation makes one operation fail and goes on.
func TestFailureAtEachOperation(t *testing.T) {
	for name, act := range acts {
		for cut, more := 0, true; more; cut += stride {
			w := newWorld(t, 0)
			w.prepare(name == "remove")
			once := true
			more = w.interrupted(cut, act, func(disk.Op) error {
				if once {
					once = false
					return syscall.EIO
				}
				return nil
			})
			w.check()
			w.goOn()
		}
	}
}

// goOn checks the lake and that it still works, and leaves nothing behind.
func (w *world) goOn() {
	w.t.Helper()
	w.check()
	w.now = w.now.Add(3 * time.Hour)
	if err := errors.Join(w.append(50), w.merge(), w.l.Seal(context.Background())); err != nil {
		w.t.Fatal(err)
	}
	w.check()
	if got, _ := strconv.Atoi(w.l.Cursors()["input"]); got != w.from {
		w.t.Fatalf("the cursor is %d after a seal, want %d", got, w.from)
	}
	w.noLeftovers()
}

// prepare fills a lake with small segments, merged or not, and opens it.
func (w *world) prepare(merged bool) {
	w.t.Helper()
	for name, b := range prepared(merged) {
		w.d.Put(name, b)
	}
	if err := w.open(); err != nil {
		w.t.Fatal(err)
	}
}

// prepared are the files of such a lake, made once.
func prepared(merged bool) map[string][]byte {
	if merged {
		return preparedMerged()
	}
	return preparedSmall()
}

var (
	preparedSmall  = sync.OnceValue(func() map[string][]byte { return newPrepared(false) })
	preparedMerged = sync.OnceValue(func() map[string][]byte { return newPrepared(true) })
)

func newPrepared(merged bool) map[string][]byte {
	w := newWorld(nil, 0)
	err := w.open()
	for range 9 {
		err = errors.Join(err, w.append(15), w.l.Seal(context.Background()))
	}
	if merged {
		err = errors.Join(err, w.merge())
	}
	if err != nil {
		panic(err)
	}
	all := map[string][]byte{}
	names, _ := w.d.List("/lake")
	for _, name := range names {
		all["/lake/"+name] = w.d.Bytes("/lake/" + name)
	}
	return all
}

// noLeftovers checks that files go once nothing needs them.
func (w *world) noLeftovers() {
	w.t.Helper()
	for range 2 {
		w.now = w.now.Add(2 * time.Hour)
		if err := w.l.Tick(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
	names, _ := w.d.List("/lake")
	want := slices.Sorted(maps.Keys(w.l.m.names()))
	want = append(want, manifestName)
	slices.Sort(want)
	if !slices.Equal(names, want) || len(w.l.m.Dropped) > 0 {
		w.t.Fatalf("files: got %q, want %q; dropped %v", names, want, w.l.m.Dropped)
	}
}
