//go:build cgo

package duck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	db "github.com/duckdb/duckdb-go-bindings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// query is one statement in its database, from start to close.
type query struct {
	r      lake.Request
	ctx    context.Context // ends at the time budget
	caller context.Context
	cancel context.CancelFunc

	d    *database
	stmt db.PreparedStatement
	res  db.Result
	cols []lake.Col
	kind []db.Type // of the columns as they are read

	watch sync.WaitGroup // the goroutine that interrupts
	done  chan struct{}
}

func newQuery(ctx context.Context, r lake.Request) *query {
	q := &query{r: r, caller: ctx, done: make(chan struct{})}
	q.ctx, q.cancel = context.WithTimeout(ctx, r.Budget.Time)
	return q
}

// start brings the query to where rows can be fetched.
func (q *query) start(o Options) error {
	var err error
	if err = q.ctx.Err(); err != nil {
		return q.explain(err)
	}
	if q.d, err = openDatabase(q.r.Budget, o); err != nil {
		return err
	}
	q.watch.Go(q.interrupt)
	for _, step := range []func() error{
		func() error { return ours(q.d.shut(q.r.Files, q.r.Budget)) },
		func() error { return ours(q.d.createEvents(q.r)) },
		func() error { return ours(q.d.createTemps(q.r.Temps)) },
		q.prepare,
		q.execute,
	} {
		if err := step(); err != nil {
			return q.explain(err)
		}
	}
	return nil
}

// interrupt ends the statement when the context does. It asks again, since an
// interrupt that comes between two statements is lost.
func (q *query) interrupt() {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-q.done:
			return
		case <-every.C:
			if q.ctx.Err() != nil {
				db.Interrupt(q.d.conn)
			} else {
				q.progress()
			}
		case <-q.ctx.Done():
			db.Interrupt(q.d.conn)
			select {
			case <-q.done:
				return
			case <-every.C:
			}
		}
	}
}

func (q *query) progress() {
	if q.r.Progress == nil {
		return
	}
	p := db.QueryProgress(q.d.conn)
	percent, _, _ := db.QueryProgressTypeMembers(&p)
	q.r.Progress(percent / 100)
}

// prepare checks the statement and wraps it, so that all its columns are of
// types that we read and its rows end one after the budget.
func (q *query) prepare() error {
	types, err := q.check()
	if err != nil {
		return err
	}
	items, names := make([]string, len(types)), make([]string, len(types))
	for i, t := range types {
		names[i] = fmt.Sprintf("c%d", i+1)
		items[i] = names[i]
		if cast, ok := casts[t]; ok {
			items[i] = "CAST(" + names[i] + " AS " + cast + ")"
		}
	}
	wrapped := fmt.Sprintf("SELECT %s FROM (\n%s\n) AS t(%s) LIMIT %d",
		strings.Join(items, ", "), strings.TrimRight(q.r.SQL, "; \t\r\n"), strings.Join(names, ", "), q.r.Budget.Rows+1)
	if db.Prepare(q.d.conn, wrapped, &q.stmt) == db.StateError {
		return typed(db.PrepareError(q.stmt))
	}
	for i := range q.cols {
		q.kind = append(q.kind, db.PreparedStatementColumnType(q.stmt, db.IdxT(i)))
		q.cols[i].Kind, q.cols[i].List = kindOf(q.kind[i])
	}
	return nil
}

// check asks DuckDB whether the text is one statement that reads, names the
// columns and gives their types.
func (q *query) check() ([]db.Type, error) {
	if strings.IndexByte(q.r.SQL, 0) >= 0 {
		return nil, &lake.SQLError{Message: "the statement holds a NUL character"}
	}
	var all db.ExtractedStatements
	n := db.ExtractStatements(q.d.conn, q.r.SQL, &all)
	defer db.DestroyExtracted(&all)
	if message := db.ExtractStatementsError(all); n == 0 && message != "" {
		return nil, typed(message)
	}
	if n != 1 {
		return nil, &lake.SQLError{Message: fmt.Sprintf("a query is one statement, and this is %d", n)}
	}
	var stmt db.PreparedStatement
	defer db.DestroyPrepare(&stmt)
	if db.PrepareExtractedStatement(q.d.conn, all, 0, &stmt) == db.StateError {
		return nil, typed(db.PrepareError(stmt))
	}
	if db.PreparedStatementType(stmt) != db.StatementTypeSelect {
		return nil, &lake.SQLError{Message: "a query must be a SELECT; nothing else may run here"}
	}
	var types []db.Type
	for i := range db.PreparedStatementColumnCount(stmt) {
		q.cols = append(q.cols, lake.Col{Name: db.PreparedStatementColumnName(stmt, i)})
		types = append(types, readAs(stmt, i))
	}
	return types, nil
}

// readAs is the type of a column; a list of what is not text counts as another
// type, to be cast.
func readAs(stmt db.PreparedStatement, i db.IdxT) db.Type {
	t := db.PreparedStatementColumnType(stmt, i)
	if t != db.TypeList {
		return t
	}
	l := db.PreparedStatementColumnLogicalType(stmt, i)
	defer db.DestroyLogicalType(&l)
	child := db.ListTypeChildType(l)
	defer db.DestroyLogicalType(&child)
	if db.GetTypeId(child) == db.TypeVarchar {
		return db.TypeList
	}
	return listOfOther
}

const listOfOther = db.TypeArray

// casts are for types that are not read as they are.
var casts = map[db.Type]string{
	db.TypeTinyInt: "BIGINT", db.TypeSmallInt: "BIGINT", db.TypeInteger: "BIGINT",
	db.TypeUTinyInt: "BIGINT", db.TypeUSmallInt: "BIGINT", db.TypeUInteger: "BIGINT",
	db.TypeUBigInt: "HUGEINT", db.TypeUHugeInt: "DOUBLE", db.TypeFloat: "DOUBLE", db.TypeDecimal: "DOUBLE",
	listOfOther:      "VARCHAR[]",
	db.TypeTimestamp: "VARCHAR", db.TypeDate: "VARCHAR", db.TypeTime: "VARCHAR", db.TypeInterval: "VARCHAR",
	db.TypeBlob: "VARCHAR", db.TypeTimestampS: "VARCHAR", db.TypeTimestampMS: "VARCHAR", db.TypeTimestampNS: "VARCHAR",
	db.TypeEnum: "VARCHAR", db.TypeStruct: "VARCHAR", db.TypeMap: "VARCHAR", db.TypeUUID: "VARCHAR",
	db.TypeUnion: "VARCHAR", db.TypeBit: "VARCHAR", db.TypeTimeTZ: "VARCHAR", db.TypeTimestampTZ: "VARCHAR",
	db.TypeBigNum: "VARCHAR", db.TypeSQLNull: "VARCHAR", db.TypeTimeNS: "VARCHAR", db.TypeVariant: "VARCHAR",
	db.TypeGeometry: "VARCHAR", db.TypeStringLiteral: "VARCHAR", db.TypeIntegerLiteral: "BIGINT",
}

func kindOf(t db.Type) (event.Kind, bool) {
	switch t {
	case db.TypeBoolean:
		return event.Bool, false
	case db.TypeBigInt, db.TypeHugeInt:
		return event.Int, false
	case db.TypeDouble:
		return event.Float, false
	case db.TypeList:
		return event.Text, true
	}
	return event.Text, false
}

// execute begins the statement. Rows stream: what is not fetched is not held.
// The binding calls the streaming interface deprecated, in favour of none.
func (q *query) execute() error {
	var pending db.PendingResult
	defer db.DestroyPending(&pending)
	if db.PendingPreparedStreaming(q.stmt, &pending) == db.StateError {
		return typed(db.PendingError(pending))
	}
	if db.ExecutePending(pending, &q.res) == db.StateError {
		return typed(db.ResultError(&q.res))
	}
	return nil
}

// explain says which bound an error comes from.
func (q *query) explain(err error) error {
	switch {
	case q.caller.Err() != nil:
		return q.caller.Err()
	case errors.Is(err, errMemory):
		return &lake.BudgetError{Spent: lake.SpentMemory, Budget: q.r.Budget}
	case q.ctx.Err() != nil:
		return &lake.BudgetError{Spent: lake.SpentTime, Budget: q.r.Budget}
	case errors.Is(err, errInterrupt):
		return fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	return err
}

// close ends what runs and frees the database.
func (q *query) close() {
	q.cancel()
	if q.d == nil {
		return
	}
	close(q.done)
	q.watch.Wait()
	db.Interrupt(q.d.conn)
	db.DestroyResult(&q.res)
	db.DestroyPrepare(&q.stmt)
	q.d.close()
}
