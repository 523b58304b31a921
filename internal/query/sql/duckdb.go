package sql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
)

// DuckDB is the dialect of DuckDB 1.5. TRY(f(x)) is null where f would end the
// statement with an error. It holds that call alone: of a larger expression the
// optimizer may take a part that others have too, and evaluate it before them,
// outside of any TRY.
var DuckDB = Dialect{
	Name:  "duckdb",
	Text:  quoteText,
	Ident: quoteIdent,
	Types: [...]string{core.Null: "VARCHAR", core.Bool: "BOOLEAN", core.Int: "BIGINT",
		core.Float: "DOUBLE", core.Text: "VARCHAR", core.List: "VARCHAR[]"},
	Ops:    duckOps,
	Math:   duckMath,
	Aggs:   duckAggs,
	Wins:   duckWins,
	Joins:  [...]string{core.Inner: "JOIN", core.Left: "LEFT JOIN", core.Semi: "SEMI JOIN", core.Anti: "ANTI JOIN"},
	Row:    duckRow,
	Newest: 5000,
	JSON:   duckJSON,
	Nth:    "$1[$N]",
	Finite: "CASE WHEN isfinite($1) THEN $1 END",
	Exact:  "coalesce($1, FALSE)",
}

var duckOps = map[core.Op]Prim{
	core.JSONGet: {F: duckJSONGet},

	// A cast also takes spaces, underscores, "inf" and ".5": the expression
	// does not, and is asked only about texts that were cast.
	core.ToNum:   {T: `CASE WHEN isfinite(TRY_CAST($1 AS DOUBLE)) AND regexp_full_match($1, '[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?') THEN TRY_CAST($1 AS DOUBLE) END`},
	core.ToFloat: {T: "CAST($1 AS DOUBLE)"},
	core.ToInt:   {T: "TRY_CAST(trunc($1) AS BIGINT)"},
	core.ToText:  {F: duckToText},

	core.Mod:  {T: "($1 % $2)"},
	core.Math: {},

	core.Length: {T: "length($1)"},
	core.Lower:  {T: "lower($1)"},
	core.Upper:  {T: "CASE WHEN contains($1, 'ß') THEN array_to_string(list_transform(string_split($1, 'ß'), lambda v: upper(v)), 'ß') ELSE upper($1) END"}, // alone of all, it has none in simple case
	core.Trim:   {T: "trim($1, ' ' || chr(9) || chr(10) || chr(13))"},
	core.Substr: {F: duckSubstr},
	core.Concat: {F: func(p *Printer, e *core.Expr) (string, error) {
		args, err := p.values(e.Args)
		return "(" + strings.Join(args, " || ") + ")", err
	}},
	core.Contains:  {F: duckContains},
	core.HasPrefix: {T: "starts_with($1, $2)"},
	core.HasSuffix: {T: "suffix($1, $2)"},
	core.Replace:   {T: "replace($1, $2, $3)"},
	core.Glob:      {T: `$1 LIKE replace(replace(replace(replace($2, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%') ESCAPE '\'`},
	core.MatchRe:   {F: duckMatch},
	core.ExtractRe: {F: duckExtract},
	core.ReplaceRe: {F: duckReplace},
	core.FindAllRe: {F: duckFindAll},
	core.SplitPart: {T: "CASE WHEN $1 <> '' AND $2 <> '' THEN string_split($1, $2)[$N] WHEN $N = 1 AND $2 IS NOT NULL THEN $1 END"},

	core.Base64Enc: {T: "base64(encode($1))"},
	core.Base64Dec: {T: "TRY(decode(from_base64(translate(rtrim($1, '='), '-_', '+/') || repeat('=', (4 - length(rtrim($1, '=')) % 4) % 4))))"},
	core.URLEnc:    {T: "url_encode($1)"},
	core.URLDec:    {T: "TRY(url_decode(replace($1, '+', ' ')))"},
	core.HexEnc:    {T: "lower(hex($1))"},
	core.HexDec:    {T: "CASE WHEN length($1) % 2 = 0 THEN TRY(decode(unhex($1))) END"},
	core.IntToHex:  {T: "lower(to_hex(CAST($1 AS BIGINT)))"},
	core.HexToInt: {T: "CASE WHEN regexp_full_match($1, '[0-9a-fA-F]{1,16}') THEN CAST(CAST(CAST('0x' || $1 AS UBIGINT) AS HUGEINT) - " +
		"CASE WHEN length($1) = 16 AND $1 >= '8' THEN 18446744073709551616 ELSE 0 END AS BIGINT) END"},
	core.Hash: {F: duckHash},

	core.ListHas: {T: "list_contains($1, $2)"},
	core.ListLen: {T: "len($1)"},

	core.JSONLen: {T: "CASE WHEN TRY(json_type($1)) = 'ARRAY' THEN CAST(TRY(json_array_length($1)) AS BIGINT) END"},
	core.JSONHas: {T: `(TRY(json_type($1)) = 'ARRAY' AND (list_contains(CAST(TRY(json_extract($1, '$[*]')) AS VARCHAR[]), CAST(to_json($2) AS VARCHAR)) ` +
		`OR regexp_full_match($2, '-?[0-9].*|true|false') AND list_contains(CAST(TRY(json_extract($1, '$[*]')) AS VARCHAR[]), $2)))`},

	core.IPv4Num: {T: "CASE WHEN regexp_full_match($1, '" + octet + `(\.` + octet + "){3}') THEN " +
		"CAST(split_part($1, '.', 1) AS BIGINT) * 16777216 + CAST(split_part($1, '.', 2) AS BIGINT) * 65536 + " +
		"CAST(split_part($1, '.', 3) AS BIGINT) * 256 + CAST(split_part($1, '.', 4) AS BIGINT) END"},
	core.IsIPv6: {T: "regexp_full_match($1, '" + ipv6() + "')"},

	core.TimeBucket: {F: duckBucket},
	core.FormatTime: {F: duckFormatTime},
	core.ParseTime:  {F: duckParseTime},
}

const octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`

// ipv6 is the expression for an address: eight groups of hex digits, or fewer
// with one :: among them, the last two perhaps as a dotted quad.
func ipv6() string {
	const h = `[0-9a-fA-F]{1,4}`
	const quad = octet + `(\.` + octet + `){3}`
	tail := "(" + h + ":" + h + "|" + quad + ")"
	alts := []string{"(" + h + ":){6}" + tail, "((" + h + ":){0,5}" + h + ")?::"}
	for after := 0; after <= 5; after++ { // groups between :: and the last two
		before := 5 - after
		head := ""
		if before > 0 {
			head = "((" + h + ":){0," + strconv.Itoa(before-1) + "}" + h + ")?"
		}
		alts = append(alts, head+"::("+h+":){"+strconv.Itoa(after)+"}"+tail)
	}
	alts = append(alts, "(("+h+":){0,6}"+h+")?::", "(("+h+":){0,5}"+h+")?::"+h)
	return strings.Join(alts, "|")
}

var duckMath = map[string]string{
	"abs": "abs($1)", "ceil": "ceil($1)", "floor": "floor($1)", "cbrt": "cbrt($1)", "exp": "exp($1)",
	"sin": "TRY(sin($1))", "cos": "TRY(cos($1))", "tan": "TRY(tan($1))", "atan": "atan($1)",
	"sinh": "sinh($1)", "cosh": "cosh($1)", "tanh": "tanh($1)", "atan2": "atan2($1, $2)",
	"sqrt": "TRY(sqrt($1))", "log": "TRY(ln($1))", "log10": "TRY(log10($1))",
	"asin": "TRY(asin($1))", "acos": "TRY(acos($1))",
	"pow":   "pow($1, $2)",
	"min":   "CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END",
	"max":   "CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END",
	"round": "round($1, CAST(CASE WHEN $2 > 400e0 THEN 400e0 WHEN $2 < -400e0 THEN -400e0 ELSE trunc($2) END AS INTEGER))",
	// The larger one is taken out of the root, for its square may be too large.
	"hypot": "CASE WHEN abs($1) >= abs($2) AND $1 <> 0e0 THEN abs($1) * sqrt(1e0 + ($2 / $1) * ($2 / $1)) " +
		"WHEN $2 <> 0e0 THEN abs($2) * sqrt(1e0 + ($1 / $2) * ($1 / $2)) WHEN $1 = $2 THEN 0e0 END",
	// By way of functions that keep their digits near zero.
	"expm1": "CASE WHEN abs($1) < 1e0 THEN 2e0 * sinh($1 / 2e0) * exp($1 / 2e0) ELSE exp($1) - 1e0 END",
	"log1p": "CASE WHEN abs($1) < 5e-1 THEN 2e0 * atanh($1 / (2e0 + $1)) ELSE TRY(ln(1e0 + $1)) END",
}

var duckAggs = map[core.AggFn]string{
	core.CountAll:      "count(*)$F",
	core.Count:         "count($1)$F",
	core.CountDistinct: "count(DISTINCT $1)$F",
	core.Sum:           "TRY_CAST(sum($1)$F AS BIGINT)", // of Int; of Float by Finite
	core.Avg:           "CASE WHEN isfinite(avg($1)$F) THEN avg($1)$F END",
	core.Min:           "min($1)$F",
	core.Max:           "max($1)$F",
	core.StdDev:        "CASE WHEN max(abs($1))$F < 1e150 THEN stddev_pop($1) FILTER (WHERE abs($1) < 1e150$C) END",
	core.Pct:           "quantile_cont(CAST($1 AS DOUBLE), $N)$F",
	core.Values:        "coalesce((list_sort(list(DISTINCT $1) FILTER (WHERE $1 IS NOT NULL$C)))[1:$N], CAST([] AS VARCHAR[]))",
	core.First:         "first($1$O)$F",
	core.Last:          "last($1$O)$F",
}

var duckWins = map[core.WinFn]string{
	core.RowNumber: "row_number() $W",
	core.Lag:       "lag($1, $N) $W",
	core.MovAvg:    "avg($1) $W",
	core.MovStd:    "stddev_pop(CASE WHEN abs($1) < 1e150 THEN $1 END) $W",
	core.MovCount:  "count($1) $W",
	core.MovSum:    "CAST(sum($1) $W AS DOUBLE)",
	core.MovMin:    "min($1) $W",
	core.MovMax:    "max($1) $W",
	core.TotalSum:  "CAST(sum($1) $W AS DOUBLE)",
	core.Rank:      "rank() $W",
}

func duckRow(list string, keep bool) string {
	if keep {
		return "unnest(CASE WHEN len(" + list + ") > 0 THEN " + list + " ELSE [NULL] END)"
	}
	return "unnest(" + list + ")"
}

// duckContains says what a literal is: beside a null it might be a list.
func duckContains(p *Printer, e *core.Expr) (string, error) {
	args, err := p.values(e.Args)
	if err != nil {
		return "", err
	}
	if e.Args[0].Op == core.Const {
		args[0] = "CAST(" + args[0] + " AS VARCHAR)"
	}
	return "contains(" + args[0] + ", " + args[1] + ")", nil
}

// duckJSONGet reads a path. The text of a record that is no JSON is null.
func duckJSONGet(p *Printer, e *core.Expr) (string, error) {
	doc, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	path, err := quotedPath(p.d, e.Path)
	if err != nil {
		return "", err
	}
	get, ok := p.json[doc+path]
	if !ok {
		get = "TRY(json_extract_string(" + doc + ", " + path + "))"
	}
	if e.Type == core.Text {
		return get, nil
	}
	return "TRY_CAST(" + get + " AS " + p.d.Types[e.Type] + ")", nil
}

func quotedPath(d *Dialect, steps []core.Step) (string, error) {
	path, err := jsonPath(steps)
	if err != nil {
		return "", err
	}
	return d.Text(path)
}

// duckJSON reads several paths of one document.
func duckJSON(doc string, paths []string) string {
	return "TRY(json_extract_string(" + doc + ", [" + strings.Join(paths, ", ") + "]))"
}

// jsonPath spells steps as DuckDB's own path. There the key * stands for all
// keys, quoted or not: a path with such a key is spelled as a JSON pointer,
// which in turn cannot tell a key of digits from an index.
func jsonPath(steps []core.Step) (string, error) {
	path, pointer := "$", ""
	star, digits := false, false
	for _, s := range steps {
		switch {
		case s.Key != "":
			path += `."` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Key) + `"`
			pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(s.Key)
			star = star || s.Key == "*"
			digits = digits || strings.Trim(s.Key, "0123456789") == ""
		case s.Index >= 0:
			path += "[" + strconv.Itoa(s.Index) + "]"
			digits = true
		default:
			return "", errors.New("a path holds an empty key")
		}
	}
	switch {
	case !star:
		return path, nil
	case digits:
		return "", errors.New("a path holds the key * beside an index")
	}
	return pointer, nil
}

func duckToText(p *Printer, e *core.Expr) (string, error) {
	x, err := p.Value(e.Args[0])
	switch e.Args[0].Type {
	case core.Float:
		x = fill("CASE WHEN $1 = trunc($1) AND abs($1) < 9007199254740992 THEN CAST(CAST($1 AS BIGINT) AS VARCHAR) ELSE regexp_replace(CAST($1 AS VARCHAR), '\\.0$', '') END", []string{x})
	case core.List:
		x = "array_to_string(" + x + ", chr(10))"
	case core.Int, core.Bool:
		x = "CAST(" + x + " AS VARCHAR)"
	}
	return x, err
}

// duckSubstr keeps positions within what the engine's function takes.
func duckSubstr(p *Printer, e *core.Expr) (string, error) {
	args, err := p.values(e.Args)
	if err != nil {
		return "", err
	}
	return fill("CASE WHEN $2 >= 0 AND $3 >= 0 THEN substring($1, least($2, 4294967294) + 1, least($3, 4294967295)) END", args), nil
}

// contained prints the tests of literals that a match must hold. They cost a
// tenth of the expression.
func contained(p *Printer, x string, lits []string) (string, error) {
	var b strings.Builder
	for _, lit := range lits {
		q, err := p.d.Text(lit)
		if err != nil {
			return "", err
		}
		b.WriteString("contains(" + x + ", " + q + ") AND ")
	}
	return b.String(), nil
}

// matcher prints the argument, the prefilter and the quoted expression of e.
func matcher(p *Printer, e *core.Expr, source string) (x, pre, re string, err error) {
	if x, err = p.Value(e.Args[0]); err != nil {
		return
	}
	if pre, err = contained(p, x, p.prefilter(e)); err != nil {
		return
	}
	re, err = p.d.Text(source)
	return
}

// duckMatch leaves the expression out where it stands for a few literals:
// looking for each is several times faster.
func duckMatch(p *Printer, e *core.Expr) (string, error) {
	if lits := finite(e.Re.Source); len(lits) == 1 || len(lits) > 1 && p.cheap(e.Args[0]) {
		return duckAny(p, e.Args[0], lits)
	}
	x, pre, re, err := matcher(p, e, e.Re.Source)
	s := pre + "regexp_matches(" + x + ", " + re + ")"
	if pre != "" {
		s = "(" + s + ")"
	}
	return s, err
}

func duckAny(p *Printer, arg *core.Expr, lits []string) (string, error) {
	x, err := p.Value(arg)
	if err != nil {
		return "", err
	}
	tests := make([]string, len(lits))
	for i, lit := range lits {
		q, err := p.d.Text(lit)
		if err != nil {
			return "", err
		}
		tests[i] = "contains(" + x + ", " + q + ")"
	}
	if len(tests) == 1 {
		return tests[0], nil
	}
	return "(" + strings.Join(tests, " OR ") + ")", nil
}

// duckExtract tests before it extracts, since the engine's function gives "" for
// no match too. The test is cheap beside the extraction (measured: no slower
// than a nullif, and rows without a match skip the rest). Where literals are
// tested first and most that pass match, the first of all matches is taken
// instead, which evaluates the expression once: there is none where nothing
// matches.
func duckExtract(p *Printer, e *core.Expr) (string, error) {
	source, group := lone(e.Re.Source, e.N)
	x, pre, re, err := matcher(p, e, source)
	n := strconv.FormatInt(group, 10)
	if pre != "" && takesPart(source, int(group)) {
		return "CASE WHEN " + strings.TrimSuffix(pre, " AND ") + " THEN regexp_extract_all(" + x + ", " + re + ", " + n + ")[1] END", err
	}
	return "CASE WHEN " + pre + "regexp_matches(" + x + ", " + re + ") THEN regexp_extract(" + x + ", " + re + ", " + n + ") END", err
}

func duckReplace(p *Printer, e *core.Expr) (string, error) {
	x, _, re, err := matcher(p, e, e.Re.Source)
	if err != nil {
		return "", err
	}
	var rep strings.Builder
	for _, part := range e.Rep {
		switch {
		case part.Group > maxGroup:
			return "", fmt.Errorf("group %d in a replacement; the engine knows %d", part.Group, maxGroup)
		case part.Group >= 0 && part.Lit == "":
			rep.WriteString(`\` + strconv.Itoa(part.Group))
		default:
			rep.WriteString(strings.ReplaceAll(part.Lit, `\`, `\\`))
		}
	}
	to, err := p.d.Text(rep.String())
	return "regexp_replace(" + x + ", " + re + ", " + to + ", 'g')", err
}

func duckFindAll(p *Printer, e *core.Expr) (string, error) {
	source, group := lone(e.Re.Source, e.N)
	x, _, re, err := matcher(p, e, source)
	if err != nil {
		return "", err
	}
	whole := "regexp_extract_all(" + x + ", " + re + ", 0)"
	all := "regexp_extract_all(" + x + ", " + re + ", " + strconv.FormatInt(group, 10) + ")"
	switch empty := mayBeEmpty(source); {
	case group == 0 && empty:
		return "list_filter(" + whole + ", lambda v: v <> '')", nil
	case group == 0:
		return whole, nil
	case empty: // list_zip makes an empty list of nulls
		all = "list_transform(list_filter(list_zip(" + whole + ", " + all + "), lambda v: v[1] <> ''), lambda v: coalesce(v[2], ''))"
		return "CASE WHEN " + x + " IS NOT NULL THEN " + all + " END", nil
	}
	return "list_transform(" + all + ", lambda v: coalesce(v, ''))", nil
}

func duckHash(p *Printer, e *core.Expr) (string, error) {
	fn, ok := map[string]string{"md5": "md5", "sha1": "sha1", "sha2_256": "sha256"}[e.S]
	if !ok {
		return "", fmt.Errorf("hash %q is not known", e.S)
	}
	x, err := p.Value(e.Args[0])
	return fn + "(" + x + ")", err
}

// utc says that a zone has no offset, at any time.
func utc(z *time.Location) bool { return z == nil || z == time.UTC || z.String() == "UTC" }

// duckTime gives what is a time of the years 1 to 9999, else null; with that,
// nothing made of it can be too large. greatest and least pass null over.
func duckTime(ms string) string {
	return fill("nullif(nullif(least(greatest($1, $2), $3), $2), $3)",
		[]string{ms, strconv.FormatInt(firstMs-1, 10), strconv.FormatInt(lastMs+1, 10)})
}

const (
	firstMs = -62135596800000
	lastMs  = 253402300799999
)

// duckOffset prints how far the zone is ahead of UTC at ms, in ms.
func duckOffset(p *Printer, z *time.Location, ms string) (string, error) {
	q, err := p.d.Text(z.String())
	return fill("(epoch_ms(timezone($2, make_timestamptz($1 * 1000))) - $1)", []string{ms, q}), err
}

// duckBucket prints the start of a bucket: down to a multiple of the width by
// the clock of the zone, then back to UTC by the offset that holds there.
func duckBucket(p *Printer, e *core.Expr) (string, error) {
	ms, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	if e.N <= 0 {
		return "", fmt.Errorf("a time bucket of %d ms", e.N)
	}
	if e.N > lastMs {
		return p.constant(core.NullOf(core.Int))
	}
	ms = duckTime(ms)
	width := strconv.FormatInt(e.N, 10)
	floor := "($1 - ($1 % $2 + $2) % $2)"
	if utc(e.Zone) {
		return fill(floor, []string{ms, width}), nil
	}
	off, err := duckOffset(p, e.Zone, ms)
	if err != nil {
		return "", err
	}
	local := fill(floor, []string{"(" + ms + " + " + off + ")", width})
	back, err := duckOffset(p, e.Zone, "("+local+" - "+off+")")
	return "(" + local + " - " + back + ")", err
}

func duckFormatTime(p *Printer, e *core.Expr) (string, error) {
	ms, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	format, zoned, err := strftime(e.S, utc(e.Zone), duckLetters)
	if err != nil {
		return "", err
	}
	ms = duckTime(ms)
	off, local := "0", ms
	if !utc(e.Zone) {
		if off, err = duckOffset(p, e.Zone, ms); err != nil {
			return "", err
		}
		local = duckTime("(" + ms + " + " + off + ")")
	}
	q, err := p.d.Text(format)
	s := fill("strftime(make_timestamp($1 * 1000), $2)", []string{local, q})
	if zoned {
		s = fill("replace(replace($1, '{off}', $2), '{off:}', $3)", []string{s, clock(off, ""), clock(off, ":")})
	}
	return s, err
}

// clock prints an offset in ms as +hhmm.
func clock(off, sep string) string {
	return fill("CASE WHEN $1 < 0 THEN '-' ELSE '+' END || lpad(CAST(abs($1) // 3600000 AS VARCHAR), 2, '0') || '$2' || lpad(CAST(abs($1) // 60000 % 60 AS VARCHAR), 2, '0')",
		[]string{off, sep})
}

func duckParseTime(p *Printer, e *core.Expr) (string, error) {
	s, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	format, zoned, err := strptime(e.S, duckLetters)
	if err != nil {
		return "", err
	}
	q, err := p.d.Text(format)
	if err != nil {
		return "", err
	}
	at := fill("try_strptime($1, $2)", []string{s, q})
	if zoned || utc(e.Zone) {
		return duckTime("epoch_ms(" + at + ")"), nil
	}
	z, err := p.d.Text(e.Zone.String())
	return duckTime("epoch_ms(timezone(" + z + ", " + at + "))"), err
}
