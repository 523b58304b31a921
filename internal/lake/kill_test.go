package lake_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// killRounds is how often the writer is killed, at some moment of appending,
// sealing, merging or retiring.
const killRounds = 50

// TestKill kills a writer as the kernel does it, and finds every event below
// the cursor once: none lost, none doubled. What a kill cannot show, because
// the kernel keeps written pages, the model does with a disk that forgets.
func TestKill(t *testing.T) {
	if dir := os.Getenv("GATEHOUSE_LAKE_KILL"); dir != "" {
		appendUntilKilled(dir)
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked := 0
	for range killRounds {
		acked = max(acked, killOnce(t, dir))
		s, err := lake.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		cursor, _ := strconv.Atoi(s.Cursors["numbers"])
		if cursor < acked {
			t.Fatalf("the cursor is %q, and %d was sealed", s.Cursors["numbers"], acked)
		}
		rows := int64(0)
		for _, f := range s.Files(nil, time.Time{}, time.Time{}) {
			rows += f.Rows
		}
		if rows != int64(cursor) || len(s.Damaged) > 0 {
			t.Fatalf("%d rows, want those of the cursor %d; damaged: %v", rows, cursor, s.Damaged)
		}
		ids, err := s.IDs()
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			n := rand.IntN(cursor + 1)
			if got, err := ids.Has(number(n).ID); err != nil || got != (n < cursor) {
				t.Fatalf("event %d of %d: %v, %v", n, cursor, got, err)
			}
		}
		ids.Close()
	}
	s, err := lake.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if files := len(s.Files(nil, time.Time{}, time.Time{})); int64(files) > s.Generation/2 {
		t.Errorf("%d segments after %d commits: nothing was merged, which proves too little", files, s.Generation)
	}
	if bad, err := s.Check(t.Context()); err != nil || len(bad) > 0 {
		t.Fatalf("damaged: %v, %v", bad, err)
	}
}

// killOnce starts a writer, kills it, and tells the highest number that it had
// reported as sealed.
func killOnce(t *testing.T, dir string) (acked int) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "GATEHOUSE_LAKE_KILL="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // it runs
		t.Fatal("the writer ended by itself")
	}
	timer := time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for more := true; more; more = lines.Scan() {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			acked = n
		}
	}
	cmd.Wait()
	return acked
}

// number is the event of a number; its day, and so its segment, varies.
func number(n int) *event.Event {
	e := &event.Event{Time: time.Date(2026, 3, 1+n%3, 0, 0, n%86400, 0, time.UTC), Strand: event.Data, Format: "cloudtrail", Raw: fmt.Appendf(nil, `{"n":%d}`, n)}
	binary.BigEndian.PutUint64(e.ID[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(e.ID[8:], uint64(n))
	e.SetInt(event.MessageTime, e.Time.UnixMilli())
	e.SetText(event.EventName, "PutObject")
	return e
}

// appendUntilKilled goes on from the cursor, and begins a little before it, as a
// source does that is read again.
func appendUntilKilled(dir string) {
	ctx := context.Background()
	l, err := lake.Open(ctx, lake.Options{Dir: dir, Grace: time.Millisecond})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	go func() {
		for {
			if _, err := l.Merge(ctx, 0); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			l.Tick(ctx) // removes what was merged
		}
	}()
	at, _ := strconv.Atoi(l.Cursors()["numbers"])
	for n := max(0, at-50); ; n += 40 {
		var batch []*event.Event
		for i := range 40 {
			batch = append(batch, number(n+i))
		}
		_, _, err := l.Append(batch, map[string]string{"numbers": strconv.Itoa(max(at, n+40))})
		if err == nil {
			err = l.Seal(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(max(at, n+40))
	}
}
