package syntax

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Num is the value of a number. One with a unit of time is in milliseconds.
type Num struct {
	Number float64
	Int    int64
	IsInt  bool   // Int holds the value exactly, and it was meant as an integer
	Unit   string // as written: k, Mi, s, h … or empty
}

// scales are what suffixes multiply by. They are case-sensitive: m is minutes, M a
// million.
var scales = map[string]float64{
	"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
	"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3, "m": 60e3, "h": 3600e3, "d": 86400e3, "w": 7 * 86400e3,
}

// Timed tells whether the number has a unit of time.
func (n Num) Timed() bool {
	switch n.Unit {
	case "ns", "us", "ms", "s", "m", "h", "d", "w":
		return true
	}
	return false
}

// number reads digits with an optional point, exponent and suffix.
func (l *lexer) number() {
	start := l.at
	l.at += run(l.src[l.at:], wordPart)
	// The sign of an exponent is no part of a word.
	if s := l.src[start:l.at]; (s[len(s)-1] == 'e' || s[len(s)-1] == 'E') && l.at+1 < len(l.src) &&
		(l.src[l.at] == '+' || l.src[l.at] == '-') && digitAt(l.src, l.at+1) {
		l.at++
		l.at += run(l.src[l.at:], wordPart)
	}
	text := l.src[start:l.at]
	num, err := parseNum(text)
	if err != "" {
		l.fail(CodeNumber, Span{start, l.at}, numberHint(text), "%s %s", short(text), err)
	}
	l.add(TokNumber, text, start)
	l.toks[len(l.toks)-1].Num = num
	l.operand = false
}

func numberHint(text string) string {
	if strings.Count(text, ".") > 1 {
		return fmt.Sprintf("put addresses and versions in quotes: %q", short(text))
	}
	return "suffixes are k M G T P, Ki Mi Gi Ti Pi, and ns us ms s m h d w for time"
}

// parseNum reads a number, or tells what it is instead.
func parseNum(text string) (Num, string) {
	digits := numeral(text)
	unit := text[digits:]
	scale := 1.0
	if unit != "" {
		var ok bool
		if scale, ok = scales[unit]; !ok {
			return Num{}, "is not a number"
		}
	}
	f, err := strconv.ParseFloat(text[:digits], 64)
	if err != nil || math.IsInf(f*scale, 0) {
		return Num{}, "is too large"
	}
	n := Num{Number: f * scale, Unit: unit}
	if i, err := strconv.ParseInt(text[:digits], 10, 64); err == nil && scale >= 1 {
		n.Int = i * int64(scale)
		n.IsInt = n.Int/int64(scale) == i
	} else if unit != "" && n.Number == math.Trunc(n.Number) && n.Number < 1<<53 {
		n.Int, n.IsInt = int64(n.Number), true // 1.5s is 1500
	}
	if !n.IsInt {
		n.Int = 0
	}
	return n, ""
}

// numeral returns how much of s is digits, point and exponent.
func numeral(s string) int {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	n := run(s, digit)
	if n < len(s) && s[n] == '.' && digitAt(s, n+1) {
		n++
		n += run(s[n:], digit)
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if digitAt(s, e) {
			n = e + run(s[e:], digit)
		}
	}
	return n
}
