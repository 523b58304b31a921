package op

import (
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// textFunctions work on texts.
var textFunctions = []*Function{
	{Name: "length", Min: 1, Max: 1, Form: "length(s)", Help: "characters of s; 0 of null",
		lower: func(a args) (*core.Expr, error) {
			return coalesce(do(core.Length, a.text(0)), core.IntOf(0)), nil
		}},
	{Name: "replace", Min: 3, Max: 3, Form: `replace(s, "text"|/regex/, "new") as field`, regex: true,
		Help:  "s with every occurrence replaced; with a regular expression, $1, ${name} and $0 stand for what it matched, \\\\$ for a dollar",
		lower: lowerReplace},
	{Name: "substring", Min: 2, Max: 3, Form: "substring(s, from[, to])", Help: "characters from..to-1, counted from 0", lower: lowerSubstring},
	{Name: "toLowerCase", Also: []string{"lower"}, Min: 1, Max: 1, Form: "toLowerCase(s)", Help: "s in lower case", cast: true, lower: ofText(core.Lower)},
	{Name: "toUpperCase", Also: []string{"upper"}, Min: 1, Max: 1, Form: "toUpperCase(s)", Help: "s in upper case", cast: true, lower: ofText(core.Upper)},
	{Name: "trim", Min: 1, Max: 1, Form: "trim(s)", Help: "s without white space at its ends", cast: true, lower: ofText(core.Trim)},
	{Name: "concat", Min: 1, Max: 64, Form: "concat(a, b, …)", Help: `all in a row; null counts as ""`, lower: lowerConcat},
	{Name: "contains", Min: 2, Max: 2, Form: "contains(s, part)", Help: "true when part stands in s, by case",
		lower: func(a args) (*core.Expr, error) { return contains(a.x[0], a.x[1]), nil }},
	{Name: "startsWith", Min: 2, Max: 2, Form: "startsWith(s, part)", Help: "true when s starts with part, by case",
		lower: func(a args) (*core.Expr, error) { return do(core.HasPrefix, a.text(0), a.text(1)), nil }},
	{Name: "endsWith", Min: 2, Max: 2, Form: "endsWith(s, part)", Help: "true when s ends with part, by case",
		lower: func(a args) (*core.Expr, error) { return do(core.HasSuffix, a.text(0), a.text(1)), nil }},
	{Name: "urldecode", Min: 1, Max: 1, Form: "urldecode(s)", Help: "%XX and + decoded", lower: ofText(core.URLDec)},
	{Name: "urlencode", Min: 1, Max: 1, Form: "urlencode(s)", Help: "all but unreserved characters as %XX", lower: ofText(core.URLEnc)},
	{Name: "base64Decode", Min: 1, Max: 1, Form: "base64Decode(s)", Help: "null when s is no base64 of a text", lower: ofText(core.Base64Dec)},
	{Name: "base64Encode", Min: 1, Max: 1, Form: "base64Encode(s)", Help: "s as base64", lower: ofText(core.Base64Enc)},
	{Name: "hexToAscii", Min: 1, Max: 1, Form: "hexToAscii(s)", Help: "the text whose bytes s gives in hexadecimal", lower: ofText(core.HexDec)},
	{Name: "asciiToHex", Min: 1, Max: 1, Form: "asciiToHex(s)", Help: "the bytes of s in hexadecimal", lower: ofText(core.HexEnc)},
	{Name: "hexToDec", Min: 1, Max: 1, Form: "hexToDec(s)", Help: "up to 16 hexadecimal digits as a number, two's complement", lower: ofText(core.HexToInt)},
	{Name: "decToHex", Min: 1, Max: 1, Form: "decToHex(n)", Help: "a whole number in hexadecimal, two's complement",
		lower: func(a args) (*core.Expr, error) { return do(core.IntToHex, a.int(0)), nil }},
	{Name: "hash", Min: 1, Max: 2, Form: `hash(s[, "md5"|"sha1"|"sha2_256"])`, Help: "in lower-case hexadecimal; md5 unless said otherwise", lower: lowerHash},
	{Name: "jsonArrayContains", Min: 2, Max: 2, Form: `jsonArrayContains(f, "value")`, Help: "true when the JSON array has the value",
		lower: func(a args) (*core.Expr, error) { return do(core.JSONHas, a.text(0), a.text(1)), nil }},
	{Name: "jsonArraySize", Min: 1, Max: 1, Form: "jsonArraySize(f)", Help: "elements of the JSON array; -1 when it is none",
		lower: func(a args) (*core.Expr, error) {
			return coalesce(do(core.JSONLen, a.text(0)), core.IntOf(-1)), nil
		}},
}

func lowerConcat(a args) (*core.Expr, error) {
	var list []*core.Expr
	for i := range a.x {
		list = append(list, coalesce(a.text(i), core.Str("")))
	}
	return do(core.Concat, list...), nil
}

// lowerSubstring checks the positions that are known; unknown ones that make no
// sense give null.
func lowerSubstring(a args) (*core.Expr, error) {
	from := a.int(1)
	if f, ok := constNum(from); ok && f < 0 {
		return nil, a.b.errorf(a.at(1), CodeValue, "substring cannot start before 0")
	}
	if a.len() == 2 {
		return do(core.Substr, a.text(0), from, do(core.Length, a.text(0))), nil
	}
	to := a.int(2)
	f, ok1 := constNum(from)
	t, ok2 := constNum(to)
	if ok1 && ok2 {
		if t < f {
			return nil, a.b.errorf(a.at(2), CodeValue, "substring cannot end before it starts")
		}
		return do(core.Substr, a.text(0), from, core.IntOf(int64(t-f))), nil
	}
	return do(core.Substr, a.text(0), from, toInt(do(core.Sub, toFloat(to), toFloat(from)))), nil
}

var hashes = map[string]string{"md5": "md5", "sha1": "sha1", "sha2_256": "sha2_256", "sha256": "sha2_256"}

func lowerHash(a args) (*core.Expr, error) {
	e := do(core.Hash, a.text(0))
	e.S = "md5"
	if a.len() == 2 {
		name, err := a.constant(1, "the kind of hash")
		if err != nil {
			return nil, err
		}
		if e.S = hashes[strings.ToLower(name)]; e.S == "" {
			return nil, a.b.errorf(a.at(1), CodeValue, "there is no hash %s here\nthere are md5, sha1 and sha2_256", name)
		}
	}
	return e, nil
}

func lowerReplace(a args) (*core.Expr, error) {
	if a.x[0] == nil {
		return nil, a.b.errorf(a.at(0), CodeValue, "replace needs a text first\nwrite: replace(field, /…/, \"new\") as field")
	}
	p, ok := a.call.Args[1].(*syntax.Regex)
	if a.x[2] == nil {
		return nil, a.b.errorf(a.at(2), CodeValue, "the new text cannot be a regular expression")
	}
	if !ok {
		return do(core.Replace, a.text(0), a.text(1), a.text(2)), nil
	}
	with, err := a.constant(2, "what replaces a regular expression")
	if err != nil {
		return nil, err
	}
	re, err := regex(p.Go)
	if err != nil {
		return nil, a.b.errorf(p.Span(), syntax.CodeRegex, "%v", err)
	}
	parts, err := replacement(with, p.Names)
	if err != nil {
		return nil, a.b.errorf(a.at(2), CodeValue, "%v", err)
	}
	e := do(core.ReplaceRe, a.text(0))
	e.Re, e.Rep = re, parts
	return e, nil
}
