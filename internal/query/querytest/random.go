package querytest

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/query/core"
)

// Columns are those of random expressions: one of each type, and some more.
var Columns = []core.Col{
	{Name: "b", Type: core.Bool}, {Name: "i", Type: core.Int}, {Name: "ms", Type: core.Int}, {Name: "f", Type: core.Float},
	{Name: "s", Type: core.Text}, {Name: "doc", Type: core.Text}, {Name: "l", Type: core.List}, {Name: "z", Type: core.Null},
}

// Random makes expressions, rows and plans; those of one seed are the same
// always.
type Random struct {
	*rand.Rand
	// Wild adds what core leaves open, or SQL does not have: JSONFold, JSONGet
	// of a type that the value is not, texts with NUL, patterns of time that few
	// engines know.
	Wild bool
}

// NewRandom makes one.
func NewRandom(seed uint64, wild bool) *Random {
	return &Random{rand.New(rand.NewPCG(seed, 4)), wild}
}

// together is how many expressions are asked at once: a statement costs an
// engine more than an expression.
const together = 20

// Agree checks that a back end gives what the oracle gives, for so many random
// expressions over some rows each. Predicates are asked for their value, and as
// conditions as they are and negated.
func Agree(t *testing.T, expressions uint64, run, oracle Run) {
	for first := uint64(0); first < expressions; first += together {
		p := manyExprs(first, min(first+together, expressions))
		t.Run("from "+strconv.FormatUint(first, 10), func(t *testing.T) {
			got, want := run(t, p), oracle(t, p)
			for i, o := range p.Cols()[1:] {
				for row := range want {
					if row >= len(got) || !Same(got[row][i+1], want[row][i+1]) {
						t.Errorf("%s, row %d: got %s, want %s", o.Name, row, show(got[row][i+1]), show(want[row][i+1]))
						break
					}
				}
			}
		})
	}
}

// manyExprs is a plan whose columns are the random expressions of the seeds.
func manyExprs(first, last uint64) core.Plan {
	number := core.C("n_", core.Int)
	in := table("inputs", append([]core.Col{{Name: "n_", Type: core.Int}}, Columns...))
	for i := range int64(8) {
		in.Rows = append(in.Rows, append([]any{i}, NewRandom(first+uint64(i), false).Row()...))
	}
	p := project(in, named("n_", number)).(*core.Project)
	for seed := first; seed < last; seed++ {
		g := NewRandom(seed, false)
		e := g.Expr("pbiftl"[g.IntN(6)], 3)
		name := "seed " + strconv.FormatUint(seed, 10)
		p.Out = append(p.Out, named(name, e))
		if e.Op.Predicate() {
			p.Out = append(p.Out, named(name+" as a condition", asCondition(e)), named(name+" negated", asCondition(core.Do(core.Not, e))))
		}
	}
	return sorted(p, number)
}

func asCondition(e *core.Expr) *core.Expr { return core.Do(core.If, e, core.IntOf(1), core.IntOf(0)) }

// shape is how to make an expression of an op: the letters of its arguments, as
// in Expr, and what sets the rest of it.
type shape struct {
	op   core.Op
	args string
	fill func(g *Random, e *core.Expr)
}

// shapes are the ops by the type they give.
var shapes = map[byte][]shape{
	'p': {
		{core.IsNull, "b", nil}, {core.IsNull, "l", nil}, {core.IsNull, "t", nil}, {core.IsTrue, "b", nil},
		{core.And, "", nil}, {core.And, "pp", nil}, {core.And, "ppp", nil}, {core.Or, "pp", nil}, {core.Or, "ppp", nil}, {core.Not, "p", nil},
		{core.EqNum, "ii", nil}, {core.EqNum, "if", nil}, {core.LtNum, "ff", nil}, {core.LeNum, "fi", nil},
		{core.EqText, "tt", nil}, {core.LtText, "tt", nil}, {core.LeText, "tt", nil},
		{core.InText, "t", func(g *Random, e *core.Expr) { e.Set = []string{"a", "", g.text()} }},
		{core.InNum, "i", func(g *Random, e *core.Expr) { e.Nums = []float64{0, g.float()} }},
		{core.Contains, "tt", nil}, {core.HasPrefix, "tt", nil}, {core.HasSuffix, "tt", nil}, {core.Glob, "tt", nil}, {core.MatchRe, "t", (*Random).regex},
		{core.ListHas, "lt", nil}, {core.IsIPv6, "t", nil},
		{core.JSONHas, "tt", func(_ *Random, e *core.Expr) { e.Args[0] = core.C("doc", core.Text) }},
		{core.JSONHas, "tt", nil},
	},
	'i': {
		{core.ToInt, "f", nil}, {core.Length, "t", nil}, {core.HexToInt, "t", nil}, {core.ListLen, "l", nil}, {core.JSONLen, "t", nil}, {core.IPv4Num, "t", nil},
		{core.TimeBucket, "m", func(g *Random, e *core.Expr) { e.N, e.Zone = pick[int64](g, 1000, 4*3600_000, 7*86400_000), g.zone() }},
		{core.TimeBucket, "i", func(g *Random, e *core.Expr) { e.N, e.Zone = pick[int64](g, 1, 86400_000, math.MaxInt64), g.zone() }},
		{core.ParseTime, "t", func(g *Random, e *core.Expr) { e.S, e.Zone = pick(g, "yyyyMMdd HH", "yyyy-MM-dd"), g.zone() }},
	},
	'f': {
		{core.ToNum, "t", nil}, {core.ToFloat, "i", nil}, {core.ToFloat, "b", nil},
		{core.Add, "ff", nil}, {core.Sub, "ff", nil}, {core.Mul, "ff", nil}, {core.Div, "ff", nil}, {core.Mod, "ff", nil},
		{core.Math, "f", func(g *Random, e *core.Expr) { e.S = pick(g, "abs", "sqrt", "exp", "log", "sinh", "acos", "atan") }},
		{core.Math, "ff", func(g *Random, e *core.Expr) { e.S = pick(g, "pow", "min", "max", "atan2", "round", "hypot") }},
	},
	't': {
		{core.ToText, "b", nil}, {core.ToText, "i", nil}, {core.ToText, "f", nil}, {core.ToText, "l", nil},
		{core.Lower, "t", nil}, {core.Upper, "t", nil}, {core.Trim, "t", nil}, {core.Substr, "tii", nil}, {core.Concat, "ttt", nil}, {core.Replace, "ttt", nil},
		{core.ExtractRe, "t", (*Random).regex}, {core.ReplaceRe, "t", (*Random).regex},
		{core.SplitPart, "tt", func(g *Random, e *core.Expr) { e.N = pick[int64](g, 1, 2, 3) }},
		{core.Base64Enc, "t", nil}, {core.Base64Dec, "t", nil}, {core.URLEnc, "t", nil}, {core.URLDec, "t", nil}, {core.HexEnc, "t", nil}, {core.HexDec, "t", nil}, {core.IntToHex, "i", nil},
		{core.Hash, "t", func(g *Random, e *core.Expr) { e.S = pick(g, "md5", "sha1", "sha2_256") }},
		{core.FormatTime, "m", func(g *Random, e *core.Expr) {
			e.S, e.Zone = pick(g, "yyyy", "'at'yy.SSS EEEE D", "hh a Z XXX"), g.zone()
		}},
		{core.JSONGet, "t", (*Random).path}, {core.JSONGet, "t", (*Random).path},
	},
	'l': {{core.FindAllRe, "t", (*Random).regex}, {core.FindAllRe, "t", func(g *Random, e *core.Expr) { e.Re = re(pick(g, `x*()`, `(\w*)`)); e.N = g.Int64N(2) }}},
}

// wild are more of them.
var wild = map[byte][]shape{
	'i': {
		{core.ParseTime, "t", func(g *Random, e *core.Expr) { e.S = pick(g, "yyyy", "EEE MMMM d h:m a XXX", "yy z", "") }},
	},
	't': {
		{core.FormatTime, "i", func(g *Random, e *core.Expr) { e.S, e.Zone = pick(g, "yyyyy", "z X XX MMMMM"), g.zone() }},
		{core.JSONFold, "t", func(g *Random, e *core.Expr) { e.S = pick(g, "a", "A.b", "a.b[0]", "l[1].K", "", "[0]", "a.", "[") }},
	},
}

var typeOf = map[byte]core.Type{'p': core.Bool, 'b': core.Bool, 'i': core.Int, 'm': core.Int, 'f': core.Float, 't': core.Text, 'l': core.List}

func pick[T any](g *Random, list ...T) T { return list[g.IntN(len(list))] }

func (g *Random) text() string {
	if g.Wild && g.IntN(20) == 0 {
		return "a\x00"
	}
	return pick(g, "", "a", "A=1", "é\u0301😀", "*a*", "12", "-1.5e3", " x\n", "1.2.3.4", "::1", "YQ==", "%41+", "deadBEEF", "19700102 03", `a"b`, "a=1,b=2") + pick(g, "", "", "a")
}

func (g *Random) doc() string {
	return pick(g, `{"a":{"b":[1,"x"]},"A.B":"é"}`, `{"a":1,"l":[{"k":null},{"K":true}]}`, `["a",1,true,null,{}]`, `{"a":`, `"a"`, ` null `, `{"":{"\u0061":"\ud800\n"}}`)
}

func (g *Random) float() float64 {
	return pick(g, 0, math.Copysign(0, -1), 1, -1, 2.5, 1e15, 1e16, -1e308, 5e-324, 9223372036854775808, g.NormFloat64())
}

func (g *Random) int() int64 {
	return pick[int64](g, 0, 1, -1, 3, 86400000, 1710059400000, math.MaxInt64, math.MinInt64, 1<<53+1, g.Int64())
}

func (g *Random) zone() *time.Location {
	return pick(g, nil, time.UTC, zone("America/New_York"), zone("Asia/Kolkata"))
}

// regex sets an expression with one group, and what is written for it.
func (g *Random) regex(e *core.Expr) {
	e.Re = re(pick(g, `(a)`, `([a-z]+)=(\d)?`, `(?i)(é|B)$`, `(\w+)`, `"(.*?)"`))
	if e.Op != core.MatchRe {
		e.N = g.Int64N(2)
	}
	e.Rep = []core.RepPart{lit("é"), group(g.IntN(2))}
}

func (g *Random) path(e *core.Expr) {
	e.Args[0] = pick(g, e.Args[0], core.C("doc", core.Text))
	for range 1 + g.IntN(3) {
		e.Path = append(e.Path, pick(g, key("a"), key("l"), index(0), index(1), key("b"), key("A.B")))
	}
	if g.Wild && g.IntN(5) == 0 {
		e.Path = append(e.Path[1:], core.Step{Index: -1})
	}
}

// Expr makes an expression of at most depth ops over each other, of the type of
// a letter: p a predicate, b Bool, i Int, m a time, f Float, t Text, l List.
func (g *Random) Expr(letter byte, depth int) *core.Expr {
	t := typeOf[letter]
	n := g.IntN(10)
	switch {
	case letter == 'p' && depth == 0:
		return core.BoolOf(n < 5)
	case letter == 'p':
	case letter == 'm' || depth == 0 || n < 3:
		return g.leaf(letter)
	case n == 3:
		return &core.Expr{Op: core.If, Type: t, Args: []*core.Expr{g.Expr('p', depth-1), g.Expr(letter, depth-1), g.Expr(letter, depth-1)}}
	case n == 4:
		return &core.Expr{Op: core.Coalesce, Type: t, Args: []*core.Expr{g.Expr(letter, depth-1), g.Expr(letter, depth-1)}}
	case n == 5 && g.Wild && letter != 'l':
		e := &core.Expr{Op: core.JSONGet, Type: t, Args: []*core.Expr{core.C("doc", core.Text)}}
		g.path(e)
		return e
	case letter == 'b':
		letter = 'p'
	}
	return g.op(letter, depth)
}

func (g *Random) op(letter byte, depth int) *core.Expr {
	s := pick(g, shapes[letter]...)
	if more := wild[letter]; g.Wild && more != nil && g.IntN(4) == 0 {
		s = pick(g, more...)
	}
	e := &core.Expr{Op: s.op, Type: typeOf[letter]}
	for i := range s.args {
		e.Args = append(e.Args, g.Expr(s.args[i], depth-1))
	}
	if s.fill != nil {
		s.fill(g, e)
	}
	return e
}

func (g *Random) leaf(letter byte) *core.Expr {
	t := typeOf[letter]
	switch g.IntN(16) {
	case 0:
		return core.NullOf(t)
	case 1:
		return pick(g, core.NullOf(core.Null), core.C("z", core.Null))
	}
	column := core.C(map[byte]string{'b': "b", 'i': "i", 'm': "ms", 'f': "f", 't': "s", 'l': "l"}[letter], t)
	switch letter {
	case 'i':
		return pick(g, column, core.C("ms", core.Int), core.IntOf(g.int()))
	case 'm':
		return pick(g, column, column, core.IntOf(g.Int64N(2e12)))
	case 'f':
		return pick(g, column, column, core.Num(g.float()))
	case 't':
		return pick(g, column, column, core.C("doc", core.Text), core.Str(g.text()), core.Str(g.doc()))
	}
	return column
}

// Row makes a row of Columns.
func (g *Random) Row() []any {
	row := []any{g.IntN(2) == 0, g.int(), g.Int64N(2e12), g.float(), g.text(), g.doc(), []string{g.text(), "a"}[:g.IntN(3)], nil}
	for i := range row {
		if g.IntN(4) == 0 {
			row[i] = nil
		}
	}
	return row
}
