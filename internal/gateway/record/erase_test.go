package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

// calls makes calls of two users that are open at the same time, with streams.
func calls(t *testing.T, g *rig, n int) map[string][]*call.Call {
	t.Helper()
	of := map[string][]*call.Call{}
	for i := range n {
		for _, user := range []string{"u-ann", `u-"bob`} {
			c := newCall([]string{"Converse", "ConverseStream"}[i%2], `{"from":"`+user+`"}`)
			c.Principal = &call.Principal{UserID: user, User: user[2:]}
			if ref := g.Admit(c); ref != nil {
				t.Fatal(ref)
			}
			of[user] = append(of[user], c)
		}
	}
	for part := range 2 {
		for i := range n {
			for user, list := range of {
				if i%2 == 1 {
					g.Part(list[i], fmt.Appendf(nil, "part %d to %s ", part, user))
				}
			}
		}
	}
	for i := range n {
		for user, list := range of {
			g.Result(list[i], ok("answer to "+user))
		}
	}
	return of
}

// TestEraseUser: every body of one user goes from the disk and nobody else's;
// the records stay, and say who asked.
func TestEraseUser(t *testing.T) {
	for user, e := range map[string]Erasure{
		"u-ann":  {UserID: "u-ann", User: "name", Actor: "admin"},
		`u-"bob`: {User: `"bob`, Actor: "admin"},
	} {
		g := start(t, disk.New(0), Options{}, journal.Options{SegmentBytes: 4000})
		of := calls(t, g, 6)
		done, err := g.EraseUser(t.Context(), e)
		if want := (Erased{Calls: 6, Bodies: 6 + 2*3 + 6}); err != nil || done != want {
			t.Errorf("erased %+v, %v, want %+v", done, err, want)
		}
		if again, err := g.EraseUser(t.Context(), e); err != nil || again.Bodies != 0 || again.Calls != 6 {
			t.Errorf("erased again: %+v, %v", again, err)
		}
		g.end()
		g.disk.Crash()
		records := g.records(t)
		for whose, list := range of {
			for _, c := range list {
				r := records[c.ID]
				kept := len(r.Request.Bytes) > 0 && len(r.Response.Bytes) > 0
				if kept == (whose == user) || r.Response.Size == 0 || r.BodySHA256 == (ledger.Sum{}) {
					t.Errorf("call of %s after erasing %s: %q, %q", whose, user, r.Request.Bytes, r.Response.Bytes)
				}
			}
		}
		for _, text := range []string{"to " + user, `{"from":"` + user} {
			if g.disk.Synced([]byte(text)) {
				t.Errorf("%q is still on the disk", text)
			}
		}
		if report, err := journal.Verify(g.disk, "main"); err != nil || !report.OK() {
			t.Errorf("verify: %v, %v", err, &report)
		}
		var told []string
		for _, e := range g.read(t, "main") {
			if m, err := ledger.Decode(e.Kind, e.Meta); err == nil && e.Kind == ledger.KindAccount {
				a := m.(*ledger.Account)
				told = append(told, fmt.Sprint(a.Event, " ", a.Subject, " by ", a.Actor, ": ", a.Outcome, " ", a.Detail))
			}
		}
		who := "user.erase " + e.User + " by admin: "
		if got := strings.Join(told[:2], "; "); got != who+"begun ; "+who+"ok 18 bodies of 6 calls" {
			t.Errorf("recorded: %s", got)
		}
	}
}

// TestEraseUserCrash: a crash at any moment leaves a journal that verifies,
// and what was begun can be ended.
func TestEraseUserCrash(t *testing.T) {
	finished := false
	for n := 1; !finished; n += 3 {
		g := start(t, disk.New(uint64(n)), Options{}, journal.Options{SegmentBytes: 2000})
		calls(t, g, 4)
		left := n
		var mu sync.Mutex
		g.disk.Hook(func(op disk.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				g.disk.Crash()
				return disk.ErrCrashed
			}
			return nil
		})
		_, err := g.EraseUser(t.Context(), Erasure{UserID: "u-ann", Actor: "admin"})
		finished = err == nil
		g.end()
		g.disk.Crash()
		g.disk.Hook(nil)
		if report, err := journal.Verify(g.disk, "main"); err != nil || !report.OK() {
			t.Fatalf("crash at operation %d: %v\n%v", n, err, &report)
		}
		again := start(t, g.disk, Options{}, journal.Options{SegmentBytes: 2000})
		if _, err := again.EraseUser(t.Context(), Erasure{UserID: "u-ann", Actor: "admin"}); err != nil {
			t.Fatal(err)
		}
		again.end()
		again.disk.Crash()
		if again.disk.Synced([]byte(`{"from":"u-ann`)) || again.disk.Synced([]byte("to u-ann")) {
			t.Fatalf("crash at operation %d: something is left", n)
		}
	}
}

// TestEraseUserRefused: without the record that it was asked for, nothing is erased.
func TestEraseUserRefused(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	calls(t, g, 1)
	g.main.Close()
	if done, err := g.EraseUser(t.Context(), Erasure{UserID: "u-ann", Actor: "admin"}); !errors.Is(err, journal.ErrClosed) || done.Bodies != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	g.end()
}

// TestRetain: old bodies go by themselves within the hour; what goes wrong is
// told until it is right again.
func TestRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.Recorder.Retain(ctx)
		calls(t, g, 1)
		if err := g.SetPolicy(Policy{Retention: journal.Retention{Bodies: 90 * time.Minute}}); err != nil {
			t.Fatal(err)
		}
		g.disk.Hook(func(op disk.Op) error {
			if strings.HasSuffix(op.Name, "erasing") {
				return errors.New("no such luck")
			}
			return nil
		})
		bodies := func(hours time.Duration) (n int) {
			time.Sleep(hours * time.Hour)
			synctest.Wait()
			for _, e := range g.read(t, "main") {
				if e.Body != nil {
					n++
				}
			}
			return n
		}
		if n := bodies(1); n != 4 || len(g.Warnings()) > 0 {
			t.Errorf("after an hour: %d bodies, %v", n, g.Warnings())
		}
		if n := bodies(1); n != 4 || !strings.Contains(fmt.Sprint(g.Warnings()), "no such luck") {
			t.Errorf("while the disk refuses: %d bodies, %v", n, g.Warnings())
		}
		g.disk.Hook(nil)
		if n := bodies(1); n != 0 || len(g.Warnings()) > 0 {
			t.Errorf("after three hours: %d bodies, %v", n, g.Warnings())
		}
		cancel()
		g.end()
	})
}
