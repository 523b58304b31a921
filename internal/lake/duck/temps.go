//go:build cgo

package duck

import (
	"fmt"
	"strings"
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// createTemps makes the request's small tables. Lists arrive as JSON texts: a
// view over the table reads them as lists.
func (d *database) createTemps(temps []lake.Temp) error {
	for i, t := range temps {
		if strings.EqualFold(t.Name, "events") {
			return fmt.Errorf("%w: a table of the request is called events", lake.ErrEngine)
		}
		if err := d.createTemp(t, fmt.Sprintf("temp_%d_", i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) createTemp(t lake.Temp, table string) error {
	cols, items := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = fmt.Sprintf("c%d %s", i, sqlTypes[c.Kind])
		items[i] = fmt.Sprintf("c%d AS %s", i, ident(c.Name))
		if c.List {
			items[i] = fmt.Sprintf("CAST(CAST(c%d AS JSON) AS VARCHAR[]) AS %s", i, ident(c.Name))
		}
	}
	if err := d.exec("CREATE TABLE " + table + " (" + strings.Join(cols, ", ") + ")"); err != nil {
		return err
	}
	if err := d.appendRows(t, table); err != nil {
		return err
	}
	return d.exec("CREATE VIEW " + ident(t.Name) + " AS SELECT " + strings.Join(items, ", ") + " FROM " + table)
}

// appendRows copies the rows in, a vector's worth at a time.
func (d *database) appendRows(t lake.Temp, table string) error {
	types := make([]db.LogicalType, len(t.Columns))
	for i, c := range t.Columns {
		types[i] = db.CreateLogicalType(vectorTypes[c.Kind])
		defer db.DestroyLogicalType(&types[i])
	}
	var app db.Appender
	defer db.AppenderDestroy(&app)
	if db.AppenderCreateExt(d.conn, "", "", table, &app) == db.StateError {
		return typed(db.AppenderError(app))
	}
	step := int(db.VectorSize())
	for from := 0; from < len(t.Rows); from += step {
		if err := appendChunk(app, types, t, t.Rows[from:min(from+step, len(t.Rows))]); err != nil {
			return err
		}
	}
	if db.AppenderClose(app) == db.StateError {
		return typed(db.AppenderError(app))
	}
	return nil
}

var vectorTypes = map[event.Kind]db.Type{event.None: db.TypeVarchar, event.Text: db.TypeVarchar, event.Int: db.TypeBigInt, event.Float: db.TypeDouble, event.Bool: db.TypeBoolean}

func appendChunk(app db.Appender, types []db.LogicalType, t lake.Temp, part [][]event.Value) error {
	chunk := db.CreateDataChunk(types)
	defer db.DestroyDataChunk(&chunk)
	for c, col := range t.Columns {
		v := db.DataChunkGetVector(chunk, db.IdxT(c))
		data := db.VectorGetData(v)
		db.VectorEnsureValidityWritable(v)
		valid := db.VectorGetValidity(v)
		for i, row := range part {
			if !setCell(v, data, i, row[c], col.Kind) {
				*(*uint64)(unsafe.Add(valid, i/64*8)) &^= 1 << (i % 64)
			}
		}
	}
	db.DataChunkSetSize(chunk, db.IdxT(len(part)))
	if db.AppendDataChunk(app, chunk) == db.StateError {
		return typed(db.AppenderError(app))
	}
	return nil
}

// setCell writes one cell and reports false for null. A value of another kind
// than its column's is null, save that integers fit columns of floats.
func setCell(v db.Vector, data unsafe.Pointer, i int, x event.Value, kind event.Kind) bool {
	switch {
	case x.Kind == event.Int && kind == event.Float:
		*(*float64)(unsafe.Add(data, i*8)) = float64(x.N)
	case x.Kind != kind || x.Kind == event.None:
		return false
	case kind == event.Text:
		db.VectorAssignStringElement(v, db.IdxT(i), strings.ToValidUTF8(x.S, "\uFFFD"))
	case kind == event.Int:
		*(*int64)(unsafe.Add(data, i*8)) = x.N
	case kind == event.Float:
		*(*float64)(unsafe.Add(data, i*8)) = x.F
	case kind == event.Bool:
		*(*uint8)(unsafe.Add(data, i)) = uint8(x.N & 1)
	}
	return true
}
