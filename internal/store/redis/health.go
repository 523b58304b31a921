package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how the server is doing.
type State struct {
	Up       bool
	Since    time.Time // since when it is up, or down
	Errors   uint64    // requests and probes that failed, ever
	Last     string    // the last of their errors, for the operator
	Replicas int       // gateways that share it, this one included, as last known
	Advice   string    // what is wrong with the server's settings; empty: nothing we know of
}

// The pulse. A gateway beats once in a while and counts as gone when it has not
// for some time; a server that is down is probed sooner at first.
const (
	beatEvery  = time.Second
	beatLife   = 5 * time.Second
	probeFirst = 20 * time.Millisecond
)

// health is a circuit: it opens with the first failure and closes with the
// first probe that succeeds. The probe writes, as admissions do: a server that
// only answers PING, being full or a read-only replica, is not up.
type health struct {
	up       atomic.Bool
	replicas atomic.Int64
	errors   atomic.Uint64
	opened   chan struct{} // wakes the probe

	mu     sync.Mutex
	since  time.Time
	last   string
	advice string
	asked  bool // for advice, since the server came up
}

// begin takes the server to be up: the first who asks will know.
func (h *health) begin(now time.Time) {
	h.opened = make(chan struct{}, 1)
	h.since = now
	h.replicas.Store(1)
	h.up.Store(true)
}

// failed counts an error of a request. The server's word on one request, such
// as a bucket of a wrong type, says nothing about the others.
func (h *health) failed(err error, now time.Time) {
	if _, word := errors.AsType[redis.Error](err); word {
		h.note(err)
		return
	}
	h.down(err, now)
}

func (h *health) note(err error) {
	h.errors.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err.Error()
}

func (h *health) down(err error, now time.Time) {
	h.note(err)
	h.turn(false, now)
	select {
	case h.opened <- struct{}{}:
	default:
	}
}

func (h *health) turn(up bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up.Swap(up) != up {
		h.since = now
	}
	h.asked = h.asked && up
}

// State tells how the server is doing. It asks nothing.
func (c *Counts) State() State {
	h := &c.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return State{Up: h.up.Load(), Since: h.since, Errors: h.errors.Load(), Last: h.last, Replicas: c.Replicas(), Advice: h.advice}
}

// Replicas is how many gateways share the server, as last known, and at least
// one. A gateway that starts while the server is down knows only of itself.
func (c *Counts) Replicas() int { return int(max(1, c.health.replicas.Load())) }

// beats tells the server that we live, and learns that it does, until ctx ends.
func (c *Counts) beats(ctx context.Context) {
	defer close(c.stopped)
	for wait := probeFirst; ; {
		next := beatEvery
		if err := c.beat(ctx, beatLife); err != nil {
			next, wait = wait, min(2*wait, beatEvery)
		} else {
			wait = probeFirst
		}
		select {
		case <-ctx.Done():
			c.beat(context.WithoutCancel(ctx), 0)
			return
		case <-time.After(next):
		case <-c.health.opened:
			if next == beatEvery { // not while backing off
				select {
				case <-ctx.Done():
				case <-time.After(probeFirst):
				}
			}
		}
	}
}

// beat is one probe.
func (c *Counts) beat(ctx context.Context, life time.Duration) error {
	reply, err := c.run(ctx, c.probe, beatScript, c.node, []string{c.base + "nodes"}, []any{c.node, life.Microseconds()})
	if err == nil {
		n, ok := reply[0].(int64)
		if ok {
			c.health.replicas.Store(n)
			c.health.turn(true, time.Now())
			c.advise(ctx)
			return nil
		}
		err = fmt.Errorf("answer holds %T", reply[0])
	}
	if ctx.Err() == nil {
		c.health.down(err, time.Now())
	}
	return err
}

// advise looks, once each time the server came up, whether it would forget
// counts under our hands. Not every server tells.
func (c *Counts) advise(ctx context.Context) {
	h := &c.health
	h.mu.Lock()
	asked := h.asked
	h.asked = true
	h.mu.Unlock()
	if asked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	info, err := c.probe.Info(ctx, "memory").Result()
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.advice = advice(info)
}

// advice reads what INFO says of memory, in lines of "name:value".
func advice(info string) string {
	settings := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		settings[name] = value
	}
	policy := settings["maxmemory_policy"]
	if policy == "" || policy == "noeviction" || settings["maxmemory"] == "0" {
		return ""
	}
	return "maxmemory-policy is " + policy + ": a full server forgets what was used; set noeviction"
}
