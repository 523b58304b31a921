package sql

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// ClickHouse is the dialect of ClickHouse 26, under the settings that
// internal/lake/clickhouse sends: an outer join gives nulls, a column comes
// before an alias of its name, null is in no list.
//
// An Array cannot be null there. A list that is null is the array of one NULL,
// which no list of core can be; a list's own elements are never null.
var ClickHouse = Dialect{
	Name:  "clickhouse",
	Text:  clickText,
	Ident: clickIdent,
	Types: [...]string{core.Null: "Nullable(String)", core.Bool: "Nullable(Bool)", core.Int: "Nullable(Int64)",
		core.Float: "Nullable(Float64)", core.Text: "Nullable(String)", core.List: "Array(Nullable(String))"},
	Ops:    clickOps,
	Math:   clickMath,
	Aggs:   clickAggs,
	Wins:   clickWins,
	Joins:  [...]string{core.Inner: "INNER JOIN", core.Left: "LEFT JOIN", core.Semi: "LEFT SEMI JOIN", core.Anti: "LEFT ANTI JOIN"},
	Row:    clickRow,
	Finite: "CASE WHEN isFinite($1) THEN $1 END",
	Exact:  "coalesce($1, FALSE)",
	Value:  "CAST($1 AS Bool)",
	Pick:   clickPick,
	Hit:    `(SELECT *, 1 AS "hit_" FROM $1)`,
	Lost:   `if(isNull(r."hit_"), ` + clickNullList + `, $1)`,
}

const (
	clickNullList = "CAST([NULL] AS Array(Nullable(String)))"
	clickIsNull   = "has($1, NULL)" // of a list
)

var clickOps = map[core.Op]Prim{
	core.Const:    {F: clickConst},
	core.IsNull:   {F: byList("$1 IS NULL", clickIsNull)},
	core.Coalesce: {F: clickCoalesce},
	core.EqNum:    {F: clickNumeric("=")},
	core.LtNum:    {F: clickNumeric("<")},
	core.LeNum:    {F: clickNumeric("<=")},
	core.InNum:    {F: clickInNum},
	core.JSONGet:  {F: clickJSONGet},

	core.ToNum: {T: `CASE WHEN match($1, '^[+-]?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$') AND isFinite(toFloat64OrNull($1)) THEN toFloat64OrNull($1) END`},
	// The cast of one beyond the bounds is not defined, so they are tested.
	core.ToFloat: {T: "toFloat64($1)"},
	core.ToInt:   {T: "CASE WHEN $1 >= -9223372036854775808e0 AND $1 < 9223372036854775808e0 THEN toInt64(trunc($1)) END"},
	core.ToText:  {F: clickToText},
	core.Mod:     {T: clickMod},
	core.Math:    {},

	core.Length: {T: "toInt64(lengthUTF8($1))"},
	// ICU's lower case looks around a letter and may give two for one; core's
	// does neither. Sigma and the dotted I are the letters where that shows.
	core.Lower: {T: "lowerUTF8(replaceAll(replaceAll($1, 'Σ', 'σ'), 'İ', 'i'))"},
	// Its upper case gives several letters for some, which stay as they are.
	core.Upper: {T: "CASE WHEN lengthUTF8(upperUTF8($1)) = lengthUTF8($1) THEN upperUTF8($1) WHEN $1 IS NOT NULL THEN " +
		"arrayStringConcat(arrayMap(c -> if(lengthUTF8(upperUTF8(c)) = 1, upperUTF8(c), c), extractAll(coalesce($1, ''), '(?s).'))) END"},
	core.Trim: {T: `replaceRegexpAll($1, '^[ \t\n\r]+|[ \t\n\r]+$', '')`},
	core.Substr: {T: "CASE WHEN $2 >= 0 AND $3 >= 0 THEN substringUTF8($1, " +
		"toUInt32(least(coalesce($2, 0), 4294967294) + 1), toUInt32(least(coalesce($3, 0), 4294967295))) END"},
	core.Concat:    {T: "concat($*)"},
	core.Contains:  {T: "(position($1, $2) > 0)"},
	core.HasPrefix: {T: "startsWith($1, $2)"},
	core.HasSuffix: {T: "endsWith($1, $2)"},
	core.Replace:   {T: "CASE WHEN $2 = '' AND $3 IS NOT NULL THEN $1 ELSE replaceAll($1, $2, $3) END"},
	core.Glob:      {T: `$1 LIKE replaceAll(replaceAll(replaceAll(replaceAll($2, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%')`},
	core.MatchRe:   {F: clickMatch},
	core.ExtractRe: {F: clickExtract},
	core.ReplaceRe: {F: clickReplace},
	core.FindAllRe: {F: clickFindAll},
	core.SplitPart: {F: clickSplit},

	core.Base64Enc: {T: "base64Encode($1)"},
	core.Base64Dec: {F: clickBase64},
	core.URLEnc:    {T: "encodeURLComponent($1)"},
	core.URLDec:    {T: valid("decodeURLFormComponent($1)")},
	core.HexEnc:    {T: "lower(hex($1))"},
	core.HexDec:    {T: "CASE WHEN match($1, '^([0-9a-fA-F]{2})*$') AND isValidUTF8(unhex(coalesce($1, ''))) THEN unhex($1) END"},
	core.IntToHex:  {T: `replaceRegexpOne(lower(hex($1)), '^0+(.)', '\\1')`},
	core.HexToInt:  {T: "CASE WHEN match($1, '^[0-9a-fA-F]{1,16}$') THEN reinterpretAsInt64(reverse(unhex(leftPad(coalesce($1, ''), 16, '0')))) END"},
	core.Hash:      {F: clickHash},

	core.ListHas: {T: "($2 IS NOT NULL AND has($1, $2))"},
	core.ListLen: {T: "CASE WHEN NOT " + clickIsNull + " THEN toInt64(length($1)) END"},

	core.JSONLen: {T: "CASE WHEN JSONType($1) = 'Array' THEN toInt64(JSONLength($1)) END"},
	core.JSONHas: {T: "($2 IS NOT NULL AND arrayExists((t, r) -> coalesce(t = $2, FALSE) AND NOT startsWith(r, '[') AND NOT startsWith(r, '{'), " +
		"JSONExtract(coalesce($1, ''), 'Array(Nullable(String))'), JSONExtractArrayRaw(coalesce($1, ''))))"},

	core.IPv4Num: {T: "CASE WHEN match($1, '^" + clickOctet + `(\\.` + clickOctet + "){3}$') THEN toInt64(IPv4StringToNumOrNull($1)) END"},
	core.IsIPv6:  {T: "match($1, '^(" + strings.ReplaceAll(ipv6(), `\`, `\\`) + ")$')"},

	core.TimeBucket: {F: clickBucket},
	core.FormatTime: {F: clickFormatTime},
	core.ParseTime:  {F: clickParseTime},
}

// clickOctet is octet; it holds no backslash.
const clickOctet = octet

// clickMod takes the remainder of integers where the floats are that: the
// engine's own for floats takes x - y * trunc(x / y), which loses digits where
// the quotient is large. For other floats it still does.
const clickMod = "CASE WHEN $2 <> 0e0 AND abs($1) < 9e18 AND abs($2) < 9e18 AND trunc($1) = $1 AND trunc($2) = $2 THEN " +
	"toFloat64(toInt64(CASE WHEN abs($1) < 9e18 THEN $1 ELSE 0e0 END) % toInt64(CASE WHEN abs($2) < 9e18 AND abs($2) >= 1e0 THEN $2 ELSE 1e0 END)) " +
	"ELSE $1 % $2 END"

// valid gives the text of a template, or null when it is not UTF-8.
func valid(t string) string {
	return "CASE WHEN isValidUTF8(coalesce(" + t + ", '')) THEN " + t + " END"
}

var clickMath = map[string]string{
	"abs": "abs($1)", "ceil": "ceil($1)", "floor": "floor($1)", "cbrt": "cbrt($1)", "exp": "exp($1)",
	"sin": "sin($1)", "cos": "cos($1)", "tan": "tan($1)", "atan": "atan($1)", "asin": "asin($1)", "acos": "acos($1)",
	"sinh": "sinh($1)", "cosh": "cosh($1)", "tanh": "tanh($1)", "atan2": "atan2($1, $2)",
	"sqrt": "sqrt($1)", "log": "log($1)", "log10": "log10($1)", "log1p": "log1p($1)",
	"pow": "pow($1, $2)", "hypot": "hypot($1, $2)",
	"min": "CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END",
	"max": "CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END",
	// The engine's own round takes halves to the even neighbour.
	"round": "CASE WHEN trunc($2) >= 0e0 THEN (" + halfAway("$1 * exp10(trunc($2))") + ") / exp10(trunc($2)) " +
		"WHEN trunc($2) < 0e0 THEN (" + halfAway("$1 / exp10(-trunc($2))") + ") * exp10(-trunc($2)) END",
	// By way of functions that keep their digits near zero.
	"expm1": "CASE WHEN abs($1) < 1e0 THEN 2e0 * sinh($1 / 2e0) * exp($1 / 2e0) ELSE exp($1) - 1e0 END",
}

func halfAway(x string) string {
	return fill("trunc($1) + CASE WHEN abs($1 - trunc($1)) >= 5e-1 THEN sign($1) ELSE 0e0 END", []string{"(" + x + ")"})
}

var clickAggs = map[core.AggFn]string{
	core.CountAll:      "toInt64(count(*)$F)",
	core.Count:         "toInt64(count($1)$F)",
	core.CountDistinct: "toInt64(uniqExact($1)$F)",
	core.Sum:           "accurateCastOrNull(sumOrNull(toInt128($1))$F, 'Int64')",
	core.Avg:           "CASE WHEN isFinite(avgOrNull(toFloat64($1))$F) THEN avgOrNull(toFloat64($1))$F END",
	core.Min:           "minOrNull($1)$F",
	core.Max:           "maxOrNull($1)$F",
	core.StdDev:        "CASE WHEN maxOrNull(abs($1))$F < 1e150 THEN stddevPopStableOrNull(toFloat64($1)) FILTER (WHERE abs($1) < 1e150$C) END",
	core.Pct:           "quantileExactInclusiveOrNull($N)(toFloat64($1))$F",
	core.Values:        "CAST(arraySlice(arraySort(groupUniqArray($1)$F), 1, $N) AS Array(Nullable(String)))",
}

var clickWins = map[core.WinFn]string{
	core.RowNumber: "toInt64(row_number() $W)",
	core.Lag:       "lag(toNullable($1), $N) $W",
	core.MovAvg:    "avg(toNullable(toFloat64($1))) $W",
	core.MovStd:    "stddevPopStable(CASE WHEN abs($1) < 1e150 THEN toFloat64($1) END) $W",
	core.MovCount:  "toInt64(count($1) $W)",
	core.MovSum:    "sum(toNullable(toFloat64($1))) $W",
	core.MovMin:    "min(toNullable($1)) $W",
	core.MovMax:    "max(toNullable($1)) $W",
	core.TotalSum:  "sum(toNullable(toFloat64($1))) $W",
	core.Rank:      "toInt64(rank() $W)",
}

// clickRow relies on the null list: it is one row of null where rows are kept.
func clickRow(list string, keep bool) string {
	if keep {
		return "arrayJoin(if(empty(" + list + "), " + clickNullList + ", " + list + "))"
	}
	return "arrayJoin(arrayFilter(v -> v IS NOT NULL, " + list + "))"
}

// clickPick prints First and Last as the value beside the least or greatest of
// the keys, since the engine's aggregates take no order. It comes as a tuple of
// one, for a null value alone would be passed over.
func clickPick(p *Printer, a *core.Agg, arg, clause string) (string, error) {
	var keys []string
	for _, k := range a.Order {
		x, err := p.Value(k.Expr)
		if err != nil {
			return "", err
		}
		keys = append(keys, clickKey(k.Expr.Type, x, k.Desc, a.Fn == core.Last)...)
	}
	if len(keys) == 0 {
		keys = []string{"1"}
	}
	fn := "argMin"
	if a.Fn == core.Last {
		fn = "argMax"
	}
	return "tupleElement(" + fn + "(tuple(" + arg + "), tuple(" + strings.Join(keys, ", ") + "))" + clause + ", 1)", nil
}

// clickKey prints a key as values that sort upwards as it does: whether it is
// null, then what takes the place of its value.
func clickKey(t core.Type, x string, desc, last bool) []string {
	null, value := "isNull($1)", "$1"
	switch t {
	case core.Int:
		value = "toInt128(coalesce($1, 0))"
	case core.Float:
		value = "coalesce($1, 0e0)"
	case core.Bool:
		value = "toInt8(coalesce($1, FALSE))"
	case core.List:
		null = clickIsNull
	default:
		value = "coalesce($1, '')"
		if desc { // the complement of its bytes, and an end that is more than any
			value = "concat(translate(hex(coalesce($1, '')), '0123456789ABCDEF', 'FEDCBA9876543210'), 'G')"
		}
	}
	if desc && (t == core.Int || t == core.Float || t == core.Bool) {
		value = "-" + value
	}
	return []string{fill(null, []string{x}), fill(value, []string{x})}
}

var clickEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`)

// clickText quotes with the backslash, which escapes in this engine's literals.
func clickText(s string) (string, error) {
	if _, err := doubled(s, "'"); err != nil {
		return "", err
	}
	return "'" + clickEscapes.Replace(s) + "'", nil
}

func clickIdent(s string) (string, error) {
	if s == "" {
		return "", errNoName
	}
	if _, err := doubled(s, `"`); err != nil {
		return "", err
	}
	return `"` + clickEscapes.Replace(s) + `"`, nil
}

func clickConst(p *Printer, e *core.Expr) (string, error) {
	if e.IsNullConst() && e.Type == core.List {
		return clickNullList, nil
	}
	return p.constant(e)
}

// byList prints one template for lists and another for all else.
func byList(other, list string) func(*Printer, *core.Expr) (string, error) {
	return func(p *Printer, e *core.Expr) (string, error) {
		x, err := p.Value(e.Args[0])
		if e.Args[0].Type == core.List {
			return fill(list, []string{x}), err
		}
		return fill(other, []string{x}), err
	}
}

func clickCoalesce(p *Printer, e *core.Expr) (string, error) {
	args, err := p.values(e.Args)
	if err != nil {
		return "", err
	}
	if e.Type != core.List {
		return "coalesce(" + strings.Join(args, ", ") + ")", nil
	}
	out := args[len(args)-1]
	for i := len(args) - 2; i >= 0; i-- {
		out = "if(" + fill(clickIsNull, args[i:i+1]) + ", " + out + ", " + args[i] + ")"
	}
	return out, nil
}

// clickNumeric compares an integer beside a float as a float: the engine would
// compare the two exactly.
func clickNumeric(op string) func(*Printer, *core.Expr) (string, error) {
	same := numeric(op)
	return func(p *Printer, e *core.Expr) (string, error) {
		a, b := e.Args[0], e.Args[1]
		if a.Type == core.Int && b.Type == core.Float {
			a = core.Do(core.ToFloat, a)
		} else if a.Type == core.Float && b.Type == core.Int {
			b = core.Do(core.ToFloat, b)
		}
		return same(p, &core.Expr{Op: e.Op, Type: core.Bool, Args: []*core.Expr{a, b}})
	}
}

func clickInNum(p *Printer, e *core.Expr) (string, error) {
	c := *e
	if e.Args[0].Type == core.Int {
		c.Args = []*core.Expr{core.Do(core.ToFloat, e.Args[0])}
	}
	return p.inNum(&c)
}

// clickJSONGet reads a path. The engine counts elements from 1, and takes a
// number for the place of a member of an object too.
func clickJSONGet(p *Printer, e *core.Expr) (string, error) {
	doc, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	path, arrays := doc, ""
	for _, s := range e.Path {
		switch {
		case s.Key != "":
			q, err := p.d.Text(s.Key)
			if err != nil {
				return "", err
			}
			path += ", " + q
		case s.Index >= 0:
			arrays += "JSONType(" + path + ") = 'Array' AND "
			path += ", " + strconv.Itoa(s.Index+1)
		default:
			return "", errors.New("a path holds an empty key")
		}
	}
	get := "JSONExtract(" + path + ", 'Nullable(String)')"
	switch e.Type {
	case core.Int:
		get = "toInt64OrNull(" + get + ")"
	case core.Float:
		get = "toFloat64OrNull(" + get + ")"
	case core.Bool:
		get = "CASE " + get + " WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"
	}
	if arrays != "" {
		get = "CASE WHEN " + strings.TrimSuffix(arrays, " AND ") + " THEN " + get + " END"
	}
	return get, nil
}

// clickFloat spells a float that is no whole number below 2^53. The engine
// writes decimals from 1e-6 to below 1e21 and exponents without sign or zero.
const clickFloat = `CASE WHEN $1 = trunc($1) AND abs($1) < 9007199254740992e0 THEN toString(toInt64($1)) ` +
	`WHEN abs($1) >= 1e21 OR abs($1) < 1e-6 THEN replaceRegexpOne(replaceRegexpOne(toString($1), 'e([0-9])', 'e+\\1'), 'e([+-])([0-9])$', 'e\\10\\2') ` +
	`WHEN abs($1) >= 1e16 THEN concat(replaceRegexpOne(replaceRegexpOne(toString($1), '^(-?[0-9])([0-9]*?)0*$', '\\1.\\2'), '\\.$', ''), 'e+', toString(length(toString(abs($1))) - 1)) ` +
	`WHEN abs($1) < 1e-4 THEN concat(replaceRegexpOne(replaceRegexpOne(toString($1), '0\\.0+([0-9])', '\\1.'), '\\.$', ''), if(abs($1) >= 1e-5, 'e-05', 'e-06')) ` +
	`ELSE toString($1) END`

func clickToText(p *Printer, e *core.Expr) (string, error) {
	x, err := p.Value(e.Args[0])
	switch e.Args[0].Type {
	case core.Float:
		x = fill(clickFloat, []string{x})
	case core.List:
		x = fill("CASE WHEN NOT "+clickIsNull+` THEN arrayStringConcat($1, '\n') END`, []string{x})
	case core.Int:
		x = "toString(" + x + ")"
	case core.Bool:
		x = fill("CASE WHEN $1 THEN 'true' WHEN NOT $1 THEN 'false' END", []string{x})
	}
	return x, err
}

// clickSource is the expression as core reads it: here the dot would match a
// line's end.
func clickSource(source string) string { return "(?-s)" + source }

func clickMatch(p *Printer, e *core.Expr) (string, error) {
	x, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	if lits := finite(e.Re.Source); len(lits) == 1 {
		q, err := p.d.Text(lits[0])
		return "(position(" + x + ", " + q + ") > 0)", err
	}
	re, err := p.d.Text(clickSource(e.Re.Source))
	return "match(" + x + ", " + re + ")", err
}

func clickExtract(p *Printer, e *core.Expr) (string, error) {
	source, group := lone(e.Re.Source, e.N)
	x, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	re, err := p.d.Text(clickSource(source))
	return fill("CASE WHEN match($1, $2) THEN regexpExtract($1, $2, $3) END", []string{x, re, strconv.FormatInt(group, 10)}), err
}

func clickReplace(p *Printer, e *core.Expr) (string, error) {
	x, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	empty, err := emptyMatches(e.Re.Source)
	if err != nil {
		return "", err
	}
	source := e.Re.Source
	if empty {
		source = "^(?:" + source + ")"
	}
	re, err := p.d.Text(clickSource(source))
	if err != nil {
		return "", err
	}
	rep, err := replacement(e.Rep)
	if err != nil {
		return "", err
	}
	to, err := p.d.Text(rep)
	if empty {
		return replaceWalking(x, re, to), err
	}
	return "replaceRegexpAll(" + x + ", " + re + ", " + to + ")", err
}

// replacement writes the parts as RE2 reads them.
func replacement(parts []core.RepPart) (string, error) {
	var rep strings.Builder
	for _, part := range parts {
		switch {
		case part.Group > maxGroup:
			return "", fmt.Errorf("group %d in a replacement; the engine knows %d", part.Group, maxGroup)
		case part.Group >= 0 && part.Lit == "":
			rep.WriteString(`\` + strconv.Itoa(part.Group))
		default:
			rep.WriteString(strings.ReplaceAll(part.Lit, `\`, `\\`))
		}
	}
	return rep.String(), nil
}

// clickFindAll makes the group wanted the first, which is the one that the
// engine's function gives.
func clickFindAll(p *Printer, e *core.Expr) (string, error) {
	// extractAll ends at the first match that is empty; such matches do not count.
	if re, err := syntax.Parse(e.Re.Source, syntax.Perl); err != nil || canBeEmpty(re) {
		return "", fmt.Errorf("all matches of an expression that can match nothing cannot be asked of ClickHouse: say what a match must hold (%.40s)", e.Re.Source)
	}
	source := "(" + e.Re.Source + ")"
	if e.N > 0 {
		alone, err := onlyGroup(e.Re.Source, int(e.N))
		if err != nil {
			return "", err
		}
		source = alone
	}
	x, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	re, err := p.d.Text(clickSource(source))
	return fill("CASE WHEN $1 IS NULL THEN "+clickNullList+" ELSE CAST(extractAll(coalesce($1, ''), $2) AS Array(Nullable(String))) END", []string{x, re}), err
}

// clickSplit splits at a byte that no text holds, since the engine splits at
// constants only.
func clickSplit(p *Printer, e *core.Expr) (string, error) {
	args, err := p.values(e.Args)
	if err != nil {
		return "", err
	}
	pieces := fill(`splitByChar('\xFF', replaceAll(coalesce($1, ''), coalesce($2, ''), '\xFF'))`, args)
	return fill("CASE WHEN $1 <> '' AND $2 <> '' THEN if(length($3) >= $N, arrayElement($3, $N), NULL) WHEN $N = 1 AND $1 IS NOT NULL AND $2 IS NOT NULL THEN $1 END",
		[]string{args[0], args[1], pieces}, "$N", strconv.FormatInt(e.N, 10)), nil
}

func clickBase64(p *Printer, e *core.Expr) (string, error) {
	x, err := p.Value(e.Args[0])
	bare := fill("translate(replaceRegexpOne(coalesce($1, ''), '=+$', ''), '-_', '+/')", []string{x})
	bytes := fill("tryBase64Decode(concat($1, repeat('=', (4 - length($1) % 4) % 4)))", []string{bare})
	return fill("CASE WHEN $1 IS NOT NULL AND match($2, '^[A-Za-z0-9+/]*$') AND length($2) % 4 <> 1 AND isValidUTF8($3) THEN $3 END", []string{x, bare, bytes}), err
}

func clickHash(p *Printer, e *core.Expr) (string, error) {
	fn, ok := map[string]string{"md5": "MD5", "sha1": "SHA1", "sha2_256": "SHA256"}[e.S]
	if !ok {
		return "", fmt.Errorf("hash %q is not known", e.S)
	}
	x, err := p.Value(e.Args[0])
	return "lower(hex(" + fn + "(" + x + ")))", err
}
