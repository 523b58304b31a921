// Package duck runs SQL over the Parquet files of a lake with DuckDB, in this
// process (Open) or in children that the process starts (OpenChildren).
//
// Every query gets a database of its own, in memory, and it is gone when the
// query's rows are closed. It holds one view, "events", over the files that the
// request names, typed by the table of fields whatever the files hold; the
// request's small tables; and nothing else. Before the statement is looked at,
// the database is shut: it may read the named files and no other, write none,
// reach no network, load no extension and change no setting. The statement must
// be one SELECT, by DuckDB's own word and not by ours.
//
// A query that wants too much ends in a *lake.BudgetError: DuckDB counts its
// memory itself, time is kept here and ends in an interrupt, and rows are
// counted as they are read. In a child the machine bounds what those bounds
// miss; see child.go.
//
// It is the only package that links DuckDB, and so the only one that needs cgo.
package duck

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"gatehouse/internal/lake"
)

// Options of an engine.
type Options struct {
	// Temp is a folder for what does not fit in memory; "" spills nothing.
	Temp string
	// MaxTemp bounds that folder, in bytes; 0 is 4 GiB.
	MaxTemp int64
	// Threads is what a request that names none gets; 0 is all.
	Threads int
}

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

var errClosed = errors.New("the engine is closed")

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
