package op

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
)

// Format prints a plan as text: a line a node, what is read first at the top.
// A second input stands indented below its node.
func Format(p core.Plan) string {
	f := &formatter{}
	f.plan(p)
	return f.b.String()
}

// FormatExpr prints an expression.
func FormatExpr(e *core.Expr) string {
	f := &formatter{}
	f.expr(e)
	return f.b.String()
}

type formatter struct {
	b      strings.Builder
	indent string
}

func (f *formatter) line(format string, args ...any) {
	fmt.Fprintf(&f.b, f.indent+format+"\n", args...)
}

// below prints a further input.
func (f *formatter) below(p core.Plan) {
	f.indent += "    "
	f.plan(p)
	f.indent = f.indent[4:]
}

func (f *formatter) plan(p core.Plan) {
	if in := p.Inputs(); len(in) > 0 {
		f.plan(in[0])
	}
	switch p := p.(type) {
	case *core.Scan:
		f.scan(p)
	case *core.Inline:
		f.line("inline %s: %s; %d rows", p.Name, colNames(p.Columns), len(p.Rows))
	case *core.Filter:
		f.line("filter %s", FormatExpr(p.Cond))
	case *core.Project:
		f.line("project %s", namedList(p.Out))
	case *core.Aggregate:
		f.line("aggregate by %s", namedList(p.By))
		for _, a := range p.Aggs {
			f.line("    %s", formatAgg(a))
		}
	case *core.Sort:
		f.line("sort %s", keyList(p.Keys))
	case *core.Limit:
		f.line("limit %d", p.N)
	case *core.Unnest:
		f.line("unnest %s = %s%s", name(p.Name), FormatExpr(p.List), ifTrue(p.Keep, ", keep"))
	case *core.Host:
		f.line("host %s, at most %d rows: %s", p.Name, p.MaxRows, colNames(p.Out))
	case *core.Window:
		f.line("window %s", formatWindow(p))
	case *core.Join:
		f.join(p)
	case *core.Union:
		f.line("union")
		for _, in := range p.Ins[1:] {
			f.below(in)
		}
	}
}

func (f *formatter) scan(p *core.Scan) {
	f.line("scan %s", colNames(p.Columns))
	if p.From != 0 || p.To != 0 {
		f.line("    time %s to %s", bound(p.From), bound(p.To))
	}
	if p.Filter != nil {
		f.line("    where %s", FormatExpr(p.Filter))
	}
}

func bound(ms int64) string {
	if ms == 0 {
		return "open"
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

func (f *formatter) join(p *core.Join) {
	var on []string
	for _, o := range p.On {
		on = append(on, FormatExpr(o[0])+" = "+FormatExpr(o[1]))
	}
	kind := [...]string{"inner", "left", "semi", "anti"}[p.Kind]
	cond := ""
	if p.Cond != nil {
		cond = " where " + FormatExpr(p.Cond)
	}
	f.line("join %s on %s%s", kind, strings.Join(on, ", "), cond)
	f.below(p.R)
}

var aggNames = [...]string{"countAll", "count", "countDistinct", "sum", "avg", "min", "max", "stdDev", "pct", "values", "first", "last"}

func formatAgg(a core.Agg) string {
	s := fmt.Sprintf("%s = %s(", name(a.Name), aggNames[a.Fn])
	if a.Arg != nil {
		s += FormatExpr(a.Arg)
	}
	if a.Param != 0 {
		s += ", " + strconv.FormatFloat(a.Param, 'g', -1, 64)
	}
	s += ")"
	if len(a.Order) > 0 {
		s += " order " + keyList(a.Order)
	}
	if a.If != nil {
		s += " if " + FormatExpr(a.If)
	}
	return s
}

var winNames = [...]string{"rowNumber", "lag", "movAvg", "movStd", "movCount", "movSum", "movMin", "movMax", "totalSum", "rank"}

func formatWindow(w *core.Window) string {
	s := fmt.Sprintf("%s = %s(", name(w.Name), winNames[w.Fn])
	if w.Arg != nil {
		s += FormatExpr(w.Arg)
	}
	if w.Fn == core.Lag {
		s += fmt.Sprintf(", %d", w.N)
	}
	s += ")"
	if w.From != 0 || w.To != 0 {
		s += fmt.Sprintf(" rows %s..%s", edge(w.From), edge(w.To))
	}
	if len(w.Partition) > 0 {
		s += " by " + exprList(w.Partition)
	}
	return s + " order " + keyList(w.Order)
}

func edge(n int64) string {
	switch n {
	case math.MinInt64:
		return "first"
	case math.MaxInt64:
		return "last"
	}
	return strconv.FormatInt(n, 10)
}

func ifTrue(cond bool, s string) string {
	if cond {
		return s
	}
	return ""
}

func colNames(cols []core.Col) string {
	var list []string
	for _, c := range cols {
		list = append(list, name(c.Name))
	}
	return strings.Join(list, ", ")
}

func namedList(list []core.Named) string {
	var out []string
	for _, n := range list {
		if n.Expr.Op == core.Column && n.Expr.Name == n.Name {
			out = append(out, name(n.Name))
			continue
		}
		out = append(out, name(n.Name)+" = "+FormatExpr(n.Expr))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func keyList(keys []core.Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, FormatExpr(k.Expr)+ifTrue(k.Desc, " desc"))
	}
	return strings.Join(list, ", ")
}

func exprList(exprs []*core.Expr) string {
	var list []string
	for _, e := range exprs {
		list = append(list, FormatExpr(e))
	}
	return strings.Join(list, ", ")
}

// name quotes what is no plain name.
func name(s string) string {
	for i := range len(s) {
		if c := s[i]; !(c == '_' || c == '.' || c == '#' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return "`" + s + "`"
		}
	}
	return s
}

// opNames are what the ops are called in printed plans.
var opNames = [core.NumOps]string{
	core.Const: "const", core.Column: "column", core.JSONGet: "json", core.JSONFold: "jsonFold",
	core.IsNull: "isNull", core.IsTrue: "isTrue", core.If: "if", core.Coalesce: "coalesce",
	core.And: "and", core.Or: "or", core.Not: "not",
	core.EqNum: "eqNum", core.LtNum: "ltNum", core.LeNum: "leNum", core.EqText: "eqText", core.LtText: "ltText", core.LeText: "leText",
	core.InText: "inText", core.InNum: "inNum",
	core.ToNum: "toNum", core.ToFloat: "toFloat", core.ToInt: "toInt", core.ToText: "toText",
	core.Add: "add", core.Sub: "sub", core.Mul: "mul", core.Div: "div", core.Mod: "mod", core.Math: "math",
	core.Length: "length", core.Lower: "lower", core.Upper: "upper", core.Trim: "trim", core.Substr: "substr", core.Concat: "concat",
	core.Contains: "contains", core.HasPrefix: "hasPrefix", core.HasSuffix: "hasSuffix", core.Replace: "replace", core.Glob: "glob",
	core.MatchRe: "match", core.ExtractRe: "extract", core.ReplaceRe: "replaceRe", core.FindAllRe: "findAll", core.SplitPart: "splitPart",
	core.Base64Enc: "base64Enc", core.Base64Dec: "base64Dec", core.URLEnc: "urlEnc", core.URLDec: "urlDec",
	core.HexEnc: "hexEnc", core.HexDec: "hexDec", core.IntToHex: "intToHex", core.HexToInt: "hexToInt", core.Hash: "hash",
	core.ListHas: "listHas", core.ListLen: "listLen", core.JSONLen: "jsonLen", core.JSONHas: "jsonHas",
	core.IPv4Num: "ipv4Num", core.IsIPv6: "isIPv6",
	core.TimeBucket: "timeBucket", core.FormatTime: "formatTime", core.ParseTime: "parseTime",
}

func (f *formatter) expr(e *core.Expr) {
	switch e.Op {
	case core.Const:
		f.b.WriteString(formatConst(e))
		return
	case core.Column:
		f.b.WriteString(name(e.Name))
		return
	case core.Math:
		f.b.WriteString(e.S)
	default:
		f.b.WriteString(opNames[e.Op])
	}
	if (e.Op == core.JSONGet) && e.Type != core.Text {
		f.b.WriteString(":" + e.Type.String())
	}
	list := exprList(e.Args)
	if extra := formatExtra(e); extra != "" {
		list += ", " + extra
	}
	f.b.WriteString("(" + list + ")")
}

func formatConst(e *core.Expr) string {
	switch {
	case e.IsNullConst():
		return "null:" + e.Type.String()
	case e.Type == core.Text:
		return strconv.Quote(e.S)
	case e.Type == core.Bool:
		return strconv.FormatBool(e.N != 0)
	case e.Type == core.Int:
		return strconv.FormatInt(e.N, 10)
	}
	s := strconv.FormatFloat(e.F, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// formatExtra prints what an op has beside its arguments.
func formatExtra(e *core.Expr) string {
	switch e.Op {
	case core.JSONGet:
		return formatPath(e.Path)
	case core.JSONFold, core.Hash:
		return strconv.Quote(e.S)
	case core.InText:
		return fmt.Sprintf("%q", e.Set)
	case core.InNum:
		return fmt.Sprint(e.Nums)
	case core.MatchRe:
		return formatRegex(e.Re)
	case core.ExtractRe, core.FindAllRe:
		return fmt.Sprintf("%s, %d", formatRegex(e.Re), e.N)
	case core.ReplaceRe:
		return formatRegex(e.Re) + ", " + formatParts(e.Rep)
	case core.SplitPart:
		return strconv.FormatInt(e.N, 10)
	case core.TimeBucket:
		return fmt.Sprintf("%s, %s", time.Duration(e.N)*time.Millisecond, e.Zone)
	case core.FormatTime, core.ParseTime:
		return fmt.Sprintf("%q, %s", e.S, e.Zone)
	}
	return ""
}

func formatPath(path []core.Step) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range path {
		if s.Index >= 0 && s.Key == "" {
			fmt.Fprintf(&b, "[%d]", s.Index)
			continue
		}
		b.WriteString("." + name(s.Key))
	}
	return b.String()
}

// formatRegex prints the expression and, behind it, its prefilter.
func formatRegex(re *core.Regex) string {
	s := "/" + re.Source + "/"
	if len(re.All) > 0 {
		s += fmt.Sprintf("%q", re.All)
	}
	return s
}

func formatParts(parts []core.RepPart) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Group >= 0 {
			fmt.Fprintf(&b, "${%d}", p.Group)
			continue
		}
		b.WriteString(p.Lit)
	}
	return strconv.Quote(b.String())
}
