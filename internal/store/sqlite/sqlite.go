// Package sqlite keeps Gatehouse's state in one SQLite file (pure Go driver).
//
// The file is in WAL mode with synchronous=FULL and no memory mapping. One
// goroutine writes: it takes every change that waits, runs each in a savepoint
// of one transaction and commits once, so that many callers share one fsync
// and a change that fails takes none of its neighbours with it. A pool of
// connections reads beside it and never waits for it.
//
// The schema's version is SQLite's user_version. [Open] brings an older file
// up to date, each step in a transaction of its own; it refuses a file that a
// newer Gatehouse wrote, and one that is not Gatehouse's.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"gatehouse/internal/store"
)

const (
	queueLen = 256
	readers  = 4
	busyWait = 5 * time.Second
)

// DB is a [store.Store] in one file.
type DB struct {
	write *sql.Conn // used by the writer goroutine only
	pools [2]*sql.DB
	read  *sql.DB

	mu     sync.RWMutex // held shared while sending on queue
	closed bool
	queue  chan *change
	done   chan struct{} // closed when the writer has returned
	failed atomic.Bool
}

// change is one write that waits for the writer.
type change struct {
	run func(context.Context, querier) error
	err chan error
}

// querier is what a change may use: the writer's connection.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var errClosed = errors.New("store is closed")

// Open opens or creates the file, which nobody but its owner may read.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	d := &DB{queue: make(chan *change, queueLen), done: make(chan struct{})}
	if err := d.open(ctx, path); err != nil {
		d.closePools()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	go d.writer()
	return d, nil
}

// create makes the file before SQLite does, because SQLite asks for 0644. The
// -wal and -shm files beside it get the mode of the file.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	f.Close()
	if err != nil {
		return err
	}
	if m := info.Mode().Perm(); m&0o077 != 0 {
		return fmt.Errorf("%s holds password hashes and has mode %04o: run chmod 600 on it", path, m)
	}
	return nil
}

func (d *DB) open(ctx context.Context, path string) error {
	var err error
	if d.pools[0], err = pool(path, 1, "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)"); err != nil {
		return err
	}
	if d.write, err = d.pools[0].Conn(ctx); err != nil {
		return err
	}
	if err := checkVersion(ctx, d.write); err != nil {
		return err
	}
	if err := migrate(ctx, d.write, migrations); err != nil {
		return err
	}
	d.pools[1], err = pool(path, readers, "query_only(1)")
	d.read = d.pools[1]
	return err
}

func pool(path string, conns int, pragmas ...string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	pragmas = append([]string{fmt.Sprintf("busy_timeout(%d)", busyWait.Milliseconds()), "mmap_size(0)", "foreign_keys(1)", "trusted_schema(0)"}, pragmas...)
	u := url.URL{Scheme: "file", Path: abs, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	return db, nil
}

// checkVersion refuses a SQLite library with the WAL-reset bug, which
// corrupted files from 3.7.0 to 3.51.2.
func checkVersion(ctx context.Context, q querier) error {
	var v string
	if err := q.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&v); err != nil {
		return err
	}
	if !atLeast(v, 3, 51, 3) {
		return fmt.Errorf("SQLite %s can corrupt its files: 3.51.3 or newer is needed", v)
	}
	return nil
}

func atLeast(version string, want ...int) bool {
	parts := strings.Split(version, ".")
	for i, w := range want {
		if i >= len(parts) {
			return false
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n != w {
			return err == nil && n > w
		}
	}
	return true
}

// do hands a change to the writer and waits until it is durable or refused.
// A context that ends while the change waits for a place in the queue stops
// it. After that the change runs without a context, since SQLite undoes a whole
// transaction when one statement is interrupted, and its answer is waited for.
func (d *DB) do(ctx context.Context, run func(context.Context, querier) error) error {
	c := &change{run: run, err: make(chan error, 1)}
	d.mu.RLock()
	if d.closed {
		d.mu.RUnlock()
		return errClosed
	}
	select {
	case d.queue <- c:
		d.mu.RUnlock()
		return <-c.err
	case <-ctx.Done():
		d.mu.RUnlock()
		return ctx.Err()
	}
}

func (d *DB) writer() {
	defer close(d.done)
	for first := range d.queue {
		batch := []*change{first}
		for len(batch) < queueLen {
			select {
			case c, ok := <-d.queue:
				if ok {
					batch = append(batch, c)
					continue
				}
			default:
			}
			break
		}
		d.commit(batch)
	}
}

// commit runs a batch in one transaction and answers every caller.
func (d *DB) commit(batch []*change) {
	errs := make([]error, len(batch))
	err := d.transaction(func(ctx context.Context, q querier) error {
		for i, c := range batch {
			var lost bool
			if errs[i], lost = savepoint(ctx, q, c.run); lost {
				return errs[i]
			}
		}
		return nil
	})
	for i, c := range batch {
		if err != nil {
			errs[i] = err
		}
		c.err <- errs[i]
	}
}

// transaction runs a batch, and stops all later writes when err means that
// the file can no longer be trusted: after a failed fsync the kernel may have
// dropped the pages, and trying again would report success for lost data. A
// full disk is not that: SQLite rolls back and a later write may succeed.
func (d *DB) transaction(run func(context.Context, querier) error) error {
	if d.failed.Load() {
		return store.ErrFailed
	}
	err := inTransaction(context.Background(), d.write, run)
	var e *sqlite.Error
	if errors.As(err, &e) && untrusted(e.Code()) {
		d.failed.Store(true)
		return fmt.Errorf("%w: %v", store.ErrFailed, err)
	}
	return err
}

func untrusted(code int) bool {
	const ioerr, corrupt, notadb = 10, 11, 26
	code &= 0xff // the rest says which kind of I/O
	return code == ioerr || code == corrupt || code == notadb
}

func inTransaction(ctx context.Context, q querier, run func(context.Context, querier) error) error {
	if _, err := q.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := run(ctx, q)
	if err == nil {
		_, err = q.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// This fails when SQLite has rolled back by itself, as it may.
		q.ExecContext(ctx, "ROLLBACK")
	}
	return err
}

// savepoint runs one change so that its failure undoes it alone. lost means
// that the whole transaction is gone, as after a full disk.
func savepoint(ctx context.Context, q querier, run func(context.Context, querier) error) (err error, lost bool) {
	if _, err := q.ExecContext(ctx, "SAVEPOINT change"); err != nil {
		return err, true
	}
	if err = run(ctx, q); err != nil {
		if _, back := q.ExecContext(ctx, "ROLLBACK TO change"); back != nil {
			return err, true
		}
	}
	if _, release := q.ExecContext(ctx, "RELEASE change"); release != nil {
		return release, true
	}
	return err, false
}

// Err implements [store.Store].
func (d *DB) Err() error {
	if d.failed.Load() {
		return store.ErrFailed
	}
	return nil
}

// Close implements [store.Store].
func (d *DB) Close() error {
	d.mu.Lock()
	already := d.closed
	d.closed = true
	if !already {
		close(d.queue)
	}
	d.mu.Unlock()
	<-d.done
	if already {
		return nil
	}
	return d.closePools()
}

func (d *DB) closePools() error {
	var errs []error
	if d.write != nil {
		errs = append(errs, d.write.Close())
	}
	// Readers first: the last connection to close checkpoints the log.
	for _, p := range []*sql.DB{d.pools[1], d.pools[0]} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// found maps SQL's ways to say "no row" and "no such parent" to the store's.
func found(err error) error {
	const foreignKey, unique, primaryKey = 787, 2067, 1555
	var e *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case errors.As(err, &e) && e.Code() == foreignKey:
		return store.ErrNotFound
	case errors.As(err, &e) && (e.Code() == unique || e.Code() == primaryKey):
		return store.ErrExists
	}
	return err
}

// Times are Unix nanoseconds; 0 is the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// collect reads all rows with scan.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

type scanner interface{ Scan(...any) error }
