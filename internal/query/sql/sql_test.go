package sql_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/sql"
)

var update = flag.Bool("update", false, "write the goldens anew")

func scan(names ...string) *core.Scan {
	s := &core.Scan{}
	for _, n := range names {
		t := core.Text
		if n == "_messagetime" || n == "pid" {
			t = core.Int
		}
		s.Columns = append(s.Columns, core.Col{Name: n, Type: t})
	}
	return s
}

func re(source string, all ...string) *core.Regex {
	return &core.Regex{Source: source, Go: regexp.MustCompile(source), All: all}
}

var (
	raw, name, at, pid = core.C("_raw", core.Text), core.C("eventName", core.Text), core.C("_messagetime", core.Int), core.C("pid", core.Int)
	ecode              = core.C("errorCode", core.Text)
)

func eq(x *core.Expr, s string) *core.Expr { return core.Do(core.EqText, x, core.Str(s)) }

func path(keys ...string) *core.Expr {
	e := &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{raw}}
	for _, k := range keys {
		e.Path = append(e.Path, core.Step{Key: k, Index: -1})
	}
	return e
}

func match(x *core.Expr, r *core.Regex) *core.Expr {
	return &core.Expr{Op: core.MatchRe, Type: core.Bool, Args: []*core.Expr{x}, Re: r}
}

// plans are the goldens: what one reads under --explain, and what engines plan
// by.
func plans() map[string]core.Plan {
	denied := scan("eventName", "_messagetime", "pid")
	denied.From, denied.To = 1700000000000, 1700086400000
	denied.Filter = core.Do(core.And, eq(ecode, "AccessDenied"), core.Do(core.Or, eq(name, "it's"), core.Do(core.Not, eq(name, "x"))),
		core.Do(core.LtNum, pid, core.Num(10)))
	newest := scan("_messagetime", "_raw")
	newest.Filter = eq(name, "PutObject")
	shared := &core.Filter{In: scan("eventName", "errorCode"), Cond: eq(ecode, "AccessDenied")}
	ratio := core.Do(core.Div, core.Do(core.Mul, core.Do(core.Add, core.Do(core.ToFloat, pid), core.Num(1)), core.Num(100)), core.Do(core.Sub, core.Do(core.ToFloat, pid), core.Num(7)))
	return map[string]core.Plan{
		"filter":      denied,
		"newest_many": &core.Limit{N: 100001, In: &core.Sort{In: newest, Keys: []core.Key{{Expr: at, Desc: true}, {Expr: name}}}},
		"newest":      &core.Limit{N: 100, In: &core.Sort{In: newest, Keys: []core.Key{{Expr: at, Desc: true}}}},
		"projects":    &core.Project{In: &core.Project{In: denied, Out: []core.Named{{Name: "n", Expr: core.Do(core.Lower, name)}, {Name: "pid", Expr: pid}}}, Out: []core.Named{{Name: "pid", Expr: pid}}},
		"json": &core.Project{In: &core.Filter{In: scan("_raw"), Cond: eq(path("a"), "x")}, Out: []core.Named{
			{Name: "b", Expr: path("b", `odd"key`)}, {Name: "c", Expr: path("c")}, {Name: "b2", Expr: core.Do(core.Upper, path("b", `odd"key`))}}},
		"regex": &core.Filter{In: scan("_raw", "eventName"), Cond: core.Do(core.And,
			match(raw, re(`training data|model|prompts?`)), match(raw, re(`aws\,bedrock`)), match(raw, re(`(?i)delete`)), match(raw, re(`lit.*eral`, "lit", "eral")),
			match(core.Do(core.Lower, raw), re(`a|b`)))},
		"regex_computed": &core.Filter{Cond: match(core.C("user", core.Text), re(`model|prompts`)), In: &core.Project{In: scan("_raw", "eventName"), Out: []core.Named{
			{Name: "eventName", Expr: name},
			{Name: "user", Expr: &core.Expr{Op: core.ExtractRe, Type: core.Text, Args: []*core.Expr{raw}, Re: re(`<input>(.*)</input>`, "<input>", "</input>"), N: 1}},
			{Name: "some", Expr: &core.Expr{Op: core.ExtractRe, Type: core.Text, Args: []*core.Expr{raw}, Re: re(`key(=\w+)?`, "key"), N: 1}}}}},
		"arithmetic": &core.Project{In: scan("pid"), Out: []core.Named{{Name: "r", Expr: ratio}}},
		"aggregate": &core.Filter{In: &core.Aggregate{In: denied, By: []core.Named{{Name: "eventName", Expr: name}},
			Aggs: []core.Agg{{Name: "c", Fn: core.CountAll, If: eq(name, "y")}, {Name: "v", Fn: core.Values, Arg: name, Param: 100, If: eq(name, "y")}}},
			Cond: core.Do(core.LtNum, core.IntOf(1), core.C("c", core.Int))},
		"shared": &core.Join{Kind: core.Left, L: &core.Project{In: shared, Out: []core.Named{{Name: "l", Expr: name}}}, R: &core.Project{In: shared, Out: []core.Named{{Name: "r", Expr: name}}},
			On: [][2]*core.Expr{{core.C("l", core.Text), core.C("r", core.Text)}}, Cond: eq(core.C("r", core.Text), "z")},
	}
}

func TestGolden(t *testing.T) {
	for file, plan := range plans() {
		got, err := sql.Print(plan, &sql.DuckDB)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		golden := filepath.Join("testdata", file+".duckdb.sql")
		if *update {
			if err := os.WriteFile(golden, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got+"\n" != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	project := func(e *core.Expr) core.Plan {
		return &core.Project{In: scan("_raw"), Out: []core.Named{{Name: "x", Expr: e}}}
	}
	one := func(n string) core.Plan {
		return &core.Inline{Name: n, Columns: []core.Col{{Name: "a", Type: core.Text}}}
	}
	timed := func(op core.Op, pattern string, zone *time.Location) *core.Expr {
		e := core.Do(op, at)
		e.S, e.Zone = pattern, zone
		return e
	}
	for _, c := range []struct {
		plan core.Plan
		want string
	}{
		{project(core.Str("a\x00b")), "NUL"},
		{project(core.Str("\xff")), "UTF-8"},
		{project(core.Str(strings.Repeat("x", 2<<20))), "1 MiB"},
		{project(core.C("a\x00", core.Text)), "NUL"},
		{project(core.C("", core.Text)), "empty name"},
		{project(core.Num(math.Inf(1))), "not finite"},
		{project(&core.Expr{Op: core.JSONFold, Type: core.Text, Args: []*core.Expr{raw}, S: "a"}), "no spelling"},
		{project(&core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{raw}, Path: []core.Step{{Index: -1}}}), "empty key"},
		{project(&core.Expr{Op: core.ReplaceRe, Type: core.Text, Args: []*core.Expr{raw}, Re: re("a"), Rep: []core.RepPart{{Group: 12}}}), "group 12"},
		{project(timed(core.FormatTime, "yyyy Q", nil)), `"Q"`},
		{project(timed(core.FormatTime, "yyyy 'open", nil)), "not closed"},
		{project(timed(core.TimeBucket, "", nil)), "bucket"},
		{&core.Filter{In: scan("_raw"), Cond: raw}, "predicate"},
		{&core.Limit{In: scan("_raw"), N: -1}, "limit"},
		{&core.Host{Name: "transpose", In: scan("_raw")}, "transpose"},
		{one("Events"), "two tables"},
		{&core.Union{Ins: []core.Plan{one("t"), one("T")}}, "two tables"},
		{&core.Union{}, "nothing"},
	} {
		if got, err := sql.Print(c.plan, &sql.DuckDB); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %q, %v; want an error with %q", got, err, c.want)
		}
	}
	if _, err := sql.ByName("oracle"); err == nil {
		t.Error("a dialect that is not there was found")
	}
}

// FuzzText prints any text in every place that holds one. Outside the quotes
// that doubling closes, nothing of it may appear.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "'", `"`, `\`, `\'`, "''", "é\n", "a\x00", "$1 $* $S", "'); DROP VIEW events; --", "/*", "\xff", "😀\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := core.Do(core.Concat, core.C(s, core.Text), core.Str(s), &core.Expr{Op: core.ReplaceRe, Type: core.Text, Args: []*core.Expr{raw}, Re: re("x"), Rep: []core.RepPart{{Lit: s, Group: -1}}})
		in := core.Do(core.InText, raw)
		in.Set = []string{s, "y"}
		got, err := sql.Print(&core.Project{In: &core.Filter{In: scan("_raw"), Cond: in}, Out: []core.Named{{Name: s, Expr: e}}}, &sql.DuckDB)
		if err != nil {
			return
		}
		const want = `SELECT (  ||   || regexp_replace( ,  ,  ,  )) AS  ` + "\n  FROM events\n WHERE   IN ( ,  )"
		if bare := unquote(t, got); bare != want {
			t.Errorf("%q gives %s", s, bare)
		}
	})
}

// unquote puts a space for each literal and quoted name, reading as the
// standard says: a quote ends it unless doubled.
func unquote(t *testing.T, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		q := s[i]
		if q != '\'' && q != '"' {
			b.WriteByte(q)
			continue
		}
		b.WriteByte(' ')
		for i++; ; i++ {
			if i >= len(s) {
				t.Fatalf("a quote is not closed in %q", s)
			}
			if s[i] == q {
				if i+1 >= len(s) || s[i+1] != q {
					break
				}
				i++
			}
		}
	}
	return b.String()
}
