package arrive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

var errKilled = errors.New("killed")

// sink takes deliveries as the lake does: lines and cursor become durable
// together, some deliveries later, and a kill loses what was not durable.
type sink struct {
	sealEvery int // deliveries; 1: each
	killAt    int // the delivery that never returns; 0: none

	mu      sync.Mutex // guards the rest; tests take it where a source runs beside them
	n       int
	cursor  string // durable
	lines   map[string]int
	order   []string
	pending []string
	next    string
	taken   []func()
	all     []*Delivery
}

func newSink() *sink { return &sink{sealEvery: 1, lines: map[string]int{}} }

func (s *sink) deliver(d *Delivery) error {
	b, err := io.ReadAll(d.Body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.n == s.killAt {
		return errKilled
	}
	s.all = append(s.all, d)
	s.pending = append(s.pending, linesOf(b)...)
	if d.Cursor != "" {
		s.next = d.Cursor
	}
	if d.Taken != nil {
		s.taken = append(s.taken, d.Taken)
	}
	if s.n%s.sealEvery == 0 {
		s.seal()
	}
	return nil
}

func (s *sink) seal() {
	for _, l := range s.pending {
		s.lines[l]++
		s.order = append(s.order, l)
	}
	s.pending, s.cursor = nil, s.next
	for _, f := range s.taken {
		f()
	}
	s.taken = nil
}

// since returns the lines that became durable behind the first n, and how many there are.
func (s *sink) since(n int) ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order[n:]), len(s.order)
}

// crash forgets what was not sealed.
func (s *sink) crash() {
	s.pending, s.taken, s.next, s.killAt = nil, nil, s.cursor, 0
}

// run runs a source until it ends or is killed.
func (s *sink) run(t *testing.T, ctx context.Context, src Source) {
	t.Helper()
	s.mu.Lock()
	cursor := s.cursor
	s.mu.Unlock()
	if err := src.Run(ctx, cursor, s.deliver); err != nil && !errors.Is(err, errKilled) && !errors.Is(err, context.Canceled) {
		t.Fatalf("run %s: %v", src.Name(), err)
	}
}

// linesOf splits a body, unpacked where it is an archive, into its lines.
func linesOf(b []byte) []string {
	if bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return []string{"bad gzip"}
		}
		if b, err = io.ReadAll(z); err != nil {
			return []string{"bad gzip"}
		}
	}
	var all []string
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		if line := strings.TrimSpace(sc.Text()); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func packed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.Bytes()
}
