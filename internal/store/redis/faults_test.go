package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	resp "github.com/alicebob/miniredis/v2/server"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
)

// answered checks that a Take was answered in time, and how.
func answered(t *testing.T, c *redis.Counts, call string, claims []store.Claim, want error) bool {
	t.Helper()
	begun := time.Now()
	taken, err := c.Take(ctx, call, claims, make([]store.Count, len(claims)))
	if !errors.Is(err, want) || err != nil && taken {
		t.Fatalf("Take(%s): got %v, %v, want error %v", call, taken, err, want)
	}
	if d := time.Since(begun); d > 3*time.Second {
		t.Fatalf("Take(%s): answered after %v, want within the timeout", call, d)
	}
	return taken
}

func up(t *testing.T, c *redis.Counts, want bool) {
	t.Helper()
	within(t, 10*time.Second, fmt.Sprintf("up is %v: %+v", want, c.State()), func() bool { return c.State().Up == want })
}

// used reads a bucket, as a call that has ended may.
func used(t *testing.T, c *redis.Counts, claims []store.Claim) int64 {
	t.Helper()
	counts := make([]store.Count, len(claims))
	if err := c.Settle(ctx, "reader", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Take(ctx, "reader", claims, counts); err != nil {
		t.Fatal(err)
	}
	return counts[0].Used
}

// TestKilled kills the server in the middle of a limit of 50 and starts it again.
func TestKilled(t *testing.T) {
	restarts := map[string]func(t *testing.T) (addr string, kill, restart func()){
		"miniredis": func(t *testing.T) (string, func(), func()) {
			m := miniredis.RunT(t)
			return m.Addr(), m.Close, func() { m.Restart() }
		},
	}
	if _, real := kinds()["redis-server"]; real {
		restarts["redis-server"] = func(t *testing.T) (string, func(), func()) {
			dir, port := t.TempDir(), freePort(t)
			s := startRedis(t, dir, port, "always")
			return s.addr, s.kill, func() { startRedis(t, dir, port, "always") }
		}
	}
	for name, begin := range restarts {
		t.Run(name, func(t *testing.T) {
			addr, kill, restart := begin(t)
			c := open(t, addr, 200*time.Millisecond)
			taken := 0
			for i := range 25 {
				if answered(t, c, fmt.Sprint("before", i), one("requests", 50), nil) {
					taken++
				}
			}
			kill()
			for i := range 100 {
				answered(t, c, fmt.Sprint("during", i), one("requests", 50), store.ErrDown)
			}
			up(t, c, false)
			restart()
			up(t, c, true)
			for i := range 50 {
				if answered(t, c, fmt.Sprint("after", i), one("requests", 50), nil) {
					taken++
				}
			}
			if taken != 50 {
				t.Errorf("got %d taken, want 50", taken)
			}
		})
	}
}

// TestSlow holds every answer back. Callers wait once, and then not at all.
func TestSlow(t *testing.T) {
	p := newProxy(t, mini(t).addr)
	c := open(t, p.addr(), 50*time.Millisecond)
	answered(t, c, "a", one("requests", 50), nil)
	p.set(holding)
	answered(t, c, "b", one("requests", 50), store.ErrDown)
	up(t, c, false)
	before, begun := p.count(), time.Now()
	for i := range 1000 {
		answered(t, c, fmt.Sprint("c", i), one("requests", 50), store.ErrDown)
	}
	if n, d := p.count()-before, time.Since(begun); n > 20+int(d/(10*time.Millisecond)) {
		t.Errorf("asked %d times in %v while down, want probes only", n, d)
	}
	p.set(passing)
	up(t, c, true)
	answered(t, c, "d", one("requests", 50), nil)
}

// TestImpatient has callers with deadlines of their own. The circuit opens for
// those that waited as long as the timeout.
func TestImpatient(t *testing.T) {
	p := newProxy(t, mini(t).addr)
	c := open(t, p.addr(), 50*time.Millisecond)
	answered(t, c, "a", one("requests", 50), nil)
	p.set(holding)
	for _, after := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
		mine, cancel := context.WithTimeout(ctx, after)
		defer cancel()
		if taken, err := c.Take(mine, "b", one("requests", 50), make([]store.Count, 1)); taken || err == nil {
			t.Errorf("who waits %v: got %v, %v, want an error", after, taken, err)
		}
	}
	if s := c.State(); s.Up {
		t.Errorf("got %+v, want a server that is down: the second waited long enough", s)
	}
}

// TestLate lets a Take arrive that was given up and settled meanwhile.
func TestLate(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			addr := start(t).addr
			p := newProxy(t, addr)
			slow, other := open(t, p.addr(), 50*time.Millisecond), open(t, addr, time.Minute)
			answered(t, slow, "a", one("requests", 50), nil) // a connection stands, and the script is known
			p.set(holding)
			answered(t, slow, "b", one("requests", 50), store.ErrDown)
			if err := other.Settle(ctx, "b", nil); err != nil {
				t.Fatal(err)
			}
			p.set(passing)
			up(t, slow, true)
			if n := used(t, other, one("requests", 50)); n != 1 {
				t.Errorf("got %d used, want 1: the late call had ended", n)
			}
		})
	}
}

// TestFlapping breaks the network over and over under load. Nothing is lost and
// nothing is taken twice, once what nobody knows of has been settled.
func TestFlapping(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			addr := start(t).addr
			p := newProxy(t, addr)
			c, direct := open(t, p.addr(), 100*time.Millisecond), open(t, addr, time.Minute)
			var taken, failed atomic.Int64
			var unknown sync.Map
			for round, broken := range []state{dropping, holding, dropping, holding} {
				p.set(passing)
				up(t, c, true)
				var callers sync.WaitGroup
				answers := make(chan bool, 200)
				for i := range 200 {
					callers.Go(func() {
						call := fmt.Sprint("call", round, "-", i)
						ok, err := c.Take(ctx, call, one("requests", 300), make([]store.Count, 1))
						switch {
						case err != nil:
							failed.Add(1)
							unknown.Store(call, true)
						case ok:
							taken.Add(1)
						}
						answers <- ok
					})
				}
				for range 50 {
					<-answers
				}
				p.set(broken)
				callers.Wait()
			}
			p.set(passing)
			up(t, c, true)
			unknown.Range(func(call, _ any) bool {
				if err := direct.Settle(ctx, call.(string), nil); err != nil {
					t.Fatal(err)
				}
				return true
			})
			if n := used(t, direct, one("requests", 300)); n != taken.Load() || n > 300 || n == 0 || failed.Load() == 0 {
				t.Errorf("got %d used, %d taken, %d failed, want as many used as taken, at most 300", n, taken.Load(), failed.Load())
			}
		})
	}
}

// TestWrongAnswers has the server say what no script of ours would.
func TestWrongAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply string // $CALL stands for the call's id
	}{
		{"status", "+OK\r\n"},
		{"number", ":1\r\n"},
		{"nothing", "$-1\r\n"},
		{"nothing in an array", "*-1\r\n"},
		{"empty", "*0\r\n"},
		{"call only", "*1\r\n$4\r\n$CALL\r\n"},
		{"another call", "*7\r\n$5\r\nother\r\n$5\r\ntaken\r\n:1\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
		{"no counts", "*2\r\n$4\r\n$CALL\r\n$5\r\ntaken\r\n"},
		{"too few", "*6\r\n$4\r\n$CALL\r\n$5\r\ntaken\r\n:1\r\n:0\r\n:0\r\n:0\r\n"},
		{"too many", "*8\r\n$4\r\n$CALL\r\n$5\r\ntaken\r\n:1\r\n:0\r\n:0\r\n:0\r\n:1\r\n:1\r\n"},
		{"text for a number", "*7\r\n$4\r\n$CALL\r\n$5\r\ntaken\r\n$1\r\n1\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
		{"negative", "*7\r\n$4\r\n$CALL\r\n$5\r\ntaken\r\n:-1\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
		{"another word", "*7\r\n$4\r\n$CALL\r\n$5\r\nmaybe\r\n:1\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
		{"number for a word", "*7\r\n$4\r\n$CALL\r\n:1\r\n:1\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
		{"garbage", "nonsense\r\n"},
		{"error", "-OOM command not allowed\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := miniredis.RunT(t)
			counts := open(t, m.Addr(), 200*time.Millisecond)
			m.Server().SetPreHook(func(p *resp.Peer, cmd string, args ...string) bool {
				if !strings.HasPrefix(strings.ToUpper(cmd), "EVAL") || !strings.Contains(strings.Join(args, " "), ":call:") {
					return false
				}
				p.WriteRaw(strings.ReplaceAll(c.reply, "$CALL", "once"))
				return true
			})
			got := []store.Count{{Used: 42}}
			taken, err := counts.Take(ctx, "once", one("requests", 50), got)
			if taken || !errors.Is(err, store.ErrDown) || got[0].Used != 42 {
				t.Errorf("got %v, %v, %+v, want ErrDown and counts as they were", taken, err, got)
			}
		})
	}
}

// TestBoot starts a gateway before its server.
func TestBoot(t *testing.T) {
	port := freePort(t)
	c := open(t, "127.0.0.1:"+port, 100*time.Millisecond)
	answered(t, c, "a", one("requests", 50), store.ErrDown)
	up(t, c, false)
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:" + port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	up(t, c, true)
	answered(t, c, "a", one("requests", 50), nil)
	if s := c.State(); s.Errors == 0 || s.Last == "" || s.Since.IsZero() {
		t.Errorf("got state %+v, want what went wrong", s)
	}
}

// TestOneBucket breaks one bucket. The others are served on.
func TestOneBucket(t *testing.T) {
	m := miniredis.RunT(t)
	c := open(t, m.Addr(), time.Minute)
	m.Set("{gatehouse}:sums:1m0s:broken:ann", "not a hash")
	for i := range 10 {
		answered(t, c, fmt.Sprint("a", i), append(one("requests", 5), one("broken", 5)...), store.ErrDown)
		answered(t, c, fmt.Sprint("b", i), one("fine", 50), nil)
	}
	if n := used(t, c, one("requests", 5)); n != 0 || !c.State().Up {
		t.Errorf("got %d used, state %+v, want nothing taken and the server up", n, c.State())
	}
}

// TestReadOnly has a server that answers and takes no writes, as a replica does.
func TestReadOnly(t *testing.T) {
	m := miniredis.RunT(t)
	c := open(t, m.Addr(), time.Minute)
	m.SetError("READONLY You can't write against a read only replica.")
	up(t, c, false)
	m.SetError("")
	up(t, c, true)
}

// TestAdvice warns of servers that forget.
func TestAdvice(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			addr := start(t).addr
			m.Server().SetPreHook(func(p *resp.Peer, cmd string, args ...string) bool {
				if strings.ToUpper(cmd) != "INFO" {
					return false
				}
				p.WriteBulk("# Memory\r\nmaxmemory:1048576\r\nmaxmemory_policy:allkeys-lru\r\n")
				return true
			})
			forgets, keeps := open(t, m.Addr(), time.Minute), open(t, addr, time.Minute)
			within(t, 10*time.Second, "advice", func() bool { return strings.Contains(forgets.State().Advice, "allkeys-lru") })
			up(t, keeps, true)
			if a := keeps.State().Advice; a != "" {
				t.Errorf("got advice %q on a server as it comes", a)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	m := miniredis.RunT(t)
	c := open(t, m.Addr(), time.Minute)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if taken, err := c.Take(gone, "a", one("requests", 5), make([]store.Count, 1)); taken || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want the context's error", taken, err)
	}
	if !c.State().Up {
		t.Error("a caller who left says nothing about the server")
	}
}

// TestReplicas counts gateways: those that leave at once, those that die when
// their beat is missed.
func TestReplicas(t *testing.T) {
	s := mini(t)
	p := newProxy(t, s.addr)
	a, b, dead := open(t, s.addr, time.Minute), open(t, s.addr, time.Minute), open(t, p.addr(), 50*time.Millisecond)
	within(t, 10*time.Second, "three gateways", func() bool { return a.Replicas() == 3 && b.Replicas() == 3 && dead.Replicas() == 3 })
	b.Close()
	within(t, 10*time.Second, "two gateways", func() bool { return a.Replicas() == 2 })
	p.set(dropping)
	up(t, dead, false)
	s.advance(6 * time.Second)
	within(t, 10*time.Second, "one gateway", func() bool { return a.Replicas() == 1 })
	if n := dead.Replicas(); n < 2 {
		t.Errorf("cut off, it knows of %d, want the last number it knew", n)
	}
}

// TestStepBack has the server's clock step back, as after a failover.
func TestStepBack(t *testing.T) {
	s := mini(t)
	c := open(t, s.addr, time.Minute)
	taken := 0
	for i := range 100 {
		if answered(t, c, fmt.Sprint(i), one("requests", 50), nil) {
			taken++
		}
		s.advance([]time.Duration{-time.Hour, 30 * time.Second, -10 * time.Second}[i%3])
	}
	if taken != 50 {
		t.Errorf("got %d taken, want 50: time has only gone back", taken)
	}
}

// TestExpires leaves nothing behind, and no key outside the hash tag.
func TestExpires(t *testing.T) {
	m := miniredis.RunT(t)
	c := open(t, m.Addr(), time.Minute)
	var claims []store.Claim
	for _, w := range []time.Duration{time.Second, time.Hour, store.Day, store.Month} {
		for _, k := range []store.Counting{store.Sums, store.Distinct, store.Leases} {
			if k != store.Leases || w > 0 {
				claims = append(claims, store.Claim{Limit: "a", Key: "k", Item: "i", Counting: k, Window: w, Max: 9, N: 1})
			}
		}
	}
	for _, call := range []string{"open", "ended"} {
		answered(t, c, call, claims, nil)
	}
	if err := c.Settle(ctx, "ended", nil); err != nil {
		t.Fatal(err)
	}
	c.Close() // its beat would go on
	for _, key := range m.Keys() {
		if m.TTL(key) <= 0 || !strings.HasPrefix(key, "{gatehouse}:") {
			t.Errorf("%s lives for %v, want a prefix and an end", key, m.TTL(key))
		}
	}
	m.FastForward(63 * 24 * time.Hour)
	if keys := m.Keys(); len(keys) != 0 {
		t.Errorf("after two months there are %q", keys)
	}
}
