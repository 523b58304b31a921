package eval_test

import (
	"math"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
)

// columns are those of random expressions, one of each type and some more.
var columns = []core.Col{
	{Name: "b", Type: core.Bool}, {Name: "i", Type: core.Int}, {Name: "ms", Type: core.Int}, {Name: "f", Type: core.Float},
	{Name: "s", Type: core.Text}, {Name: "doc", Type: core.Text}, {Name: "l", Type: core.List}, {Name: "z", Type: core.Null},
}

// shape is how to make an expression of an op: a letter of args is the type of
// an argument, p a predicate, and fill sets what it has beside them.
type shape struct {
	op   core.Op
	args string
	fill func(g *random, e *core.Expr)
}

// shapes are the ops by the type they give.
var shapes = map[byte][]shape{
	'p': {
		{core.IsNull, "b", nil}, {core.IsNull, "l", nil}, {core.IsNull, "t", nil}, {core.IsTrue, "b", nil}, {core.And, "", nil}, {core.And, "pp", nil}, {core.And, "ppp", nil},
		{core.Or, "pp", nil}, {core.Or, "ppp", nil}, {core.Not, "p", nil}, {core.EqNum, "ii", nil}, {core.EqNum, "if", nil}, {core.LtNum, "ff", nil}, {core.LeNum, "fi", nil},
		{core.EqText, "tt", nil}, {core.LtText, "tt", nil}, {core.LeText, "tt", nil},
		{core.InText, "t", func(g *random, e *core.Expr) { e.Set = []string{"a", "", g.text()} }},
		{core.InNum, "i", func(g *random, e *core.Expr) { e.Nums = []float64{0, g.float()} }},
		{core.Contains, "tt", nil}, {core.HasPrefix, "tt", nil}, {core.HasSuffix, "tt", nil}, {core.Glob, "tt", nil}, {core.MatchRe, "t", (*random).regex},
		{core.ListHas, "lt", nil}, {core.JSONHas, "tt", nil}, {core.IsIPv6, "t", nil},
	},
	'i': {
		{core.ToInt, "f", nil}, {core.Length, "t", nil}, {core.HexToInt, "t", nil}, {core.ListLen, "l", nil}, {core.JSONLen, "t", nil}, {core.IPv4Num, "t", nil},
		{core.TimeBucket, "i", func(g *random, e *core.Expr) {
			e.N, e.Zone = pick[int64](g, 1, 3600_000, 86400_000, math.MaxInt64), g.zone()
		}},
		{core.ParseTime, "t", func(g *random, e *core.Expr) {
			e.S, e.Zone = pick(g, "yyyy", "yyyyMMdd HH", "EEE MMMM d h:m a XXX"), g.zone()
		}},
	},
	'f': {
		{core.ToNum, "t", nil}, {core.ToFloat, "i", nil}, {core.ToFloat, "b", nil}, {core.Add, "ff", nil}, {core.Sub, "ff", nil}, {core.Mul, "ff", nil}, {core.Div, "ff", nil}, {core.Mod, "ff", nil},
		{core.Math, "f", func(g *random, e *core.Expr) { e.S = pick(g, "abs", "sqrt", "exp", "log", "sinh", "acos", "tan") }},
		{core.Math, "ff", func(g *random, e *core.Expr) { e.S = pick(g, "pow", "round", "min", "max", "atan2", "hypot") }},
	},
	't': {
		{core.ToText, "b", nil}, {core.ToText, "i", nil}, {core.ToText, "f", nil}, {core.ToText, "l", nil}, {core.Lower, "t", nil}, {core.Upper, "t", nil}, {core.Trim, "t", nil},
		{core.Substr, "tii", nil}, {core.Concat, "ttt", nil}, {core.Replace, "ttt", nil}, {core.ExtractRe, "t", (*random).regex}, {core.ReplaceRe, "t", (*random).regex},
		{core.SplitPart, "tt", func(g *random, e *core.Expr) { e.N = pick[int64](g, 1, 2, 3) }},
		{core.Base64Enc, "t", nil}, {core.Base64Dec, "t", nil}, {core.URLEnc, "t", nil}, {core.URLDec, "t", nil}, {core.HexEnc, "t", nil}, {core.HexDec, "t", nil}, {core.IntToHex, "i", nil},
		{core.Hash, "t", func(g *random, e *core.Expr) { e.S = pick(g, "md5", "sha1", "sha2_256") }},
		{core.FormatTime, "i", func(g *random, e *core.Expr) {
			e.S, e.Zone = pick(g, "yyyy", "'y'''yy.SSS EEEE D", "hh a z Z X XXX"), g.zone()
		}},
		{core.JSONGet, "t", (*random).path},
		{core.JSONFold, "t", func(g *random, e *core.Expr) { e.S = pick(g, "a", "A.b", "a.b[0]", "l[1].K", "", "[0]", "a.", "[") }},
	},
	'l': {{core.FindAllRe, "t", (*random).regex}},
}

var typeOf = map[byte]core.Type{'p': core.Bool, 'b': core.Bool, 'i': core.Int, 'f': core.Float, 't': core.Text, 'l': core.List}

// regexes hold one group each.
var regexes = []string{`(a)`, `x*()`, `([a-z]+)=(\d)?`, `(?i)(é|B)$`, `(\w*)`, `"(.*?)"`}

// random makes expressions and rows.
type random struct{ *rand.Rand }

func newRandom(seed uint64) *random { return &random{rand.New(rand.NewPCG(seed, 4))} }

func pick[T any](g *random, list ...T) T { return list[g.IntN(len(list))] }

func (g *random) text() string {
	return pick(g, "", "a", "A=1", "é\u0301😀", "*a*", "12", "-1.5e3", " x\n", "1.2.3.4", "::1", "YQ==", "%41+", "deadBEEF", "19700102 03", "\x00", `a"b`, "a=1,b=2") + pick(g, "", "", "a")
}

func (g *random) doc() string {
	return pick(g, `{"a":{"b":[1,"x"]},"A.B":"é"}`, `{"a":1,"l":[{"k":null},{"K":true}]}`, `["a",1,true,null,{}]`, `{"a":`, `"a"`, ` null `, `{"":{"\u0061":"\ud800\n"}}`)
}

func (g *random) float() float64 {
	return pick(g, 0, math.Copysign(0, -1), 1, -1, 2.5, 1e15, 1e16, -1e308, 5e-324, 9223372036854775808, g.NormFloat64())
}

func (g *random) int() int64 {
	return pick[int64](g, 0, 1, -1, 3, 86400000, 1710059400000, math.MaxInt64, math.MinInt64, 1<<53+1, g.Int64())
}

func (g *random) zone() *time.Location {
	return pick(g, nil, time.UTC, time.FixedZone("", -3*3600-1800))
}

func (g *random) regex(e *core.Expr) {
	source := pick(g, regexes...)
	e.Re = &core.Regex{Source: source, Go: regexp.MustCompile(source)}
	if e.Op != core.MatchRe {
		e.N = g.Int64N(2)
	}
	e.Rep = []core.RepPart{{Lit: "é", Group: -1}, {Group: g.IntN(2)}}
}

func (g *random) path(e *core.Expr) {
	for range g.IntN(4) {
		e.Path = append(e.Path, pick(g, core.Step{Key: "a", Index: -1}, core.Step{Key: "l", Index: -1}, core.Step{Index: 0}, core.Step{Index: 1}, core.Step{Key: "b"}, core.Step{Index: -1}))
	}
}

// expr makes an expression of the type of a letter.
func (g *random) expr(letter byte, depth int) *core.Expr {
	t := typeOf[letter]
	switch n := g.IntN(10); {
	case letter != 'p' && (depth == 0 || n < 3):
		return g.leaf(letter)
	case letter == 'p' && depth == 0:
		return core.BoolOf(g.IntN(2) == 0)
	case letter == 'b' && n < 7:
		return g.expr('p', depth-1)
	case letter != 'p' && n == 3:
		return &core.Expr{Op: core.If, Type: t, Args: []*core.Expr{g.expr('p', depth-1), g.expr(letter, depth-1), g.expr(letter, depth-1)}}
	case letter != 'p' && n == 4:
		return &core.Expr{Op: core.Coalesce, Type: t, Args: []*core.Expr{g.expr(letter, depth-1), g.expr(letter, depth-1)}}
	case letter != 'p' && letter != 'l' && n == 5:
		e := &core.Expr{Op: core.JSONGet, Type: t, Args: []*core.Expr{core.C("doc", core.Text)}}
		g.path(e)
		return e
	}
	if letter == 'b' {
		letter = 'p'
	}
	s := pick(g, shapes[letter]...)
	e := &core.Expr{Op: s.op, Type: t}
	for i := range s.args {
		e.Args = append(e.Args, g.expr(s.args[i], depth-1))
	}
	if s.fill != nil {
		s.fill(g, e)
	}
	return e
}

func (g *random) leaf(letter byte) *core.Expr {
	t := typeOf[letter]
	if g.IntN(8) == 0 {
		return pick(g, core.NullOf(t), core.NullOf(core.Null), core.C("z", core.Null))
	}
	switch pick(g, letter, letter, 0) {
	case 'b':
		return core.C("b", core.Bool)
	case 'i':
		return pick(g, core.IntOf(g.int()), core.C("ms", core.Int))
	case 'f':
		return core.Num(g.float())
	case 't':
		return pick(g, core.Str(g.text()), core.Str(g.doc()), core.C("doc", core.Text))
	}
	return core.C(map[byte]string{'b': "b", 'i': "i", 'f': "f", 't': "s", 'l': "l"}[letter], t)
}

func (g *random) row() []eval.Value {
	row := []eval.Value{
		eval.BoolValue(g.IntN(2) == 0), eval.IntValue(g.int()), eval.IntValue(g.Int64N(2e12)), eval.FloatValue(g.float()),
		eval.TextValue(g.text()), eval.TextValue(g.doc()), eval.ListValue([]string{g.text(), "a"}[:g.IntN(3)]), {},
	}
	for i := range row {
		if g.IntN(4) == 0 {
			row[i] = eval.Value{}
		}
	}
	return row
}

// ruleless are the ops that are not null when an argument is, and are no
// predicates.
var ruleless = map[core.Op]bool{core.If: true, core.Coalesce: true, core.Const: true, core.Column: true}

// checkValue holds what core says of every value, and of null.
func checkValue(t *testing.T, e *core.Expr, row []eval.Value) {
	t.Helper()
	value := func(e *core.Expr) eval.Value {
		f, err := eval.Compile(e, columns)
		if err != nil {
			t.Fatal(err)
		}
		var r eval.Row
		r.Set(row)
		return f.Value(&r)
	}
	v := value(e)
	switch {
	case !v.IsNull() && v.Type != e.Type:
		t.Errorf("%s: a value of type %v for %v", eval.Name(e.Op), v.Type, e.Type)
	case v.Type == core.Text && !utf8.ValidString(v.S):
		t.Errorf("%s gives %q", eval.Name(e.Op), v.S)
	case v.Type == core.Float && (math.IsNaN(v.F) || math.IsInf(v.F, 0)):
		t.Errorf("%s gives %v", eval.Name(e.Op), v.F)
	case e.Op.Predicate() && v.IsNull():
		t.Errorf("predicate %s is null", eval.Name(e.Op))
	}
	if ruleless[e.Op] || e.Op == core.IsNull || e.Op == core.And || e.Op == core.Or || e.Op == core.Not {
		return
	}
	for _, a := range e.Args {
		if x := value(a); x.IsNull() && !v.IsNull() && !(v.Type == core.Bool && v.N == 0) {
			t.Errorf("%s of null is %v", eval.Name(e.Op), v.Any())
		}
	}
}

// checkRandom makes one expression and asks it of some rows.
func checkRandom(t *testing.T, seed uint64) {
	g := newRandom(seed)
	e := g.expr("pbiftl"[g.IntN(6)], 4)
	for range 4 {
		checkValue(t, e, g.row())
	}
}

func TestRandomExpressions(t *testing.T) {
	for seed := range uint64(20_000) {
		if checkRandom(t, seed); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzExpressions(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkRandom)
}
