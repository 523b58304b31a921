package app

import (
	"fmt"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/clickhouse"
	"gatehouse/internal/lake/duck"
)

// EngineOptions choose what runs queries.
type EngineOptions struct {
	Kind string // duckdb, in this process, or clickhouse, on the server of DSN
	DSN  string
	Temp string // folder for what does not fit in memory; "": the system's for temporary files
}

// OpenEngine opens an engine for a command.
func OpenEngine(o EngineOptions) (lake.Engine, error) {
	switch o.Kind {
	case "", "duckdb":
		return duck.Open(duck.Options{Temp: o.Temp})
	case "clickhouse":
		return clickhouse.Open(clickhouse.Options{DSN: o.DSN})
	}
	return nil, fmt.Errorf("unknown engine %q", o.Kind)
}
