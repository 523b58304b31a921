package redis_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/store/storetest"
)

var ctx = context.Background()

// kinds are the servers that tests run against: one in memory, whose clock can
// be moved, and, when GATEHOUSE_TEST_REDIS is set, the program itself.
func kinds() map[string]func(t testing.TB) server {
	k := map[string]func(t testing.TB) server{"miniredis": mini}
	if os.Getenv("GATEHOUSE_TEST_REDIS") != "" {
		k["redis-server"] = func(t testing.TB) server { return startRedis(t, t.TempDir(), freePort(t), "always") }
	}
	return k
}

type server struct {
	addr    string
	now     func() time.Time
	advance func(time.Duration)
	kill    func() // kill -9
}

func mini(t testing.TB) server {
	m := miniredis.RunT(t)
	now := time.Date(2027, 2, 27, 15, 4, 5, 0, time.UTC)
	m.SetTime(now)
	return server{addr: m.Addr(), now: func() time.Time { return now }, advance: func(d time.Duration) {
		now = now.Add(d)
		m.SetTime(now)
		m.FastForward(d)
	}}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// startRedis starts redis-server over what dir holds.
func startRedis(t testing.TB, dir, port, sync string) server {
	t.Helper()
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", sync)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	addr := net.JoinHostPort("127.0.0.1", port)
	within(t, 10*time.Second, "redis-server answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		c.Write([]byte("PING\r\n"))
		b := make([]byte, 5)
		c.Read(b)
		return string(b) == "+PONG"
	})
	return server{addr: addr, now: time.Now, kill: kill}
}

// within waits for something that another program or goroutine does.
func within(t testing.TB, d time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !done(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", d, what)
		}
		<-time.After(time.Millisecond)
	}
}

func open(t testing.TB, addr string, timeout time.Duration) *redis.Counts {
	t.Helper()
	c, err := redis.New(redis.Options{URL: "redis://" + addr, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCounts(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			storetest.Counts(t, func(t *testing.T) storetest.Shared {
				s := start(t)
				return storetest.Shared{Counts: open(t, s.addr, time.Minute), Other: open(t, s.addr, time.Minute), Now: s.now, Advance: s.advance}
			})
		})
	}
}

func one(limit string, most int64) []store.Claim {
	return []store.Claim{{Limit: limit, Key: "ann", Window: time.Minute, Max: most, N: 1}}
}
