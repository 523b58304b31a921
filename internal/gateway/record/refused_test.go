package record

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

// caller returns a call of a user that a stage refuses.
func caller(user, key string) *call.Call {
	c := newCall("Converse", "{")
	c.Principal = &call.Principal{UserID: "id-" + user, User: user, Key: call.KeyID(key), Scheme: call.SigV4}
	c.RawPath, c.UserAgent = "/model/a\x1b/converse", "curl"
	return c
}

// recorded adds up a journal: refusals one by one and account events by reason,
// and the rows.
func recorded(t *testing.T, g *rig, dir string) (alone map[string]int64, rows []*ledger.Tally) {
	t.Helper()
	alone = map[string]int64{}
	for _, e := range g.read(t, dir) {
		m, err := ledger.Decode(e.Kind, e.Meta)
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *ledger.Tally:
			rows = append(rows, m)
		case *ledger.Refused:
			alone[m.Principal.User+" "+m.Reason]++
		case *ledger.Account:
			alone[m.Subject+" "+m.Event]++
		}
	}
	return alone, rows
}

// perRow adds up rows by user and reason.
func perRow(rows []*ledger.Tally) map[string]int64 {
	sums := map[string]int64{}
	for _, r := range rows {
		sums[strings.TrimSpace(r.Principal.User+" "+r.Reason)] += r.Count
	}
	return sums
}

func same[K comparable](t *testing.T, what string, got, want map[K]int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestFloodOfOneKey: a key that is refused without end costs a few records a
// second, each refusal is accounted for, and others do not notice.
func TestFloodOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + time.Millisecond)))
		for range 5 {
			for range 9000 {
				g.Refused(caller("eve", "K1"), call.Malformed)
			}
			for range 84 {
				g.Refused(caller("eve", "K1"), call.RateLimited)
			}
			for range 3 {
				g.Refused(caller("ann", "K2"), call.Malformed)
			}
			time.Sleep(time.Second)
		}
		g.end()
		alone, rows := recorded(t, g, "main")
		same(t, "one by one", alone, map[string]int64{"eve malformed_body": 5 * 20, "ann malformed_body": 5 * 3})
		same(t, "summed up", perRow(rows), map[string]int64{"eve malformed_body": 5 * (9000 - 20), "eve rate_limited": 5 * 84})
		if len(rows) != 10 {
			t.Fatalf("%d rows, want one a second and reason", len(rows))
		}
		if g.Dropped() != 0 || g.main.Stats().Bytes > 100_000 {
			t.Errorf("%d dropped, %d bytes; want none, and under 100 kB", g.Dropped(), g.main.Stats().Bytes)
		}
		p := ledger.Principal{UserID: "id-eve", User: "eve", Key: "K1", Scheme: "sigv4"}
		if r := rows[0]; r.Principal != p || r.Prefix.String() != "192.0.2.1/32" || r.Path != `"/model/a\x1b/converse"` || r.Agent != `"curl"` || r.Last.Before(r.First) {
			t.Errorf("got row %+v", r)
		}
		if n := len(g.read(t, "strangers")); n != 0 {
			t.Errorf("%d entries among the strangers", n)
		}
	})
}

// TestRowNamesWhatIsCommon: a row says of key, scheme and network only what is
// true of all that it sums up; keys of one user share its allowance.
func TestRowNamesWhatIsCommon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{CallerPerSecond: 2}, journal.Options{})
		for i := range 10 {
			c := caller("eve", fmt.Sprint("K", i))
			c.IP = netip.MustParseAddr(fmt.Sprint("192.0.2.", i))
			g.Refused(c, call.Malformed)
		}
		g.end()
		_, rows := recorded(t, g, "main")
		if len(rows) != 1 || rows[0].Count != 8 || rows[0].Prefix.IsValid() || rows[0].Principal != (ledger.Principal{UserID: "id-eve", User: "eve", Scheme: "sigv4"}) {
			t.Errorf("got %+v", rows)
		}
	})
}

func TestCallersTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{CallerPerSecond: 1}, journal.Options{})
		const n = 2 * maxRows
		for i := range n {
			for range 2 {
				g.Refused(caller(fmt.Sprint("user", i), "K"), call.Malformed)
			}
		}
		if a, rows := len(g.callers.alone), len(g.callers.rows); a != maxRows || rows != maxRows+1 {
			t.Errorf("%d counters and %d rows, want %d and one row more", a, rows, maxRows)
		}
		g.end()
		alone, rows := recorded(t, g, "main")
		total := int64(len(alone))
		for _, r := range rows {
			total += r.Count
		}
		if sums := perRow(rows); total != 2*n || sums["other"] != 2*maxRows || g.Dropped() != 0 {
			t.Errorf("%d of %d accounted for, %d as other, %d dropped", total, 2*n, sums["other"], g.Dropped())
		}
	})
}

// TestLateAdmitIsAlwaysClosed: a refusal that closes an admit has a record of
// its own, however many the caller had before.
func TestLateAdmitIsAlwaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{CallerPerSecond: 1}, journal.Options{})
		release := stall(g.disk)
		defer release()
		c := newCall("Converse", "{}")
		refusal := g.Admit(c)
		if refusal == nil {
			t.Fatal("admitted by a stalled disk")
		}
		for range 3 {
			g.Refused(newCall("Converse", "{"), call.Malformed)
		}
		g.Refused(c, refusal)
		release()
		g.end()
		open := ledger.Open{}
		for _, e := range g.read(t, "main") {
			if err := open.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		if got := open.Interrupted(); len(got) != 0 || len(g.late) != 0 {
			t.Errorf("open: %v, remembered: %v; want none", got, g.late)
		}
	})
}

// TestNoRefusalIsLost: what a full journal does not take, in records or in
// rows, is summed up until it does.
func TestNoRefusalIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{CallerPerSecond: 5}, journal.Options{QueueBytes: 4 << 10})
		release := stall(g.disk)
		defer release()
		for range 5 {
			for i := range 300 {
				g.Refused(caller(fmt.Sprint("user", i%3), "K"), call.Malformed)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait() // for the tick that is due now
		g.callers.mu.Lock()
		n := len(g.callers.rows)
		g.callers.mu.Unlock()
		if n != 3 || g.Dropped() != 0 {
			t.Errorf("%d rows wait, %d dropped; want 3 and none", n, g.Dropped())
		}
		release()
		time.Sleep(2 * time.Second)
		g.end()
		alone, rows := recorded(t, g, "main")
		total := map[string]int64{}
		for _, m := range []map[string]int64{alone, perRow(rows)} {
			for k, n := range m {
				total[k] += n
			}
		}
		same(t, "in all", total, map[string]int64{"user0 malformed_body": 500, "user1 malformed_body": 500, "user2 malformed_body": 500})
		if g.Dropped() != 0 {
			t.Errorf("%d dropped", g.Dropped())
		}
	})
}

// TestDropped: what a failed journal cannot take any more is told, each one.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{CallerPerSecond: 5}, journal.Options{})
		g.disk.Hook(func(disk.Op) error { return syscall.EIO })
		g.Admit(newCall("Converse", "{}"))
		<-g.main.Failed()
		for range 100 {
			g.Refused(caller("eve", "K"), call.Malformed)
		}
		time.Sleep(1500 * time.Millisecond)
		if n := g.Dropped(); n != 100 {
			t.Errorf("%d dropped, want 100", n)
		}
		g.disk.Hook(nil)
		g.end()
	})
}

// TestRepeatedLogins: of the logins of one user one a second has a record, the
// rest are summed up; what administrators do is never summed up.
func TestRepeatedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		ip := netip.MustParseAddr("192.0.2.1")
		for range 3 {
			for range 50 {
				for _, a := range []ledger.Account{
					{Event: "login", Subject: "ann", IP: ip, Outcome: OutcomeOK},
					{Event: "login", Subject: "bob", IP: ip, Outcome: OutcomeOK},
					{Event: "registered", Subject: "ann", IP: ip, Outcome: OutcomeOK},
					{Event: "key_created", Subject: "ann", Outcome: OutcomeOK},
					{Event: "user_disabled", Subject: "ann", Actor: "root", IP: ip, Outcome: OutcomeOK},
				} {
					if err := g.Event(a); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(time.Second)
		}
		g.end()
		alone, rows := recorded(t, g, "main")
		same(t, "one by one", alone, map[string]int64{"ann login": 3, "bob login": 3, "ann registered": 3, "ann key_created": 150, "ann user_disabled": 150})
		same(t, "summed up", perRow(rows), map[string]int64{"ann login ok": 147, "bob login ok": 147, "ann registered ok": 147})
	})
}

// TestWarnings: trouble with strangers' records is told, and stops nothing.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		if w := g.Warnings(); len(w) != 0 {
			t.Errorf("all is well: got %q", w)
		}
		broken := func(err error) {
			g.disk.Hook(func(op disk.Op) error {
				if strings.HasPrefix(op.Name, "strangers") {
					return err
				}
				return nil
			})
			g.Refused(stranger("192.0.2.1"), call.BadSignature)
			time.Sleep(2 * time.Second)
		}
		broken(syscall.ENOSPC)
		if w := g.Warnings(); len(w) != 1 || !strings.Contains(w[0], "too little disk space") || g.Err() != nil {
			t.Errorf("full: got %q, Err %v", w, g.Err())
		}
		broken(nil)
		if w := g.Warnings(); len(w) != 0 {
			t.Errorf("healed: got %q", w)
		}
		broken(syscall.EIO)
		g.Refused(stranger("192.0.2.1"), call.BadSignature)
		if w := g.Warnings(); len(w) != 2 || !strings.Contains(w[0], "failed") || !strings.HasPrefix(w[1], "1 refusal") || g.Err() != nil {
			t.Errorf("broken: got %q, Err %v", w, g.Err())
		}
		g.disk.Hook(nil)
		g.end()
	})
}

func BenchmarkRefusedFlood(b *testing.B) {
	g := start(b, disk.New(0), Options{}, journal.Options{})
	c := caller("eve", "K")
	b.ReportAllocs()
	for b.Loop() {
		g.Refused(c, call.Malformed)
	}
	g.end()
}
