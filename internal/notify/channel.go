package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"gatehouse/internal/metrics"
)

// channel is one receiver's queue.
type channel struct {
	name, kind string
	sender     sender
	log        *slog.Logger
	waiting    chan Message

	mu    sync.Mutex
	state Row
	lost  int64 // dropped since the last message
}

const (
	queueLen     = 128
	attempts     = 8
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	tryTimeout   = 30 * time.Second // of one attempt; HTTP has five seconds of its own
	lastWords    = 5 * time.Second
)

// Row is how a channel stands, for people and programs.
type Row struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Queued    int       `json:"queued"`
	Sent      int64     `json:"sent"`
	Failed    int64     `json:"failed"`  // given up
	Dropped   int64     `json:"dropped"` // for want of room
	LastSent  time.Time `json:"last_sent,omitzero"`
	LastError string    `json:"last_error,omitempty"` // of the last attempt that failed
}

// Rows returns how the channels stand, in the order given.
func (n *Notifier) Rows() []Row {
	rows := make([]Row, len(n.channels))
	for i, c := range n.channels {
		c.mu.Lock()
		rows[i] = c.state
		c.mu.Unlock()
		rows[i].Queued = len(c.waiting)
	}
	return rows
}

// Samples is how the channels stand, for Prometheus.
func (n *Notifier) Samples() []metrics.Sample {
	var out []metrics.Sample
	for _, r := range n.Rows() {
		count := func(what, help string, v int64) {
			out = append(out, metrics.Sample{Name: "gatehouse_messages_" + what + "_total", Help: help, Counter: true, Label: "channel", Of: r.Name, Value: float64(v)})
		}
		count("sent", "Messages sent.", r.Sent)
		count("failed", "Messages given up.", r.Failed)
		count("dropped", "Messages dropped for want of room.", r.Dropped)
		out = append(out, metrics.Sample{Name: "gatehouse_messages_queued", Help: "Messages waiting.", Label: "channel", Of: r.Name, Value: float64(r.Queued)})
	}
	return out
}

func newChannel(name, kind string, s sender, log *slog.Logger) *channel {
	return &channel{name: name, kind: kind, sender: s, log: log, waiting: make(chan Message, queueLen), state: Row{Name: name, Kind: kind}}
}

func (c *channel) put(m Message) {
	select {
	case c.waiting <- m:
	default:
		c.mu.Lock()
		c.state.Dropped++
		c.lost++
		c.mu.Unlock()
	}
}

func (c *channel) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case m := <-c.waiting:
			c.deliver(ctx, m)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	for last.Err() == nil {
		select {
		case m := <-c.waiting:
			c.finish(c.try(last, &m))
		default:
			return
		}
	}
}

// deliver tries until it works, cannot work, or has been tried enough.
func (c *channel) deliver(ctx context.Context, m Message) {
	c.confess(&m)
	var err error
	for n := range attempts {
		if err = c.try(ctx, &m); err == nil || errors.As(err, new(*permanent)) {
			break
		}
		if n == attempts-1 || !sleep(ctx, backoff(n, err)) {
			break
		}
	}
	if ctx.Err() != nil && err != nil { // once more, at the end
		c.put(m)
		return
	}
	c.finish(err)
}

// confess says in m what was dropped before it.
func (c *channel) confess(m *Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost > 0 {
		m.Fields = append(m.Fields[:len(m.Fields):len(m.Fields)], Field{"Dropped before", fmt.Sprintf("%d messages for want of room", c.lost)})
		c.lost = 0
	}
}

func (c *channel) try(ctx context.Context, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	err := c.sender.send(ctx, m)
	if err != nil {
		c.mu.Lock()
		c.state.LastError = err.Error()
		c.mu.Unlock()
	}
	return err
}

func (c *channel) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.state.Sent++
		c.state.LastSent = time.Now().UTC()
		return
	}
	c.state.Failed++
	c.log.Warn("message not sent", "channel", c.name, "err", err)
}

// backoff doubles from a second to a minute, half of it by chance, so that
// gateways that failed together do not come back together. A receiver that says
// when to come back is believed, up to a minute.
func backoff(n int, err error) time.Duration {
	var s *slow
	if errors.As(err, &s) && s.after > 0 {
		return min(s.after, maxBackoff)
	}
	d := min(firstBackoff<<n, maxBackoff)
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
