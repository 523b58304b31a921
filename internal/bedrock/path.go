package bedrock

import (
	"math"
	"strconv"
	"strings"

	"gatehouse/internal/strictjson"
)

// Path leads to a member of a body: keys joined by dots. Where it reads usage,
// "[]" stands for every element of an array, added up, and "#" for the number
// of elements, and "[ttl=1h]" for those whose ttl is 1h, added up.
type Path string

// find returns the value at p below n, None when it is not there.
func (p Path) find(doc *strictjson.Document, n strictjson.Node) strictjson.Node {
	for key := range strings.SplitSeq(string(p), ".") {
		n = doc.Get(n, key)
	}
	return n
}

// sum returns the count at p below n. It is false when there is none, or no
// whole number from zero on.
func (p Path) sum(doc *strictjson.Document, n strictjson.Node) (int64, bool) {
	if p == "" {
		return count(doc, n)
	}
	key, rest, _ := strings.Cut(string(p), ".")
	switch key {
	case "#":
		return int64(doc.Len(n)), doc.Kind(n) == strictjson.Array
	case "[]":
		return Path(rest).sumAll(doc, n, "", "")
	}
	if name, value, ok := strings.Cut(strings.Trim(key, "[]"), "="); ok {
		return Path(rest).sumAll(doc, n, name, value)
	}
	return Path(rest).sum(doc, doc.Get(n, key))
}

// sumAll adds up the elements of an array: all, or those whose member name has
// the value.
func (p Path) sumAll(doc *strictjson.Document, n strictjson.Node, name, value string) (int64, bool) {
	var total int64
	found := false
	for c := doc.First(n); c != strictjson.None; c = doc.Next(c) {
		if name != "" && !doc.Is(doc.Get(c, name), value) {
			continue
		}
		if v, ok := p.sum(doc, c); ok {
			total, found = addSaturating(total, v), true
		}
	}
	return total, found
}

// count reads a number of tokens. Bedrock rewrites integers as floats (28.0)
// when a guardrail has acted, so these are taken too.
func count(doc *strictjson.Document, n strictjson.Node) (int64, bool) {
	if v, ok := doc.Int(n); ok {
		return v, v >= 0
	}
	if doc.Kind(n) != strictjson.Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(doc.Raw(n)), 64)
	if err != nil || f < 0 || f > 1<<53 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

func addSaturating(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
