package sql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
)

// ClickHouse's times reach from 1900 to 9999. A time beyond is null here.

// clickTime prints ms as a time of the zone.
func clickTime(p *Printer, ms string, z *time.Location) (string, error) {
	name := "UTC"
	if !utc(z) {
		name = z.String()
	}
	q, err := p.d.Text(name)
	return fill("fromUnixTimestamp64Milli(CASE WHEN $1 >= -2208900000000 AND $1 < 253402200000000 THEN $1 END, $2)", []string{ms, q}), err
}

// clickOffset prints how far the zone is ahead of UTC at ms, in ms.
func clickOffset(p *Printer, ms string, z *time.Location) (string, error) {
	if utc(z) {
		return "0", nil
	}
	at, err := clickTime(p, ms, z)
	return "(toInt64(timezoneOffset(" + at + ")) * 1000)", err
}

// clickBucket is duckBucket in this engine's functions.
// clickTimes are the times that core knows, of the years 1 to 9999.
var clickTimes = strconv.FormatInt(firstMs, 10) + " AND " + strconv.FormatInt(lastMs, 10)

func clickBucket(p *Printer, e *core.Expr) (string, error) {
	ms, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	if e.N <= 0 {
		return "", fmt.Errorf("a time bucket of %d ms", e.N)
	}
	width := "toInt64(" + strconv.FormatInt(e.N, 10) + ")"
	floor := "($1 - ($1 % $2 + $2) % $2)"
	if utc(e.Zone) {
		return fill("CASE WHEN $1 BETWEEN "+clickTimes+" AND "+floor+" >= "+strconv.FormatInt(firstMs, 10)+" THEN "+floor+" END", []string{ms, width}), nil
	}
	off, err := clickOffset(p, ms, e.Zone)
	if err != nil {
		return "", err
	}
	local := fill(floor, []string{"(" + ms + " + " + off + ")", width})
	back, err := clickOffset(p, "("+local+" - "+off+")", e.Zone)
	return "(" + local + " - " + back + ")", err
}

// clickLetters spells runs of letters as texts of the time $1.
var clickLetters = map[string]string{
	"yyyy": pad("toYear", 4), "yyy": pad("toYear", 4), "y": pad("toYear", 4), "yy": "leftPad(toString(toYear($1) % 100), 2, '0')",
	"u":    "toString(toDayOfWeek($1))",
	"MMMM": nth("toMonth($1)", months[:]...), "MMM": "substring(" + nth("toMonth($1)", months[:]...) + ", 1, 3)",
	"MM": pad("toMonth", 2), "M": "toString(toMonth($1))",
	"dd": pad("toDayOfMonth", 2), "d": "toString(toDayOfMonth($1))",
	"DDD": pad("toDayOfYear", 3), "D": "toString(toDayOfYear($1))",
	"HH": pad("toHour", 2), "H": "toString(toHour($1))",
	"hh": "leftPad(toString((toHour($1) + 11) % 12 + 1), 2, '0')", "h": "toString((toHour($1) + 11) % 12 + 1)",
	"mm": pad("toMinute", 2), "m": "toString(toMinute($1))", "ss": pad("toSecond", 2), "s": "toString(toSecond($1))",
	"SSS": pad("toMillisecond", 3), "SSSSSS": "concat(" + pad("toMillisecond", 3) + ", '000')", "SSSSSSSSS": "concat(" + pad("toMillisecond", 3) + ", '000000')",
	"a":   "if(toHour($1) < 12, 'AM', 'PM')",
	"EEE": weekday3, "EE": weekday3, "E": weekday3, "EEEE": weekday,
}

var (
	months   = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	weekday  = nth("toDayOfWeek($1)", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
	weekday3 = "substring(" + weekday + ", 1, 3)"
)

func pad(fn string, digits int) string {
	return "leftPad(toString(" + fn + "($1)), " + strconv.Itoa(digits) + ", '0')"
}

func nth(n string, names ...string) string {
	return "arrayElement(['" + strings.Join(names, "', '") + "'], coalesce(" + n + ", 1))"
}

// clickFormatTime prints a concatenation, a piece each run of letters: the
// engine's own patterns pad and name differently. The pattern is translated as
// for the other engine, into a text with marks where the pieces go.
func clickFormatTime(p *Printer, e *core.Expr) (string, error) {
	ms, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	marks := map[string]string{}
	for run := range clickLetters {
		marks[run] = "\x00" + run + "\x00"
	}
	text, _, err := strftime(e.S, utc(e.Zone), marks)
	if err != nil {
		return "", err
	}
	at, err := clickTime(p, ms, e.Zone)
	if err != nil {
		return "", err
	}
	off, err := clickOffset(p, ms, e.Zone)
	if err != nil {
		return "", err
	}
	text = strings.NewReplacer("{off}", "\x00{off}\x00", "{off:}", "\x00{off:}\x00").Replace(text)
	parts := []string{"''", "''"}
	for i, piece := range strings.Split(text, "\x00") {
		s, err := clickPiece(p, piece, i%2 == 1, at, off)
		if err != nil {
			return "", err
		}
		parts = append(parts, s)
	}
	return "CASE WHEN " + at + " IS NOT NULL THEN concat(" + strings.Join(parts, ", ") + ") END", nil
}

func clickPiece(p *Printer, piece string, mark bool, at, off string) (string, error) {
	switch {
	case !mark:
		return p.d.Text(strings.ReplaceAll(piece, "%%", "%"))
	case piece == "{off}":
		return clickClock(off, ""), nil
	case piece == "{off:}":
		return clickClock(off, ":"), nil
	}
	return fill(clickLetters[piece], []string{at}), nil
}

// clickClock prints an offset in ms as +hhmm.
func clickClock(off, sep string) string {
	return fill("concat(if($1 < 0, '-', '+'), leftPad(toString(intDiv(abs($1), 3600000)), 2, '0'), '$2', leftPad(toString(intDiv(abs($1), 60000) % 60), 2, '0'))",
		[]string{off, sep})
}

// clickParseTime uses the engine's reader of Joda's letters, which are those of
// core but for the spellings of an offset.
func clickParseTime(p *Printer, e *core.Expr) (string, error) {
	s, err := p.Value(e.Args[0])
	if err != nil {
		return "", err
	}
	if _, _, err := strptime(e.S, duckLetters); err != nil { // the same patterns are known
		return "", err
	}
	pattern, err := p.d.Text(jodaOffsets(e.S))
	if err != nil {
		return "", err
	}
	name := "UTC"
	if !utc(e.Zone) {
		name = e.Zone.String()
	}
	z, err := p.d.Text(name)
	return fill("toUnixTimestamp64Milli(CAST(parseDateTime64InJodaSyntaxOrNull($1, $2, $3) AS Nullable(DateTime64(3))))", []string{s, pattern, z}), err
}

// jodaOffsets writes each run of X as Z, outside of quotes.
func jodaOffsets(pattern string) string {
	var b strings.Builder
	quoted := false
	for i, c := range pattern {
		if c == '\'' {
			quoted = !quoted
		}
		switch {
		case c != 'X' || quoted:
			b.WriteRune(c)
		case i == 0 || pattern[i-1] != 'X':
			b.WriteByte('Z')
		}
	}
	return b.String()
}
