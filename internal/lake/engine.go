package lake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/event"
)

// An Engine runs SQL over the Parquet files of a lake. It knows no language but
// SQL; what it is given was printed for its dialect.
//
// Engines are safe for concurrent use. Query reads only: no statement can
// change a file, a setting or the network's state, and none can read a file
// that the request does not name.
type Engine interface {
	// Dialect names the table of internal/query/sql that prints for it.
	Dialect() string
	// Query starts the statement. The rows must be closed. An error is a
	// *BudgetError when a bound of the request ended it, a *SQLError when the
	// engine refuses the statement, or else the engine itself failed.
	Query(ctx context.Context, r Request) (Rows, error)
	Close() error
}

// A Request is one statement and what it may see and spend.
type Request struct {
	SQL   string
	Files []string // Parquet files behind the table "events": paths, or s3:// addresses
	Temps []Temp   // further tables, by name
	// From and To bound what "events" shows, by its time, To exclusive; zero is
	// open. Printed plans say it themselves; statements of users do not.
	From, To time.Time
	Budget   Budget
	// Progress is called now and then with the fraction done, 0 to 1, or less
	// than 0 when the engine cannot tell. It may be nil.
	Progress func(float64)
}

// Temp is a small table that rides along with a request: a match list, a lookup
// file, the rows of a stage that ran outside the engine.
type Temp struct {
	Name    string
	Columns []Col
	Rows    [][]event.Value
}

// Col names a column of a result or temporary table. A List column holds text
// arrays; the engine gives them as one JSON array of strings in a Text value.
type Col struct {
	Name string
	Kind event.Kind
	List bool
}

// Rows is a result being read, by one goroutine.
type Rows interface {
	Columns() []Col
	// Next fills row, of len(Columns()) cells, and reports whether there was
	// one. After false, Err says why.
	Next(row []event.Value) bool
	Err() error
	Close() error
}

// Budget bounds one query. A zero field takes the default.
type Budget struct {
	Memory  int64         // bytes; 512 MiB
	Time    time.Duration // 60 s
	Rows    int64         // of the result; 100,000
	Threads int           // as many as the machine has, halved under serve
}

// WithDefaults fills in what is zero.
func (b Budget) WithDefaults() Budget {
	if b.Memory == 0 {
		b.Memory = 512 << 20
	}
	if b.Time == 0 {
		b.Time = time.Minute
	}
	if b.Rows == 0 {
		b.Rows = 100_000
	}
	return b
}

// Spent names the bound that a query ran into.
type Spent string

const (
	SpentMemory Spent = "memory"
	SpentTime   Spent = "time"
	SpentRows   Spent = "rows"
)

// A BudgetError is the typed end of a query that wanted too much. Rows read
// before it are true, and not all.
type BudgetError struct {
	Spent  Spent
	Budget Budget
}

func (e *BudgetError) Error() string {
	switch e.Spent {
	case SpentMemory:
		return fmt.Sprintf("the query needs more than %d MiB of memory; narrow its time or its fields, or raise --memory", e.Budget.Memory>>20)
	case SpentTime:
		return fmt.Sprintf("the query took longer than %v; narrow its time, or raise --timeout", e.Budget.Time)
	}
	return fmt.Sprintf("the query has more than %d rows; add a limit or an aggregate, or raise --max-rows", e.Budget.Rows)
}

// A SQLError is a statement that the engine refused. From printed SQL it is a
// fault of ours; from `hunt --sql` it is the user's.
type SQLError struct{ Message string }

func (e *SQLError) Error() string { return e.Message }

// ErrEngine is wrapped by errors of an engine that died or cannot be reached.
var ErrEngine = errors.New("query engine failed")
