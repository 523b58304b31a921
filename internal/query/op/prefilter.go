package op

import (
	"regexp"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// prefilter is what must hold of the record's text when p holds, or nil when
// nothing is known. It is a search for a word that the record must have, and
// spares parsing the records that do not have it: that is most of what a query of
// a path costs.
//
// It relies on letters, digits and a few signs being written as themselves in
// JSON. That is how every writer of records does it, though JSON would allow to
// write any of them as \u and four digits.
//
// Scans see the record's text as it is, so it belongs to their filters.
func prefilter(p *core.Expr) *core.Expr {
	switch p.Op {
	case core.And:
		return prefilterAll(p.Args)
	case core.Or:
		return prefilterAny(p.Args)
	case core.Not:
		if x := p.Args[0]; x.Op == core.IsNull {
			return hasKey(x.Args[0])
		}
	case core.IsNull, core.IsTrue:
	default:
		if f := prefilterText(p); f != nil {
			return f
		}
		return prefilterKeys(p.Args)
	}
	return nil
}

// prefilterText is the text that a value at a path must have.
func prefilterText(p *core.Expr) *core.Expr {
	switch p.Op {
	case core.EqText, core.Contains, core.HasPrefix, core.HasSuffix:
		if x, text := p.Args[0], p.Args[1]; text.Op == core.Const {
			return hasText(x, text.S)
		}
	case core.InText:
		var list []*core.Expr
		for _, s := range p.Set {
			list = append(list, hasText(p.Args[0], s))
		}
		return either(list)
	case core.MatchRe:
		return hasLiterals(p.Args[0], p.Re.All)
	}
	return nil
}

// prefilterKeys are the keys of the paths that a predicate compares: it is false
// of null, so they must be there.
func prefilterKeys(args []*core.Expr) *core.Expr {
	var list []*core.Expr
	for _, a := range args {
		list = append(list, hasKey(a))
	}
	return all(list)
}

// prefiltered puts before each condition what must hold of the text.
func prefiltered(filter *core.Expr) *core.Expr {
	list := []*core.Expr{filter}
	if filter.Op == core.And {
		list = filter.Args
	}
	var out []*core.Expr
	for _, p := range list {
		switch f := prefilter(p); {
		case f == nil:
		case f.Op == core.And:
			out = append(out, f.Args...)
		default:
			out = append(out, f)
		}
		out = append(out, p)
	}
	return and(distinct(out)...)
}

// distinct keeps the first of equal predicates.
func distinct(list []*core.Expr) []*core.Expr {
	var out []*core.Expr
	seen := map[string]bool{}
	for _, p := range list {
		if text := FormatExpr(p); !seen[text] {
			seen[text] = true
			out = append(out, p)
		}
	}
	return out
}

// all joins what is known, nil when nothing is.
func all(list []*core.Expr) *core.Expr {
	known := slices.DeleteFunc(list, func(p *core.Expr) bool { return p == nil })
	if len(known) == 0 {
		return nil
	}
	return and(distinct(known)...)
}

func prefilterAll(list []*core.Expr) *core.Expr {
	var known []*core.Expr
	for _, p := range list {
		known = append(known, prefilter(p))
	}
	return all(known)
}

func prefilterAny(list []*core.Expr) *core.Expr {
	var known []*core.Expr
	for _, p := range list {
		known = append(known, prefilter(p))
	}
	return either(known)
}

// maxWords bounds how many words are looked for: each is a walk over the text.
const maxWords = 8

// either is that one of list holds, or nil when one of them is not known.
func either(list []*core.Expr) *core.Expr {
	if len(list) == 0 || len(list) > maxWords {
		return nil
	}
	if slices.Contains(list, nil) {
		return nil
	}
	return or(distinct(list)...)
}

// document is the record's text when x is read from it: a path, or the first of
// several.
func document(x *core.Expr) *core.Expr {
	switch x.Op {
	case core.JSONGet:
		if doc := x.Args[0]; x.Type == core.Text && doc.Op == core.Column && doc.Name == rawColumn {
			return doc
		}
	case core.Coalesce:
		for _, a := range x.Args {
			if document(a) == nil {
				return nil
			}
		}
		return document(x.Args[0])
	}
	return nil
}

// hasText is that the record has the text of a value at a path. One in lower case
// is looked for without case.
func hasText(x *core.Expr, text string) *core.Expr {
	if !plainJSON(text) {
		return nil
	}
	if x.Op == core.Lower {
		if doc := document(x.Args[0]); doc != nil {
			return matchRe(doc, mustRegex("(?i)"+regexp.QuoteMeta(text)))
		}
		return nil
	}
	if doc := document(x); doc != nil {
		return do(core.Contains, doc, core.Str(text))
	}
	return nil
}

func hasLiterals(x *core.Expr, literals []string) *core.Expr {
	var list []*core.Expr
	for _, lit := range literals {
		list = append(list, hasText(x, lit))
	}
	return all(list)
}

// throughNull are ops of one text or number whose result is null when it is.
var throughNull = map[core.Op]bool{
	core.ToNum: true, core.ToFloat: true, core.ToInt: true, core.ToText: true, core.Lower: true, core.Upper: true,
	core.Trim: true, core.Length: true, core.IPv4Num: true, core.JSONLen: true,
}

// hasKey is that the record has the last key of a path, which is so when x has a
// value.
func hasKey(x *core.Expr) *core.Expr {
	if throughNull[x.Op] {
		return hasKey(x.Args[0])
	}
	if x.Op == core.Coalesce {
		var list []*core.Expr
		for _, a := range x.Args {
			list = append(list, hasKey(a))
		}
		return either(list)
	}
	if x.Op != core.JSONGet || x.Args[0].Op != core.Column || x.Args[0].Name != rawColumn {
		return nil
	}
	for i := len(x.Path) - 1; i >= 0; i-- {
		if key := x.Path[i].Key; key != "" {
			if !plainJSON(key) {
				return nil
			}
			return do(core.Contains, x.Args[0], core.Str(`"`+key+`"`))
		}
	}
	return nil
}

// plainJSON tells whether a text is written as itself in JSON, and long enough to
// look for.
func plainJSON(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.: @*", c) >= 0) {
			return false
		}
	}
	return len(s) > 1
}
