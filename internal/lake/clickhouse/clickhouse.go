// Package clickhouse runs SQL over the events of a lake with a ClickHouse server
// (26 or newer), through the server's HTTP interface and no driver.
//
// The table "events" of a statement is one of three things, as the DSN says: a
// table of the server, filled by Load; the lake's own Parquet files in a folder
// that the server sees; or the same files on S3. A statement is put between
// parentheses with "events" and the request's small tables named before it, so
// that nothing but one SELECT can stand there, and its rows come back in the
// RowBinary format, each behind a mark: what follows a whole row is either
// another mark or the text of an error that the server met on the way.
//
// The server keeps the bounds of memory, time, threads and rows, since they are
// sent with every statement; its answers to a bound become *lake.BudgetError.
// A query whose context ends is killed by its id. Statements run read-only.
// Beyond that a statement of the user's own (hunt --sql) can see what the
// server grants the DSN's user: that should be SELECT on the table and no more.
//
// No error holds a password or key: what the server says is cleaned of them.
package clickhouse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/internal/lake"
)

// Options of an engine.
type Options struct {
	// DSN is http[s]://user:password@host:port/database?… with
	//   table=NAME        the events are in this table ("events" when nothing is said)
	//   files=DIR         they are in Parquet files of this folder of the server's
	//   s3=URL            they are in Parquet files below this address
	//   root=PATH         the folder or s3:// address that the request's files are
	//                     named from; DIR or URL takes its place
	//   s3_collection=N   the server's named collection with the address's credentials
	//   s3_keys=FILE      or a file of two lines: key id and secret
	//   password=FILE     a file with the password, in place of one in the DSN
	DSN string
	// Client makes the calls; nil is one of its own, which follows no redirect.
	Client *http.Client
}

// Engine talks to one server. It is safe for concurrent use and keeps nothing
// between queries but connections.
type Engine struct {
	server server
	source source
	client *http.Client
	closed atomic.Bool
}

var _ lake.Engine = (*Engine)(nil)

// Open reads the DSN and the files that it names. It does not call the server.
func Open(o Options) (*Engine, error) {
	s, src, err := parseDSN(o.DSN)
	if err != nil {
		return nil, fmt.Errorf("clickhouse DSN: %w", err)
	}
	client := o.Client
	if client == nil {
		client = &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Engine{server: s, source: src, client: client}, nil
}

// Dialect names ClickHouse's table of spellings.
func (e *Engine) Dialect() string { return "clickhouse" }

// Close refuses further queries. Those that run go on to their end.
func (e *Engine) Close() error {
	if !e.closed.Swap(true) {
		e.client.CloseIdleConnections()
	}
	return nil
}

var errClosed = errors.New("the engine is closed")

// Query starts one statement. Its rows arrive as they are read.
func (e *Engine) Query(ctx context.Context, r lake.Request) (lake.Rows, error) {
	if e.closed.Load() {
		return nil, fmt.Errorf("%w: %w", lake.ErrEngine, errClosed)
	}
	r.Budget = r.Budget.WithDefaults()
	text, err := e.statement(r)
	if err != nil {
		return nil, err
	}
	if r.Progress != nil {
		r.Progress(-1) // the server tells over HTTP only before the reply begins
	}
	q := &query{e: e, caller: ctx, id: "gatehouse-" + rand.Text(), budget: r.Budget}
	q.ctx, q.cancel = context.WithTimeout(ctx, r.Budget.Time+grace)
	rows, err := q.start(text, r)
	if err != nil {
		q.end()
		return nil, err
	}
	return rows, nil
}

// grace is how much longer than the server we wait: it should be the one to say
// that the time is up.
const grace = 2 * time.Second
