package op

import (
	"math"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// formatFunctions print values as Java's Formatter does, as far as primitives go:
// %s %S %b %d %x %X %f %% %n with a width, .N behind f and s, and the flags
// - 0 + and the comma.
var formatFunctions = []*Function{{Name: "format", Min: 1, Max: 17, Form: `format("%s: %,d of %.2f", a, b, c) as field`,
	Help:  "a text with values in it: %s text, %d whole number, %.2f with two decimals, %x hexadecimal, %% a percent sign; a width such as %5d or %-10s fills up with blanks, and %05d, %+d and %,d with zeros, a sign and commas. Null when a value is",
	lower: lowerFormat}}

// maxFilledTo is the widest that a value is filled up to.
const maxFilledTo = 100

// directive is one %-sign of a format.
type directive struct {
	flags  string
	width  int
	digits int // behind the point; -1 when not said
	verb   byte
}

func lowerFormat(a args) (*core.Expr, error) {
	form, err := a.constant(0, "a format")
	if err != nil {
		return nil, err
	}
	form = anchorEscapes.Replace(form)
	used := 1
	parts := []*core.Expr{core.Str("")}
	for form != "" {
		text, rest, found := strings.Cut(form, "%")
		parts = append(parts, core.Str(text))
		if !found {
			break
		}
		d, n := readDirective(rest)
		form = rest[n:]
		switch {
		case d.verb == '%' || d.verb == 'n':
			parts = append(parts, core.Str(map[byte]string{'%': "%", 'n': "\n"}[d.verb]))
			continue
		case d.verb == 0:
			return nil, a.b.errorf(a.at(0), CodeValue, "the format has %%%s, which means nothing here\nwrite %%s, %%d, %%.2f or %%x, and %%%% for a percent sign", rest[:n])
		case used == a.len():
			return nil, a.b.errorf(a.call.Span(), CodeValue, "the format has more %% than values follow it")
		}
		parts = append(parts, d.lower(a.x[used]))
		used++
	}
	if used < a.len() {
		return nil, a.b.errorf(a.at(used), CodeValue, "the format has no %% for this value")
	}
	return do(core.Concat, parts...), nil
}

// readDirective reads what follows a percent sign, and returns its length. The
// verb is 0 when it is none.
func readDirective(s string) (directive, int) {
	d := directive{digits: -1}
	n := len(s) - len(strings.TrimLeft(s, "-0+,"))
	d.flags = s[:n]
	number := func() int {
		start := n
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(s[start:n])
		if err != nil {
			return 0
		}
		return v
	}
	d.width = number()
	if n < len(s) && s[n] == '.' {
		n++
		d.digits = number()
	}
	if n == len(s) {
		return directive{}, n
	}
	d.verb = s[n]
	fits := d.width <= maxFilledTo && d.digits <= 15 && strings.IndexByte("sSbdxXf%n", d.verb) >= 0
	if !fits || d.digits >= 0 && strings.IndexByte("sSf", d.verb) < 0 {
		d.verb = 0
	}
	return d, n + 1
}

// lower prints a value.
func (d directive) lower(x *core.Expr) *core.Expr {
	switch d.verb {
	case 'd':
		return d.fill(d.number(do(core.ToText, toInt(x))))
	case 'f':
		if d.digits < 0 {
			d.digits = 6
		}
		return d.fill(d.number(decimals(toFloat(x), d.digits)))
	case 'x':
		return d.fill(do(core.IntToHex, toInt(x)))
	case 'X':
		return d.fill(do(core.Upper, do(core.IntToHex, toInt(x))))
	case 'b':
		return d.fill(toText(toPred(x)))
	}
	text := toText(x)
	if d.digits >= 0 {
		text = do(core.Substr, text, core.IntOf(0), core.IntOf(int64(d.digits)))
	}
	if d.verb == 'S' {
		text = do(core.Upper, text)
	}
	return d.fill(text)
}

// decimals prints a number with so many digits behind the point: as hundredths,
// say, of which the last two stand behind a point. A 1 in front of those keeps
// their zeros. What is beyond whole numbers then is null.
func decimals(x *core.Expr, digits int) *core.Expr {
	scale := 1.0
	for range digits {
		scale *= 10
	}
	whole := maths("round", do(core.Mul, maths("abs", x), core.Num(scale)), core.Num(0))
	behind := do(core.Mod, whole, core.Num(scale))
	text := do(core.ToText, do(core.ToInt, do(core.Div, do(core.Sub, whole, behind), core.Num(scale))))
	if digits > 0 {
		last := do(core.ToText, do(core.ToInt, do(core.Add, behind, core.Num(scale))))
		text = do(core.Concat, text, core.Str("."), do(core.Substr, last, core.IntOf(1), core.IntOf(int64(digits))))
	}
	negative := and(do(core.LtNum, x, core.Num(0)), do(core.LtNum, core.Num(0), whole))
	return do(core.Concat, choose(negative, core.Str("-"), core.Str("")), text)
}

// threeDigits finds where the next comma goes, from the right.
var threeDigits = mustRegex(`^([+-]?[0-9]+)([0-9]{3}(?:[,.].*)?)$`)

// number puts commas and a sign on a number's text.
func (d directive) number(text *core.Expr) *core.Expr {
	if strings.Contains(d.flags, ",") {
		for range 6 {
			text = do(core.ReplaceRe, text)
			text.Re = threeDigits
			text.Rep = []core.RepPart{{Group: 1}, {Lit: ",", Group: -1}, {Group: 2}}
		}
	}
	if strings.Contains(d.flags, "+") {
		text = choose(do(core.HasPrefix, text, core.Str("-")), text, do(core.Concat, core.Str("+"), text))
	}
	return text
}

// fill makes a text as wide as is asked for. Zeros go behind the sign.
func (d directive) fill(text *core.Expr) *core.Expr {
	switch {
	case d.width == 0:
		return text
	case strings.Contains(d.flags, "-"):
		return do(core.Concat, text, do(core.Substr, core.Str(strings.Repeat(" ", d.width)), upTo(text, d.width), core.IntOf(maxFilledTo)))
	case strings.Contains(d.flags, "0"):
		signed := or(do(core.HasPrefix, text, core.Str("-")), do(core.HasPrefix, text, core.Str("+")))
		rest := do(core.Substr, text, core.IntOf(1), core.IntOf(math.MaxInt32))
		return choose(signed, do(core.Concat, do(core.Substr, text, core.IntOf(0), core.IntOf(1)), fillLeft(rest, d.width-1, "0")), fillLeft(text, d.width, "0"))
	}
	return fillLeft(text, d.width, " ")
}

// fillLeft puts so many characters before a text, less those that it has.
func fillLeft(text *core.Expr, width int, with string) *core.Expr {
	return do(core.Substr, do(core.Concat, core.Str(strings.Repeat(with, width)), text), upTo(text, width), core.IntOf(math.MaxInt32))
}

// upTo is the length of a text, at most width.
func upTo(text *core.Expr, width int) *core.Expr {
	return do(core.ToInt, maths("min", do(core.ToFloat, do(core.Length, text)), core.Num(float64(width))))
}
