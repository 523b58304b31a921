package op

import (
	"errors"
	"slices"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// Env is what a query is compiled in. The zero value is UTC, all time, and no
// catalogue.
type Env struct {
	Now      time.Time
	From, To time.Time // the range searched; To exclusive; zero is open
	Zone     *time.Location

	// Catalogue knows the paths of the records. Without one, names that are no
	// column become JSONFold, which only closures can run.
	Catalogue Catalogue

	// Lookup reads a table for lookup and cat; nil when there are none.
	Lookup func(name string) (*Table, error)

	// Subquery runs the plan of a subquery while the query around it is compiled;
	// rows are as core.Inline has them. Nil refuses subqueries; see NoSubquery.
	Subquery func(plan core.Plan) (cols []core.Col, rows [][]any, err error)

	// Threats reads the list of threats for threatlookup; nil when there is none.
	Threats func() (*Table, error)

	// SaveDir is the directory that save may write to. Without one it is refused.
	SaveDir string

	// Place says where an address is, for geoip; nil without a database.
	Place func(ip string) (Place, bool)

	Limits Limits
}

// Catalogue is what is known of the records' paths. Resolve returns the paths
// that name may mean, those spelled like it first; none when no record has it.
// Names lists what is there, for suggestions; it may be cut short.
type Catalogue interface {
	Resolve(name string) []Path
	Names() []string
}

// Path is one spelling of a field. Type is Int, Float or Bool only when nothing
// else was ever seen there.
type Path struct {
	Steps []core.Step
	Type  core.Type
}

// Table is a small table of texts: a lookup file.
type Table struct {
	Columns []core.Col
	Rows    [][]any // as core.Inline has them
}

// Place is where an address is. What is not known is "".
type Place struct {
	Country, CountryName, Region, City, Latitude, Longitude string
	ASN                                                     int64
	Organization                                            string
}

// Limits bound what stages outside the engine are given. Zero fields take the
// defaults.
type Limits struct {
	Groups int64 // rows of an aggregate that a Host stage works on: 10,000
	Rows   int64 // records that a Host stage works on: 100,000
}

func (l Limits) withDefaults() Limits {
	if l.Groups == 0 {
		l.Groups = 10_000
	}
	if l.Rows == 0 {
		l.Rows = 100_000
	}
	return l
}

// Result is a compiled query.
type Result struct {
	// Plan has the columns of Columns and may have more: those that its last
	// Sort needs.
	Plan    core.Plan
	Raw     bool     // rows are records, not groups
	Columns []string // what to show, in this order
	// AllColumns says that the last stage names its columns by what is in the
	// rows (transpose): all that it gives are shown.
	AllColumns bool
	Stages     []StageInfo
	Warnings   []Warning
	Timeslice  string // the column that holds the slice, "" without one
}

// StageInfo tells what one stage does, for --explain. N 0 is the scope.
type StageInfo struct {
	N     int
	Text  string
	Reads []string
	Makes []string
}

// Warning is a doubt that does not stop the query.
type Warning struct {
	Stage   int
	Message string
	Absent  bool // of a field that no record has, which kept hunts need not be told
}

// Compile lowers the query. The error is of type syntax.Errors and holds the
// first mistake of each stage, and its other unknown fields when it is one. Stages
// that Parse found Bad are passed over.
func Compile(q *syntax.Query, env *Env) (*Result, error) {
	b := newBuilder(q, env)
	errs := []error{b.scope(q.Scope)}
	for _, s := range q.Stages {
		errs = append(errs, b.run(s, q))
	}
	if err := syntax.Join(errs...); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

// run compiles a stage and notes what it read and made.
func (b *builder) run(s *syntax.Stage, q *syntax.Query) error {
	b.n, b.at = s.N, s.Span
	b.info = append(b.info, StageInfo{N: s.N, Text: q.Src[s.Span.Start:s.Span.End]})
	if s.Bad {
		b.broken = true
		return nil
	}
	before := b.fork()
	before.nested--
	err := b.stage(s, q)
	if err != nil {
		b.broken = true
		return before.unknownFields(b.place(err, s), s, q)
	}
	return nil
}

// maxUnknown is how many unknown fields of a stage are told.
const maxUnknown = 10

// unknownFields adds to the mistake of a stage, when that is an unknown field,
// those that stand behind it: the stage is compiled again from the state before
// it, with what was told of as null. Nothing is run or read for that.
func (b *builder) unknownFields(err error, s *syntax.Stage, q *syntax.Query) error {
	var e *syntax.Error
	if !errors.As(err, &e) || e.Code != CodeField {
		return err
	}
	env := *b.env
	env.Subquery = NoSubquery
	b.env, b.told = &env, map[string]bool{}
	list := syntax.Errors{e}
	for len(list) < maxUnknown {
		b.told[textOf(b.src, e.Span)] = true
		c := b.fork()
		c.nested--
		var next *syntax.Error
		if err := c.stage(s, q); !errors.As(err, &next) || next.Code != CodeField || b.told[textOf(b.src, next.Span)] {
			break
		}
		e = next
		list = append(list, e)
	}
	return list
}

// fork is a copy of the state, for stages in brackets. What it reads and warns of
// is its own, and its user hands that on.
func (b *builder) fork() *builder {
	c := *b
	c.cols, c.hidden = slices.Clone(b.cols), slices.Clone(b.hidden)
	c.shown, c.order = slices.Clone(b.shown), slices.Clone(b.order)
	c.info, c.warnings = slices.Clone(b.info), slices.Clone(b.warnings)
	c.nested++
	return &c
}

// pipeline compiles stages in brackets. Mistakes in them are the outer stage's.
func (b *builder) pipeline(q *syntax.Query) error {
	for _, s := range q.Stages {
		b.at = s.Span
		if err := b.stage(s, q); err != nil {
			return err
		}
	}
	return nil
}

// place gives an error that has none the place of its stage.
func (b *builder) place(err error, s *syntax.Stage) error {
	var e *syntax.Error
	if errors.As(err, &e) {
		return e
	}
	return &syntax.Error{Code: CodeValue, Message: err.Error(), Span: s.Span, Stage: s.N}
}

// finish puts the last order on top and prunes.
func (b *builder) finish() *Result {
	res := &Result{Raw: b.raw, AllColumns: b.dynamic && b.fixed == 0, Stages: b.info, Warnings: b.warnings, Timeslice: b.timeslice}
	var need []string
	for _, c := range b.display() {
		res.Columns = append(res.Columns, c.name)
		need = append(need, c.col.Name)
	}
	plan := b.plan
	if b.renamed() {
		plan, need = b.rename()
	}
	if !limitedBy(plan, b.order) {
		plan = sorted(plan, b.order)
	}
	res.Plan = b.prune(plan, need)
	return res
}

// limitedBy tells whether the plan is the first rows by that order, and so in it.
func limitedBy(p core.Plan, order []core.Key) bool {
	l, ok := p.(*core.Limit)
	if !ok {
		return false
	}
	s, ok := l.In.(*core.Sort)
	return ok && slices.Equal(s.Keys, order)
}

func sorted(p core.Plan, order []core.Key) core.Plan {
	if len(order) == 0 {
		return p
	}
	return &core.Sort{In: p, Keys: order}
}

// renamed tells whether a column is shown under another name than it has.
func (b *builder) renamed() bool {
	return slices.ContainsFunc(b.display(), func(c column) bool { return c.name != c.col.Name })
}

// rename makes the columns that are shown, and those of the order, anew.
func (b *builder) rename() (core.Plan, []string) {
	var out []core.Named
	var need []string
	for _, c := range b.display() {
		out = append(out, core.Named{Name: c.name, Expr: c.read()})
		need = append(need, c.name)
	}
	moved := map[string]*core.Expr{}
	for _, c := range b.display() {
		moved[c.col.Name] = core.C(c.name, c.col.Type)
	}
	for _, k := range b.order {
		core.Walk(k.Expr, func(e *core.Expr) {
			if e.Op == core.Column && moved[e.Name] == nil {
				name := unique("#"+e.Name, out)
				out = append(out, core.Named{Name: name, Expr: e})
				moved[e.Name] = core.C(name, e.Type)
			}
		})
	}
	for i, k := range b.order {
		b.order[i].Expr, _ = substitute(k.Expr, moved)
	}
	return &core.Project{In: b.plan, Out: out}, need
}
