package sql

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// ClickHouse replaces empty matches in a way of its own: behind a match too, and
// between the bytes of a letter. An expression that can match nothing is
// therefore replaced letter by letter, which is slow, and rare in hunts.

var errPlace = errors.New("ClickHouse cannot replace an expression that matches the empty text and asks for its place (^, \\b)")

// canBeEmpty says that re may match the empty text somewhere.
func canBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return canBeEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || canBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !canBeEmpty(s) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, canBeEmpty)
	}
	return true
}

// looksBack says that re asks what stands before it.
func looksBack(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, looksBack)
}

// emptyMatches says how the source is to be replaced.
func emptyMatches(source string) (bool, error) {
	re, err := syntax.Parse(source, syntax.Perl)
	switch {
	case err != nil || !canBeEmpty(re):
		return false, err
	case looksBack(re):
		return false, errPlace
	}
	return true, nil
}

// The walk goes over the places of a text, holding what is written, the place
// to go on at and the end of the last match, where an empty one does not count.
// $R is what is left of the text at a place, $M the match at its begin, $T what
// takes its place, found by cutting off what follows.
const (
	walkRest  = "substringUTF8(t, i + 1)"
	walkMatch = "regexpExtract($R, $A, 0)"
	walkTo    = "substring(replaceRegexpOne($R, $A, $2), 1, length(replaceRegexpOne($R, $A, $2)) - length($R) + length($M))"
	walkStep  = "if(toInt64(i) < w.2, w, if(match($R, $A) AND ($M <> '' OR toInt64(i) <> w.3), " +
		"if($M <> '', (concat(w.1, $T), toInt64(i + lengthUTF8($M)), toInt64(i + lengthUTF8($M))), (concat(w.1, $T, substringUTF8($R, 1, 1)), toInt64(i + 1), toInt64(-1))), " +
		"(concat(w.1, substringUTF8($R, 1, 1)), toInt64(i + 1), toInt64(-1))))"
	walk = "CASE WHEN $1 IS NOT NULL THEN arrayElement(arrayMap(t -> arrayFold((w, i) -> " + walkStep +
		", range(lengthUTF8(t) + 1), ('', toInt64(0), toInt64(-1))).1, [coalesce($1, '')]), 1) END"
)

// replaceWalking prints the replacement of every match of the quoted anchored
// expression in x by the quoted text.
func replaceWalking(x, anchored, to string) string {
	t := walk
	for _, part := range [][2]string{{"$T", walkTo}, {"$M", walkMatch}, {"$R", walkRest}} {
		t = strings.ReplaceAll(t, part[0], part[1])
	}
	return fill(t, []string{x, to}, "$A", anchored)
}
