//go:build cgo

package duck

import (
	"encoding/json"
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// rows reads a result chunk by chunk.
type rows struct {
	q      *query
	cols   []lake.Col
	budget lake.Budget

	chunk   db.DataChunk
	vectors []vector
	size    int // rows of the chunk
	at      int // the next of them
	read    int64
	err     error
	over    bool
	closed  bool
}

func (r *rows) Columns() []lake.Col { return r.cols }
func (r *rows) Err() error          { return r.err }

// Next gives one row. Its texts are copies.
func (r *rows) Next(row []event.Value) bool {
	if r.closed || r.over {
		return false
	}
	if r.at == r.size && !r.fetch() {
		r.over = true
		return false
	}
	if r.read == r.budget.Rows {
		r.over, r.err = true, &lake.BudgetError{Spent: lake.SpentRows, Budget: r.budget}
		return false
	}
	for i := range r.vectors {
		row[i] = r.vectors[i].value(r.at)
	}
	r.at++
	r.read++
	return true
}

// fetch gets the next chunk that has rows.
func (r *rows) fetch() bool {
	db.DestroyDataChunk(&r.chunk)
	r.chunk = db.FetchChunk(r.q.res)
	if r.chunk.Ptr == nil {
		if message := db.ResultError(&r.q.res); message != "" {
			r.err = r.q.explain(typed(message))
		} else if r.q.ctx.Err() != nil {
			r.err = r.q.explain(r.q.ctx.Err())
		}
		return false
	}
	r.size, r.at = int(db.DataChunkGetSize(r.chunk)), 0
	r.vectors = r.vectors[:0]
	for i, t := range r.q.kind {
		r.vectors = append(r.vectors, newVector(db.DataChunkGetVector(r.chunk, db.IdxT(i)), t))
	}
	return r.size > 0
}

// Close frees the query. It may be called again, and while rows are left.
func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	db.DestroyDataChunk(&r.chunk)
	r.q.close()
	return nil
}

// vector is one column of a chunk, in DuckDB's memory.
type vector struct {
	kind  db.Type
	data  unsafe.Pointer
	valid unsafe.Pointer // a bit a row, or nil when all are
	child *vector        // of a list
}

func newVector(v db.Vector, kind db.Type) vector {
	out := vector{kind: kind, data: db.VectorGetData(v), valid: db.VectorGetValidity(v)}
	if kind == db.TypeList {
		child := newVector(db.ListVectorGetChild(v), db.TypeVarchar)
		out.child = &child
	}
	return out
}

func (v *vector) null(i int) bool {
	return v.valid != nil && *(*uint64)(unsafe.Add(v.valid, i/64*8))>>(i%64)&1 == 0
}

// value copies one cell out. The layouts are those that DuckDB's C interface
// promises.
func (v *vector) value(i int) event.Value {
	if v.null(i) {
		return event.Value{}
	}
	switch v.kind {
	case db.TypeBoolean:
		return event.Value{Kind: event.Bool, N: int64(*(*uint8)(unsafe.Add(v.data, i)))}
	case db.TypeBigInt:
		return event.Value{Kind: event.Int, N: *(*int64)(unsafe.Add(v.data, i*8))}
	case db.TypeDouble:
		return event.Value{Kind: event.Float, F: *(*float64)(unsafe.Add(v.data, i*8))}
	case db.TypeHugeInt:
		return v.huge(i)
	case db.TypeList:
		return event.Value{Kind: event.Text, S: v.list(i)}
	}
	return event.Value{Kind: event.Text, S: v.text(i)}
}

// huge is a 128-bit integer: an Int where it is one, else the nearest Float.
func (v *vector) huge(i int) event.Value {
	low, high := *(*uint64)(unsafe.Add(v.data, i*16)), *(*int64)(unsafe.Add(v.data, i*16+8))
	if n := int64(low); n>>63 == high {
		return event.Value{Kind: event.Int, N: n}
	}
	return event.Value{Kind: event.Float, F: float64(high)*(1<<64) + float64(low)}
}

// text is 16 bytes: a length, then the bytes themselves where they are at most
// 12, or else four of them and a pointer to all.
func (v *vector) text(i int) string {
	at := unsafe.Add(v.data, i*16)
	n := *(*uint32)(at)
	if n == 0 {
		return ""
	}
	bytes := unsafe.Add(at, 4)
	if n > 12 {
		bytes = *(*unsafe.Pointer)(unsafe.Add(at, 8))
	}
	return string(unsafe.Slice((*byte)(bytes), n))
}

// list is one JSON array of texts.
func (v *vector) list(i int) string {
	offset, n := *(*uint64)(unsafe.Add(v.data, i*16)), *(*uint64)(unsafe.Add(v.data, i*16+8))
	texts := make([]string, 0, n)
	for j := offset; j < offset+n; j++ {
		if !v.child.null(int(j)) {
			texts = append(texts, v.child.text(int(j)))
		}
	}
	out, err := json.Marshal(texts)
	if err != nil { // texts always marshal
		return "[]"
	}
	return string(out)
}
