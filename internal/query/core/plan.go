package core

// Col is a column of a plan. Names differ from each other in more than case.
type Col struct {
	Name string
	Type Type
}

// Named is an expression with the name of the column it becomes.
type Named struct {
	Name string
	Expr *Expr
}

// Plan is a relational node.
type Plan interface {
	Cols() []Col
	Inputs() []Plan
}

// Scan reads the table of events: Columns of it, rows where Filter holds (nil:
// all), in no order. From and To bound _messagetime, in ms, To exclusive; zero
// is open. They and Filter may let an engine skip files.
type Scan struct {
	Columns  []Col
	Filter   *Expr
	From, To int64
}

// Inline is a table of the request: match lists, lookups, host results.
type Inline struct {
	Name    string
	Columns []Col
	Rows    [][]any // nil, bool, int64, float64, string, []string
}

// Filter keeps the rows where Cond, a predicate, holds.
type Filter struct {
	In   Plan
	Cond *Expr
}

// Project makes each row anew: exactly Out, in that order.
type Project struct {
	In  Plan
	Out []Named
}

// Aggregate makes one row of each group of equal By values (null equals null);
// with no By, exactly one row, of no rows too.
type Aggregate struct {
	In   Plan
	By   []Named
	Aggs []Agg
}

// Agg is one aggregate of a group. Null arguments are skipped.
type Agg struct {
	Name  string
	Fn    AggFn
	Arg   *Expr   // nil for CountAll
	If    *Expr   // a predicate that rows must meet to count, or nil
	Param float64 // Pct: 0 to 100; Values: how many at most
	Order []Key   // First, Last
}

// AggFn is an aggregate function. A Float that is not finite, and an Int beyond 64
// bits, is null.
type AggFn uint8

const (
	CountAll      AggFn = iota // Int: rows
	Count                      // Int: rows whose Arg is not null
	CountDistinct              // Int: exact
	Sum                        // Int of Int, else Float; null of no values
	Avg                        // Float
	Min                        // type of Arg; texts by bytes
	Max
	StdDev // Float, population
	Pct    // Float: linear between the two nearest ranks
	Values // List: distinct texts in byte order, the first Param of them; [] of none
	First  // type of Arg, of the first row by Order, null or not
	Last
)

// Key is a sort key. Nulls come last both ways.
type Key struct {
	Expr *Expr
	Desc bool
}

// Window adds one column to each row, computed over the rows around it in its
// partition, in the given order (ties by nothing: the lowering adds keys).
type Window struct {
	In        Plan
	Name      string
	Fn        WinFn
	Arg       *Expr
	N         int64 // Lag: how far back
	From, To  int64 // frame of MovAvg, MovStd, MovCount, RunSum: rows relative to this one, e.g. -10, -1; From math.MinInt64 is unbounded
	Partition []*Expr
	Order     []Key
}

// WinFn is a window function.
type WinFn uint8

const (
	RowNumber WinFn = iota // Int, from 1
	Lag                    // Arg of the Nth row before; null before the first
	MovAvg                 // Float, of the non-null values in the frame; null of none
	MovStd                 // Float, population
	MovCount               // Int: non-null values in the frame
	MovSum                 // Float; null of none
	MovMin                 // type of Arg
	MovMax
	TotalSum // Float, over the partition
	Rank     // Int: 1 + rows before with smaller keys
)

// Sort orders the rows. Only Limit and the result's reader heed it.
type Sort struct {
	In   Plan
	Keys []Key
}

// Limit keeps the first N rows of its input's order.
type Limit struct {
	In Plan
	N  int64
}

// JoinKind says which rows without a partner stay.
type JoinKind uint8

const (
	Inner JoinKind = iota
	Left           // left rows stay, right columns null
	Semi           // left rows that have a partner, once
	Anti           // left rows that have none
)

// Join pairs rows where each of On's left and right expressions are equal
// texts or numbers (null equals nothing) and Cond, when given, holds. Columns
// are L's, then R's; their names must differ.
type Join struct {
	L, R Plan
	Kind JoinKind
	On   [][2]*Expr
	Cond *Expr
}

// Union is the rows of all inputs. They have the same columns.
type Union struct{ Ins []Plan }

// Unnest makes one row of each element of List, in a new column Name; a row
// whose list is null or empty gives none, or with Keep one whose Name is null.
type Unnest struct {
	In   Plan
	List *Expr
	Name string
	Keep bool
}

// Host is a stage that runs outside the engine, over all rows of In, sorted as
// In says: what SQL cannot state alike in every dialect (connected groups,
// columns named by data). Run is given at most MaxRows rows and must heed its
// own memory; its rows become an Inline table for what follows.
type Host struct {
	In      Plan
	Name    string
	Out     []Col // nil when only Run knows
	MaxRows int64
	Run     func(cols []Col, rows [][]any) (out []Col, res [][]any, warnings []string, err error)
}

func (s *Scan) Cols() []Col   { return s.Columns }
func (i *Inline) Cols() []Col { return i.Columns }
func (f *Filter) Cols() []Col { return f.In.Cols() }
func (s *Sort) Cols() []Col   { return s.In.Cols() }
func (l *Limit) Cols() []Col  { return l.In.Cols() }
func (u *Union) Cols() []Col  { return u.Ins[0].Cols() }
func (h *Host) Cols() []Col   { return h.Out }

func (p *Project) Cols() []Col { return named(nil, p.Out) }

func (a *Aggregate) Cols() []Col {
	cols := named(nil, a.By)
	for i := range a.Aggs {
		cols = append(cols, Col{a.Aggs[i].Name, a.Aggs[i].Type()})
	}
	return cols
}

func (w *Window) Cols() []Col {
	cols := w.In.Cols()
	return append(cols[:len(cols):len(cols)], Col{w.Name, w.Type()})
}

func (j *Join) Cols() []Col {
	cols := j.L.Cols()
	if j.Kind == Semi || j.Kind == Anti {
		return cols
	}
	return append(cols[:len(cols):len(cols)], j.R.Cols()...)
}

func (u *Unnest) Cols() []Col {
	cols := u.In.Cols()
	return append(cols[:len(cols):len(cols)], Col{u.Name, Text})
}

func named(cols []Col, out []Named) []Col {
	for _, n := range out {
		cols = append(cols, Col{n.Name, n.Expr.Type})
	}
	return cols
}

// Type is the type of an aggregate's column.
func (a *Agg) Type() Type {
	switch a.Fn {
	case CountAll, Count, CountDistinct:
		return Int
	case Sum:
		if a.Arg.Type == Int {
			return Int
		}
		return Float
	case Avg, StdDev, Pct:
		return Float
	case Values:
		return List
	}
	return a.Arg.Type
}

// Type is the type of the window's column.
func (w *Window) Type() Type {
	switch w.Fn {
	case RowNumber, MovCount, Rank:
		return Int
	case Lag, MovMin, MovMax:
		return w.Arg.Type
	}
	return Float
}

func (*Scan) Inputs() []Plan        { return nil }
func (*Inline) Inputs() []Plan      { return nil }
func (f *Filter) Inputs() []Plan    { return []Plan{f.In} }
func (p *Project) Inputs() []Plan   { return []Plan{p.In} }
func (a *Aggregate) Inputs() []Plan { return []Plan{a.In} }
func (w *Window) Inputs() []Plan    { return []Plan{w.In} }
func (s *Sort) Inputs() []Plan      { return []Plan{s.In} }
func (l *Limit) Inputs() []Plan     { return []Plan{l.In} }
func (j *Join) Inputs() []Plan      { return []Plan{j.L, j.R} }
func (u *Union) Inputs() []Plan     { return u.Ins }
func (u *Unnest) Inputs() []Plan    { return []Plan{u.In} }
func (h *Host) Inputs() []Plan      { return []Plan{h.In} }
