package app

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/op"
)

// Bounds of a lookup table, which rides along with a query.
const (
	maxLookupBytes = 64 << 20
	maxLookupRows  = 1 << 20
)

// LookupFile reads a CSV file for lookup and cat. Its first line names the
// columns; all values are text.
func LookupFile(name string) (*op.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxLookupBytes {
		return nil, fmt.Errorf("%s is no file of at most %d MiB", name, maxLookupBytes>>20)
	}
	r := csv.NewReader(f)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: names of the columns: %w", name, err)
	}
	t := &op.Table{}
	for _, column := range head {
		t.Columns = append(t.Columns, core.Col{Name: column, Type: core.Text})
	}
	for {
		line, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case len(t.Rows) == maxLookupRows:
			return nil, fmt.Errorf("%s has more than %d rows", name, maxLookupRows)
		}
		row := make([]any, len(line))
		for i, cell := range line {
			row[i] = cell
		}
		t.Rows = append(t.Rows, row)
	}
}
