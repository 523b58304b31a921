package record

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

func stranger(ip string) *call.Call {
	c := newCall("Converse", "{}")
	c.Principal = nil
	c.IP = netip.MustParseAddr(ip)
	c.RawPath, c.UserAgent = "/model/a\x1b[2J/converse", strings.Repeat("é", 500)
	return c
}

// summed adds up the Tally rows by reason and network, and counts the
// entries written one by one.
func summed(t *testing.T, g *rig) (rows map[string]int64, alone int) {
	t.Helper()
	rows = map[string]int64{}
	for _, e := range g.read(t, "strangers") {
		m, err := ledger.Decode(e.Kind, e.Meta)
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *ledger.Tally:
			k := m.Reason
			if m.Prefix.IsValid() {
				k += " " + m.Prefix.String()
			}
			rows[k] += m.Count
			if m.Count > 0 && (m.First.After(m.Last) || m.Reason != "other" && !strings.HasPrefix(m.Path, `"/model/a\x1b[2J`)) || len(m.Agent) > 1000 {
				t.Errorf("bad row %+v", m)
			}
		case *ledger.Refused:
			alone++
			if m.BodySHA256 != (ledger.Sum{}) {
				t.Error("hash of a stranger's body was recorded")
			}
		}
	}
	return rows, alone
}

func TestStrangersAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{StrangersPerSecond: 5}, journal.Options{})
		for range 5 {
			g.Refused(stranger("198.51.100.1"), call.BadSignature)
		}
		for i := range 100 {
			g.Refused(stranger("192.0.2.1"), call.BadSignature)
			g.Refused(stranger("::ffff:192.0.2.1"), call.UnknownKey)
			g.Refused(stranger(fmt.Sprintf("2001:db8:1:2:%x::1", i)), call.UnknownKey)
		}
		time.Sleep(1500 * time.Millisecond) // the next second has its own allowance
		for range 7 {
			g.Refused(stranger("192.0.2.1"), call.BadSignature)
		}
		g.end()
		rows, alone := summed(t, g)
		want := map[string]int64{
			"bad_signature 192.0.2.1/32": 100 + 2, "unknown_key 192.0.2.1/32": 100, "unknown_key 2001:db8:1:2::/64": 100,
		}
		if fmt.Sprint(rows) != fmt.Sprint(want) || alone != 10 {
			t.Errorf("got %v and %d alone, want %v and 10", rows, alone, want)
		}
		if n := len(g.read(t, "main")); n != 0 {
			t.Errorf("strangers left %d entries in the main journal", n)
		}
	})
}

func TestFailedLoginsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{StrangersPerSecond: 1}, journal.Options{})
		for range 10 {
			err := g.Event(ledger.Account{Event: "login", Subject: "ann", Outcome: "bad_password", IP: netip.MustParseAddr("192.0.2.1")})
			if err != nil {
				t.Fatal(err)
			}
		}
		g.end()
		rows := 0
		for _, e := range g.read(t, "strangers") {
			m, err := ledger.Decode(e.Kind, e.Meta)
			if s, ok := m.(*ledger.Tally); ok && s.Reason == "login bad_password" && s.Count == 9 && s.Path == "" {
				rows++
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if rows != 1 {
			t.Errorf("%d rows of nine failed logins, want 1", rows)
		}
	})
}

func TestStrangersTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{StrangersPerSecond: 1}, journal.Options{})
		const n = 3 * maxRows
		for i := range n {
			g.Refused(stranger(fmt.Sprintf("10.%d.%d.1", i>>8, i&255)), call.UnknownKey)
		}
		if got := len(g.Recorder.strangers.rows); got != maxRows+1 {
			t.Errorf("%d rows, want %d", got, maxRows+1)
		}
		g.end()
		rows, alone := summed(t, g)
		total := int64(alone)
		for _, c := range rows {
			total += c
		}
		if total != n || rows["other"] != n-1-maxRows || g.Dropped() != 0 {
			t.Errorf("%d of %d accounted for, %d as other, %d dropped", total, n, rows["other"], g.Dropped())
		}
	})
}

// TestBrokenStrangersJournal: whatever befalls that journal, callers who prove
// who they are do not notice.
func TestBrokenStrangersJournal(t *testing.T) {
	for _, tt := range []struct {
		name string
		hook func(disk.Op) error
	}{
		{"fails", func(disk.Op) error { return syscall.EIO }},
		{"is full", func(disk.Op) error { return syscall.ENOSPC }},
		{"hangs", func(disk.Op) error { time.Sleep(time.Hour); return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := start(t, disk.New(0), Options{}, journal.Options{})
				g.disk.Hook(func(op disk.Op) error {
					if strings.HasPrefix(op.Name, "strangers") {
						return tt.hook(op)
					}
					return nil
				})
				before := time.Now()
				for range 200 {
					g.Refused(stranger("192.0.2.1"), call.BadSignature)
				}
				time.Sleep(2 * time.Second)
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						c := newCall("Converse", "{}")
						if refusal := g.Admit(c); refusal != nil {
							t.Error(refusal)
						}
						g.Result(c, ok("{}"))
					})
				}
				wg.Wait()
				if took := time.Since(before); took > 2*time.Second+10*time.Millisecond || g.Err() != nil {
					t.Errorf("took %v, Err() = %v", took, g.Err())
				}
				g.disk.Hook(nil)
				g.end()
			})
		})
	}
	t.Run("is absent", func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		g.Recorder.strangers.journal = nil
		g.Refused(stranger("192.0.2.1"), call.BadSignature)
		g.end()
		if g.Dropped() != 1 {
			t.Errorf("dropped %d, want 1", g.Dropped())
		}
	})
}
