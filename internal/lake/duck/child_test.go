//go:build cgo

package duck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
)

// running starts a query that gives rows without end, and waits for the first.
func running(t *testing.T, c *duck.Children) lake.Rows {
	t.Helper()
	rows, err := c.Query(t.Context(), lake.Request{SQL: "SELECT i FROM range(100000000000) t(i)", Budget: lake.Budget{Rows: 1 << 40}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	if !rows.Next(make([]event.Value, 1)) {
		t.Fatal(rows.Err())
	}
	return rows
}

func rest(rows lake.Rows) error {
	row := make([]event.Value, len(rows.Columns()))
	for rows.Next(row) {
	}
	return rows.Err()
}

// TestKilled holds that a child's death ends its own query alone.
func TestKilled(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 2})
	victim := running(t, c)
	pid := c.Pids()[0]
	other := running(t, c)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := rest(victim); !errors.Is(err, lake.ErrEngine) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want ErrEngine that names the signal", err)
	}
	if !other.Next(make([]event.Value, 1)) {
		t.Errorf("the other query ended too: %v", other.Err())
	}
	victim.Close()
	if got, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 7"}); err != nil || got[0] != "7" {
		t.Errorf("after the kill: %v, %v", got, err)
	}
}

// TestKilledWarm holds that a child that died between queries is replaced.
func TestKilledWarm(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 1})
	for i := range 3 {
		if _, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 1"}); err != nil {
			t.Fatalf("query %d: %v", i, err)
		}
		pid := c.Pids()[0]
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.AwaitDeaths()
	}
}

// TestStopped holds that a child that heeds nothing is killed at its time.
func TestStopped(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 1, Grace: 100 * time.Millisecond})
	if _, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 1"}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(c.Pids()[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 1", Budget: lake.Budget{Time: 100 * time.Millisecond}})
	var spent *lake.BudgetError
	if !errors.As(err, &spent) || spent.Spent != lake.SpentTime {
		t.Errorf("got %v, want the end of time", err)
	}
	if _, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 1"}); err != nil {
		t.Error(err)
	}
}

// TestMemoryBeyondCount holds that memory which DuckDB does not count is bounded
// by the machine: rows of huge lists, made by functions.
func TestMemoryBeyondCount(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 1})
	_, err := ask(t.Context(), c, lake.Request{
		SQL:    "SELECT len(list_transform(range(400000000), lambda x: x::VARCHAR || repeat('x', 100))) FROM range(4) t(i)",
		Budget: lake.Budget{Memory: 64 << 20, Time: time.Minute},
	})
	var spent *lake.BudgetError
	if !errors.As(err, &spent) && !errors.Is(err, lake.ErrEngine) {
		t.Errorf("got %v, want a typed end", err)
	}
	if _, err := ask(t.Context(), c, lake.Request{SQL: "SELECT 1"}); err != nil {
		t.Error(err)
	}
}

// TestBeside runs harmless queries while others eat memory, eat time and are
// killed.
func TestBeside(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 3, Queries: 4})
	var bad, good sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for _, sql := range []string{eatMemory, eatTime} {
		bad.Go(func() {
			for ctx.Err() == nil {
				_, err := ask(ctx, c, lake.Request{SQL: sql, Budget: lake.Budget{Memory: 32 << 20, Time: 200 * time.Millisecond, Threads: 1}})
				var spent *lake.BudgetError
				if !errors.As(err, &spent) && ctx.Err() == nil {
					t.Errorf("%s: got %v", sql, err)
				}
			}
		})
	}
	for range 2 {
		good.Go(func() {
			for i := range 12 {
				got, err := ask(t.Context(), c, lake.Request{SQL: fmt.Sprintf("SELECT sum(i) FROM range(%d) t(i)", 1000+i)})
				if want := fmt.Sprint((1000 + i) * (999 + i) / 2); err != nil || len(got) != 1 || got[0] != want {
					t.Errorf("got %v, %v; want %s", got, err, want)
				}
			}
		})
	}
	good.Wait()
	stop()
	bad.Wait()
}

// TestPlace holds that a child stands behind others for processor and memory,
// and sees none of our environment.
func TestPlace(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for children")
	c := children(t, duck.ChildOptions{Most: 1})
	running(t, c)
	pid := c.Pids()[0]
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	after := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if nice := after[16]; nice != "10" {
		t.Errorf("niceness is %s, want 10", nice)
	}
	if score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid)); err != nil || strings.TrimSpace(string(score)) != "800" {
		t.Errorf("oom_score_adj is %q, %v; want 800", score, err)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || bytes.Contains(env, []byte("AWS")) {
		t.Errorf("the environment is %q, %v", env, err)
	}
}

// TestProgress holds that a long query tells how far it is, from a child too.
func TestProgress(t *testing.T) {
	engines(t, func(t *testing.T, e lake.Engine) {
		var mu sync.Mutex
		told := 0
		_, err := ask(t.Context(), e, lake.Request{SQL: eatTime, Budget: lake.Budget{Time: 700 * time.Millisecond}, Progress: func(float64) {
			mu.Lock()
			told++
			mu.Unlock()
		}})
		mu.Lock()
		defer mu.Unlock()
		if told == 0 {
			t.Errorf("nothing was told in 700 ms (%v)", err)
		}
	})
}

// TestServeChildBroken feeds the child's main what no parent sends.
func TestServeChildBroken(t *testing.T) {
	for _, in := range []string{"X\x00\x00\x00\x00", "Q\x00\x00\x00\x01{", "T\x00\x00\x00\x00", "T\x00\x00\x00\x01\x00", "Q\xff\xff\xff\xff", "Q\x00\x00\x00\x09{}"} {
		if err := duck.ServeChild(t.Context(), strings.NewReader(in), io.Discard); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
	if err := duck.ServeChild(t.Context(), strings.NewReader(""), io.Discard); err != nil {
		t.Errorf("the end of stdin: %v", err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c := children(b, duck.ChildOptions{Most: 1})
		if _, err := ask(b.Context(), c, lake.Request{SQL: "SELECT 1"}); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkQuery(b *testing.B) {
	own, err := duck.Open(duck.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for name, e := range map[string]lake.Engine{"process": own, "warm child": children(b, duck.ChildOptions{Most: 1, Queries: 1 << 30})} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ask(b.Context(), e, lake.Request{SQL: "SELECT count(*) FROM events"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestTempRemoved holds that a killed child leaves no files.
func TestTempRemoved(t *testing.T) {
	dir := t.TempDir()
	c := children(t, duck.ChildOptions{Options: duck.Options{Temp: dir}, Most: 1})
	rows := running(t, c)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("while a query runs: %v, %v; want its folder", left, err)
	}
	if err := syscall.Kill(c.Pids()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.AwaitDeaths()
	rows.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestOrphan holds that a child ends when its parent is gone, in the middle of a
// query too.
func TestOrphan(t *testing.T) {
	c := children(t, duck.ChildOptions{Most: 1})
	rows := running(t, c)
	c.CloseStdin()
	c.AwaitDeaths()
	if err := rest(rows); !errors.Is(err, lake.ErrEngine) {
		t.Errorf("got %v, want ErrEngine", err)
	}
}
