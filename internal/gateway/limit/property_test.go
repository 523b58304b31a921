package limit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/gateway/limit"
)

// logged is an entry of the exact log: what one admitted call holds or came to.
type logged struct {
	at    time.Time
	c     *call.Call
	n     map[string]int64
	model string
	open  bool

	released bool // and forgotten, but that its model may count from then on
}

// exact is the naive limiter: it remembers every call, and adds up.
type exact struct {
	limits []limit.Limit
	log    []*logged
}

// used is what a limit counts within a window that ends now, at least or at most.
func (e *exact) used(l limit.Limit, window time.Duration, now time.Time, most bool) (sum int64) {
	models := map[string]bool{}
	for _, x := range e.log {
		inside := now.Sub(x.at) <= window
		if x.released && (!most || l.Measure != "models") {
			continue
		}
		switch {
		case l.Measure == "concurrency" && x.open:
			sum++
		case l.Measure == "models" && inside && !models[x.model]:
			models[x.model] = true
			sum++
		case l.Measure != "concurrency" && l.Measure != "models" && inside:
			sum += x.n[l.Measure]
		}
	}
	return sum
}

// asks is what one more call takes of a limit.
func (e *exact) asks(l limit.Limit, window time.Duration, now time.Time, c *call.Call) int64 {
	switch l.Measure {
	case "tokens":
		return c.InputEstimate + 5*c.MaxTokens
	case "models":
		for _, x := range e.log {
			if !x.released && x.model == c.Model.ID && now.Sub(x.at) <= window {
				return 0
			}
		}
	}
	return 1
}

// TestAgainstLog: random calls of random ends. What was admitted is never above
// a limit in the exact log; what was refused would have been above it in a window
// a little longer, by the sixtieths that are counted too long.
func TestAgainstLog(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		e := exact{limits: []limit.Limit{
			per("requests", 5+rnd.Int64N(20), limit.Window(time.Duration(1+rnd.IntN(90))*time.Second)),
			per("tokens", 2000+rnd.Int64N(20_000), limit.Window(time.Duration(1+rnd.IntN(90))*time.Second)),
			per("models", 1+rnd.Int64N(6), limit.Window(time.Duration(1+rnd.IntN(90))*time.Second)),
			per("concurrency", 1+rnd.Int64N(8), 0),
		}}
		l, now := newLimiter(t, noon, e.limits...), noon
		admitted, refused := 0, 0
		for range 1500 {
			now = now.Add(time.Duration(rnd.ExpFloat64() * float64(time.Second)))
			if rnd.IntN(2) == 0 {
				e.settle(rnd, l, now)
				continue
			}
			c := modelCall("ann")
			c.Model.ID, c.InputEstimate, c.MaxTokens = fmt.Sprint("m", rnd.IntN(12)), 1+rnd.Int64N(300), 1+rnd.Int64N(300)
			_, ref := l.Reserve(ctx, c, now)
			if ref != nil {
				refused++
				e.checkRefused(t, c, ref, now)
				continue
			}
			admitted++
			e.log = append(e.log, &logged{at: now, c: c, model: c.Model.ID, open: true, n: map[string]int64{"requests": 1, "tokens": c.InputEstimate + 5*c.MaxTokens}})
			for _, x := range e.limits {
				if used := e.used(x, time.Duration(x.Window), now, false); used > x.Max {
					t.Fatalf("seed %d: %s: %d within %v, limit %d", seed, x.Name, used, x.Window, x.Max)
				}
			}
		}
		if admitted < 50 || refused < 50 {
			t.Errorf("seed %d: admitted %d, refused %d: a test of little", seed, admitted, refused)
		}
	}
}

// settle ends some open call, using no more than it had reserved.
func (e *exact) settle(rnd *rand.Rand, l *limit.Limiter, now time.Time) {
	for _, x := range e.log {
		if !x.open || rnd.IntN(3) == 0 {
			continue
		}
		x.open = false
		if rnd.IntN(6) == 0 {
			x.released = true
			l.Release(x.c)
			return
		}
		r := &call.Result{Worked: true, Usage: call.Usage{Input: rnd.Int64N(x.c.InputEstimate + 1), Output: rnd.Int64N(x.c.MaxTokens + 1)}}
		x.n["tokens"] = r.Usage.Input + 5*r.Usage.Output
		l.Settle(x.c, r, now)
		return
	}
}

// checkRefused wants some limit to be too full for c, in its window and the two
// sixtieths that may be counted besides.
func (e *exact) checkRefused(t *testing.T, c *call.Call, ref *call.Refusal, now time.Time) {
	t.Helper()
	for _, x := range e.limits {
		w := time.Duration(x.Window)
		if e.used(x, w+w/30, now, true)+e.asks(x, w, now, c) > x.Max {
			return
		}
	}
	t.Fatalf("refused without need: %v", ref)
}
