//go:build cgo

package duck_test

import (
	"testing"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/querytest"
)

func open(t *testing.T) lake.Engine {
	t.Helper()
	e, err := duck.Open(duck.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// runOn runs plans on an engine, without files.
func runOn(e lake.Engine) querytest.Run {
	return func(t *testing.T, p core.Plan) [][]any {
		t.Helper()
		rows, err := query.Run(t.Context(), e, query.Job{Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		all, err := rows.All()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
}

func TestExprs(t *testing.T) { querytest.Exprs(t, querytest.OverPlans(runOn(open(t)))) }

func TestPlans(t *testing.T) { querytest.Plans(t, runOn(open(t))) }
