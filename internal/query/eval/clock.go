package eval

import "time"

// Times are ms since 1970, of the years 1 to 9999. Others are null to every op
// on times, and so are buckets that are wider.
const (
	firstMs = -62135596800000
	lastMs  = 253402300799999
)

func isTime(ms int64) bool { return ms >= firstMs && ms <= lastMs }

func inZone(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// bucketOf gives the start of the bucket of width ms that a time is in. Buckets
// are of the local clock: what it shows is cut to a multiple of the width, so
// that one over which clocks are changed is longer or shorter. A start that the
// clock never shows is when it is put forward.
func bucketOf(width int64, zone *time.Location) func(int64) (int64, bool) {
	zone = inZone(zone)
	return func(ms int64) (int64, bool) {
		if !isTime(ms) || width > lastMs {
			return 0, false
		}
		off := offset(ms, zone)
		local := floor(ms+off, width)
		return local - offset(local-off, zone), true
	}
}

// floor is the multiple of width at or before n.
func floor(n, width int64) int64 {
	rest := n % width
	if rest < 0 {
		rest += width
	}
	return n - rest
}

// offset is how many ms the zone's clock is ahead of UTC.
func offset(ms int64, zone *time.Location) int64 {
	_, seconds := time.UnixMilli(ms).In(zone).Zone()
	return int64(seconds) * 1000
}

// timeFormatter writes times by a pattern that has been checked.
func timeFormatter(pattern string, zone *time.Location) func(int64) (string, bool) {
	fields, _ := parsePattern(pattern, forFormat)
	zone = inZone(zone)
	return func(ms int64) (string, bool) {
		t := time.UnixMilli(ms).In(zone)
		if !isTime(ms) || t.Year() < 1 || t.Year() > 9999 {
			return "", false
		}
		var b []byte
		for _, f := range fields {
			b = f.append(b, t)
		}
		return string(b), true
	}
}

// timeParser reads times by a pattern that has been checked. The whole text must
// be as the pattern says; what the pattern leaves out is as on 1970-01-01 at
// midnight.
func timeParser(pattern string, zone *time.Location) func(string) (int64, bool) {
	fields, _ := parsePattern(pattern, forParse)
	return func(s string) (int64, bool) {
		p := parsed{rest: s, year: 1970, month: 1, day: 1, zone: inZone(zone)}
		for i, f := range fields {
			adjacent := i+1 < len(fields) && fields[i+1].numeric()
			if !f.read(&p, adjacent) {
				return 0, false
			}
		}
		return p.time()
	}
}

// parsed is what has been read of a time.
type parsed struct {
	rest                  string
	year, month, day      int
	hour, minute, sec, ms int
	halves, afternoon     bool // halves: an hour of 1 to 12 was read
	zone                  *time.Location
}

func (p *parsed) time() (int64, bool) {
	if p.rest != "" || p.hour > 23 {
		return 0, false
	}
	if p.halves && p.afternoon {
		p.hour += 12
	}
	month := time.Month(p.month)
	if time.Date(p.year, month, p.day, 0, 0, 0, 0, time.UTC).Day() != p.day {
		return 0, false // no such day in that month
	}
	ms := time.Date(p.year, month, p.day, p.hour, p.minute, p.sec, p.ms*1e6, p.zone).UnixMilli()
	return ms, isTime(ms)
}
