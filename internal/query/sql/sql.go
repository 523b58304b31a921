// Package sql prints plans of core as one SQL statement over the table "events".
//
// It decides nothing: a primitive of core has one meaning, and a Dialect is a
// table that says how one engine spells it. What every engine spells alike
// (comparison, CASE, CTEs) is in this package's own code; what differs is in
// the dialect's rows, so that another engine is another table.
//
// Plans become a chain of common table expressions, in the order of the stages
// that made them; neighbours that fit one SELECT share it. A node that two
// others read is printed once and read twice.
//
// The logic of core has two values and SQL's has three. A predicate in a place
// where null counts as false (WHERE, ON, FILTER, WHEN, and below And and Or
// there) is printed plain, since engines derive statistics and indexes from
// plain comparisons only; under Not and where its value is kept it is wrapped
// so that null becomes false.
//
// Texts and names are quoted by the dialect and by nothing else. A text that
// the engine cannot hold (NUL, bytes that are not UTF-8) is an error.
//
// The package keeps no state; Print may be called from many goroutines.
package sql

import (
	"fmt"
	"strings"

	"gatehouse/internal/query/core"
)

// Dialect is how one engine spells core.
type Dialect struct {
	Name  string
	Text  func(string) (string, error) // a text literal
	Ident func(string) (string, error) // a quoted name
	Types [core.List + 1]string        // names of types, for CAST
	Ops   map[core.Op]Prim
	Math  map[string]string                   // functions of core.Math by name; templates
	Aggs  map[core.AggFn]string               // templates: $1 the argument, $F the FILTER clause, $O the ORDER BY, $N the parameter
	Wins  map[core.WinFn]string               // templates: $1 the argument, $N how far back; OVER follows at $W
	Joins [core.Anti + 1]string               // the words between the two sides
	Row   func(list string, keep bool) string // one row of each element of a list

	// JSON spells several paths of one document at once, as a list, and Nth the
	// $Nth text of it, from 1; nil when each is read for itself.
	JSON func(doc string, paths []string) string
	Nth  string

	// Newest is the limit above which the engine sorts whole rows; the printer
	// then narrows the rows of a scan by their time first. 0 is never.
	Newest int64

	Finite string // template: null unless the Float $1 is finite
	Exact  string // template: false when the Bool $1 is null
	Value  string // template: a predicate kept as a Bool; "" where it is one already

	// Hit and Lost are for an engine that leaves lists of a row without partner
	// not null: templates of the right side with a column that tells of a
	// partner, and of a list beside it; "" where they are null.
	Hit, Lost string

	// Pick prints First and Last where aggregates take no ORDER BY; else nil.
	Pick func(p *Printer, a *core.Agg, arg, filter string) (string, error)
}

// Prim spells one op: by a template, where $1 to $9 are its arguments, $* all
// of them with commas and $S its text as a literal, or by a function.
type Prim struct {
	T string
	F func(p *Printer, e *core.Expr) (string, error)
}

// dialects are those that ByName knows.
var dialects = []*Dialect{&DuckDB, &ClickHouse}

// ByName finds the dialect that an engine names.
func ByName(name string) (*Dialect, error) {
	for _, d := range dialects {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("no SQL dialect is called %q", name)
}

// Print gives the plan as one statement of the dialect. Inline tables are read
// by their names: the caller hands them to the engine beside the statement. A
// plan with a Host node is refused, since no engine can run it.
func Print(plan core.Plan, d *Dialect) (string, error) {
	shared := sharedNodes(plan)
	p := &Printer{d: d, standard: standard, shared: shared, computed: computed(shared), names: map[core.Plan]string{}, inline: map[string]*core.Inline{}}
	sel, err := p.plan(plan)
	if err != nil {
		return "", fmt.Errorf("print SQL for %s: %w", d.Name, err)
	}
	var b strings.Builder
	for i, c := range p.ctes {
		sep := ",\n"
		if i == 0 {
			sep = "WITH "
		}
		b.WriteString(sep + c)
	}
	if len(p.ctes) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(sel.text())
	return b.String(), nil
}

// Printer is one statement being printed.
type Printer struct {
	d        *Dialect
	standard map[core.Op]Prim     // the package's own rows, held here since they use the printer
	shared   map[core.Plan]bool   // read by more than one node
	computed map[string]bool      // columns that are dear to name twice, see re.go
	names    map[core.Plan]string // shared nodes already printed, by name
	inline   map[string]*core.Inline
	ctes     []string
	n        int                        // of the last CTE
	table    func(column string) string // qualifies columns inside a join, or nil
	json     map[string]string          // texts of JSON that the selection being printed has ready
}

// sharedNodes finds the nodes that more than one other reads.
func sharedNodes(root core.Plan) map[core.Plan]bool {
	seen := map[core.Plan]bool{}
	var walk func(core.Plan)
	walk = func(n core.Plan) {
		if _, again := seen[n]; again {
			seen[n] = true
			return
		}
		seen[n] = false
		for _, in := range n.Inputs() {
			walk(in)
		}
	}
	walk(root)
	return seen
}

// fill puts args into the places of a template.
func fill(t string, args []string, more ...string) string {
	pairs := append([]string{"$*", strings.Join(args, ", ")}, more...)
	for i, a := range args {
		pairs = append(pairs, fmt.Sprintf("$%d", i+1), a)
	}
	return strings.NewReplacer(pairs...).Replace(t)
}
