package main

import (
	"fmt"
	"strings"

	db "github.com/duckdb/duckdb-go-bindings"
)

// The peer of ingest is the DuckDB that the program itself is linked with, asked
// as anyone would ask it, and not by way of internal/lake/duck, which lets no
// statement read what it was not given.

// plainDuck runs statements in a database in memory, on one thread. The last
// must give one number, which is returned.
func plainDuck(statements ...string) (n int64, err error) {
	var base db.Database
	var conn db.Connection
	if db.Open(":memory:", &base) == db.StateError {
		return 0, fmt.Errorf("DuckDB does not open")
	}
	defer db.Close(&base)
	if db.Connect(base, &conn) == db.StateError {
		return 0, fmt.Errorf("DuckDB does not connect")
	}
	defer db.Disconnect(&conn)
	for _, s := range append([]string{"SET threads = 1"}, statements...) {
		var res db.Result
		if db.Query(conn, s, &res) == db.StateError {
			err = fmt.Errorf("DuckDB: %s: %s", s, db.ResultError(&res))
		} else {
			n = db.ValueInt64(&res, 0, 0)
		}
		db.DestroyResult(&res)
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
