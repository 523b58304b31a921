package app

import (
	"fmt"
	"runtime"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/clickhouse"
	"gatehouse/internal/lake/duck"
)

// EngineOptions choose what runs queries.
type EngineOptions struct {
	Kind string // duckdb, in this process, or clickhouse, on the server of DSN
	DSN  string
	// Alone runs duckdb in a child, which the machine bounds where DuckDB does
	// not: a single function of a user's own statement may ask for gigabytes.
	Alone bool
	Temp  string // folder for what does not fit in memory; "": the system's for temporary files
}

// OpenEngine opens an engine for a command.
func OpenEngine(o EngineOptions) (lake.Engine, error) {
	switch o.Kind {
	case "", "duckdb":
		if o.Alone {
			return duck.OpenChildren(duck.ChildOptions{
				Options: duck.Options{Temp: o.Temp, Threads: runtime.GOMAXPROCS(0)}, Args: []string{ChildArg}, Most: 1,
			})
		}
		return duck.Open(duck.Options{Temp: o.Temp})
	case "clickhouse":
		return clickhouse.Open(clickhouse.Options{DSN: o.DSN})
	}
	return nil, fmt.Errorf("unknown engine %q", o.Kind)
}
