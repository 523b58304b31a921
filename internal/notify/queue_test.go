package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/notify"
)

// receiver remembers what it was sent, and fails as it is told.
type receiver struct {
	mu    sync.Mutex
	got   []string
	ids   map[string]int
	fails func(n int) error // of the n-th attempt, from 0
	n     int
}

func (r *receiver) send(_ context.Context, m *notify.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if r.ids == nil {
		r.ids = map[string]int{}
	}
	r.ids[m.ID()]++
	if r.fails != nil {
		if err := r.fails(r.n - 1); err != nil {
			return err
		}
	}
	text := m.Title
	for _, f := range m.Fields {
		text += fmt.Sprintf(" [%s: %s]", f.Name, f.Value)
	}
	r.got = append(r.got, text)
	return nil
}

func (r *receiver) texts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// run starts a notifier in a bubble of synthetic time. After test it ends; then
// after looks at what is left.
func run(t *testing.T, r *receiver, test func(n *notify.Notifier), after func(n *notify.Notifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := notify.NewFake(notify.Options{Quiet: time.Minute}, r.send)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.Run(ctx); close(done) }()
		test(n)
		cancel()
		<-done
		if after != nil {
			after(n)
		}
	})
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRetry(t *testing.T) {
	broken := errors.New("broken")
	for _, row := range []struct {
		name           string
		fails          func(n int) error
		attempts       int
		sent, failed   int64
		within, atMost time.Duration // when it is over
	}{
		{"at once", nil, 1, 1, 0, 0, 0},
		{"after two failures", func(n int) error {
			if n < 2 {
				return broken
			}
			return nil
		}, 3, 1, 0, time.Second, 3 * time.Second},
		{"never", func(int) error { return broken }, 8, 0, 1, 45 * time.Second, 2 * time.Minute},
		{"refused for good", func(int) error { return fmt.Errorf("no: %w", notify.Permanent(broken)) }, 1, 0, 1, 0, 0},
	} {
		r := &receiver{fails: row.fails}
		run(t, r, func(n *notify.Notifier) {
			n.Send(notify.Message{Title: "a"}, nil)
			synctest.Wait()
			start := time.Now()
			for n.Rows()[0].Sent+n.Rows()[0].Failed == 0 && time.Since(start) < time.Hour {
				pass(100 * time.Millisecond)
			}
			took := time.Since(start)
			if row := row; took < row.within || took > row.atMost+100*time.Millisecond {
				t.Errorf("%s: took %s, want %s to %s", row.name, took, row.within, row.atMost)
			}
			if s := n.Rows()[0]; r.n != row.attempts || s.Sent != row.sent || s.Failed != row.failed || len(r.ids) != 1 {
				t.Errorf("%s: %d attempts under %d ids, %+v", row.name, r.n, len(r.ids), s)
			}
		}, nil)
	}
}

// TestFullQueue: a receiver that is slow costs its own messages, and says so.
func TestFullQueue(t *testing.T) {
	up := false
	r := &receiver{}
	r.fails = func(int) error {
		if !up {
			return errors.New("down")
		}
		return nil
	}
	run(t, r, func(n *notify.Notifier) {
		n.Send(notify.Message{Title: "first"}, nil)
		synctest.Wait()
		for i := range 150 { // 128 fit
			n.Send(notify.Message{Title: fmt.Sprint(i)}, nil)
		}
		if row := n.Rows()[0]; row.Dropped != 22 || row.Queued != 128 || row.LastError != "down" {
			t.Errorf("row %+v, want 22 dropped of 150", row)
		}
		for _, p := range n.Samples() {
			if want := map[string]float64{"gatehouse_messages_dropped_total": 22, "gatehouse_messages_queued": 128}[p.Name]; p.Value != want || p.Of != "fake" {
				t.Errorf("sample %+v, want %v", p, want)
			}
		}
		r.mu.Lock()
		up = true
		r.mu.Unlock()
		pass(time.Minute)
		got := r.texts()
		if len(got) != 129 || got[0] != "first" || got[1] != "0 [Dropped before: 22 messages for want of room]" || got[2] != "1" {
			t.Errorf("sent %d: %q", len(got), got[:min(3, len(got))])
		}
	}, nil)
}

// TestEnd: what is queued is tried once more, and the end comes in time.
func TestEnd(t *testing.T) {
	r := &receiver{}
	calls := 0
	r.fails = func(int) error {
		if calls++; calls <= 2 {
			return errors.New("down")
		}
		return nil
	}
	var start time.Time
	run(t, r, func(n *notify.Notifier) {
		n.Send(notify.Message{Title: "a"}, nil)
		n.Send(notify.Message{Title: "b"}, nil)
		synctest.Wait() // a has failed once and waits
		start = time.Now()
	}, func(n *notify.Notifier) {
		if row := n.Rows()[0]; row.Sent != 1 || row.Failed != 1 || time.Since(start) > 5*time.Second {
			t.Errorf("after %s: %+v, want b failed, a sent", time.Since(start), row)
		}
	})
}

// TestQuiet: the same news once a minute, with what was repeated; other news,
// and news for others, at once.
func TestQuiet(t *testing.T) {
	r := &receiver{}
	run(t, r, func(n *notify.Notifier) {
		say := func(title, key string, to ...string) {
			n.Send(notify.Message{Title: title, Key: key}, to)
			synctest.Wait()
		}
		say("1", "k")
		say("2", "k")
		say("3", "other")
		say("4", "")
		say("5", "")
		say("6", "k", "fake")
		say("7", "k", "nobody")
		pass(30 * time.Second)
		say("8", "k")
		want := []string{"1", "3", "4", "5", "6"}
		if got := r.texts(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		pass(31 * time.Second)
		want = append(want, "8 [Repeated: 2 times since 2000-01-01T00:00:00Z]")
		if got := r.texts(); !slices.Equal(got, want) {
			t.Errorf("after a minute: sent %q, want %q", got, want)
		}
		pass(2 * time.Minute)
		say("9", "k") // all is forgotten
		if got := r.texts(); !slices.Equal(got, append(want, "9")) {
			t.Errorf("later: sent %q", got)
		}
	}, nil)
}

// TestManyNews: keys beyond the bound are told, not remembered.
func TestManyNews(t *testing.T) {
	r := &receiver{}
	run(t, r, func(n *notify.Notifier) {
		for i := range 5000 {
			for range 2 {
				n.Send(notify.Message{Title: "x", Key: fmt.Sprint(i)}, nil)
				synctest.Wait()
			}
		}
		if got := len(r.texts()); got != 4096+2*(5000-4096) {
			t.Errorf("%d messages sent, want one of each of 4,096 keys and two of the rest", got)
		}
	}, nil)
}
