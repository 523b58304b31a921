package alarm

import (
	"strings"
	"testing"
)

// TestMissingData is the examples of CloudWatch's documentation, "How alarm
// state is evaluated when data is missing": the newest datapoint stands last;
// 0 is within the threshold, X breaches it, - is missing. KEEP is the state
// there was. Rows beyond the documentation's say so.
func TestMissingData(t *testing.T) {
	for _, row := range []struct {
		m, n  int
		data  string
		wants string // for missing, ignore, breaching, notBreaching
	}{
		{3, 3, "0 - X - X", "OK OK OK OK"},
		{3, 3, "0 - - - -", "OK OK OK OK"},
		{3, 3, "- - - - -", "INSUFFICIENT_DATA KEEP ALARM OK"},
		{3, 3, "0 X X - X", "ALARM ALARM ALARM ALARM"},
		{3, 3, "- - X - -", "ALARM KEEP ALARM OK"},

		{2, 3, "0 - X - X", "ALARM ALARM ALARM ALARM"},
		{2, 3, "0 0 X 0 X", "ALARM ALARM ALARM ALARM"},
		{2, 3, "0 - X - -", "OK OK ALARM OK"},
		{2, 3, "- - - - 0", "OK OK ALARM OK"},
		{2, 3, "- - - X -", "ALARM KEEP ALARM OK"},

		{3, 3, "- - - - X", "KEEP KEEP ALARM OK"}, // its text: not immediately
		{3, 3, "- - - X -", "KEEP KEEP ALARM OK"}, // its text
		{3, 3, "- - X - 0", "OK OK OK OK"},        // its text

		// Not in the documentation.
		{2, 3, "- - - X X", "ALARM ALARM ALARM ALARM"},
		{1, 1, "0 0 X", "ALARM ALARM ALARM ALARM"},
		{1, 1, "X 0", "OK OK OK OK"},
		{1, 1, "X - -", "ALARM ALARM ALARM ALARM"}, // the newest real one decides
		{1, 1, "- - -", "INSUFFICIENT_DATA KEEP ALARM OK"},
		{3, 3, "X X X 0 X", "OK OK OK OK"},
		{2, 3, "X X 0 0 X", "OK OK OK OK"}, // older ones do not count
	} {
		for i, missing := range []string{Missing, Ignore, Breaching, NotBreaching} {
			a := Alarm{EvaluationPeriods: row.n, DatapointsToAlarm: row.m, Missing: missing}
			for _, now := range []State{OK, InAlarm, Insufficient} {
				want := State(strings.Fields(row.wants)[i])
				if want == "KEEP" {
					want = now
				}
				if got := a.judge(points(row.data), now); got != want {
					t.Errorf("%d of %d, %s, %q, in %s: %s, want %s", row.m, row.n, missing, row.data, now, got, want)
				}
			}
		}
	}
}

func points(s string) (p []datapoint) {
	for _, c := range s {
		switch c {
		case '0':
			p = append([]datapoint{within}, p...)
		case 'X':
			p = append([]datapoint{breaching}, p...)
		case '-':
			p = append([]datapoint{absent}, p...)
		}
	}
	return p
}
