package op

import (
	"strings"
	"time"

	"gatehouse/internal/query/core"
)

// defaultPattern is how formatDate writes when it is told nothing.
const defaultPattern = "yyyy-MM-dd HH:mm:ss.SSS Z"

// timeFunctions work on times, which are milliseconds since 1970.
var timeFunctions = []*Function{
	{Name: "now", Min: 0, Max: 0, Form: "now()", Help: "when the query started, in ms",
		lower: func(a args) (*core.Expr, error) { return core.IntOf(millis(a.b.env.Now, 0)), nil }},
	{Name: "queryStartTime", Min: 0, Max: 0, Form: "queryStartTime()", Help: "where the range searched starts, in ms; null when it is open",
		lower: func(a args) (*core.Expr, error) { return moment(a.b.env.From), nil }},
	{Name: "queryEndTime", Min: 0, Max: 0, Form: "queryEndTime()", Help: "where the range searched ends, in ms; null when it is open",
		lower: func(a args) (*core.Expr, error) { return moment(a.b.env.To), nil }},
	{Name: "queryTimeRange", Min: 0, Max: 0, Form: "queryTimeRange()", Help: "how long the range searched is, in ms",
		lower: func(a args) (*core.Expr, error) {
			if a.b.env.From.IsZero() || a.b.env.To.IsZero() {
				return core.NullOf(core.Int), nil
			}
			return core.IntOf(a.b.env.To.Sub(a.b.env.From).Milliseconds()), nil
		}},
	{Name: "formatDate", Min: 1, Max: 3, Form: `formatDate(ms[, "yyyy-MM-dd HH:mm:ss"[, "zone"]])`, Help: "a time as text, with the letters of Java's SimpleDateFormat",
		lower: lowerFormatDate},
	{Name: "parseDate", Min: 2, Max: 3, Form: `parseDate(s, "yyyy-MM-dd HH:mm:ss"[, "zone"])`, Help: "the time that a text gives, in ms",
		lower: func(a args) (*core.Expr, error) { return lowerTime(a, core.ParseTime, a.text(0)) }},
}

func moment(t time.Time) *core.Expr {
	if t.IsZero() {
		return core.NullOf(core.Int)
	}
	return core.IntOf(t.UnixMilli())
}

func lowerFormatDate(a args) (*core.Expr, error) {
	if a.x[0].Op == core.Const && a.x[0].Type == core.Text {
		return nil, a.b.errorf(a.at(0), CodeValue, "formatDate takes milliseconds, not a text\nparseDate reads a text")
	}
	return lowerTime(a, core.FormatTime, a.int(0))
}

func lowerTime(a args, op core.Op, x *core.Expr) (*core.Expr, error) {
	e := do(op, x)
	e.S, e.Zone = defaultPattern, a.b.env.Zone
	var err error
	if a.len() > 1 {
		if e.S, err = a.constant(1, "the pattern of a time"); err != nil {
			return nil, err
		}
		if err := checkPattern(e.S, op == core.ParseTime); err != "" {
			return nil, a.b.errorf(a.at(1), CodeValue, "%s", err)
		}
	}
	if a.len() > 2 {
		name, err := a.constant(2, "a time zone")
		if err != nil {
			return nil, err
		}
		if e.Zone, err = time.LoadLocation(name); err != nil || name == "Local" {
			return nil, a.b.errorf(a.at(2), CodeValue, "there is no time zone %s\nwrite one such as Europe/Berlin or UTC", name)
		}
	}
	return e, nil
}

// The letters of SimpleDateFormat that back ends write, and those that they read.
const (
	writtenLetters = "yMdDHhmsSuaEzZX"
	readLetters    = "yMdHhmsSaEzZX"
	maxPattern     = 256
)

// checkPattern tells what is wrong with a pattern of a time and, behind a line
// break, what to do; "" when nothing is.
func checkPattern(p string, read bool) string {
	letters, longest := writtenLetters, 16
	if read {
		letters, longest = readLetters, 4
	}
	if len(p) > maxPattern {
		return "the pattern of a time is too long"
	}
	for i := 0; i < len(p); {
		n := 1
		for i+n < len(p) && p[i+n] == p[i] {
			n++
		}
		switch c := p[i]; {
		case c == '\'':
			end := strings.IndexByte(p[i+1:], '\'')
			if end < 0 {
				return "a single quote in the pattern is never closed"
			}
			n = end + 2
		case (c|0x20) < 'a' || (c|0x20) > 'z':
		case strings.IndexByte(letters, c) < 0 || n > longest:
			return "the pattern has " + p[i:i+n] + ", which means nothing here\nletters are " + letters + "; put plain text in single quotes"
		case c == 'S' && n != 3 && (read || n != 6 && n != 9):
			return "parts of a second have three digits\nwrite SSS"
		}
		i += n
	}
	return ""
}
