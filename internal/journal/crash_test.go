package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

var _ journal.FS = (*disk.Disk)(nil)

// crashAt makes the disk crash at its n-th operation from now, and be full, for
// once, at the first write from the full-th on.
func crashAt(d *disk.Disk, n, full int64) {
	var ops atomic.Int64
	wasFull := false // written by the flusher only
	d.Hook(func(op disk.Op) error {
		i := ops.Add(1)
		if i == n {
			d.Crash()
			return disk.ErrCrashed
		}
		if i >= full && op.Kind == disk.Write && !wasFull {
			wasFull = true
			return syscall.ENOSPC
		}
		return nil
	})
}

// TestDiskCrashes runs writers over a disk that crashes at a random operation and
// keeps a random part of what was not synced, again and again on the same journal.
func TestDiskCrashes(t *testing.T) {
	for seed := uint64(1); seed <= 150; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { crashes(t, seed) })
		})
	}
}

func crashes(t *testing.T, seed uint64) {
	d := disk.New(seed)
	if seed%5 == 0 {
		d = disk.New(0)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	acked := map[string]bool{}
	for round := range 5 {
		crashAt(d, 1+r.Int64N(60), r.Int64N(100))
		for _, m := range work(d, round, r) {
			acked[m] = true
		}
		d.Crash()
		d.Hook(nil)
		if rep, err := journal.Verify(d, "/j"); err != nil || !rep.OK() {
			t.Fatalf("before it is opened: %v\n%v", err, &rep)
		}
		check(t, d, acked)
	}
}

func tiny(d *disk.Disk) journal.Options {
	return journal.Options{FS: d, Dir: "/j", SegmentBytes: 8 << 10, BallastBytes: 2048, MaxWait: time.Minute, LowBytes: -1, StopBytes: -1, LowPercent: -1,
		Snapshot: func() []byte { return make([]byte, 700) }}
}

// work writes until the disk crashes, or enough, and returns what was acknowledged.
func work(d *disk.Disk, round int, r *rand.Rand) (acked []string) {
	j, _, err := journal.Open(context.Background(), tiny(d), nil)
	if err != nil {
		return nil
	}
	defer j.Close()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		sizes := []int{r.IntN(200), r.IntN(3000), 0}
		wg.Go(func() {
			for i := range 30 {
				// What was written before an acknowledged record is durable with it.
				meta := fmt.Sprintf("<%d.%d.%d>%s", round, w, i, strings.Repeat("m", sizes[i%3]/4))
				body := []byte(strings.Repeat("b", sizes[i%3]))
				if j.Write(2, []byte("w"+meta), body, nil) != nil || j.Write(3, []byte("v"+meta), nil, nil) != nil ||
					j.Append(2, []byte(meta), body, nil) != nil {
					return
				}
				mu.Lock()
				acked = append(acked, meta, "w"+meta, "v"+meta)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acked
}

// check opens the journal and finds it whole, gapless, and with all that was acknowledged.
func check(t *testing.T, d *disk.Disk, acked map[string]bool) {
	t.Helper()
	j, rec, err := journal.Open(context.Background(), tiny(d), func(journal.Entry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	rep, err := journal.Verify(d, "/j")
	if err != nil || !rep.OK() || rep.Tail != 0 || len(rec.Damage) != 0 {
		t.Fatalf("%v\n%v\n%+v", err, &rep, rec)
	}
	found := map[string]int{}
	seq := uint64(0)
	for e, err := range journal.Read(d, "/j", 0) {
		if seq++; err != nil || e.Seq != seq {
			t.Fatalf("got frame %d, %v, want %d", e.Seq, err, seq)
		}
		found[string(e.Meta)]++
	}
	for m := range acked {
		if found[m] != 1 {
			t.Fatalf("an acknowledged record is there %d times: %.20s", found[m], m)
		}
	}
}

// TestKill kills a process that writes, as the kernel does it, and finds
// everything it had reported as durable.
func TestKill(t *testing.T) {
	if dir := os.Getenv("GATEHOUSE_JOURNAL_KILL"); dir != "" {
		writeUntilKilled(dir)
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 10 {
		killOnce(t, dir, round, acked)
		found := map[string]bool{}
		j, _ := open(t, journal.Options{Dir: dir}, nil)
		for e, err := range journal.Read(nil, dir, 0) {
			if err != nil {
				t.Fatal(err)
			}
			found[string(e.Meta)] = true
		}
		for id := range acked {
			if !found[id] {
				t.Fatalf("round %d: acknowledged record %s is lost", round, id)
			}
		}
		if r, err := journal.Verify(nil, dir); err != nil || !r.OK() {
			t.Fatalf("round %d: %v\n%v", round, err, &r)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOnce starts a writer, kills it after some records, and notes what it acknowledged.
func killOnce(t *testing.T, dir string, round int, acked map[string]bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "GATEHOUSE_JOURNAL_KILL="+dir, "GATEHOUSE_JOURNAL_ROUND="+strconv.Itoa(round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	after := 1 + rand.IntN(2000)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acked[lines.Text()] = true
		if after--; after == 0 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if after > 0 {
		t.Fatal("the writer ended by itself")
	}
}

func writeUntilKilled(dir string) {
	j, _, err := journal.Open(context.Background(), journal.Options{Dir: dir, SegmentBytes: 256 << 10, BallastBytes: -1, MaxWait: time.Minute,
		LowBytes: -1, StopBytes: -1, LowPercent: -1}, nil)
	if err != nil {
		panic(err)
	}
	body := []byte(strings.Repeat("body ", 200))
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s/%d/%d", os.Getenv("GATEHOUSE_JOURNAL_ROUND"), w, i)
				if err := j.Append(2, []byte(id), body, nil); err != nil {
					panic(err)
				}
				os.Stdout.WriteString(id + "\n")
			}
		})
	}
	wg.Wait()
}
