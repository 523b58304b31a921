package eval_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones below, wherever the test runs

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
)

// asked evaluates a time op over the one column a.
func asked(t *testing.T, op core.Op, typ core.Type, pattern, zone string, width time.Duration, x any) any {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	e := with(core.Do(op, core.C("a", typ)), func(e *core.Expr) { e.S, e.N, e.Zone = pattern, width.Milliseconds(), location })
	return values(t, e, []core.Col{{Name: "a", Type: typ}}, [][]any{{x}})[0]
}

func TestParseTime(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"yyyyMMddHHmmss", "20240301050607", "2024-03-01T05:06:07Z"}, // numbers that touch have the digits of their letters
		{"yyyyMMdd", "20240", ""},
		{"yyyy-M-d", "2024-12-31", "2024-12-31T00:00:00Z"}, // others as many as there are
		{"yyyy-MM-dd", "2024-3-1", "2024-03-01T00:00:00Z"},
		{"yyyy-MM-dd", "2024-03-01 ", ""},
		{"yyyy-MM-dd", "2023-02-29", ""},
		{"yyyy-MM-dd", "2024-02-29", "2024-02-29T00:00:00Z"},
		{"yyyy-MM-dd", "0000-01-01", ""},
		{"yyyy-MM-dd", "99999-01-01", ""},
		{"yy", "68", "2068-01-01T00:00:00Z"},
		{"yy", "69", "1969-01-01T00:00:00Z"},
		{"HH:mm:ss.SSS", "23:59:59.007", "1970-01-01T23:59:59.007Z"}, // of the day that the pattern leaves out
		{"HH:mm:ss.SSS", "23:59:59.5", "1970-01-01T23:59:59.5Z"},     // digits of a fraction
		{"HH:mm:ss.SSS", "23:59:59.0123", ""},
		{"HH:mm", "24:00", ""},
		{"HH:mm", "12:60", ""},
		{"h:mm a", "12:30 am", "1970-01-01T00:30:00Z"},
		{"h:mm a", "12:30 PM", "1970-01-01T12:30:00Z"},
		{"hh:mm a", "01:05 PM", "1970-01-01T13:05:00Z"},
		{"h a", "0 AM", ""},
		{"h a", "1 XM", ""},
		{"EEE, d MMM yyyy", "fri, 1 MAR 2024", "2024-03-01T00:00:00Z"},
		{"EEEE d MMMM yyyy", "Friday 1 March 2024", "2024-03-01T00:00:00Z"},
		{"EEE d MMM yyyy", "Frx 1 Mar 2024", ""},
		{"MMM yyyy", "May 2024", "2024-05-01T00:00:00Z"},
		{"MMM yyyy", "Mai 2024", ""},
		{"HH:mmZ", "05:00+0230", "1970-01-01T02:30:00Z"},
		{"HH:mmXXX", "05:00-02:30", "1970-01-01T07:30:00Z"},
		{"HH:mmX", "05:00+02", "1970-01-01T03:00:00Z"},
		{"HH:mmX", "05:00Z", "1970-01-01T05:00:00Z"},
		{"HH:mm z", "05:00 UTC", "1970-01-01T05:00:00Z"},
		{"HH:mm z", "05:00 GMT+1", ""},
		{"HH:mm z", "05:00 CET", ""},
		{"HH:mm z", "05:00 ", ""},
		{"'at' HH''mm", "at 05'06", "1970-01-01T05:06:00Z"},
		{"'at' HH", "in 05", ""},
		{"", "", "1970-01-01T00:00:00Z"},
	} {
		got := asked(t, core.ParseTime, core.Text, c.pattern, "", 0, c.text)
		text := ""
		if n, ok := got.(int64); ok {
			text = time.UnixMilli(n).UTC().Format(time.RFC3339Nano)
		}
		if text != c.want {
			t.Errorf("%q by %q: got %q, want %q", c.text, c.pattern, text, c.want)
		}
	}
}

func TestFormatTime(t *testing.T) {
	at := time.Date(2024, 3, 3, 0, 5, 6, 7e6, time.UTC).UnixMilli()
	for pattern, want := range map[string]string{
		"y yyyyy yy":              "2024 02024 24",
		"M MM MMM MMMM":           "3 03 Mar March",
		"d dd D DDD u":            "3 03 63 063 7",
		"H HH h hh a":             "0 00 12 12 AM",
		"m mm s ss SSS SSSSSS":    "5 05 6 06 007 007000",
		"EEE EEEE":                "Sun Sunday",
		"z Z X XX XXX":            "UTC +0000 Z Z Z",
		"'yyyy' '' 'o''clock' é%": "yyyy ' o'clock é%",
		"":                        "",
	} {
		if got := asked(t, core.FormatTime, core.Int, pattern, "UTC", 0, at); got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
	for _, ms := range []int64{-62135596800001, 253402300800000, -1 << 63} {
		if got := asked(t, core.FormatTime, core.Int, "yyyy", "", 0, ms); got != nil {
			t.Errorf("%d is %v, want null", ms, got)
		}
	}
	if got := asked(t, core.FormatTime, core.Int, "yyyy", "Asia/Tokyo", 0, int64(253402300799999)); got != nil {
		t.Errorf("the year 10000 is %v, want null", got)
	}
}

// TestBuckets: of the local clock, also where its midnights are skipped or come
// twice.
func TestBuckets(t *testing.T) {
	const day, layout = 24 * time.Hour, "2006-01-02T15:04-07:00"
	for _, c := range []struct {
		zone     string
		width    time.Duration
		at, want string
	}{
		{"America/Sao_Paulo", day, "2018-11-04T12:00-02:00", "2018-11-04T01:00-02:00"}, // clocks go from 00:00 to 01:00
		{"America/Havana", day, "2024-11-03T12:00-05:00", "2024-11-03T00:00-05:00"},    // 00:00 comes twice
		{"Asia/Kolkata", time.Hour, "2024-03-01T10:59+05:30", "2024-03-01T10:00+05:30"},
		{"Europe/Berlin", 6 * time.Hour, "2024-03-31T05:00+02:00", "2024-03-31T00:00+01:00"},
		{"Europe/Berlin", 7 * day, "2024-07-10T10:00+02:00", "2024-07-04T00:00+02:00"}, // a Thursday, as 1970-01-01
		{"UTC", day, "0001-01-01T00:00+00:00", "0001-01-01T00:00+00:00"},
		{"UTC", 7 * day, "0001-01-01T00:00+00:00", "0000-12-28T00:00+00:00"},
	} {
		at, err := time.Parse(layout, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n, ok := asked(t, core.TimeBucket, core.Int, "", c.zone, c.width, at.UnixMilli()).(int64); ok {
			z, _ := time.LoadLocation(c.zone)
			got = time.UnixMilli(n).In(z).Format(layout)
		}
		if got != c.want {
			t.Errorf("%v of %s in %s: got %s, want %s", c.width, c.at, c.zone, got, c.want)
		}
	}
}

// TestManyMatches: what has too many is an error of the row, not null.
func TestManyMatches(t *testing.T) {
	e := with(core.Do(core.FindAllRe, core.C("a", core.Text)), func(e *core.Expr) { e.Re = two })
	f, err := eval.Compile(e, []core.Col{{Name: "a", Type: core.Text}})
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Row
	r.Set([]eval.Value{eval.TextValue(strings.Repeat("ab", 1<<20+1))})
	if v := f.Value(&r); !v.IsNull() || r.Err() != eval.ErrText {
		t.Errorf("%d matches, error %v", len(v.L), r.Err())
	}
}
