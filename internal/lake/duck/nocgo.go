//go:build !cgo

package duck

import (
	"context"
	"fmt"

	"gatehouse/internal/lake"
)

// Engine stands in where the program was built without cgo.
type Engine struct{}

var _ lake.Engine = (*Engine)(nil)

var errBuild = fmt.Errorf("%w: this program was built without cgo, and so without DuckDB; hunts need a build with it", lake.ErrEngine)

// Open says what is missing.
func Open(Options) (*Engine, error) { return nil, errBuild }

func (*Engine) Dialect() string { return "duckdb" }
func (*Engine) Close() error    { return nil }

// Query is not reached: there is no Engine to ask.
func (*Engine) Query(context.Context, lake.Request) (lake.Rows, error) {
	return nil, errBuild
}
