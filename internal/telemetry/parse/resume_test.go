package parse

import (
	"strings"
	"testing"

	"gatehouse/internal/event"
)

// A line that was cut costs that line: what follows it counts, although the cut
// line would take it for a value of its own.
func TestResume(t *testing.T) {
	const (
		good = `{"eventVersion":"1.08","eventTime":"2026-03-01T12:00:00Z","eventSource":"s3.amazonaws.com","eventName":"A","eventID":"1","eventCategory":"Data"}` + "\n"
		cut  = `{"eventVersion":"1.08","eventName":` + "\n"
	)
	for name, c := range map[string]struct {
		text              string
		records, problems int64
	}{
		"whole":           {good + good, 2, 0},
		"in the middle":   {good + cut + good + good, 3, 1},
		"before the last": {good + cut + good, 2, 1},
		"two":             {good + cut + cut + good, 2, 2},
		"at the end":      {good + cut, 1, 1},
		"in an array":     {"[" + good + ",\n" + good + "]", 2, 0},
	} {
		var lines []int64
		stats, err := Scan(strings.NewReader(c.text), Options{}, func(*event.Raw) error { return nil },
			func(p event.Problem) { lines = append(lines, p.Origin.Line) })
		if err != nil || stats.Records != c.records || stats.Problems != c.problems {
			t.Errorf("%s: %d records, %d problems (lines %v), %v; want %d and %d", name, stats.Records, stats.Problems, lines, err, c.records, c.problems)
		}
	}
}

// Nothing is read again without end: lines that are all cut are given up at last.
func TestResumeIsBounded(t *testing.T) {
	s := strings.Repeat(`{"a":`+"\n", 1<<17)
	stats, err := Scan(strings.NewReader(s), Options{}, func(*event.Raw) error { return nil }, func(event.Problem) {})
	if err != nil || stats.Records != 0 || stats.Problems == 0 || stats.Problems > 100 {
		t.Errorf("%d records, %d problems, %v; want few problems", stats.Records, stats.Problems, err)
	}
}
