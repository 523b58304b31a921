package eval

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// Check says what is wrong with a plan, nil when nothing is: expressions are of
// the types that their ops take, columns exist, differ in name and have the
// types that expressions say, predicates stand where predicates are due. Above
// a Host whose columns only its Run knows, names cannot be checked, and nothing
// is; Run checks there once they are known.
func Check(plan core.Plan) error {
	w := &walk{seen: map[core.Plan]checked{}}
	w.plan(plan, 0)
	return w.err
}

// walk is Check on its way. Nodes may be shared.
type walk struct {
	seen map[core.Plan]checked
	err  error // the first
}

// checked are a node's columns, as far as they are known.
type checked struct {
	cols  []core.Col
	known bool
}

func (w *walk) plan(p core.Plan, depth int) checked {
	if depth > maxDepth {
		w.err = fmt.Errorf("plans nest deeper than %d", maxDepth)
	}
	if isNil(p) && w.err == nil {
		w.err = errors.New("a plan is missing")
	}
	if w.err != nil {
		return checked{}
	}
	if c, ok := w.seen[p]; ok {
		return c
	}
	ins, known := [][]core.Col{}, true
	for _, in := range p.Inputs() {
		c := w.plan(in, depth+1)
		ins, known = append(ins, c.cols), known && c.known
	}
	var c checked
	if known && w.err == nil {
		c.cols, w.err = nodeCols(p, ins)
		c.known = w.err == nil
	}
	if h, ok := p.(*core.Host); ok && w.err == nil {
		c = checked{h.Out, h.Out != nil}
	}
	w.seen[p] = c
	return c
}

// isNil says that there is no node, or a nil one of a type.
func isNil(p core.Plan) bool {
	v := reflect.ValueOf(p)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// nodeCols checks one node over inputs of these columns, and gives its own.
func nodeCols(p core.Plan, ins [][]core.Col) ([]core.Col, error) {
	cols, err := nodeOf(p, ins)
	if err == nil {
		err = checkNames(cols)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", p), "*core.")), err)
	}
	return cols, nil
}

func nodeOf(p core.Plan, ins [][]core.Col) ([]core.Col, error) {
	switch p := p.(type) {
	case *core.Scan:
		return p.Columns, checkScan(p)
	case *core.Inline:
		return p.Columns, checkInline(p)
	case *core.Filter:
		return ins[0], checkPredicate(p.Cond, ins[0])
	case *core.Project:
		return namedCols(p.Out, ins[0])
	case *core.Aggregate:
		return aggregateCols(p, ins[0])
	case *core.Window:
		return windowCols(p, ins[0])
	case *core.Sort:
		return ins[0], checkKeys(p.Keys, ins[0])
	case *core.Limit:
		if p.N < 0 {
			return nil, fmt.Errorf("of %d rows", p.N)
		}
		return ins[0], nil
	case *core.Join:
		return joinCols(p, ins[0], ins[1])
	case *core.Union:
		if len(ins) == 0 {
			return nil, errors.New("of nothing")
		}
		return ins[0], checkUnion(ins)
	case *core.Unnest:
		return plus(ins[0], core.Col{Name: p.Name, Type: core.Text}), checkType(p.List, ins[0], "l")
	case *core.Host:
		if p.Run == nil || p.MaxRows < 0 {
			return nil, errors.New("it cannot run")
		}
		return p.Out, nil
	}
	return nil, errors.New("core has no such node")
}

func plus(cols []core.Col, more ...core.Col) []core.Col {
	return append(cols[:len(cols):len(cols)], more...)
}

// checkNames holds when names differ in more than case.
func checkNames(cols []core.Col) error {
	seen := make(map[string]bool, len(cols))
	for _, c := range cols {
		key := strings.ToLower(c.Name)
		if c.Name == "" || seen[key] {
			return fmt.Errorf("two columns have the name %q, or none", c.Name)
		}
		if c.Type > core.List {
			return fmt.Errorf("%q is of no type", c.Name)
		}
		seen[key] = true
	}
	return nil
}

func checkPredicate(e *core.Expr, cols []core.Col) error {
	if err := checkExpr(e, cols); err != nil {
		return err
	}
	if !predicate(e) {
		return fmt.Errorf("%s of type %v is no predicate", Name(e.Op), e.Type)
	}
	return nil
}

// checkType holds when e is of a type that the letter of signatures takes.
func checkType(e *core.Expr, cols []core.Col, letter string) error {
	if err := checkExpr(e, cols); err != nil {
		return err
	}
	if !is(e.Type, letter[0]) {
		return fmt.Errorf("%s is of type %v, want %v", Name(e.Op), e.Type, takes[letter[0]])
	}
	return nil
}

func namedCols(out []core.Named, in []core.Col) ([]core.Col, error) {
	var cols []core.Col
	for _, n := range out {
		if err := checkExpr(n.Expr, in); err != nil {
			return nil, fmt.Errorf("%q: %w", n.Name, err)
		}
		cols = append(cols, core.Col{Name: n.Name, Type: n.Expr.Type})
	}
	return cols, nil
}

// checkKeys: everything but lists has an order.
func checkKeys(keys []core.Key, cols []core.Col) error {
	for _, k := range keys {
		if err := checkType(k.Expr, cols, "o"); err != nil {
			return err
		}
	}
	return nil
}

// checkScan: its filter may read columns of the table that the scan does not
// give.
func checkScan(s *core.Scan) error {
	if s.Filter == nil {
		return nil
	}
	c := &checker{nodes: map[*core.Expr]int{}}
	if err := c.expr(s.Filter, 0); err != nil {
		return err
	}
	return checkPredicate(s.Filter, scanned(s))
}

// scanned are the columns that a scan must read: its own, the time when it is
// bounded, and those of its filter.
func scanned(s *core.Scan) []core.Col {
	cols := plus(s.Columns)
	need := func(c core.Col) {
		if !slices.ContainsFunc(cols, func(have core.Col) bool { return have.Name == c.Name }) {
			cols = append(cols, c)
		}
	}
	if s.From != 0 || s.To != 0 {
		need(core.Col{Name: timeColumn, Type: core.Int})
	}
	core.Walk(s.Filter, func(e *core.Expr) {
		if e.Op == core.Column {
			need(core.Col{Name: e.Name, Type: e.Type})
		}
	})
	return cols
}

// timeColumn is what From and To of a Scan bound.
const timeColumn = "_messagetime"

func checkInline(t *core.Inline) error {
	for i, row := range t.Rows {
		if _, err := fromAny(row, t.Columns); err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
	}
	return nil
}

// fromAny makes a row of values of these columns.
func fromAny(row []any, cols []core.Col) ([]Value, error) {
	if len(row) != len(cols) {
		return nil, fmt.Errorf("%d values for %d columns", len(row), len(cols))
	}
	values := make([]Value, len(row))
	for i, x := range row {
		v, err := FromAny(x)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", cols[i].Name, err)
		}
		if !v.IsNull() && v.Type != cols[i].Type {
			return nil, fmt.Errorf("%q is of type %v, the value of type %v", cols[i].Name, cols[i].Type, v.Type)
		}
		values[i] = v
	}
	return values, nil
}

func joinCols(j *core.Join, l, r []core.Col) ([]core.Col, error) {
	if j.Kind > core.Anti {
		return nil, errors.New("there is no such kind")
	}
	for _, on := range j.On {
		if err := checkPair(on, l, r); err != nil {
			return nil, err
		}
	}
	both := plus(l, r...)
	if j.Cond != nil {
		if err := errors.Join(checkNames(both), checkPredicate(j.Cond, both)); err != nil {
			return nil, err
		}
	}
	if j.Kind == core.Semi || j.Kind == core.Anti {
		return l, nil
	}
	return both, nil
}

// checkPair: texts are equal to texts, numbers to numbers.
func checkPair(on [2]*core.Expr, l, r []core.Col) error {
	a := checkType(on[0], l, "q")
	b := checkType(on[1], r, "q")
	if a != nil || b != nil {
		return errors.Join(a, b)
	}
	if x, y := on[0].Type, on[1].Type; x != core.Null && y != core.Null && x.Number() != y.Number() {
		return fmt.Errorf("on %v and %v, which are never equal", x, y)
	}
	return nil
}

// checkUnion: all have the columns of the first; what is null there throughout
// is of every type.
func checkUnion(ins [][]core.Col) error {
	for _, cols := range ins[1:] {
		if len(cols) != len(ins[0]) {
			return fmt.Errorf("of %d and of %d columns", len(ins[0]), len(cols))
		}
		for i, c := range cols {
			if first := ins[0][i]; c.Name != first.Name || c.Type != first.Type && c.Type != core.Null {
				return fmt.Errorf("of %q of type %v and %q of type %v", first.Name, first.Type, c.Name, c.Type)
			}
		}
	}
	return nil
}

// aggArgs are what aggregates take: a letter of signatures, or none.
var aggArgs = map[core.AggFn]string{
	core.CountAll: "", core.Count: "x", core.CountDistinct: "x", core.Sum: "n", core.Avg: "n", core.Min: "o", core.Max: "o",
	core.StdDev: "n", core.Pct: "n", core.Values: "t", core.First: "x", core.Last: "x",
}

func aggregateCols(a *core.Aggregate, in []core.Col) ([]core.Col, error) {
	cols, err := namedCols(a.By, in)
	if err != nil {
		return nil, err
	}
	for i := range a.Aggs {
		if err := checkAgg(&a.Aggs[i], in); err != nil {
			return nil, fmt.Errorf("%q: %w", a.Aggs[i].Name, err)
		}
		cols = append(cols, core.Col{Name: a.Aggs[i].Name, Type: a.Aggs[i].Type()})
	}
	return cols, nil
}

func checkAgg(g *core.Agg, in []core.Col) error {
	letter, ok := aggArgs[g.Fn]
	switch {
	case !ok:
		return errors.New("there is no such aggregate")
	case g.Fn == core.Pct && !(g.Param >= 0 && g.Param <= 100):
		return fmt.Errorf("the percentile %v", g.Param)
	case g.Fn == core.Values && !(g.Param >= 1 && g.Param <= math.MaxInt32):
		return fmt.Errorf("at most %v values", g.Param)
	case (g.Fn == core.First || g.Fn == core.Last) && len(g.Order) == 0:
		return errors.New("of no order")
	}
	if g.If != nil {
		if err := checkPredicate(g.If, in); err != nil {
			return err
		}
	}
	if letter != "" {
		if err := checkType(g.Arg, in, letter); err != nil {
			return err
		}
	}
	return checkKeys(g.Order, in)
}

// winArgs are what windows take, as aggArgs.
var winArgs = map[core.WinFn]string{
	core.RowNumber: "", core.Lag: "x", core.MovAvg: "n", core.MovStd: "n", core.MovCount: "x", core.MovSum: "n",
	core.MovMin: "o", core.MovMax: "o", core.TotalSum: "n", core.Rank: "",
}

func windowCols(w *core.Window, in []core.Col) ([]core.Col, error) {
	letter, ok := winArgs[w.Fn]
	switch {
	case !ok:
		return nil, errors.New("there is no such function")
	case w.N < 0 || w.From > w.To:
		return nil, fmt.Errorf("%d back, from %d to %d", w.N, w.From, w.To)
	}
	for _, e := range w.Partition {
		if err := checkExpr(e, in); err != nil {
			return nil, err
		}
	}
	if letter != "" {
		if err := checkType(w.Arg, in, letter); err != nil {
			return nil, err
		}
	}
	return plus(in, core.Col{Name: w.Name, Type: w.Type()}), checkKeys(w.Order, in)
}
