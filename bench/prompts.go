package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"encoding/json"
)

// The guard remembers what it found clean, so that one prompt sent over and over
// says nothing of its cost. Here no two calls of a round carry the same prompt.

// workload is a kind of prompts.
type workload struct {
	name string
	size int // of a body, about
	// bodies returns n prompts that differ from those of other seeds.
	bodies func(seed uint64, n int) [][]byte
}

var workloads = []workload{
	{"1 KB, new in each call", 1 << 10, func(seed uint64, n int) [][]byte { return fresh(seed, n, 1<<10) }},
	{"32 KB, a conversation that grows by 1 KB a turn", 32 << 10, conversations},
	{"32 KB, new in each call", 32 << 10, func(seed uint64, n int) [][]byte { return fresh(seed, n, 32<<10) }},
}

var vocabulary = strings.Fields(`the harbour opens before noon and a garden behind it follows every path that visitors take when
	they wait for lunch or read about old maps of this town while music plays near some boats which carry salt wood tea paper
	glass and letters to islands where people build small houses from stone brick clay with round windows under wide roofs`)

// text is n bytes of sentences.
func text(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		for range 6 + r.IntN(10) {
			b.WriteString(vocabulary[r.IntN(len(vocabulary))])
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "in %d. ", 1800+r.IntN(200))
	}
	return strings.TrimSpace(b.String()[:n-1]) + "."
}

type said struct {
	Role    string              `json:"role"`
	Content []map[string]string `json:"content"`
}

func messages(texts []string) []byte {
	var all []said
	for i, t := range texts {
		all = append(all, said{[]string{"user", "assistant"}[i%2], []map[string]string{{"text": t}}})
	}
	body, err := json.Marshal(map[string]any{"messages": all, "inferenceConfig": map[string]int{"maxTokens": 200}})
	if err != nil {
		panic(err) // of strings
	}
	return body
}

// overhead is what a body of one message has beside its text.
const overhead = 100

func fresh(seed uint64, n, size int) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = messages([]string{text(r, size-overhead)})
	}
	return bodies
}

// conversations are turns of conversations that take turns, so that callers at
// several connections seldom send two turns of one at once. Each has a history
// of 30 KB at first, which is new only then, and sixteen turns, of which each
// drops the oldest question and answer for new ones: 1 KB said by the user, 1 KB by the
// model.
func conversations(seed uint64, n int) [][]byte {
	const turns, length = 16, 31
	r := rand.New(rand.NewPCG(seed, 2))
	side := (n + turns - 1) / turns
	histories := make([][]string, side)
	bodies := make([][]byte, 0, n)
	for i := range n {
		h := &histories[i%side]
		for k := 0; len(*h) < length+2*(i/side); k++ {
			*h = append(*h, text(r, 1000))
		}
		bodies = append(bodies, messages((*h)[len(*h)-length:]))
	}
	return bodies
}

// Prompts is CPU a call for one kind of prompts.
type Prompts struct {
	Peer      string  `json:"peer"`
	Kind      string  `json:"prompts"`
	CPUMicros float64 `json:"cpu_us_per_call"`
	Count     int     `json:"calls"`
}

func (p Prompts) name() string { return p.Peer }

// measurePrompts compares everything on with before. Both get the same prompts,
// each once.
func (b *bench) measurePrompts(ctx context.Context) error {
	emu, address, err := b.emulator(ctx)
	if err != nil {
		return err
	}
	defer emu.Stop()
	direct, _ := b.direct(ctx, address)
	var peers []*peer
	defer func() { stopAll(peers) }()
	for _, k := range kinds {
		if k.name != on && k.name != before {
			continue
		}
		p, err := k.start(b, ctx, address)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		p.name = k.name
		peers = append(peers, p)
	}
	for k, w := range workloads {
		samples := make([][]Prompts, len(peers))
		for round := range b.scale.rounds {
			bodies := w.bodies(uint64(k*100+round), b.scale.prompts)
			wants, err := truths(ctx, direct, bodies)
			if err != nil {
				return err
			}
			for i := range peers {
				i = (i + round) % len(peers)
				s, err := b.promptsOnce(ctx, peers[i], bodies, wants)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", peers[i].name, w.name, err)
				}
				s.Kind = w.name
				samples[i] = append(samples[i], s)
			}
		}
		for i := range peers {
			p := median(samples[i], func(p Prompts) float64 { return p.CPUMicros })
			b.result.Prompts = append(b.result.Prompts, p)
			fmt.Fprintf(os.Stderr, "%-16s %s: %.1f µs CPU a call\n", p.Peer, p.Kind, p.CPUMicros)
		}
	}
	return nil
}

func truths(ctx context.Context, direct *peer, bodies [][]byte) ([][]byte, error) {
	wants := make([][]byte, len(bodies))
	for i := range bodies {
		var err error
		if wants[i], err = truth(ctx, direct, bodies[i]); err != nil {
			return nil, err
		}
	}
	return wants, nil
}

// promptsOnce sends each body once. The first tenth warms up.
func (b *bench) promptsOnce(ctx context.Context, p *peer, bodies, wants [][]byte) (Prompts, error) {
	requests := make([][]byte, len(bodies))
	for i := range bodies {
		var err error
		if requests[i], err = signed(p.creds, "converse", bodies[i]); err != nil {
			return Prompts{}, err
		}
	}
	warm := len(bodies) / 10
	if err := each(ctx, p.address, requests[:warm], wants); err != nil {
		return Prompts{}, err
	}
	start, err := cpu(p.pid)
	if err != nil {
		return Prompts{}, err
	}
	if err := each(ctx, p.address, requests[warm:], wants[warm:]); err != nil {
		return Prompts{}, err
	}
	end, err := cpu(p.pid)
	n := len(bodies) - warm
	return Prompts{Peer: p.name, CPUMicros: (end - start).Seconds() * 1e6 / float64(n), Count: n}, err
}

// each sends every request once, over the connections of the closed loop.
func each(ctx context.Context, address string, requests, wants [][]byte) error {
	var next atomic.Int64
	_, err := drive(ctx, address, connections, len(requests), func(time.Time) (job, bool) {
		i := int(next.Add(1)) - 1
		if i >= len(requests) {
			return job{}, false
		}
		return job{time.Now(), requests[i], wants[i]}, true
	})
	return err
}
