package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// CreateTable is the statement that makes a table for Load. Rows of one message
// id and time are one: the engine merges them in the background, and queries
// read as if it had.
func CreateTable(name string) string {
	at, id := event.Columns[event.MessageTime].Name, event.Columns[event.MessageID].Name
	names, types := columns()
	cols := make([]string, len(names))
	for i, n := range names {
		switch n {
		case at:
			types[i] = "Int64"
		case id:
			types[i] = "String"
		case rawColumn:
			types[i] += " CODEC(ZSTD(3))"
		}
		cols[i] = "  " + ident(n) + " " + types[i]
	}
	return "CREATE TABLE IF NOT EXISTS " + tableName(name) + " (\n" + strings.Join(cols, ",\n") + "\n)\n" +
		"ENGINE = ReplacingMergeTree\n" +
		"PARTITION BY toYYYYMM(fromUnixTimestamp64Milli(" + ident(at) + ", 'UTC'))\n" +
		"ORDER BY (" + ident(at) + ", " + ident(id) + ")"
}

// loadTime bounds the loading of one file.
const loadTime = 10 * time.Minute

var errNoTable = errors.New("the DSN names no table to load into")

// Load makes the DSN's table where it is not there and sends the files to it,
// one statement each. A file may be sent again, in whole or part: its rows
// count once.
func (e *Engine) Load(ctx context.Context, files []string) error {
	if e.source.table == "" {
		return errNoTable
	}
	create := strings.NewReader(CreateTable(e.source.table))
	if err := e.run(ctx, url.Values{}, create); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	for _, name := range files {
		if err := e.load(ctx, name); err != nil {
			return fmt.Errorf("load %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

// load streams one Parquet file.
func (e *Engine) load(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	v := url.Values{"query": {"INSERT INTO " + tableName(e.source.table) + " (" + selected() + ") FORMAT Parquet"}}
	return e.run(ctx, v, f)
}

// run makes a call whose reply does not matter.
func (e *Engine) run(ctx context.Context, v url.Values, body io.Reader) error {
	q := &query{e: e, caller: ctx, budget: lake.Budget{Time: loadTime}.WithDefaults()}
	q.ctx, q.cancel = context.WithTimeout(ctx, loadTime)
	defer q.cancel()
	v.Set("wait_end_of_query", "1") // an error comes as the status, not after it
	req, err := e.request(q.ctx, v, io.NopCloser(body))
	if err != nil {
		return err
	}
	if err := q.send(req); err != nil {
		return err
	}
	defer q.body.Close()
	reply, err := io.ReadAll(io.LimitReader(q.body, maxMessage))
	if err == nil && bytes.Contains(reply, []byte("DB::Exception")) {
		return q.failure(0, string(reply))
	}
	return err
}
