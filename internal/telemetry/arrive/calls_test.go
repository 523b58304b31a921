package arrive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/event"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

// book is a journal of calls on a disk in memory.
type book struct {
	t    *testing.T
	disk *disk.Disk
	j    *journal.Journal
}

func openBook(t *testing.T, d *disk.Disk, segment int64) *book {
	t.Helper()
	j, _, err := journal.Open(t.Context(), journal.Options{
		Dir: "calls", FS: d, SegmentBytes: segment, BallastBytes: -1, LowBytes: -1, LowPercent: -1, StopBytes: -1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &book{t, d, j}
}

func (b *book) put(m ledger.Meta, body string) {
	b.t.Helper()
	if err := b.j.Append(m.Kind(), m.AppendMeta(nil), []byte(body), nil); err != nil {
		b.t.Fatal(err)
	}
}

func asked(n int) ledger.Asked {
	return ledger.Asked{
		ID: fmt.Sprintf("call-%04d", n), Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Operation: "InvokeModel",
		Model: "cohere.command-text-v14", ModelAsked: "cohere.command-text-v14", Account: "000000000000", Region: "us-east-1",
		BodyBytes: 14,
	}
}

func (b *book) admit(n int) { b.put(&ledger.Admit{Asked: asked(n)}, `{"prompt":"x"}`) }

func (b *book) result(n int) {
	b.put(&ledger.Result{ID: asked(n).ID, Time: asked(n).Time, Outcome: call.OK, Status: 200, BodyBytes: 2}, `{}`)
}

func (b *book) refuse(n int) {
	b.put(&ledger.Refused{Asked: asked(n), Reason: "limit", Status: 429}, "")
}

func (b *book) source(follow bool) *Calls {
	return NewCalls(CallsOptions{Dir: "calls", FS: b.disk, Follow: follow, Batch: 1, Durable: func() uint64 { return b.j.Stats().Seq }})
}

// ids are the calls of lines, in order.
func ids(lines []string) (all []string) {
	for _, l := range lines {
		_, id, _ := strings.Cut(l, `"callId":"`)
		id, _, _ = strings.Cut(id, `"`)
		all = append(all, strings.TrimLeft(strings.TrimPrefix(id, "call-"), "0"))
	}
	return all
}

// TestCallsAreExported compares the lines with those of an export.
func TestCallsAreExported(t *testing.T) {
	b := openBook(t, disk.New(0), 0)
	b.admit(1)
	b.admit(2)
	b.refuse(3)
	b.result(2)
	b.put(&ledger.Tally{Reason: "other", Count: 7, First: asked(1).Time, Last: asked(1).Time}, "")
	b.result(1)
	var want bytes.Buffer
	if _, err := ledger.Export(journal.Read(b.disk, "calls", 1), ledger.ExportOptions{As: ledger.Telemetry}, &want); err != nil {
		t.Fatal(err)
	}
	s := newSink()
	s.run(t, t.Context(), b.source(false))
	if got := strings.Join(s.order, "\n") + "\n"; got != want.String() {
		t.Errorf("lines\n%s\nwant\n%s", got, want.String())
	}
	d := s.all[0]
	if d.How != ByJournal || d.Strand != event.Gateway || d.Origin.Name != "journal" {
		t.Errorf("delivery is %q of %q from %q", d.How, d.Strand, d.Origin.Name)
	}
	if s.cursor != "7" {
		t.Errorf("cursor %q, want the entry to come", s.cursor)
	}
}

// The cursor stays where the oldest open call begins, and a restart from it
// knows that call when its result comes.
func TestCallsCursor(t *testing.T) {
	b := openBook(t, disk.New(0), 0)
	b.admit(1) // entry 1
	b.admit(2)
	b.result(2)
	b.admit(3)
	b.result(3)
	s := newSink()
	s.run(t, t.Context(), b.source(false))
	if got := fmt.Sprintf("%v %s", ids(s.order), s.cursor); got != "[2 3] 1" {
		t.Fatalf("calls and cursor %s, want [2 3] 1", got)
	}
	b.result(1)
	s.run(t, t.Context(), b.source(false))
	if got := fmt.Sprintf("%v %s", ids(s.order), s.cursor); got != "[2 3 2 3 1] 7" {
		t.Errorf("calls and cursor %s, want [2 3 2 3 1] 7", got)
	}
}

// TestCallsKilled kills at random deliveries, with a lake that seals seldom,
// over many small segments.
func TestCallsKilled(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := openBook(t, disk.New(0), 2000)
		s := newSink()
		s.sealEvery = 1 + r.IntN(4)
		var open []int
		n := 0
		for range 20 {
			for range r.IntN(8) {
				switch n++; {
				case r.IntN(4) == 0:
					b.refuse(n)
				default:
					b.admit(n)
					open = append(open, n)
				}
				for len(open) > 0 && r.IntN(2) == 0 {
					i := r.IntN(len(open))
					b.result(open[i])
					open = slices.Delete(open, i, i+1)
				}
			}
			s.killAt = s.n + 1 + r.IntN(6)
			s.run(t, t.Context(), b.source(false))
			s.crash()
		}
		for _, i := range open {
			b.result(i)
		}
		s.run(t, t.Context(), b.source(false))
		s.seal()
		got := map[string]bool{}
		for _, id := range ids(s.order) {
			got[id] = true
		}
		if len(got) != n {
			t.Errorf("seed %d: %d calls, want %d", seed, len(got), n)
		}
	}
}

// TestCallsFollow sees a call within half a second of its result, and leaves an
// entry alone that a crash may take back.
func TestCallsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(0)
		b := openBook(t, d, 0)
		ctx, cancel := context.WithCancel(t.Context())
		s, done := newSink(), make(chan struct{})
		durable := uint64(0)
		src := NewCalls(CallsOptions{Dir: "calls", FS: d, Follow: true, Batch: 1, Durable: func() uint64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return durable
		}})
		go func() { defer close(done); s.run(t, ctx, src) }()
		step := func(upTo uint64, want string) {
			t.Helper()
			s.mu.Lock()
			durable = upTo
			s.mu.Unlock()
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			got, _ := s.since(0)
			if all := fmt.Sprint(ids(got)); all != want {
				t.Errorf("with %d durable: calls %s, want %s", upTo, all, want)
			}
		}
		b.admit(1)
		b.result(1)
		step(1, "[]")
		step(2, "[1]")
		for n := 2; n < 200; n++ { // more than are loaded one by one
			b.refuse(n)
		}
		step(3, "[1 2]")
		step(200, fmt.Sprint(upTo(199)))
		if st := src.State(); st.Behind != 0 || st.Deliveries == 0 {
			t.Errorf("state %+v", st)
		}
		cancel()
		<-done
		if err := b.j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// TestCallsOddities are entries that are no calls, and bodies that are too long.
func TestCallsOddities(t *testing.T) {
	b := openBook(t, disk.New(0), 0)
	if err := b.j.Append(ledger.KindAdmit, []byte(`{"id":"broken`), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.j.Append(99, []byte(`of another kind`), nil, nil); err != nil {
		t.Fatal(err)
	}
	b.result(8) // of a call that was never admitted
	a := asked(1)
	a.BodyBytes = 7 << 20
	b.put(&ledger.Admit{Asked: a}, `{"prompt":"`+strings.Repeat("x", 7<<20-13)+`"}`)
	b.result(1)
	s := newSink()
	src := b.source(false)
	s.run(t, t.Context(), src)
	if len(s.all) != 1 || s.cursor != "6" {
		t.Fatalf("%d deliveries, cursor %s, want one call and all entries behind", len(s.all), s.cursor)
	}
	if st := src.State(); st.Bytes > 4096 || st.Problems != 1 {
		t.Errorf("%d bytes, %d problems; want a call without its long body, and one problem", st.Bytes, st.Problems)
	}
}

// A journal that is younger than the cursor is read from its beginning.
func TestReplacedJournal(t *testing.T) {
	b := openBook(t, disk.New(0), 0)
	b.refuse(1)
	s := newSink()
	s.cursor = "900"
	src := b.source(false)
	s.run(t, t.Context(), src)
	if got := fmt.Sprintf("%v %s", ids(s.order), s.cursor); got != "[1] 2" || src.State().Problems != 1 {
		t.Errorf("calls and cursor %s, %d problems", got, src.State().Problems)
	}
	for _, cursor := range []string{"0", "-1", "x", "18446744073709551616", "1 "} {
		if err := b.source(false).Run(t.Context(), cursor, s.deliver); err == nil {
			t.Errorf("cursor %q is taken", cursor)
		}
	}
}

// TestCallsDamage reads on behind damage, and tells of it.
func TestCallsDamage(t *testing.T) {
	d := disk.New(0)
	b := openBook(t, d, 0)
	b.admit(1)
	b.result(1)
	b.refuse(2)
	b.refuse(3)
	if err := b.j.Close(); err != nil {
		t.Fatal(err)
	}
	name := "calls/00000000000000000001.seg"
	raw := d.Bytes(name)
	i := bytes.Index(raw, []byte("call-0002"))
	raw[i] ^= 1
	d.Put(name, raw)
	s := newSink()
	src := NewCalls(CallsOptions{Dir: "calls", FS: d})
	s.run(t, t.Context(), src)
	if got := fmt.Sprint(ids(s.order)); got != "[1 3]" || src.State().Problems != 1 {
		t.Errorf("calls %s, %d problems, want [1 3] and one", got, src.State().Problems)
	}
}

// An open call must not keep what is known of all that ended.
func TestOpenCallsAreBounded(t *testing.T) {
	var o openCalls
	o.admit("long", 1)
	for n := range uint64(1 << 16) {
		id := fmt.Sprint(n)
		o.admit(id, n+2)
		o.end(id)
	}
	if o.oldest(1<<20) != 1 || len(o.order) > 2048 {
		t.Errorf("oldest %d, %d remembered", o.oldest(1<<20), len(o.order))
	}
	o.end("long")
	if got := o.oldest(1 << 20); got != 1<<20 {
		t.Errorf("oldest %d with none open, want what comes next", got)
	}
}

func FuzzSeqCursor(f *testing.F) {
	for _, c := range []string{"", "1", "0", "99999999999999999999", "-5", "1e3"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		n, err := parseSeq(cursor)
		if err == nil && n == 0 {
			t.Errorf("%q is entry 0", cursor)
		}
		if err == nil && cursor != "" {
			if again, err := parseSeq(seqCursor(n)); err != nil || again != n {
				t.Errorf("%q does not survive: %d, %v", cursor, again, err)
			}
		}
	})
}
