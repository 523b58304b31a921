//go:build cgo

package duck

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"gatehouse/internal/lake"
)

// Engine runs queries in this process. It keeps nothing between them.
type Engine struct {
	o Options

	mu     sync.Mutex
	closed bool
}

var _ lake.Engine = (*Engine)(nil)

// Open makes an engine in this process.
func Open(o Options) (*Engine, error) {
	if o.MaxTemp == 0 {
		o.MaxTemp = 4 << 30
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	return &Engine{o: o}, nil
}

// Dialect names DuckDB's table of spellings.
func (e *Engine) Dialect() string { return "duckdb" }

// Close refuses further queries. Those that run go on to their end.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

// Query runs one statement. The rows hold the query's memory until closed.
func (e *Engine) Query(ctx context.Context, r lake.Request) (lake.Rows, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("%w: %w", lake.ErrEngine, errClosed)
	}
	r.Budget = r.Budget.WithDefaults()
	if r.Budget.Threads <= 0 {
		r.Budget.Threads = e.o.Threads
	}
	q := newQuery(ctx, r)
	if err := q.start(e.o); err != nil {
		q.close()
		return nil, err
	}
	return &rows{q: q, cols: q.cols, budget: r.Budget}, nil
}
