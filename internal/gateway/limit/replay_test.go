package limit_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// entry is a record of the journal that the limiter replays.
type entry struct {
	kind     string // snapshot, admit, result
	snapshot []byte
	id       string
	amounts  []call.Amount
}

// world is a gateway reduced to its limiter and journal. The journal's writer
// is behind: what is queued is lost in a crash, but for a part of it.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	limits  []limit.Limit
	l       *limit.Limiter
	journal []entry // durable
	queue   []entry // not yet written
	base    map[string]int64
	calls   map[string]*life
}

// life is what we know of a call since the last start.
type life struct {
	call    *call.Call
	refused bool // could not be admitted, and was released
	acked   bool // its admit was durable, so the call was made
	settled bool
	worked  bool
	ended   bool // its result is durable
	kept    []call.Amount
}

// returned says whether it is durable that an amount of x went back.
func (x *life) returned(limit string) bool {
	return x.ended && !slices.ContainsFunc(x.kept, func(a call.Amount) bool { return a.Limit == limit })
}

// mayReturn says whether x has ended in a way that gives an amount back.
func (x *life) mayReturn(limit string) bool {
	return x.settled && !x.worked && limit != "long" // the only one that slides
}

// end notes a durable result.
func (x *life) end(e entry) {
	if e.kind == "result" {
		x.ended, x.kept = true, e.amounts
	}
}

func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rnd.Int64N(1e8)))
	switch w.rnd.IntN(10) {
	case 0, 1, 2:
		w.reserve()
	case 3, 4:
		w.settle()
	case 5, 6, 7:
		w.flush(w.rnd.IntN(4))
	case 8:
		// As each segment starts; what is queued comes after it.
		w.journal = append(w.journal, entry{kind: "snapshot", snapshot: w.l.Snapshot()})
	case 9:
		if w.rnd.IntN(8) == 0 {
			w.crash()
		}
	}
}

func (w *world) reserve() {
	c := newCall(fmt.Sprint("user", w.rnd.IntN(3)))
	if _, ref := w.l.Reserve(ctx, c, w.now); ref != nil {
		w.t.Fatal(ref)
	}
	w.calls[c.ID] = &life{call: c}
	admit := entry{kind: "admit", id: c.ID, amounts: c.Amounts}
	switch w.rnd.IntN(8) {
	case 0: // the queue is full
		w.refuse(c)
	case 1: // the disk is slow: given up, but written in the end
		w.queue = append(w.queue, admit)
		w.refuse(c)
	default:
		w.queue = append(w.queue, admit)
	}
}

func (w *world) refuse(c *call.Call) {
	w.l.Release(c)
	w.calls[c.ID].refused = true
	w.queue = append(w.queue, entry{kind: "result", id: c.ID})
}

// settle ends one of the calls that were made, sometimes twice.
func (w *world) settle() {
	for _, id := range slices.Sorted(maps.Keys(w.calls)) {
		x := w.calls[id]
		if !x.acked || x.settled {
			continue
		}
		x.settled, x.worked = true, w.rnd.IntN(3) > 0
		r := &call.Result{Worked: x.worked}
		w.l.Settle(x.call, r, w.now)
		if w.rnd.IntN(4) == 0 {
			w.l.Settle(x.call, &call.Result{}, w.now)
		}
		w.queue = append(w.queue, entry{kind: "result", id: id, amounts: r.Settled})
		return
	}
}

// flush makes the first n queued records durable.
func (w *world) flush(n int) {
	for ; n > 0 && len(w.queue) > 0; n-- {
		e := w.queue[0]
		w.queue, w.journal = w.queue[1:], append(w.journal, e)
		x := w.calls[e.id]
		x.acked = x.acked || e.kind == "admit" && !x.refused
		x.end(e)
	}
}

// crash loses the process and a part of the queue, and starts again.
func (w *world) crash() {
	for _, e := range w.queue[:w.rnd.IntN(len(w.queue)+1)] {
		w.journal = append(w.journal, e)
		w.calls[e.id].end(e)
	}
	w.now = w.now.Add(time.Millisecond)
	live := w.l
	w.l = newLimiter(w.t, w.now, w.limits...)
	w.replay()
	got := counts(w.l, w.now)
	atLeast, atMost := maps.Clone(w.base), maps.Clone(w.base)
	for _, x := range w.calls {
		for _, a := range x.call.Amounts {
			key := a.Limit + " " + a.Key
			if x.acked && !x.mayReturn(a.Limit) {
				atLeast[key] += a.N
			}
			if !x.returned(a.Limit) {
				atMost[key] += a.N
			}
		}
	}
	for key := range atMost {
		if got[key] < atLeast[key] || got[key] > atMost[key] {
			w.t.Fatalf("%s after a crash: %d, want %d to %d; live it was %d", key, got[key], atLeast[key], atMost[key], counts(live, w.now)[key])
		}
	}
	// Recovery closes what was open and charges it.
	for id, amounts := range w.l.Open() {
		w.journal = append(w.journal, entry{kind: "result", id: id, amounts: amounts})
		w.l.ReplayResult(id, amounts)
	}
	if after := counts(w.l, w.now); len(w.l.Open()) > 0 || !maps.Equal(after, got) {
		w.t.Fatalf("closing interrupted calls changed %v to %v", got, after)
	}
	w.queue, w.calls, w.base = nil, make(map[string]*life), got
}

func (w *world) replay() {
	for _, e := range w.journal {
		switch e.kind {
		case "snapshot":
			if err := w.l.Restore(e.snapshot); err != nil {
				w.t.Fatal(err)
			}
		case "admit":
			w.l.ReplayAdmit(e.id, e.amounts)
		case "result":
			w.l.ReplayResult(e.id, e.amounts)
		}
	}
}

// TestCrashes is L03 as a property: after any interleaving of reservations,
// records, settlements, snapshots and crashes, a replay counts every call that
// was made, and none twice; and without loss it counts what was counted live.
func TestCrashes(t *testing.T) {
	for seed := range uint64(150) {
		w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), now: noon, base: make(map[string]int64), calls: make(map[string]*life),
			limits: []limit.Limit{perUser("day", 1e6, limit.Day), perUser("long", 1e6, limit.Window(24*time.Hour)), perUser("month", 1e6, limit.Month)}}
		w.l = newLimiter(t, w.now, w.limits...)
		for range 400 {
			w.step()
		}
		w.flush(len(w.queue))
		want, open := counts(w.l, w.now), w.l.Open()
		w.l = newLimiter(t, w.now, w.limits...)
		w.replay()
		if diff := cmp.Diff(want, counts(w.l, w.now)); diff != "" {
			t.Fatalf("seed %d, nothing lost: %s", seed, diff)
		}
		if diff := cmp.Diff(open, w.l.Open()); diff != "" {
			t.Fatalf("seed %d, open calls: %s", seed, diff)
		}
	}
}

// TestReplayTwice is L15 for one node: doing it again adds nothing.
func TestReplayTwice(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 9, limit.Day), perUser("rate", 9, minute))
	done, open := newCall("ann"), newCall("ann")
	l.Reserve(ctx, done, noon)
	l.Reserve(ctx, open, noon)
	l.Settle(done, &call.Result{Worked: true}, noon)
	snapshot, want := l.Snapshot(), counts(l, noon)

	again := newLimiter(t, noon, perUser("day", 9, limit.Day), perUser("rate", 9, minute))
	for range 2 {
		if err := again.Restore(snapshot); err != nil {
			t.Fatal(err)
		}
		again.ReplayAdmit(open.ID, open.Amounts)
		again.ReplayAdmit(open.ID, open.Amounts)
		again.ReplayResult(done.ID, nil) // settled before the snapshot
		if diff := cmp.Diff(want, counts(again, noon)); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(map[string][]call.Amount{open.ID: open.Amounts}, again.Open()); diff != "" {
		t.Error(diff)
	}
}

// TestReplayTimes: replayed counts leave their windows when they would have,
// and what a wrong clock had put in the future counts from the start.
func TestReplayTimes(t *testing.T) {
	at := func(when time.Time) []call.Amount {
		return []call.Amount{{Limit: "rate", Key: "ann", N: 1, At: when.UnixNano()}, {Limit: "gone", Key: "ann", N: 1, At: 1}}
	}
	for _, tt := range []struct {
		name      string
		taken     time.Time
		now, free time.Duration // since noon, when the process began: refused, admitted
	}{
		{"recent", noon.Add(-30 * time.Second), 29 * time.Second, 31 * time.Second},
		{"from a clock an hour ahead", noon.Add(time.Hour), 59 * time.Second, 61 * time.Second},
	} {
		l := newLimiter(t, noon, perUser("rate", 1, minute))
		l.ReplayAdmit("a", at(tt.taken))
		snapshot := l.Snapshot()
		for _, restore := range []bool{false, true} {
			if restore {
				l = newLimiter(t, noon, perUser("rate", 1, minute))
				if err := l.Restore(snapshot); err != nil {
					t.Fatal(err)
				}
			}
			if _, ref := l.Reserve(ctx, newCall("ann"), noon.Add(tt.now)); ref == nil {
				t.Errorf("%s: admitted after %v", tt.name, tt.now)
			}
			if _, ref := l.Reserve(ctx, newCall("ann"), noon.Add(tt.free)); ref != nil {
				t.Errorf("%s: after %v: %v", tt.name, tt.free, ref)
			}
			l.ReplayResult("a", nil)
		}
	}
	old := newLimiter(t, noon, perUser("rate", 1, minute))
	old.ReplayAdmit("a", at(noon.Add(-2*time.Minute)))
	if _, ref := old.Reserve(ctx, newCall("ann"), noon); ref != nil {
		t.Errorf("an old count still counts: %v", ref)
	}
}

// TestReplayHugeAmounts: amounts that only a damaged record can have do not
// make a count overflow.
func TestReplayHugeAmounts(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 9, limit.Day))
	for i, n := range []int64{math.MaxInt64, math.MaxInt64, math.MinInt64, -1} {
		l.ReplayAdmit(fmt.Sprint(i), []call.Amount{{Limit: "day", Key: "ann", N: n, At: noon.UnixNano()}})
	}
	if _, ref := l.Reserve(ctx, newCall("ann"), noon); ref == nil {
		t.Error("admitted after an overflow")
	}
	l.ReplayResult("2", []call.Amount{{Limit: "day", Key: "ann", N: math.MinInt64}})
	l.ReplayResult("3", nil)
	if got := counts(l, noon)["day ann"]; got <= 9 {
		t.Errorf("counts %d", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	l := newLimiter(t, noon, perUser("day", 9, limit.Day))
	l.Reserve(ctx, newCall("ann"), noon)
	good := l.Snapshot()
	for n := range good {
		if err := l.Restore(good[:n]); err == nil {
			t.Errorf("accepted the first %d of %d bytes", n, len(good))
		}
	}
	const head = "gatehouse limits\x01"
	for name, bad := range map[string]string{
		"other version":   "gatehouse limits\x03\x00\x00",
		"trailing":        head + "\x00\x00\x00",
		"limit twice":     head + "\x02\x01a\x00\x01a\x00\x00",
		"key twice":       head + "\x01\x01a\x02\x01k\x00\x01k\x00\x00",
		"call twice":      head + "\x00\x02\x01i\x00\x01i\x00",
		"negative count":  head + "\x01\x01a\x01\x01k\x01\x00\x01\x00",
		"huge count":      head + "\x01\x01a\x01\x01k\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
		"62 slots":        head + "\x01\x01a\x01\x01k\x3e" + strings.Repeat("\x00\x02", 62) + "\x00",
		"announces 2^63":  head + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"endless varint":  head + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"text beyond end": head + "\x01\x7fa\x00\x00",
	} {
		if err := l.Restore([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if diff := cmp.Diff(map[string]int64{"day ann": 1}, counts(l, noon)); diff != "" {
		t.Errorf("a refused snapshot changed something: %s", diff)
	}
}

// TestRestoreVersion1: what a version before items wrote is read.
func TestRestoreVersion1(t *testing.T) {
	v1 := "gatehouse limits\x01" +
		"\x01\x03day\x01\x03ann\x01" + string(binary.AppendVarint(nil, noon.UnixNano())) + "\x04" + // 2 of ann's day
		"\x01\x02id\x01\x03day\x03ann\x02" + string(binary.AppendVarint(nil, noon.UnixNano())) // 1 of them open
	l := newLimiter(t, noon, perUser("day", 9, limit.Day))
	if err := l.Restore([]byte(v1)); err != nil {
		t.Fatal(err)
	}
	want := map[string][]call.Amount{"id": {{Limit: "day", Key: "ann", N: 1, At: noon.UnixNano()}}}
	if diff := cmp.Diff(want, l.Open()); diff != "" {
		t.Error(diff)
	}
	if got := counts(l, noon)["day ann"]; got != 2 {
		t.Errorf("counts %d, want 2", got)
	}
}

// TestInterrupted: a call that a crash interrupted is charged in full, and holds
// no slot.
func TestInterrupted(t *testing.T) {
	limits := []limit.Limit{per("concurrency", 1, 0), per("tokens", 9999, minute)}
	l := newLimiter(t, noon, limits...)
	c := modelCall("ann")
	l.Reserve(ctx, c, noon)
	again := newLimiter(t, noon, limits...)
	again.ReplayAdmit(c.ID, c.Amounts)
	if diff := cmp.Diff(map[string]int64{"concurrency ann": 1, "tokens ann": 1100}, counts(again, noon)); diff != "" {
		t.Error(diff)
	}
	again.ReplayResult(c.ID, c.Amounts)
	if diff := cmp.Diff(map[string]int64{"tokens ann": 1100}, counts(again, noon)); diff != "" {
		t.Error(diff)
	}
}

// TestSnapshotOfAll: every measure comes back, and what is open can end.
func TestSnapshotOfAll(t *testing.T) {
	l := newLimiter(t, noon, eight()...)
	open := modelCall("ann")
	for i := range 5 {
		c := modelCall("ann")
		c.Model.ID = fmt.Sprint("m", i%3)
		l.Reserve(ctx, c, noon)
		l.Settle(c, &call.Result{Worked: true, Cost: 7, Usage: call.Usage{Input: 9}}, noon)
	}
	l.Reserve(ctx, open, noon)
	again := newLimiter(t, noon, eight()...)
	if err := again.Restore(l.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l.Status(noon), again.Status(noon)); diff != "" {
		t.Error(diff)
	}
	r := &call.Result{Worked: true, Cost: 1, Usage: call.Usage{Input: 1}}
	l.Settle(open, r, noon)
	again.ReplayResult(open.ID, r.Settled)
	if diff := cmp.Diff(l.Status(noon), again.Status(noon)); diff != "" {
		t.Errorf("after the end: %s", diff)
	}
	// A name that goes by another measure now is not counted as it.
	other := newLimiter(t, noon, limit.Limit{Name: "e-models", Per: []string{"user"}, Measure: "requests", Max: 9, Window: minute})
	if err := other.Restore(l.Snapshot()); err != nil || len(other.Status(noon)) > 0 {
		t.Errorf("got %v, %+v, want nothing", err, other.Status(noon))
	}
}

func FuzzRestore(f *testing.F) {
	limits := []limit.Limit{perUser("day", 9, limit.Day), perUser("rate", 9, minute), per("models", 9, minute), flood}
	l := newLimiter(f, noon, limits...)
	f.Add(l.Snapshot())
	done, open := say(f, modelCall("ann"), everyday[9]), say(f, modelCall("bob"), everyday[10])
	l.Reserve(ctx, done, noon)
	l.Reserve(ctx, open, noon)
	l.Settle(done, &call.Result{Worked: true}, noon)
	f.Add(l.Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLimiter(t, noon, limits...)
		if l.Restore(b) != nil {
			return
		}
		first := counts(l, noon)
		for _, n := range first {
			if n <= 0 {
				t.Fatalf("counts %v", first)
			}
		}
		snapshot := bytes.Clone(l.Snapshot())
		if err := l.Restore(snapshot); err != nil {
			t.Fatalf("our own snapshot: %v", err)
		}
		if diff := cmp.Diff(first, counts(l, noon)); diff != "" {
			t.Fatal(diff)
		}
		c := newCall("ann")
		if _, ref := l.Reserve(ctx, c, noon); ref == nil {
			l.Release(c)
		}
	})
}
