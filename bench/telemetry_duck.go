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
			n, err = number(&res)
		}
		db.DestroyResult(&res)
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// number reads the one number of a result; 0 of a statement without rows.
func number(res *db.Result) (int64, error) {
	chunk := db.FetchChunk(*res)
	if chunk.Ptr == nil {
		return 0, nil
	}
	defer db.DestroyDataChunk(&chunk)
	if db.DataChunkGetSize(chunk) == 0 {
		return 0, nil
	}
	data := db.VectorGetData(db.DataChunkGetVector(chunk, 0))
	switch t := db.ColumnType(res, 0); t {
	case db.TypeBigInt, db.TypeHugeInt: // the low half of what is small
		return *(*int64)(data), nil
	case db.TypeInteger:
		return int64(*(*int32)(data)), nil
	default:
		return 0, fmt.Errorf("DuckDB: the number is of type %v", t)
	}
}

func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
