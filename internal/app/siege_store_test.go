package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	resp "github.com/alicebob/miniredis/v2/server"

	"gatehouse/internal/config"
)

// redisServer is a shared store that can be killed, held up and brought back. It
// keeps its counts meanwhile, as a server with appendonly does.
type redisServer struct {
	*miniredis.Miniredis
	mu   sync.Mutex
	held chan struct{} // nil: answers at once
}

func startRedis(t *testing.T) *redisServer {
	// Its port is below those that the system gives to whoever asks for any, so
	// that it is still free when the server comes back.
	s := &redisServer{Miniredis: miniredis.NewMiniRedis()}
	err := errors.New("not tried")
	for i := 0; i < 100 && err != nil; i++ {
		err = s.StartAddr(fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.watch()
	t.Cleanup(func() { s.release(); s.Close() })
	return s
}

func (s *redisServer) watch() {
	s.Server().SetPreHook(func(*resp.Peer, string, ...string) bool {
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if held != nil {
			<-held
		}
		return false
	})
}

func (s *redisServer) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
}

func (s *redisServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

// sharing makes gates share the store.
func (s *redisServer) sharing(timeout time.Duration) func(*gate) {
	return func(g *gate) {
		g.config.LimitStore = config.LimitStore{Kind: "redis", URL: "redis://" + s.Addr() + "/0", Prefix: "gatehouse", Timeout: config.Duration(timeout)}
	}
}

// L02: a thousand calls at once at three gates against one limit of fifty, of
// requests and of slots: fifty reach Bedrock.
func TestSharedLimitUnderSiege(t *testing.T) {
	for _, l := range []config.Limit{
		{Name: "daily", Per: []string{"team"}, Measure: "requests", Max: "50", Window: "day"},
		{Name: "together", Per: []string{"team"}, Measure: "concurrency", Max: "50"},
	} {
		t.Run(l.Measure, func(t *testing.T) {
			store := startRedis(t)
			var gates [3]*gate
			for i := range gates {
				gates[i] = startGate(t, only(l), store.sharing(30*time.Second)) // nobody is to be refused for want of an answer
				gates[i].fault(t, "hang:times=1000")
			}
			within(t, 10*time.Second, "all know of three gates", func() bool {
				return gates[0].server.data.shared.Replicas() == 3 && gates[2].server.data.shared.Replicas() == 3
			})
			var refused, other atomic.Int64
			ctx, cancel := context.WithTimeout(gates[0].ctx, time.Minute)
			defer cancel()
			var all sync.WaitGroup
			for i := range 1000 {
				all.Go(func() {
					r, err := http.DefaultClient.Do(gates[i%3].request(ctx, lite, "converse", said("x")))
					if err != nil {
						return
					}
					defer r.Body.Close()
					switch r.StatusCode {
					case 400, 429:
						if refused.Add(1) == 950 {
							cancel()
						}
					default:
						other.Add(1)
					}
				})
			}
			all.Wait()
			reached := gates[0].calls.Load() + gates[1].calls.Load() + gates[2].calls.Load()
			if reached != 50 || refused.Load() != 950 || other.Load() != 0 {
				t.Errorf("%d calls reached Bedrock, %d were refused and %d ended otherwise, want 50, 950 and 0", reached, refused.Load(), other.Load())
			}
			for _, g := range gates {
				g.settled(t)
				within(t, 10*time.Second, "the store knows the ends", func() bool { return g.server.data.limits.State().Pending == 0 })
			}
			if l.Measure == "concurrency" { // every slot is free again, at every gate
				gates[1].fault(t, "slow:delay=1ms,times=1")
				if status, kind := gates[1].ask(t, lite, "converse", said("one more")); status != 200 {
					t.Errorf("after all have left: %d %s", status, kind)
				}
			}
		})
	}
}

// What holds while the shared store is away, by each limit's on_store_error, and
// that nothing is lost when it is back: L04 over HTTP.
func TestStoreErrors(t *testing.T) {
	const micro, pro, claude = "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"
	of := func(model string) config.Match { return config.Match{Models: []string{model}} }
	limits := only(
		config.Limit{Name: "rate", Per: []string{"team"}, Measure: "requests", Max: "10", Window: "day", Match: of(lite)},
		config.Limit{Name: "money", Per: []string{"team"}, Measure: "usd", Max: "100", Window: "day", Match: of(micro)},
		config.Limit{Name: "words", Per: []string{"team"}, Measure: "tokens", Max: "1000000", Match: of(pro)},
		config.Limit{Name: "lenient", Per: []string{"team"}, Measure: "requests", Max: "100", Window: "day", Match: of(claude), OnStoreError: "allow"},
	)
	for name, tt := range map[string]struct {
		away, back func(s *redisServer)
	}{
		"killed": {func(s *redisServer) { s.Close() }, func(s *redisServer) { s.Restart(); s.watch() }},
		"slow":   {(*redisServer).hold, (*redisServer).release},
		"flapping": {
			func(s *redisServer) {
				for range 3 {
					s.Close()
					s.Restart()
				}
				s.Close()
			},
			func(s *redisServer) { s.Restart(); s.watch() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := startRedis(t)
			a, b := startGate(t, limits, store.sharing(100*time.Millisecond)), startGate(t, limits, store.sharing(100*time.Millisecond))
			both := func(what string, holds func(g *gate) bool) {
				t.Helper()
				within(t, 15*time.Second, what, func() bool { return holds(a) && holds(b) })
			}
			both("two gates", func(g *gate) bool {
				return g.server.data.shared.Replicas() == 2 && g.metric(t, "gatehouse_store_up") == "1"
			})
			rates := func(when string, g *gate, want ...int) {
				t.Helper()
				for i, want := range want {
					if status, kind := g.ask(t, lite, "converse", said(fmt.Sprint(when, i))); status != want {
						t.Errorf("%s: call %d of the rate: %d %s, want %d", when, i+1, status, kind, want)
					}
				}
			}
			rates("before", a, 200, 200)
			rates("before", b, 200)
			tt.away(store)
			both("the gauge has it without any call", func(g *gate) bool { return g.metric(t, "gatehouse_store_up") == "0" })
			// Ten by two gates, of which this one has admitted two.
			rates("while away", a, 200, 200, 200, 400)
			for model, limit := range map[string]string{micro: "money", pro: "words"} {
				reached := a.calls.Load()
				r, body := a.answer(t, model, "converse", said("while away"))
				kind, _, _ := strings.Cut(r.Header.Get("X-Amzn-Errortype"), ":")
				if after, err := strconv.Atoi(r.Header.Get("Retry-After")); r.StatusCode != 503 || kind != "ServiceUnavailableException" || err != nil || after < 1 {
					t.Errorf("limit %s: %d %s %s, Retry-After %q", limit, r.StatusCode, kind, body, r.Header.Get("Retry-After"))
				}
				if got := a.lastLimit(t); got != limit || a.calls.Load() != reached {
					t.Errorf("limit %s: refused by %q, %d reached Bedrock", limit, got, a.calls.Load()-reached)
				}
			}
			r, body := a.answer(t, claude, "converse", said("while away"))
			if r.StatusCode != 200 {
				t.Errorf("limit that allows: %d %s", r.StatusCode, body)
			} else if admit, _ := a.recordOf(t, r.Header.Get("X-Gatehouse-Call-Id")); len(admit.Notes) != 1 || admit.Notes[0].Name != "lenient" || !strings.Contains(admit.Notes[0].Detail, "without the shared store") {
				t.Errorf("limit that allows: notes %+v", admit.Notes)
			}
			tt.back(store)
			both("all is told to the store", func(g *gate) bool {
				return g.metric(t, "gatehouse_store_up") == "1" && g.server.data.limits.State().Pending == 0
			})
			// Three of before and three of meanwhile: four are left, for both.
			rates("when back", b, 200, 200, 200, 200, 400)
			rates("when back", a, 400)
			if status, kind := a.ask(t, micro, "converse", said("when back")); status != 200 {
				t.Errorf("money, when back: %d %s", status, kind)
			}
		})
	}
}

// However often the store goes and comes while two gates are called, in the end
// it has counted every call that was admitted, and each of them once.
func TestStoreFlapsUnderLoad(t *testing.T) {
	const callers, each, most = 16, 40, 100_000
	store := startRedis(t)
	limits := only(config.Limit{Name: "own", Per: []string{"team"}, Measure: "requests", Max: config.Decimal(strconv.Itoa(most)), Window: "day", OnStoreError: "allow"})
	gates := [2]*gate{startGate(t, limits, store.sharing(50*time.Millisecond)), startGate(t, limits, store.sharing(50*time.Millisecond))}
	var all sync.WaitGroup
	var through atomic.Int64
	for i := range callers {
		all.Go(func() {
			for n := range each {
				g := gates[(i+n)%2]
				resp, err := http.DefaultClient.Do(g.request(g.ctx, lite, []string{"converse", "converse-stream"}[n%2], said(fmt.Sprint(i, n))))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("caller %d, call %d: %d", i, n, resp.StatusCode)
				}
				through.Add(1)
			}
		})
	}
	for flap := int64(1); flap < 8; flap++ {
		within(t, 30*time.Second, "more calls", func() bool { return through.Load() >= flap*callers*each/10 })
		if flap%2 == 0 {
			store.hold()
		} else {
			store.Close()
		}
		within(t, 30*time.Second, "more calls without the store", func() bool { return through.Load() >= flap*callers*each/10+10 })
		if flap%2 == 0 {
			store.release()
		} else {
			store.Restart()
			store.watch()
		}
	}
	all.Wait()
	within(t, 30*time.Second, "all is told to the store", func() bool {
		return gates[0].server.data.storeUp() && gates[1].server.data.storeUp() &&
			gates[0].server.data.limits.State().Pending+gates[1].server.data.limits.State().Pending == 0
	})
	resp, _ := gates[0].answer(t, lite, "converse", said("and now?"))
	if got, want := resp.Header.Get("X-Ratelimit-Remaining"), strconv.Itoa(most-callers*each-1); got != want {
		t.Errorf("%s are left by the store's count, want %s", got, want)
	}
	for _, g := range gates {
		if state := g.server.data.limits.State(); state.Errors == 0 || state.Dropped != 0 {
			t.Errorf("the store was never away, or not told all: %+v", state)
		}
	}
}

// A gate that starts before its store serves what it may, and uses the store
// once it is there: nothing is decided at the start for good (litellm #42653).
func TestStoreComesLater(t *testing.T) {
	store := startRedis(t)
	addr := store.Addr()
	store.Close()
	g := startGate(t, only(config.Limit{Name: "money", Per: []string{"team"}, Measure: "usd", Max: "100", Window: "day"}), func(g *gate) {
		g.config.LimitStore = config.LimitStore{Kind: "redis", URL: "redis://" + addr, Prefix: "gatehouse", Timeout: config.Duration(100 * time.Millisecond)}
	})
	if status, _ := g.ask(t, lite, "converse", said("too early")); status != 503 {
		t.Errorf("before the store: %d", status)
	}
	if err := store.Restart(); err != nil {
		t.Fatal(err)
	}
	within(t, 15*time.Second, "the store is found", func() bool {
		r, err := http.DefaultClient.Do(g.request(g.ctx, lite, "converse", said("again")))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		io.Copy(io.Discard, r.Body)
		return r.StatusCode == 200
	})
}
