//go:build cgo

package duck_test

import (
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

// closures run plans without an engine: what DuckDB must agree with.
func closures(t *testing.T, p core.Plan) [][]any {
	t.Helper()
	table, err := eval.Run(t.Context(), p, nil, eval.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]any, len(table.Rows))
	for i, row := range table.Rows {
		for _, v := range row {
			rows[i] = append(rows[i], v.Any())
		}
	}
	return rows
}

func TestAgree(t *testing.T) { querytest.Agree(t, 2000, runOn(open(t)), closures) }

func TestAgreePlans(t *testing.T) { querytest.AgreePlans(t, 150, runOn(open(t)), closures) }
