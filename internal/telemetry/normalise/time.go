package normalise

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/telemetry/value"
)

// Time reads a time as sources write it: RFC 3339 with any fraction, the same
// with a space and without a zone (which means UTC), seconds, milliseconds,
// microseconds or nanoseconds since 1970 as number or text, a Windows file
// time, and /Date(1234)/.
func Time(v *fastjson.Value) (time.Time, bool) {
	switch v.Type() {
	case fastjson.TypeString:
		b, _ := v.StringBytes()
		if t, ok := plainTime(b); ok {
			return t, true
		}
		return ParseTime(string(b))
	case fastjson.TypeNumber:
		return number(word(v))
	}
	return time.Time{}, false
}

// ParseTime is Time for text.
func ParseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 40 {
		return time.Time{}, false
	}
	if in, ok := strings.CutPrefix(s, "/Date("); ok {
		in, _, _ = strings.Cut(in, ")")
		if i := strings.LastIndexAny(in, "+-"); i > 0 {
			in = in[:i] // the zone is for showing
		}
		return number(in)
	}
	if strings.Trim(s, "0123456789.") == "" {
		if t, ok := number(s); ok {
			return t, true
		}
	}
	if t, ok := calendar(s); ok {
		return t, true
	}
	return number(s)
}

// layouts are the forms of a calendar time, in which Parse takes any fraction
// of a second by itself. No zone means UTC.
var layouts = [...]string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700 MST",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04",
	"02/Jan/2006:15:04:05 -0700", "Mon, 02 Jan 2006 15:04:05 MST", "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan _2 15:04:05 2006 MST",
}

func calendar(s string) (time.Time, bool) {
	if t, ok := plainTime(s); ok {
		return t, true
	}
	for _, l := range layouts {
		if l[4] == '-' && (len(s) < 11 || s[10] != l[10]) {
			continue // Parse would only make an error of it
		}
		if t, err := time.Parse(l, s); err == nil && knownZone(t) {
			return inRange(t)
		}
	}
	return time.Time{}, false
}

// knownZone refuses zones that Parse made up from letters it does not know:
// it takes them as UTC, which they need not be.
func knownZone(t time.Time) bool {
	name, offset := t.Zone()
	return offset != 0 || name == "" || name == "UTC" || name == "GMT" || name == "Z"
}

// plainTime reads 2026-03-01T12:00:00Z, what nearly every record has, without
// the search of Parse.
func plainTime[T string | []byte](s T) (time.Time, bool) {
	if len(s) != 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return time.Time{}, false
	}
	two := func(i int) int {
		a, b := s[i]-'0', s[i+1]-'0'
		if a > 9 || b > 9 {
			return 1000
		}
		return int(a)*10 + int(b)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if year > 9999 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false // days beyond 28 depend on the month: Parse knows
	}
	return inRange(time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC))
}

// The bounds of units, by how large the number of a time from 1973 to 2286 is
// in each. A file time counts 100 ns since 1601 and lies between the ranges of
// microseconds and nanoseconds.
const (
	seconds1973, seconds2286 = 1e8, 1e10
	fileTime1970             = 116444736000000000
	fileTime2286             = 216163296000000000
)

// number reads a time that is one number.
func number(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return epoch(n)
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || x < seconds1973 || x >= seconds2286*1e9 {
		return time.Time{}, false
	}
	if x >= seconds2286 {
		return epoch(int64(x))
	}
	whole, part := math.Modf(x)
	return inRange(time.Unix(int64(whole), int64(math.Round(part*1e6))*1000))
}

func epoch(n int64) (time.Time, bool) {
	switch {
	case n < seconds1973:
		return time.Time{}, false
	case n < seconds2286:
		return inRange(time.Unix(n, 0))
	case n < seconds2286*1e3:
		return inRange(time.UnixMilli(n))
	case n < seconds2286*1e6:
		return inRange(time.UnixMicro(n))
	case n >= fileTime1970 && n < fileTime2286:
		n -= fileTime1970
		return inRange(time.Unix(n/1e7, n%1e7*100))
	}
	return inRange(time.Unix(0, n))
}

// inRange refuses years that no record can mean.
func inRange(t time.Time) (time.Time, bool) {
	t = t.UTC()
	return t, t.Year() >= 1970 && t.Year() < 2400
}

// shown is a value for an error, short.
func shown(v *fastjson.Value) string {
	s := string(value.Append(nil, v))
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return s
}
