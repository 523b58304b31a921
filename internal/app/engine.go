package app

import (
	"fmt"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
)

// EngineOptions choose what runs queries.
type EngineOptions struct {
	Kind string // duckdb, in this process
	Temp string // folder for what does not fit in memory; "": the system's for temporary files
}

// OpenEngine opens an engine for a command.
func OpenEngine(o EngineOptions) (lake.Engine, error) {
	switch o.Kind {
	case "", "duckdb":
		return duck.Open(duck.Options{Temp: o.Temp})
	}
	return nil, fmt.Errorf("unknown engine %q", o.Kind)
}
