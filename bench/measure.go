package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// connections of the closed loop, and the most that an open loop may use.
const (
	connections = 16
	openConns   = 64
)

// sizes of request bodies, in bytes.
var sizes = []int{1 << 10, 32 << 10}

// measureCalls runs the closed and the open loops. Peers take turns within a
// round, so that a slow minute of the machine falls on all of them.
func (b *bench) measureCalls(ctx context.Context) error {
	emu, address, err := b.emulator(ctx)
	if err != nil {
		return err
	}
	defer emu.Stop()
	peers, err := b.peers(ctx, address)
	if err != nil {
		return err
	}
	defer stopAll(peers)
	for _, p := range peers {
		b.result.Peers = append(b.result.Peers, Peer{Name: p.name, Version: p.version, Config: p.config})
	}
	for _, size := range sizes {
		body := converse(size)
		want, err := truth(ctx, peers[0], body)
		if err != nil {
			return err
		}
		if err := b.calls(ctx, peers, emu.PID(), size, body, want); err != nil {
			return err
		}
	}
	body := converse(sizes[0])
	want, err := truth(ctx, peers[0], body)
	if err != nil {
		return err
	}
	return b.latency(ctx, peers, body, want)
}

// truth asks the emulator directly, and returns the text that every peer's
// answer must have in it.
func truth(ctx context.Context, direct *peer, body []byte) ([]byte, error) {
	request, err := signed(direct.creds, "converse", body)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, direct.address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.call(request, nil); err != nil {
		return nil, err
	}
	var answer struct {
		Output struct{ Message json.RawMessage }
	}
	if err := json.Unmarshal(c.body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Output.Message) < 50 {
		return nil, fmt.Errorf("the emulator's answer is too short to judge by: %s", c.body)
	}
	return answer.Output.Message, nil
}

// calls measures CPU a call for one size of body.
func (b *bench) calls(ctx context.Context, peers []*peer, emulator, size int, body, want []byte) error {
	samples := make([][]Calls, len(peers))
	for round := range b.scale.rounds {
		for i := range peers {
			i = (i + round) % len(peers)
			p := peers[i]
			pid := p.pid
			if pid == 0 {
				pid = emulator
			}
			sample, err := b.callsOnce(ctx, p, pid, body, want)
			if err != nil {
				return fmt.Errorf("%s, %d bytes: %w", p.name, size, err)
			}
			samples[i] = append(samples[i], sample)
		}
	}
	for i, p := range peers {
		c := median(samples[i], func(c Calls) float64 { return c.CPUMicros })
		c.Peer, c.Body = p.name, size
		b.result.Calls = append(b.result.Calls, c)
		fmt.Fprintf(os.Stderr, "%-16s %5d B: %6.1f µs CPU a call, %7.0f calls a CPU-second, %6.0f calls/s\n", p.name, size, c.CPUMicros, c.PerCPUSecond, c.PerSecond)
	}
	return nil
}

func (b *bench) callsOnce(ctx context.Context, p *peer, pid int, body, want []byte) (Calls, error) {
	request, err := signed(p.creds, "converse", body)
	if err != nil {
		return Calls{}, err
	}
	if _, err := closed(ctx, p.address, connections, b.scale.calls/10, request, want); err != nil {
		return Calls{}, err // warm-up
	}
	before, err := cpu(pid)
	if err != nil {
		return Calls{}, err
	}
	l, err := closed(ctx, p.address, connections, b.scale.calls, request, want)
	if err != nil {
		return Calls{}, err
	}
	after, err := cpu(pid)
	if err != nil {
		return Calls{}, err
	}
	used := (after - before).Seconds()
	return Calls{
		CPUMicros: used * 1e6 / float64(l.calls), PerCPUSecond: float64(l.calls) / max(used, tick.Seconds()),
		PerSecond: float64(l.calls) / l.took.Seconds(), Count: l.calls, BytesIn: l.in, BytesOut: l.out, Latency: quantiles(l.hist),
	}, nil
}

// latency measures at one connection, and in open loop at 30 % of what the peer
// did in the closed one. The direct peer is run at the same rate each time, so
// that the difference is what the proxy added.
func (b *bench) latency(ctx context.Context, peers []*peer, body, want []byte) error {
	direct := peers[0]
	for _, p := range peers {
		rate := 0.3 * b.capacity(p.name)
		var samples []Latency
		for range b.scale.rounds {
			s := Latency{Peer: p.name, Rate: rate}
			var err error
			if s.Single, s.DirectSingle, err = b.pair(ctx, p, direct, body, func(at *peer, request []byte) (load, error) {
				return closed(ctx, at.address, 1, b.scale.single, request, want)
			}); err != nil {
				return err
			}
			if s.Open, s.DirectOpen, err = b.pair(ctx, p, direct, body, func(at *peer, request []byte) (load, error) {
				return open(ctx, at.address, openConns, rate, b.scale.open, request, want)
			}); err != nil {
				return err
			}
			samples = append(samples, s)
		}
		l := median(samples, func(l Latency) float64 { return l.Single.P50 - l.DirectSingle.P50 })
		b.result.Latency = append(b.result.Latency, l)
		fmt.Fprintf(os.Stderr, "%-16s added µs: one connection p50 %.0f p99 %.0f; %.0f calls/s p50 %.0f p99 %.0f\n", p.name,
			l.Single.P50-l.DirectSingle.P50, l.Single.P99-l.DirectSingle.P99, rate, l.Open.P50-l.DirectOpen.P50, l.Open.P99-l.DirectOpen.P99)
	}
	return nil
}

// pair runs one loop against the direct peer and then against p.
func (b *bench) pair(_ context.Context, p, direct *peer, body []byte, run func(*peer, []byte) (load, error)) (of, base Quantiles, err error) {
	for _, at := range []*peer{direct, p} {
		request, err := signed(at.creds, "converse", body)
		if err != nil {
			return of, base, err
		}
		l, err := run(at, request)
		if err != nil {
			return of, base, fmt.Errorf("%s: %w", at.name, err)
		}
		of = quantiles(l.hist)
		if at == direct {
			base = of
		}
	}
	return of, base, nil
}

func (b *bench) capacity(name string) float64 {
	i := slices.IndexFunc(b.result.Calls, func(c Calls) bool { return c.Peer == name && c.Body == sizes[0] })
	return b.result.Calls[i].PerSecond
}

// pace of the streams, in tokens a second: fast enough to measure many, slow
// enough that every frame is a write of its own.
const pace = "1000"

// measureStreams runs paced streams one after the other. The emulator's pace is
// the same for all, so what a peer adds to the k-th frame is when it came, less
// when the k-th frame came directly.
func (b *bench) measureStreams(ctx context.Context) error {
	emu, address, err := b.emulator(ctx, "--tokens-per-second", pace)
	if err != nil {
		return err
	}
	defer emu.Stop()
	peers, err := b.peers(ctx, address)
	if err != nil {
		return err
	}
	defer stopAll(peers)
	body := converse(sizes[0])
	var direct [][]time.Duration
	for _, p := range peers {
		pid := p.pid
		if pid == 0 {
			pid = emu.PID()
		}
		runs, used, err := b.streams(ctx, p, pid, body)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if direct == nil {
			direct = runs
		}
		if len(runs[0]) != len(direct[0]) || len(runs[0]) < 2 {
			return fmt.Errorf("%s: streams of %d frames, of %d when asked directly", p.name, len(runs[0]), len(direct[0]))
		}
		s := summarise(runs, direct, used)
		s.Peer = p.name
		b.result.Streams = append(b.result.Streams, s)
		fmt.Fprintf(os.Stderr, "%-16s streams of %d frames: first frame p50 %.0f p99 %.0f µs; added to a later frame p50 %.0f p99 %.0f µs; %.1f µs CPU a frame\n",
			p.name, s.Frames, s.First.P50, s.First.P99, s.Added.P50, s.Added.P99, s.CPUMicrosPerFrame)
	}
	return nil
}

// streams returns when each frame of each stream came, and the CPU time of all.
func (b *bench) streams(ctx context.Context, p *peer, pid int, body []byte) (runs [][]time.Duration, used time.Duration, err error) {
	request, err := signed(p.creds, "converse-stream", body)
	if err != nil {
		return nil, 0, err
	}
	c, err := dial(ctx, p.address)
	if err != nil {
		return nil, 0, err
	}
	defer c.close()
	var before time.Duration
	for i := -b.scale.streams / 10; i < b.scale.streams; i++ { // some to warm up
		if i == 0 {
			if before, err = cpu(pid); err != nil {
				return nil, 0, err
			}
		}
		at, err := c.stream(request, []byte("messageStop"), nil)
		if err != nil {
			return nil, 0, err
		}
		if i >= 0 {
			runs = append(runs, at)
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
	}
	after, err := cpu(pid)
	return runs, after - before, err
}

// summarise compares the streams of a peer with the direct ones.
func summarise(runs, direct [][]time.Duration, used time.Duration) Streams {
	n := len(direct[0])
	usual := make([]time.Duration, n) // of the k-th frame, directly
	for k := range usual {
		column := make([]time.Duration, len(direct))
		for i, run := range direct {
			column[i] = run[k]
		}
		slices.Sort(column)
		usual[k] = column[len(column)/2]
	}
	first, added := newHist(), []float64{}
	for _, run := range runs {
		first.RecordValue(int64(run[0]))
		for k, at := range run[1:] { // behind the first, whose own delay is not theirs
			late := at - run[0] - (usual[k+1] - usual[0])
			added = append(added, float64(late)/1e3) // may be below zero, when the emulator was early
		}
	}
	slices.Sort(added)
	return Streams{
		Frames: n, First: quantiles(first), Added: Quantiles{P50: added[len(added)/2], P99: added[len(added)*99/100]},
		CPUMicrosPerFrame: used.Seconds() * 1e6 / float64(len(runs)*n),
	}
}

// measureMemory opens streams to which the emulator gives no first token, and
// fits a line through the resident memory of the peer.
func (b *bench) measureMemory(ctx context.Context) error {
	emu, address, err := b.emulator(ctx, "--ttft", "10m")
	if err != nil {
		return err
	}
	defer emu.Stop()
	for _, k := range kinds[1:] {
		p, err := k.start(b, ctx, address)
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		p.name = k.name
		m, err := b.memory(ctx, p)
		p.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		b.result.Memory = append(b.result.Memory, m)
		fmt.Fprintf(os.Stderr, "%-16s %.1f KiB a stream over %d idle streams\n", p.name, m.BytesPerStream/1024, m.Streams)
	}
	return nil
}

func (b *bench) memory(ctx context.Context, p *peer) (Memory, error) {
	request, err := signed(p.creds, "converse-stream", converse(sizes[0]))
	if err != nil {
		return Memory{}, err
	}
	var conns []*conn
	defer func() {
		for _, c := range conns {
			c.close()
		}
	}()
	var xs, ys []float64
	for step := 0; step <= 4; step++ {
		for len(conns) < b.scale.idle*step/4 {
			c, err := dial(ctx, p.address)
			if err != nil {
				return Memory{}, err
			}
			conns = append(conns, c)
			if err := c.send(request); err != nil {
				return Memory{}, err
			}
		}
		bytes, err := settled(ctx, p.pid)
		if err != nil {
			return Memory{}, err
		}
		xs, ys = append(xs, float64(len(conns))), append(ys, float64(bytes))
	}
	if err := stillWaiting(conns); err != nil {
		return Memory{}, err
	}
	return Memory{Peer: p.name, Streams: len(conns), Start: int64(ys[0]), End: int64(ys[len(ys)-1]), BytesPerStream: slope(xs, ys)}, nil
}

// settled waits until resident memory has stopped to grow.
func settled(ctx context.Context, pid int) (int64, error) {
	last, err := rss(pid)
	for same := 0; err == nil && same < 4; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
		var now int64
		now, err = rss(pid)
		if now > last+last/500 {
			same = 0
		} else {
			same++
		}
		last = now
	}
	return last, err
}

// stillWaiting tells whether every stream is open and has been refused nothing.
func stillWaiting(conns []*conn) error {
	for i, c := range conns {
		c.c.SetReadDeadline(time.Now().Add(time.Microsecond))
		peek, err := c.r.Peek(12)
		if len(peek) == 12 && string(peek[9:]) != "200" {
			return fmt.Errorf("idle stream %d was answered %s", i, peek)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("idle stream %d: %w", i, err)
		}
	}
	return nil
}

// slope is the least-squares line's.
func slope(xs, ys []float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for i, x := range xs {
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+ys[i], sxx+x*x, sxy+x*ys[i]
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// median returns the sample in the middle by key.
func median[T any](samples []T, key func(T) float64) T {
	s := slices.Clone(samples)
	slices.SortFunc(s, func(a, b T) int {
		switch {
		case key(a) < key(b):
			return -1
		case key(a) > key(b):
			return 1
		}
		return 0
	})
	return s[len(s)/2]
}
