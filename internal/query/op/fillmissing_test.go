package op

import (
	"testing"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
)

// TestSlices: the slices that are filled in are those that timeslice makes, each
// once, on the days on which the clocks change too.
func TestSlices(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range []string{"2026-03-29", "2026-10-25", "2026-11-22"} {
		start, _ := time.ParseInLocation(time.DateOnly, day, berlin)
		from, to := start.Add(-7*time.Hour).UnixMilli(), start.Add(40*time.Hour).UnixMilli()
		for _, width := range []time.Duration{10 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
			col := core.Col{Name: "t", Type: core.Int}
			f, err := eval.Compile(bucket(core.C("t", core.Int), width, berlin), []core.Col{col})
			if err != nil {
				t.Fatal(err)
			}
			var want []any
			for ms := from; ms < to; ms += time.Minute.Milliseconds() {
				var r eval.Row
				r.Set([]eval.Value{eval.IntValue(ms)})
				if v := f.Value(&r).Any(); len(want) == 0 || want[len(want)-1] != v {
					want = append(want, v)
				}
			}
			got := slicesOf(from, to, width, berlin)
			if tuple(got, indexes(got)) != tuple(want, indexes(want)) {
				t.Errorf("%s, %s:\n got %v\nwant %v", day, width, got, want)
			}
		}
	}
}

func indexes(list []any) []int {
	var out []int
	for i := range list {
		out = append(out, i)
	}
	return out
}
