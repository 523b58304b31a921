package eval

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// The bounds of an expression: how deep it nests, as plans may too, and how many
// nodes it has when what is shared is written out, since that is what evaluating
// it costs.
const (
	maxDepth = 2000
	maxNodes = 1 << 20
)

// signature is what an op takes and gives. A letter of args is an argument:
//
//	p predicate   b Bool   i Int   f Float   n number   m Int or Bool
//	t Text        l List   x anything
//
// More says that the last may be repeated; of predicates there may be none. Result is Null for
// ops whose type depends on the expression.
type signature struct {
	args   string
	more   bool
	result core.Type
}

var signatures = [core.NumOps]signature{
	core.Const:    {},
	core.Column:   {},
	core.JSONGet:  {args: "t"},
	core.JSONFold: {args: "t", result: core.Text},

	core.IsNull:   {args: "x", result: core.Bool},
	core.IsTrue:   {args: "b", result: core.Bool},
	core.If:       {args: "pxx"},
	core.Coalesce: {args: "x", more: true},

	core.And: {args: "p", more: true, result: core.Bool},
	core.Or:  {args: "p", more: true, result: core.Bool},
	core.Not: {args: "p", result: core.Bool},

	core.EqNum:  {args: "nn", result: core.Bool},
	core.LtNum:  {args: "nn", result: core.Bool},
	core.LeNum:  {args: "nn", result: core.Bool},
	core.EqText: {args: "tt", result: core.Bool},
	core.LtText: {args: "tt", result: core.Bool},
	core.LeText: {args: "tt", result: core.Bool},
	core.InText: {args: "t", result: core.Bool},
	core.InNum:  {args: "n", result: core.Bool},

	core.ToNum:   {args: "t", result: core.Float},
	core.ToFloat: {args: "m", result: core.Float},
	core.ToInt:   {args: "f", result: core.Int},
	core.ToText:  {args: "x", result: core.Text},

	core.Add:  {args: "ff", result: core.Float},
	core.Sub:  {args: "ff", result: core.Float},
	core.Mul:  {args: "ff", result: core.Float},
	core.Div:  {args: "ff", result: core.Float},
	core.Mod:  {args: "ff", result: core.Float},
	core.Math: {args: "f", more: true, result: core.Float},

	core.Length:    {args: "t", result: core.Int},
	core.Lower:     {args: "t", result: core.Text},
	core.Upper:     {args: "t", result: core.Text},
	core.Trim:      {args: "t", result: core.Text},
	core.Substr:    {args: "tii", result: core.Text},
	core.Concat:    {args: "t", more: true, result: core.Text},
	core.Contains:  {args: "tt", result: core.Bool},
	core.HasPrefix: {args: "tt", result: core.Bool},
	core.HasSuffix: {args: "tt", result: core.Bool},
	core.Replace:   {args: "ttt", result: core.Text},
	core.Glob:      {args: "tt", result: core.Bool},
	core.MatchRe:   {args: "t", result: core.Bool},
	core.ExtractRe: {args: "t", result: core.Text},
	core.ReplaceRe: {args: "t", result: core.Text},
	core.FindAllRe: {args: "t", result: core.List},
	core.SplitPart: {args: "tt", result: core.Text},
	core.Base64Enc: {args: "t", result: core.Text},
	core.Base64Dec: {args: "t", result: core.Text},
	core.URLEnc:    {args: "t", result: core.Text},
	core.URLDec:    {args: "t", result: core.Text},
	core.HexEnc:    {args: "t", result: core.Text},
	core.HexDec:    {args: "t", result: core.Text},
	core.IntToHex:  {args: "i", result: core.Text},
	core.HexToInt:  {args: "t", result: core.Int},
	core.Hash:      {args: "t", result: core.Text},

	core.ListHas: {args: "lt", result: core.Bool},
	core.ListLen: {args: "l", result: core.Int},

	core.JSONLen: {args: "t", result: core.Int},
	core.JSONHas: {args: "tt", result: core.Bool},

	core.IPv4Num: {args: "t", result: core.Int},
	core.IsIPv6:  {args: "t", result: core.Bool},

	core.TimeBucket: {args: "i", result: core.Int},
	core.FormatTime: {args: "i", result: core.Text},
	core.ParseTime:  {args: "t", result: core.Int},
}

// takes are the types that a letter of a signature stands for. Null is of every
// type.
var takes = map[byte][]core.Type{
	'b': {core.Bool}, 'i': {core.Int}, 'f': {core.Float}, 'n': {core.Int, core.Float}, 'm': {core.Int, core.Bool},
	't': {core.Text}, 'l': {core.List}, 'x': {core.Bool, core.Int, core.Float, core.Text, core.List},
	'o': {core.Bool, core.Int, core.Float, core.Text}, // what has an order
	'q': {core.Int, core.Float, core.Text},            // what joins
}

func is(t core.Type, letter byte) bool { return t == core.Null || slices.Contains(takes[letter], t) }

// predicate says that e may stand where a predicate is due: it is never null.
func predicate(e *core.Expr) bool {
	return e.Op.Predicate() || e.Op == core.Const && e.Type == core.Bool && !e.IsNullConst()
}

// checker finds what is wrong with an expression. Expressions may be shared, so
// it remembers which it has seen, and their nodes.
type checker struct {
	cols  map[string]core.Type // nil: not known
	nodes map[*core.Expr]int
}

func checkExpr(e *core.Expr, cols []core.Col) error {
	return newChecker(cols).expr(e, 0)
}

func newChecker(cols []core.Col) *checker {
	c := &checker{cols: map[string]core.Type{}, nodes: map[*core.Expr]int{}}
	for _, col := range cols {
		c.cols[col.Name] = col.Type
	}
	return c
}

func (c *checker) expr(e *core.Expr, depth int) error {
	switch {
	case e == nil:
		return errors.New("an expression is missing")
	case c.nodes[e] > 0:
		return nil
	case depth > maxDepth:
		return fmt.Errorf("expressions nest deeper than %d", maxDepth)
	case e.Op >= core.NumOps || e.Type > core.List:
		return fmt.Errorf("there is no op %d of type %d", e.Op, e.Type)
	}
	n := 1
	for _, a := range e.Args {
		if err := c.expr(a, depth+1); err != nil {
			return err
		}
		if n += c.nodes[a]; n > maxNodes {
			return fmt.Errorf("an expression has more than %d nodes", maxNodes)
		}
	}
	c.nodes[e] = n
	err := checkArgs(e)
	if err == nil {
		err = c.fields(e)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", Name(e.Op), err)
	}
	return nil
}

func checkArgs(e *core.Expr) error {
	sig := signatures[e.Op]
	n := len(sig.args)
	if len(e.Args) < n && !(sig.more && sig.args == "p") || len(e.Args) > n && !sig.more {
		return fmt.Errorf("%d arguments, want %d", len(e.Args), n)
	}
	for i, a := range e.Args {
		letter := sig.args[min(i, n-1)]
		switch {
		case letter == 'p' && !predicate(a):
			return fmt.Errorf("argument %d is %s of type %v, want a predicate", i+1, Name(a.Op), a.Type)
		case letter != 'p' && !is(a.Type, letter):
			return fmt.Errorf("argument %d is of type %v, want %v", i+1, a.Type, takes[letter])
		}
	}
	if sig.result != core.Null && e.Type != sig.result {
		return fmt.Errorf("its type is %v, want %v", e.Type, sig.result)
	}
	return nil
}

// fields checks what an op has beside its arguments.
func (c *checker) fields(e *core.Expr) error {
	switch e.Op {
	case core.Const:
		return checkConst(e)
	case core.Column:
		return c.column(e)
	case core.If:
		return checkOneType(e, e.Args[1:])
	case core.Coalesce:
		return checkOneType(e, e.Args)
	case core.JSONGet:
		return checkJSONGet(e)
	case core.Math:
		return checkMath(e)
	case core.MatchRe, core.ExtractRe, core.ReplaceRe, core.FindAllRe:
		return checkRegex(e)
	case core.SplitPart, core.TimeBucket:
		if e.N < 1 {
			return fmt.Errorf("its N is %d, want at least 1", e.N)
		}
	case core.Hash:
		if hashes[e.S] == nil {
			return fmt.Errorf("no hash is called %q", e.S)
		}
	case core.FormatTime:
		_, err := parsePattern(e.S, forFormat)
		return err
	case core.ParseTime:
		_, err := parsePattern(e.S, forParse)
		return err
	}
	return nil
}

func checkConst(e *core.Expr) error {
	switch {
	case e.IsNullConst():
		return nil
	case e.Type == core.List:
		return errors.New("no constant is a list")
	case e.Type == core.Float && !finite(e.F):
		return fmt.Errorf("%v is no number", e.F)
	}
	return nil
}

func (c *checker) column(e *core.Expr) error {
	if c.cols == nil {
		return nil
	}
	t, ok := c.cols[e.Name]
	if !ok {
		return fmt.Errorf("there is no %q", e.Name)
	}
	if t != e.Type {
		return fmt.Errorf("%q is of type %v, not %v", e.Name, t, e.Type)
	}
	return nil
}

// checkOneType holds when all values are of the type of e, or null.
func checkOneType(e *core.Expr, values []*core.Expr) error {
	for _, a := range values {
		if a.Type != e.Type && a.Type != core.Null {
			return fmt.Errorf("a value is of type %v, the whole of type %v", a.Type, e.Type)
		}
	}
	return nil
}

func checkJSONGet(e *core.Expr) error {
	if e.Type == core.Null || e.Type == core.List {
		return fmt.Errorf("its type is %v", e.Type)
	}
	return nil
}

func checkMath(e *core.Expr) error {
	want := 1
	if math2[e.S] != nil {
		want = 2
	} else if math1[e.S] == nil {
		return fmt.Errorf("no function is called %q", e.S)
	}
	if len(e.Args) != want {
		return fmt.Errorf("%s of %d arguments, want %d", e.S, len(e.Args), want)
	}
	return nil
}

func checkRegex(e *core.Expr) error {
	if e.Re == nil || e.Re.Go == nil {
		return errors.New("its regular expression is missing")
	}
	groups := []int64{e.N}
	for _, p := range e.Rep {
		groups = append(groups, int64(p.Group))
	}
	for _, g := range groups {
		if g > int64(e.Re.Go.NumSubexp()) {
			return fmt.Errorf("%s has no group %d", e.Re.Source, g)
		}
	}
	if e.N < 0 {
		return fmt.Errorf("group %d", e.N)
	}
	return nil
}

// Name is what core calls an op.
func Name(op core.Op) string {
	if op >= core.NumOps {
		return fmt.Sprintf("op %d", op)
	}
	return names[op]
}

var names = strings.Fields(`Const Column JSONGet JSONFold IsNull IsTrue If Coalesce And Or Not
	EqNum LtNum LeNum EqText LtText LeText InText InNum ToNum ToFloat ToInt ToText Add Sub Mul Div Mod Math
	Length Lower Upper Trim Substr Concat Contains HasPrefix HasSuffix Replace Glob
	MatchRe ExtractRe ReplaceRe FindAllRe SplitPart Base64Enc Base64Dec URLEnc URLDec HexEnc HexDec IntToHex HexToInt Hash
	ListHas ListLen JSONLen JSONHas IPv4Num IsIPv6 TimeBucket FormatTime ParseTime`)
