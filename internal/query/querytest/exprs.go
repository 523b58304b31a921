package querytest

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/query/core"
)

// ExprCase is one expression and rows of its inputs, in the order of the names
// of its columns, each with the value it must have at the end.
type ExprCase struct {
	Name string
	Expr *core.Expr
	Rows [][]any
}

// Cols are the columns that the expression reads, by name.
func (c *ExprCase) Cols() []core.Col {
	var cols []core.Col
	core.Walk(c.Expr, func(e *core.Expr) {
		if e.Op == core.Column && !slices.ContainsFunc(cols, func(have core.Col) bool { return have.Name == e.Name }) {
			cols = append(cols, core.Col{Name: e.Name, Type: e.Type})
		}
	})
	slices.SortFunc(cols, func(x, y core.Col) int { return strings.Compare(x.Name, y.Name) })
	return cols
}

// Inputs are the rows without their results.
func (c *ExprCase) Inputs() [][]any {
	out := make([][]any, len(c.Rows))
	for i, r := range c.Rows {
		out[i] = r[:len(r)-1]
	}
	return out
}

var (
	ta, tb, tc = core.C("a", core.Text), core.C("b", core.Text), core.C("c", core.Text)
	ia, ib, ic = core.C("a", core.Int), core.C("b", core.Int), core.C("c", core.Int)
	fa, fb     = core.C("a", core.Float), core.C("b", core.Float)
	ba, la     = core.C("a", core.Bool), core.C("a", core.List)
)

func re(source string, all ...string) *core.Regex {
	return &core.Regex{Source: source, Go: regexp.MustCompile(source), All: all}
}

func match(source string, all ...string) *core.Expr {
	return &core.Expr{Op: core.MatchRe, Type: core.Bool, Args: []*core.Expr{ta}, Re: re(source, all...)}
}

func extract(source string, n int64, all ...string) *core.Expr {
	return &core.Expr{Op: core.ExtractRe, Type: core.Text, Args: []*core.Expr{ta}, Re: re(source, all...), N: n}
}

func replaceRe(source string, rep ...core.RepPart) *core.Expr {
	return &core.Expr{Op: core.ReplaceRe, Type: core.Text, Args: []*core.Expr{ta}, Re: re(source), Rep: rep}
}

func findAll(source string, n int64) *core.Expr {
	return &core.Expr{Op: core.FindAllRe, Type: core.List, Args: []*core.Expr{ta}, Re: re(source), N: n}
}

func get(t core.Type, path ...core.Step) *core.Expr {
	return &core.Expr{Op: core.JSONGet, Type: t, Args: []*core.Expr{ta}, Path: path}
}

func key(k string) core.Step    { return core.Step{Key: k, Index: -1} }
func index(i int) core.Step     { return core.Step{Index: i} }
func lit(s string) core.RepPart { return core.RepPart{Lit: s, Group: -1} }
func group(n int) core.RepPart  { return core.RepPart{Group: n} }

func math1(name string) *core.Expr { e := core.Do(core.Math, fa); e.S = name; return e }
func math2(name string) *core.Expr { e := core.Do(core.Math, fa, fb); e.S = name; return e }

func timed(op core.Op, arg *core.Expr, pattern string, zone *time.Location) *core.Expr {
	e := core.Do(op, arg)
	e.S, e.Zone = pattern, zone
	return e
}

func bucket(width time.Duration, zone *time.Location) *core.Expr {
	e := core.Do(core.TimeBucket, ia)
	e.N, e.Zone = width.Milliseconds(), zone
	return e
}

func split(n int64) *core.Expr { e := core.Do(core.SplitPart, ta, tb); e.N = n; return e }
func hash(s string) *core.Expr { e := core.Do(core.Hash, ta); e.S = s; return e }
func inText(set ...string) *core.Expr {
	e := core.Do(core.InText, ta)
	e.Set = set
	return e
}
func inNum(x *core.Expr, nums ...float64) *core.Expr {
	e := core.Do(core.InNum, x)
	e.Nums = nums
	return e
}

// zone loads a time zone that the tests' own binary must know.
func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic("no time zone " + name + ": " + err.Error())
	}
	return z
}

func ms(s string) int64 {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return at.UnixMilli()
}

// i64 marks integers of the tables.
type i64 = int64

// ExprCases lists all rows.
func ExprCases() []ExprCase {
	return slices.Concat(leafCases(), logicCases(), compareCases(), convertCases(), mathCases(), textCases(), regexCases(), codecCases(), jsonCases(), listCases(), addressCases(), timeCases())
}

func leafCases() []ExprCase {
	return []ExprCase{
		{"Const text", core.Do(core.Coalesce, core.NullOf(core.Text), core.Str("it's \"q\" \\ \n é 😀 $1 ? ; --"), ta), [][]any{{"", "it's \"q\" \\ \n é 😀 $1 ? ; --"}}},
		{"Const int", core.Do(core.Coalesce, ia, core.IntOf(math.MinInt64)), [][]any{{nil, i64(math.MinInt64)}, {i64(1), i64(1)}}},
		{"Const float", core.Do(core.Coalesce, fa, core.Num(-0.1)), [][]any{{nil, -0.1}}},
		{"Const null", core.Do(core.Coalesce, core.NullOf(core.Int), ia), [][]any{{i64(3), i64(3)}, {nil, nil}}},
		{"IsNull", core.Do(core.IsNull, ta), [][]any{{nil, true}, {"", false}}},
		{"IsTrue", core.Do(core.IsTrue, ba), [][]any{{true, true}, {false, false}, {nil, false}}},
		{"If", core.Do(core.If, core.Do(core.EqText, ta, core.Str("x")), tb, tc), [][]any{{"x", "y", "z", "y"}, {"q", "y", "z", "z"}, {nil, "y", "z", "z"}, {"x", nil, "z", nil}}},
		{"Coalesce", core.Do(core.Coalesce, ta, tb), [][]any{{nil, "b", "b"}, {"", "b", ""}, {nil, nil, nil}}},
	}
}

func logicCases() []ExprCase {
	x, y := core.Do(core.EqText, ta, core.Str("1")), core.Do(core.EqText, tb, core.Str("1"))
	return []ExprCase{
		{"And", core.Do(core.And, x, y), [][]any{{"1", "1", true}, {"1", "0", false}, {nil, "1", false}, {nil, nil, false}}},
		{"And of none", core.Do(core.And, core.Do(core.And), x), [][]any{{"1", true}, {nil, false}}},
		{"Or", core.Do(core.Or, x, y), [][]any{{"0", "1", true}, {nil, "1", true}, {nil, "0", false}, {nil, nil, false}}},
		{"Or of none", core.Do(core.Or, core.Do(core.Or), x), [][]any{{"1", true}, {"0", false}}},
		{"Not", core.Do(core.Not, x), [][]any{{"1", false}, {"0", true}, {nil, true}}},
		{"Not of And", core.Do(core.Not, core.Do(core.And, x, y)), [][]any{{nil, "1", true}, {"1", "1", false}, {nil, nil, true}}},
		{"Not of Or", core.Do(core.Not, core.Do(core.Or, x, y)), [][]any{{nil, "0", true}, {nil, "1", false}}},
		{"Not of Not", core.Do(core.Not, core.Do(core.Not, x)), [][]any{{nil, false}, {"1", true}}},
	}
}

func compareCases() []ExprCase {
	big := i64(9007199254740993)
	return []ExprCase{
		{"EqNum ints", core.Do(core.EqNum, ia, ib), [][]any{{i64(1), i64(1), true}, {big, big - 1, false}, {nil, i64(1), false}, {nil, nil, false}}},
		{"EqNum int with float", core.Do(core.EqNum, ia, fb), [][]any{{i64(2), 2.0, true}, {i64(2), 2.5, false}, {i64(2), nil, false}}},
		{"EqNum constant", core.Do(core.EqNum, ia, core.Num(5)), [][]any{{i64(5), true}, {i64(4), false}, {nil, false}}},
		{"LtNum fraction", core.Do(core.LtNum, ia, core.Num(5.5)), [][]any{{i64(5), true}, {i64(6), false}, {nil, false}}},
		{"LtNum", core.Do(core.LtNum, fa, fb), [][]any{{1.0, 2.0, true}, {2.0, 2.0, false}, {-1e300, 1e300, true}, {nil, 1.0, false}}},
		{"LeNum", core.Do(core.LeNum, fa, fb), [][]any{{2.0, 2.0, true}, {3.0, 2.0, false}, {1.0, nil, false}}},
		{"EqText", core.Do(core.EqText, ta, tb), [][]any{{"a", "a", true}, {"a", "A", false}, {"a", "a ", false}, {"é", "e\u0301", false}, {nil, nil, false}, {"", "", true}}},
		{"LtText", core.Do(core.LtText, ta, tb), [][]any{{"Z", "a", true}, {"a", "é", true}, {"z", "é", true}, {"a", "ab", true}, {"10", "9", true}, {"\uFFFD", "😀", true}, {nil, "a", false}}},
		{"LeText", core.Do(core.LeText, ta, tb), [][]any{{"a", "a", true}, {"b", "a", false}, {"a", nil, false}}},
		{"InText", inText("a", "it's", ""), [][]any{{"a", true}, {"it's", true}, {"", true}, {"A", false}, {nil, false}}},
		{"InText of none", inText(), [][]any{{"a", false}, {nil, false}}},
		{"InNum", inNum(ia, 1, 2.5, 1e18), [][]any{{i64(1), true}, {i64(2), false}, {i64(1e18), true}, {nil, false}}},
		{"InNum floats", inNum(fa, 1, 2.5), [][]any{{2.5, true}, {1.0, true}, {nil, false}}},
	}
}

func convertCases() []ExprCase {
	return []ExprCase{
		{"ToNum", core.Do(core.ToNum, ta), [][]any{
			{"1", 1.0}, {"-1.5", -1.5}, {"+2", 2.0}, {"1e3", 1000.0}, {"1.5E-2", 0.015}, {"007", 7.0}, {"0.1", 0.1}, {"9007199254740993", 9007199254740992.0}, {"1e-400", 0.0},
			{"", nil}, {" 1", nil}, {"1 ", nil}, {"1_000", nil}, {".5", nil}, {"5.", nil}, {"0x10", nil}, {"inf", nil}, {"nan", nil}, {"1e400", nil}, {"-1e400", nil}, {"1e", nil}, {"--1", nil}, {"1,5", nil}, {"١", nil}, {"1\n", nil}, {nil, nil}}},
		{"ToFloat int", core.Do(core.ToFloat, ia), [][]any{{i64(3), 3.0}, {nil, nil}}},
		{"ToFloat bool", core.Do(core.ToFloat, ba), [][]any{{true, 1.0}, {false, 0.0}, {nil, nil}}},
		{"ToInt", core.Do(core.ToInt, fa), [][]any{{1.9, i64(1)}, {-1.9, i64(-1)}, {2.5, i64(2)}, {9.3e18, nil}, {-9223372036854775808.0, i64(math.MinInt64)}, {9223372036854775808.0, nil}, {1e300, nil}, {nil, nil}}},
		{"ToText int", core.Do(core.ToText, ia), [][]any{{i64(-5), "-5"}, {i64(math.MaxInt64), "9223372036854775807"}, {nil, nil}}},
		{"ToText float", core.Do(core.ToText, fa), [][]any{
			{5.0, "5"}, {-5.0, "-5"}, {0.0, "0"}, {math.Copysign(0, -1), "0"}, {0.1, "0.1"}, {1e15, "1000000000000000"}, {9007199254740991.0, "9007199254740991"}, {9007199254740992.0, "9007199254740992"},
			{1e16, "1e+16"}, {1e21, "1e+21"}, {1.5e300, "1.5e+300"}, {1e-4, "0.0001"}, {1e-5, "1e-05"}, {1.5e-7, "1.5e-07"}, {123456789.125, "123456789.125"}, {5e-324, "5e-324"}, {nil, nil}}},
		{"ToText bool", core.Do(core.ToText, ba), [][]any{{true, "true"}, {false, "false"}, {nil, nil}}},
		{"ToText predicate", core.Do(core.ToText, core.Do(core.EqText, ta, core.Str("x"))), [][]any{{"x", "true"}, {nil, "false"}}},
		{"ToText text", core.Do(core.ToText, ta), [][]any{{"x", "x"}, {nil, nil}}},
		{"ToText list", core.Do(core.ToText, la), [][]any{{[]string{"a", "b\"c"}, "a\nb\"c"}, {[]string{}, ""}, {nil, nil}}},
	}
}

func mathCases() []ExprCase {
	huge := 1e308
	cases := []ExprCase{
		{"Add", core.Do(core.Add, fa, fb), [][]any{{1.5, 2.0, 3.5}, {huge, huge, nil}, {nil, 1.0, nil}}},
		{"Sub", core.Do(core.Sub, fa, fb), [][]any{{1.5, 2.0, -0.5}, {-huge, huge, nil}}},
		{"Mul", core.Do(core.Mul, fa, fb), [][]any{{1.5, 2.0, 3.0}, {huge, 10.0, nil}}},
		{"Div", core.Do(core.Div, fa, fb), [][]any{{3.0, 2.0, 1.5}, {1.0, 0.0, nil}, {0.0, 0.0, nil}, {huge, 0.1, nil}, {1.0, nil, nil}}},
		{"Mod", core.Do(core.Mod, fa, fb), [][]any{{5.5, 3.0, 2.5}, {-5.5, 3.0, -2.5}, {5.5, -3.0, 2.5}, {1.0, 0.0, nil}}},
		{"chain stays null", core.Do(core.Sub, core.Do(core.Add, fa, fb), core.Num(1)), [][]any{{huge, huge, nil}, {1.0, 1.0, 1.0}}},
		{"divisor that is null", core.Do(core.Div, core.Num(1), core.Do(core.Mul, fa, fb)), [][]any{{huge, huge, nil}, {2.0, 2.0, 0.25}, {0.0, 1.0, nil}}},
	}
	for name, rows := range map[string][][]any{
		"abs": {{-1.5, 1.5}, {nil, nil}}, "ceil": {{1.2, 2.0}, {-1.2, -1.0}}, "floor": {{1.8, 1.0}, {-1.2, -2.0}},
		"sqrt": {{4.0, 2.0}, {-1.0, nil}, {0.0, 0.0}}, "cbrt": {{27.0, 3.0}, {-8.0, -2.0}},
		"exp": {{0.0, 1.0}, {1000.0, nil}, {-1000.0, 0.0}}, "expm1": {{0.0, 0.0}, {1e-10, 1.00000000005e-10}, {1.0, math.Expm1(1)}, {-50.0, math.Expm1(-50)}, {1000.0, nil}},
		"log": {{1.0, 0.0}, {0.0, nil}, {-1.0, nil}, {math.E, 1.0}}, "log10": {{1000.0, 3.0}, {0.0, nil}},
		"log1p": {{0.0, 0.0}, {1e-10, 9.9999999995e-11}, {1.0, math.Log1p(1)}, {-1.0, nil}, {-2.0, nil}},
		"sin":   {{1.0, math.Sin(1)}}, "cos": {{1.0, math.Cos(1)}}, "tan": {{1.0, math.Tan(1)}},
		"asin": {{1.0, math.Asin(1)}, {2.0, nil}}, "acos": {{0.5, math.Acos(0.5)}, {-2.0, nil}}, "atan": {{1.0, math.Atan(1)}},
		"sinh": {{1.0, math.Sinh(1)}, {1000.0, nil}}, "cosh": {{1.0, math.Cosh(1)}, {1000.0, nil}}, "tanh": {{1.0, math.Tanh(1)}},
	} {
		cases = append(cases, ExprCase{"Math " + name, math1(name), rows})
	}
	for name, rows := range map[string][][]any{
		"pow": {{2.0, 10.0, 1024.0}, {-8.0, 0.5, nil}, {0.0, -1.0, nil}, {0.0, 0.0, 1.0}, {10.0, 400.0, nil}}, "atan2": {{1.0, 0.0, math.Pi / 2}, {0.0, -1.0, math.Pi}},
		"hypot": {{3.0, 4.0, 5.0}, {nil, 1.0, nil}}, "min": {{1.0, 2.0, 1.0}, {nil, 2.0, nil}, {2.0, 2.0, 2.0}}, "max": {{1.0, 2.0, 2.0}, {1.0, nil, nil}},
		"round": {{2.5, 0.0, 3.0}, {-2.5, 0.0, -3.0}, {0.125, 2.0, 0.13}, {1234.5, -2.0, 1200.0}, {1.25, 1.0, 1.3}, {nil, 0.0, nil}, {1.5, nil, nil}},
	} {
		cases = append(cases, ExprCase{"Math " + name, math2(name), rows})
	}
	return cases
}

func textCases() []ExprCase {
	return []ExprCase{
		{"Length", core.Do(core.Length, ta), [][]any{{"", i64(0)}, {"añ😀", i64(3)}, {"e\u0301", i64(2)}, {nil, nil}}},
		{"Lower", core.Do(core.Lower, ta), [][]any{{"ÀBÉ ß Σ", "àbé ß σ"}, {"AΣ", "aσ"}, {nil, nil}}},
		{"Upper", core.Do(core.Upper, ta), [][]any{{"àbé", "ÀBÉ"}, {"straße ß", "STRAßE ß"}, {nil, nil}}},
		{"Trim", core.Do(core.Trim, ta), [][]any{{" \t\r\na b\n ", "a b"}, {"\u00a0x", "\u00a0x"}, {"  ", ""}, {nil, nil}}},
		{"Substr", core.Do(core.Substr, ta, ib, ic), [][]any{{"héllo", i64(1), i64(3), "éll"}, {"abc", i64(0), i64(99), "abc"}, {"abc", i64(5), i64(1), ""}, {"abc", i64(1), i64(0), ""},
			{"abc", i64(-1), i64(2), nil}, {"abc", i64(0), i64(-1), nil}, {"abc", i64(math.MaxInt64), i64(1), ""}, {"abc", i64(1), i64(math.MaxInt64), "bc"}, {nil, i64(0), i64(1), nil}, {"abc", nil, i64(1), nil}}},
		{"Concat", core.Do(core.Concat, ta, tb, core.Str("!")), [][]any{{"a", "b", "ab!"}, {"", "", "!"}, {nil, "b", nil}, {"a", nil, nil}}},
		{"Contains", core.Do(core.Contains, ta, tb), [][]any{{"abc", "bc", true}, {"abc", "B", false}, {"abc", "", true}, {"", "", true}, {"a%c", "%", true}, {nil, "a", false}, {"a", nil, false}}},
		{"HasPrefix", core.Do(core.HasPrefix, ta, tb), [][]any{{"abc", "ab", true}, {"abc", "b", false}, {"abc", "", true}, {"a", "abc", false}, {nil, "", false}}},
		{"HasSuffix", core.Do(core.HasSuffix, ta, tb), [][]any{{"abc", "bc", true}, {"abc", "b", false}, {"abc", "", true}, {"a", "ba", false}, {nil, "", false}}},
		{"Replace", core.Do(core.Replace, ta, tb, tc), [][]any{{"aaa", "aa", "b", "ba"}, {"abc", "", "x", "abc"}, {"a.b", ".", "$1", "a$1b"}, {nil, "a", "b", nil}, {"a", nil, "b", nil}, {"a", "a", nil, nil}}},
		{"Glob", core.Do(core.Glob, ta, tb), [][]any{{"abc", "a*", true}, {"abc", "*b*", true}, {"abc", "b", false}, {"abc", "ABC", false}, {"", "*", true}, {"", "", true}, {"a%b", "a%b", true}, {"axb", "a%b", false}, {"axb", "a_b", false}, {`a\b`, `a\b`, true}, {"a\nb", "a*b", true}, {"ab", "a?", false}, {nil, "*", false}, {"a", nil, false}}},
		{"SplitPart 1", split(1), [][]any{{"a,b", ",", "a"}, {"", ",", ""}, {"ab", "", "ab"}, {",b", ",", ""}, {nil, ",", nil}, {"a", nil, nil}}},
		{"SplitPart 3", split(3), [][]any{{"a--b--c", "--", "c"}, {"a,b", ",", nil}, {"a,b,", ",", ""}, {"", ",", nil}, {"ab", "", nil}}},
	}
}

func regexCases() []ExprCase {
	return []ExprCase{
		{"MatchRe", match(`a.b`), [][]any{{"xa-bx", true}, {"a\nb", false}, {"aéb", true}, {"A-B", false}, {nil, false}}},
		{"MatchRe end", match(`a$`), [][]any{{"ba", true}, {"a\n", false}}},
		{"MatchRe begin", match(`^b`), [][]any{{"b", true}, {"a\nb", false}}},
		{"MatchRe flags", match(`(?i)a(?s:.)B`), [][]any{{"A\nb", true}, {"ab", false}}},
		{"MatchRe lines", match(`(?m)^b$`), [][]any{{"a\nb\nc", true}, {"ab", false}}},
		{"MatchRe classes", match(`^\d\s\w\pL[[:upper:]]$`), [][]any{{"1 _éA", true}, {"١ _éA", false}}},
		{"MatchRe quotes", match(`it's \\ "x"\$1`), [][]any{{`it's \ "x"$1`, true}}},
		{"MatchRe empty", match(``), [][]any{{"", true}, {"x", true}, {nil, false}}},
		{"MatchRe prefilter", match(`lit (eral|urgy)`, "lit ", "r"), [][]any{{"a lit eral", true}, {"a lit er", false}, {"literal", false}, {nil, false}}},
		{"ExtractRe", extract(`([a-z]+)=(\d+)`, 2), [][]any{{"x=1,y=22", "1"}, {"x=", nil}, {nil, nil}}},
		{"ExtractRe whole", extract(`b+`, 0, "b"), [][]any{{"abbc", "bb"}, {"ac", nil}}},
		{"ExtractRe empty group", extract(`a(x*)b`, 1), [][]any{{"ab", ""}, {"axb", "x"}, {"b", nil}}},
		{"ExtractRe absent group", extract(`(x)?b`, 1), [][]any{{"b", ""}, {"xb", "x"}, {"a", nil}}},
		{"ExtractRe alternatives", extract(`(a)|(b)`, 2), [][]any{{"a", ""}, {"b", "b"}, {"c", nil}}},
		{"ExtractRe greedy", extract(`<(.*)>`, 1), [][]any{{"<a><b>", "a><b"}}},
		{"ExtractRe lazy", extract(`<(.*?)>`, 1), [][]any{{"<a><b>", "a"}}},
		{"ExtractRe group 11", extract(`(a)(b)(c)(d)(e)(f)(g)(h)(i)(?i:(j))([kK])`, 11), [][]any{{"abcdefghiJk", "k"}, {"abcdefghi", nil}}},
		{"ReplaceRe", replaceRe(`(\w+)@(\w+)`, group(2), lit(` \at $0 `), group(1)), [][]any{{"joe@home, ann@work", `home \at $0 joe, work \at $0 ann`}, {"none", "none"}, {nil, nil}}},
		{"ReplaceRe whole", replaceRe(`b`, lit("["), group(0), lit("]")), [][]any{{"abab", "a[b]a[b]"}}},
		{"ReplaceRe absent group", replaceRe(`(x)?b`, lit("<"), group(1), lit(">")), [][]any{{"bxb", "<><x>"}}},
		{"ReplaceRe empty matches", replaceRe(`x*`, lit("-")), [][]any{{"abc", "-a-b-c-"}, {"", "-"}, {"axb", "-a-b-"}, {"é", "-é-"}}},
		{"ReplaceRe by nothing", replaceRe(`\s+`), [][]any{{"a \n b", "ab"}}},
		{"FindAllRe", findAll(`([a-z])(\d)`, 2), [][]any{{"a1b2", []string{"1", "2"}}, {"none", []string{}}, {nil, nil}}},
		{"FindAllRe whole", findAll(`\d+`, 0), [][]any{{"1, 22", []string{"1", "22"}}}},
		{"FindAllRe absent group", findAll(`(a)|b`, 1), [][]any{{"ab", []string{"a", ""}}}},
	}
}

func codecCases() []ExprCase {
	return []ExprCase{
		{"Base64Enc", core.Do(core.Base64Enc, ta), [][]any{{"", ""}, {"a?>é", "YT8+w6k="}, {nil, nil}}},
		{"Base64Dec", core.Do(core.Base64Dec, ta), [][]any{{"YT8+w6k=", "a?>é"}, {"YT8-w6k", "a?>é"}, {"", ""}, {"YQ", "a"}, {"YQ==", "a"}, {"!!", nil}, {"Y", nil}, {"/w==", nil}, {nil, nil}}},
		{"URLEnc", core.Do(core.URLEnc, ta), [][]any{{"a b/é~-_.+", "a%20b%2F%C3%A9~-_.%2B"}, {nil, nil}}},
		{"URLDec", core.Do(core.URLDec, ta), [][]any{{"a%20b+c%C3%A9%2b", "a b cé+"}, {"100%", "100%"}, {"%zz%4", "%zz%4"}, {nil, nil}}},
		{"HexEnc", core.Do(core.HexEnc, ta), [][]any{{"aé", "61c3a9"}, {"", ""}, {nil, nil}}},
		{"HexDec", core.Do(core.HexDec, ta), [][]any{{"61C3a9", "aé"}, {"", ""}, {"6", nil}, {"zz", nil}, {"c3", nil}, {"6 1 ", nil}, {nil, nil}}},
		{"IntToHex", core.Do(core.IntToHex, ia), [][]any{{i64(255), "ff"}, {i64(0), "0"}, {i64(-1), "ffffffffffffffff"}, {nil, nil}}},
		{"HexToInt", core.Do(core.HexToInt, ta), [][]any{{"fF", i64(255)}, {"0", i64(0)}, {"ffffffffffffffff", i64(-1)}, {"7fffffffffffffff", i64(math.MaxInt64)}, {"8000000000000000", i64(math.MinInt64)}, {"0000000000000000f", nil}, {"", nil}, {"0x1", nil}, {"g", nil}, {nil, nil}}},
		{"Hash md5", hash("md5"), [][]any{{"", "d41d8cd98f00b204e9800998ecf8427e"}, {"é", "66ddcd97cfdeabb2f6fb8a999b4bc76f"}, {nil, nil}}},
		{"Hash sha1", hash("sha1"), [][]any{{"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"}, {nil, nil}}},
		{"Hash sha2_256", hash("sha2_256"), [][]any{{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, {nil, nil}}},
	}
}

func jsonCases() []ExprCase {
	doc := `{"a":{"b.c":"x","n":12,"big":12345678901234567890,"t":true,"z":null,"l":[1,"two",{"k":"v \" é \u00e9 \n"}],"e":[],"q\"\\":"odd","s":""},"0":"zero","*":"star"}`
	k := func(path ...core.Step) *core.Expr { return get(core.Text, append([]core.Step{key("a")}, path...)...) }
	return []ExprCase{
		{"JSONGet text", k(key("b.c")), [][]any{{doc, "x"}, {`{"a":{"b":{"c":"no"}}}`, nil}, {`{"a":{"B.C":"no"}}`, nil}, {"no json", nil}, {`{"a":{"b.c":"cut`, nil}, {"", nil}, {"[]", nil}, {nil, nil}}},
		{"JSONGet number", k(key("n")), [][]any{{doc, "12"}}},
		{"JSONGet large number", k(key("big")), [][]any{{doc, "12345678901234567890"}}},
		{"JSONGet true", k(key("t")), [][]any{{doc, "true"}}},
		{"JSONGet null", k(key("z")), [][]any{{doc, nil}}},
		{"JSONGet absent", k(key("none")), [][]any{{doc, nil}}},
		{"JSONGet empty text", k(key("s")), [][]any{{doc, ""}}},
		{"JSONGet array", k(key("l")), [][]any{{doc, "[1,\"two\",{\"k\":\"v \\\" é é \\n\"}]"}}},
		{"JSONGet empty array", k(key("e")), [][]any{{doc, "[]"}}},
		{"JSONGet spaces", get(core.Text, key("a")), [][]any{{`{ "a" : { "b" : [ 1 , 2 ] } }`, `{"b":[1,2]}`}}},
		{"JSONGet index", k(key("l"), index(1)), [][]any{{doc, "two"}, {`{"a":{"l":{"1":"no"}}}`, nil}}},
		{"JSONGet index beyond", k(key("l"), index(7)), [][]any{{doc, nil}}},
		{"JSONGet within index", k(key("l"), index(2), key("k")), [][]any{{doc, "v \" é é \n"}}},
		{"JSONGet quoted key", k(key(`q"\`)), [][]any{{doc, "odd"}}},
		{"JSONGet digit key", get(core.Text, key("0")), [][]any{{doc, "zero"}, {`["no"]`, nil}}},
		{"JSONGet star key", get(core.Text, key("*")), [][]any{{doc, "star"}, {`{"x":1}`, nil}}},
		{"JSONGet int", get(core.Int, key("a"), key("n")), [][]any{{doc, i64(12)}, {"{}", nil}}},
		{"JSONGet float", get(core.Float, key("x")), [][]any{{`{"x":0.5}`, 0.5}, {`{"x":null}`, nil}}},
		{"JSONGet bool", get(core.Bool, key("x")), [][]any{{`{"x":true}`, true}, {`{"x":false}`, false}, {`{}`, nil}}},
		{"JSONLen", core.Do(core.JSONLen, ta), [][]any{{"[1,[2,3],null]", i64(3)}, {"[]", i64(0)}, {`{"a":1}`, nil}, {`"x"`, nil}, {"[1,", nil}, {nil, nil}}},
		{"JSONHas", core.Do(core.JSONHas, ta, tb), [][]any{{`["a","b"]`, "a", true}, {`["a"]`, "A", false}, {`["é\n"]`, "é\n", true}, {`[1,2]`, "2", true}, {`[true]`, "true", true}, {`["1"]`, "1", true}, {`[null]`, "null", false},
			{`[["a"]]`, "a", false}, {`[["a"]]`, `["a"]`, false}, {`{"a":"b"}`, "b", false}, {"a", "a", false}, {nil, "a", false}, {`["a"]`, nil, false}}},
	}
}

func listCases() []ExprCase {
	return []ExprCase{
		{"ListHas", core.Do(core.ListHas, la, tb), [][]any{{[]string{"a", "b"}, "b", true}, {[]string{"a"}, "A", false}, {[]string{}, "a", false}, {nil, "a", false}, {[]string{"a"}, nil, false}}},
		{"ListLen", core.Do(core.ListLen, la), [][]any{{[]string{"a", ""}, i64(2)}, {[]string{}, i64(0)}, {nil, nil}}},
	}
}

func addressCases() []ExprCase {
	return []ExprCase{
		{"IPv4Num", core.Do(core.IPv4Num, ta), [][]any{{"1.2.3.4", i64(16909060)}, {"255.255.255.255", i64(4294967295)}, {"0.0.0.0", i64(0)}, {"01.2.3.4", nil}, {"1.2.3", nil}, {"1.2.3.4.5", nil}, {"256.1.1.1", nil}, {" 1.2.3.4", nil}, {"1.2.3.4\n", nil}, {"::1", nil}, {"", nil}, {nil, nil}}},
		{"IsIPv6", core.Do(core.IsIPv6, ta), [][]any{{"::", true}, {"::1", true}, {"2001:db8::1", true}, {"1:2:3:4:5:6:7:8", true}, {"1::", true}, {"1:2:3:4:5:6:7::", true}, {"::2:3:4:5:6:7:8", true}, {"::ffff:1.2.3.4", true}, {"1:2:3:4:5:6:1.2.3.4", true}, {"FE80::A", true},
			{"1.2.3.4", false}, {":", false}, {":::", false}, {"1:2:3:4:5:6:7", false}, {"1:2:3:4:5:6:7:8:9", false}, {"1::2::3", false}, {"12345::", false}, {"g::", false}, {"::1.2.3", false}, {"::256.1.1.1", false}, {"1:2:3:4:5:6:7:1.2.3.4", false}, {"", false}, {" ::1", false}, {nil, false}}},
	}
}

func timeCases() []ExprCase {
	berlin, york := zone("Europe/Berlin"), zone("America/New_York")
	hour, day := time.Hour, 24*time.Hour
	return []ExprCase{
		{"TimeBucket 4h", bucket(4*hour, nil), [][]any{{ms("2024-03-01T05:59:59.999Z"), ms("2024-03-01T04:00:00Z")}, {ms("2024-03-01T04:00:00Z"), ms("2024-03-01T04:00:00Z")}, {i64(-1), i64(-4 * 3600 * 1000)}, {nil, nil}}},
		{"TimeBucket day", bucket(day, time.UTC), [][]any{{ms("2024-03-01T23:00:00Z"), ms("2024-03-01T00:00:00Z")}}},
		{"TimeBucket day Berlin", bucket(day, berlin), [][]any{
			{ms("2024-01-15T23:30:00Z"), ms("2024-01-15T23:00:00Z")}, {ms("2024-07-15T21:59:00Z"), ms("2024-07-14T22:00:00Z")},
			{ms("2024-03-31T12:00:00Z"), ms("2024-03-30T23:00:00Z")}, {ms("2024-10-27T12:00:00Z"), ms("2024-10-26T22:00:00Z")}, {nil, nil}}},
		{"TimeBucket hour where clocks go back", bucket(hour, berlin), [][]any{{ms("2024-10-27T00:30:00Z"), ms("2024-10-27T00:00:00Z")}, {ms("2024-10-27T01:30:00Z"), ms("2024-10-27T01:00:00Z")}}},
		{"TimeBucket 4h where clocks change", bucket(4*hour, york), [][]any{{ms("2024-03-10T06:30:00Z"), ms("2024-03-10T05:00:00Z")}, {ms("2024-03-10T07:30:00Z"), ms("2024-03-10T05:00:00Z")}, {ms("2024-03-10T08:30:00Z"), ms("2024-03-10T08:00:00Z")}}},
		{"TimeBucket week", bucket(7*day, nil), [][]any{{ms("1970-01-07T23:00:00Z"), i64(0)}, {ms("1970-01-08T00:00:00Z"), ms("1970-01-08T00:00:00Z")}}},
		{"FormatTime", timed(core.FormatTime, ia, "yyyy-MM-dd'T'HH:mm:ss.SSS Z 'o''clock' 100%", nil), [][]any{{ms("2024-03-01T05:06:07.089Z"), "2024-03-01T05:06:07.089 +0000 o'clock 100%"}, {i64(math.MaxInt64), nil}, {nil, nil}}},
		{"FormatTime letters", timed(core.FormatTime, ia, "EEE EEEE d M MMM MMMM yy H h hh a m s D u", nil), [][]any{{ms("2024-03-01T15:06:07Z"), "Fri Friday 1 3 Mar March 24 15 3 03 PM 6 7 61 5"}, {ms("2024-03-01T00:00:00Z"), "Fri Friday 1 3 Mar March 24 0 12 12 AM 0 0 61 5"}}},
		{"FormatTime zone", timed(core.FormatTime, ia, "yyyy-MM-dd HH:mm XXX", berlin), [][]any{{ms("2024-07-01T23:30:00Z"), "2024-07-02 01:30 +02:00"}, {ms("2024-01-01T23:30:00Z"), "2024-01-02 00:30 +01:00"}}},
		{"FormatTime zone west", timed(core.FormatTime, ia, "HH:mm Z", york), [][]any{{ms("2024-01-01T00:30:00Z"), "19:30 -0500"}}},
		{"ParseTime", timed(core.ParseTime, ta, "yyyy-MM-dd HH:mm:ss", nil), [][]any{{"2024-03-01 05:06:07", ms("2024-03-01T05:06:07Z")}, {"2024-13-01 00:00:00", nil}, {"x", nil}, {"", nil}, {nil, nil}}},
		{"ParseTime zone", timed(core.ParseTime, ta, "yyyy-MM-dd HH:mm", berlin), [][]any{{"2024-07-02 01:30", ms("2024-07-01T23:30:00Z")}}},
		{"ParseTime offset", timed(core.ParseTime, ta, "yyyy-MM-dd'T'HH:mm:ssZ", berlin), [][]any{{"2024-03-01T05:06:07+0200", ms("2024-03-01T03:06:07Z")}}},
	}
}
