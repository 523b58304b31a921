package alarm_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/alarm"
	"gatehouse/internal/metrics"
)

// site is alarms that run, and what they told.
type site struct {
	*alarm.Alarms
	mu   sync.Mutex
	told []alarm.Change
}

// run starts alarms inside a bubble of synthetic time, which begins at
// midnight: the start of a period of any length that divides a day.
func run(t *testing.T, o alarm.Options, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{}
		o.Notify = func(c alarm.Change) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told = append(s.told, c)
		}
		a, err := alarm.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Alarms = a
		ctx, cancel := context.WithCancel(t.Context())
		go a.Run(ctx)
		test(s)
		cancel()
		synctest.Wait()
	})
}

// pass lets time pass, and the evaluation at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *site) send(n int, p metrics.Point) {
	for range n {
		s.Observe(p)
	}
}

// story is what was told: seconds since the start, series, state.
func (s *site) story() []string {
	midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	var lines []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.told {
		lines = append(lines, strings.Replace(fmt.Sprintf("%.0f %s %s", c.Time.Sub(midnight).Seconds(), c.Series, c.To), "  ", " ", 1))
	}
	return lines
}

func (s *site) want(t *testing.T, want ...string) {
	t.Helper()
	if got := s.story(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func invocation(model string) metrics.Point {
	return metrics.Point{Metric: metrics.Invocations, Value: 1, Model: model}
}

// TestHighRequestRate: the shipped alarm fires at the 501st call of a period,
// not at its end, and goes when the calls have gone.
func TestHighRequestRate(t *testing.T) {
	run(t, alarm.Options{Alarms: alarm.Shipped[:1]}, func(s *site) {
		s.send(500, invocation("m"))
		pass(299 * time.Second)
		s.want(t) // 500 are not more than 500
		pass(11 * time.Second)
		s.send(500, invocation("m")) // the next period: nothing is carried over
		pass(10 * time.Second)
		s.want(t)
		s.send(1, invocation("m"))
		pass(time.Second)
		s.want(t, "321 ALARM")
		pass(279 * time.Second) // to the end of the period
		s.want(t, "321 ALARM")
		s.send(1, invocation("m")) // a quiet period
		pass(300 * time.Second)
		s.want(t, "321 ALARM", "900 OK")
		if r := s.Rows()[0]; r.State != alarm.OK || len(r.History) != 3 || r.History[0].To != alarm.OK ||
			!strings.Contains(r.History[1].Reason, "501 so far in this period") || r.History[2].From != alarm.Insufficient {
			t.Errorf("row %+v", r)
		}
	})
}

// TestSilenceAfterAlarm: as in CloudWatch, the last real period decides while it
// is in the evaluation range, three periods of one.
func TestSilenceAfterAlarm(t *testing.T) {
	run(t, alarm.Options{Alarms: alarm.Shipped}, func(s *site) {
		s.send(501, invocation("m"))
		pass(time.Second)
		s.want(t, "1 ALARM", "1 m ALARM")
		pass(1300 * time.Second)
		s.want(t, "1 ALARM", "1 m ALARM", "1200 OK", "1200 m OK")
		rows := s.Rows()
		if len(rows[0].Series) != 1 || len(rows[1].Series) != 0 || rows[1].State != alarm.Insufficient {
			t.Errorf("after silence: %+v", rows)
		}
	})
}

// TestModelCallRate: one alarm a model.
func TestModelCallRate(t *testing.T) {
	run(t, alarm.Options{Alarms: alarm.Shipped[1:]}, func(s *site) {
		s.send(100, invocation("a"))
		s.send(101, invocation("b"))
		s.send(1, metrics.Point{Metric: metrics.InvocationThrottles, Value: 1, Model: "a"})
		s.send(1, invocation("")) // an operation without a model
		pass(2 * time.Second)
		s.want(t, "1 b ALARM")
		rows := s.Rows()[0]
		if rows.State != alarm.InAlarm || len(rows.Series) != 2 || rows.Series[0].Value != "b" || *rows.Series[0].Running != 101 || rows.Series[0].Last != nil {
			t.Errorf("rows %+v", rows)
		}
	})
}

// TestStatistics: each over the same values, at the end of their period and,
// where the rest of it can change nothing, before.
func TestStatistics(t *testing.T) {
	values := []float64{10, 20, 30, 40, 1000}
	for _, row := range []struct {
		statistic, comparison string
		threshold             float64
		want                  string
	}{
		{"SampleCount", alarm.GreaterThan, 4, "1 ALARM"},
		{"SampleCount", alarm.GreaterThan, 5, ""},
		{"SampleCount", alarm.GreaterOrEqual, 5, "1 ALARM"},
		{"Sum", alarm.GreaterOrEqual, 1100, "1 ALARM"},
		{"Sum", alarm.LessOrEqual, 1100, "60 ALARM"},
		{"Sum", alarm.LessThan, 1100, ""},
		{"Average", alarm.GreaterOrEqual, 220, "60 ALARM"},
		{"Average", alarm.GreaterThan, 220, ""},
		{"Minimum", alarm.LessThan, 11, "60 ALARM"},
		{"Minimum", alarm.GreaterThan, 10, ""},
		{"Maximum", alarm.GreaterThan, 999, "1 ALARM"},
		{"Maximum", alarm.LessThan, 999, ""},
		{"p50", alarm.GreaterThan, 29.6, "60 ALARM"},
		{"p50", alarm.GreaterThan, 30.4, ""},
		{"p99", alarm.GreaterThan, 990, "60 ALARM"},
		{"p0", alarm.LessOrEqual, 10, "60 ALARM"},
		{"p100", alarm.GreaterThan, 1000, ""},
	} {
		a := alarm.Alarm{Name: "a", Metric: metrics.InvocationLatency, Statistic: row.statistic, Comparison: row.comparison, Threshold: row.threshold, Period: time.Minute}
		run(t, alarm.Options{Alarms: []alarm.Alarm{a}}, func(s *site) {
			for _, v := range values {
				s.Observe(metrics.Point{Metric: metrics.InvocationLatency, Value: v})
			}
			pass(61 * time.Second)
			if got := strings.Join(s.story(), ";"); got != row.want {
				t.Errorf("%s %s %g: told %q, want %q", row.statistic, row.comparison, row.threshold, got, row.want)
			}
		})
	}
}

// TestPercentile: within 1 % of the exact one, over seven decades.
func TestPercentile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range []float64{1, 50, 90, 99, 99.9} {
		a := alarm.Alarm{Name: "a", Metric: metrics.Cost, Statistic: fmt.Sprintf("p%g", p), Period: time.Minute, Threshold: 1e12}
		run(t, alarm.Options{Alarms: []alarm.Alarm{a}}, func(s *site) {
			values := make([]float64, 5000)
			for i := range values {
				values[i] = math.Pow(10, r.Float64()*7-5)
				s.Observe(metrics.Point{Metric: metrics.Cost, Value: values[i]})
			}
			slices.Sort(values)
			exact := values[int(math.Ceil(p/100*5000))-1]
			if got := *s.Rows()[0].Series[0].Running; math.Abs(got/exact-1) > 0.01 {
				t.Errorf("p%g is %g, want %g", p, got, exact)
			}
		})
	}
}

// TestPeriods: two of three, and a period that began before the alarm did.
func TestPeriods(t *testing.T) {
	a := alarm.Alarm{Name: "a", Metric: metrics.Refusals, Statistic: "Sum", Threshold: 9, Period: 10 * time.Second, EvaluationPeriods: 3, DatapointsToAlarm: 2, Missing: alarm.NotBreaching}
	run(t, alarm.Options{Alarms: []alarm.Alarm{a}}, func(s *site) {
		refused := metrics.Point{Metric: metrics.Refusals, Value: 1}
		for _, n := range []int{10, 1, 9, 10, 1, 10, 1, 1, 1} {
			s.send(n, refused)
			pass(10 * time.Second)
		}
		s.want(t, "51 ALARM", "70 OK")
	})
}

func TestMatch(t *testing.T) {
	a := alarm.Alarm{
		Name: "a", Metric: metrics.Cost, By: "user", Match: map[string]string{"model": "anthropic.*", "team": "red"},
		Statistic: "Sum", Threshold: 1, Period: time.Minute,
	}
	run(t, alarm.Options{Alarms: []alarm.Alarm{a}}, func(s *site) {
		for _, p := range []metrics.Point{
			{Model: "anthropic.claude", Team: "red", User: "ana"},
			{Model: "meta.llama", Team: "red", User: "bo"},
			{Model: "anthropic.claude", Team: "blue", User: "cy"},
			{Team: "red", User: "di"},
			{Model: "anthropic.claude", Team: "red"},
		} {
			p.Metric, p.Value = metrics.Cost, 5
			s.Observe(p)
		}
		s.Observe(metrics.Point{Metric: metrics.Cost, Value: math.NaN(), Model: "anthropic.claude", Team: "red", User: "ev"})
		pass(time.Second)
		s.want(t, "1 ana ALARM")
	})
}

// TestManySeries: memory is bounded, the series used last stay, and it shows.
func TestManySeries(t *testing.T) {
	a := alarm.Alarm{Name: "a", Metric: metrics.Invocations, By: "user", Statistic: "Sum", Threshold: 1, Period: time.Minute}
	run(t, alarm.Options{Alarms: []alarm.Alarm{a}, MaxSeries: 3}, func(s *site) {
		for _, user := range []string{"a", "a", "b", "c", "a", "d", "e", "a"} { // b and c make room
			s.Observe(metrics.Point{Metric: metrics.Invocations, Value: 1, User: user})
		}
		pass(time.Second)
		s.want(t, "1 a ALARM")
		row := s.Rows()[0]
		if len(row.Series) != 3 || !row.Degraded || *row.Series[0].Running != 4 {
			t.Errorf("rows %+v, want a, d and e, degraded", row)
		}
		for _, user := range []string{"f", "g", "h"} { // a in alarm makes room, and that is told
			s.Observe(metrics.Point{Metric: metrics.Invocations, Value: 1, User: user})
		}
		pass(time.Second)
		s.want(t, "1 a ALARM", "1 a OK")
		if got := s.Samples(); len(got) != 2 || got[0].Value != 0 || got[1].Value != 1 || got[1].Of != "a" {
			t.Errorf("samples %+v, want one alarm, degraded", got)
		}
		pass(5 * time.Minute)
		if row := s.Rows()[0]; row.Degraded || len(row.Series) != 0 {
			t.Errorf("after silence: %+v", row)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	a := alarm.Alarm{Name: "a", Metric: metrics.Invocations, Statistic: "Sum", Threshold: 1, Period: time.Second}
	run(t, alarm.Options{Alarms: []alarm.Alarm{a}}, func(s *site) {
		for range 100 {
			s.send(2, invocation("m"))
			pass(time.Second)
			s.send(1, invocation("m"))
			pass(time.Second)
		}
		if n := len(s.Rows()[0].History); n != 50 {
			t.Errorf("%d changes kept, want 50", n)
		}
	})
}

// TestReplace: an alarm whose row stays is not interrupted, and bad rows change
// nothing.
func TestReplace(t *testing.T) {
	run(t, alarm.Options{Alarms: alarm.Shipped}, func(s *site) {
		s.send(501, invocation("m"))
		pass(time.Second)
		lower := alarm.Shipped[1]
		lower.Threshold = 10
		if err := s.Replace([]alarm.Alarm{alarm.Shipped[0], lower}); err != nil {
			t.Fatal(err)
		}
		if err := s.Replace([]alarm.Alarm{{Name: "bad"}}); err == nil {
			t.Error("a bad row was taken")
		}
		s.send(11, invocation("n"))
		pass(time.Second)
		s.want(t, "1 ALARM", "1 m ALARM", "2 n ALARM")
		if got, want := s.told[2].Title(), "Alarm Bedrock_ModelCallRate for model n: ALARM"; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
		if *s.Rows()[0].Series[0].Running != 512 {
			t.Error("the alarm that stayed has lost its count")
		}
	})
}

// TestConcurrent: points come in while alarms are looked at, listed, replaced.
func TestConcurrent(t *testing.T) {
	run(t, alarm.Options{Alarms: alarm.Shipped, MaxSeries: 3}, func(s *site) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for j := range 200 {
					s.Observe(invocation(fmt.Sprint(i, j%5)))
					if j%50 == 0 {
						time.Sleep(500 * time.Millisecond)
						s.Rows()
						s.Replace(alarm.Shipped)
					}
				}
			})
		}
		wg.Wait()
		if got := *s.Rows()[0].Series[0].Running; got != 800 {
			t.Errorf("%v calls counted, want 800", got)
		}
	})
}

func TestMistakes(t *testing.T) {
	good := alarm.Alarm{Name: "a", Metric: metrics.Cost, Statistic: "Sum", Period: time.Minute}
	for want, edit := range map[string]func(*alarm.Alarm){
		"name is missing": func(a *alarm.Alarm) { a.Name = "" },
		"is none of":      func(a *alarm.Alarm) { a.Metric = "InvokeModelRequests" },
		"by \"colour\"":   func(a *alarm.Alarm) { a.By = "colour" },
		"match: \"ip\"":   func(a *alarm.Alarm) { a.Match = map[string]string{"ip": "*"} },
		"have a limit":    func(a *alarm.Alarm) { a.By = "limit" },
		"pattern \"[\"":   func(a *alarm.Alarm) { a.Match = map[string]string{"user": "["} },
		"statistic \"p1":  func(a *alarm.Alarm) { a.Statistic = "p101" },
		"statistic \"pN":  func(a *alarm.Alarm) { a.Statistic = "pNaN" },
		"statistic \"\"":  func(a *alarm.Alarm) { a.Statistic = "" },
		"whole seconds":   func(a *alarm.Alarm) { a.Period = 1500 * time.Millisecond },
		"comparison":      func(a *alarm.Alarm) { a.Comparison = "Greater" },
		"missing data":    func(a *alarm.Alarm) { a.Missing = "zero" },
		"threshold":       func(a *alarm.Alarm) { a.Threshold = math.NaN() },
		"seven days":      func(a *alarm.Alarm) { a.Period, a.EvaluationPeriods = 24*time.Hour, 8 },
		"not between 1":   func(a *alarm.Alarm) { a.DatapointsToAlarm = 2 },
	} {
		a := good
		edit(&a)
		if _, err := alarm.New(alarm.Options{Alarms: []alarm.Alarm{a}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %s", a, err, want)
		}
	}
	if _, err := alarm.New(alarm.Options{Alarms: []alarm.Alarm{good, good}}); err == nil {
		t.Error("two alarms of one name were accepted")
	}
	own := good
	own.Name, own.Threshold = alarm.Shipped[0].Name, 7
	if got := alarm.Merge(alarm.Shipped, []alarm.Alarm{own, good}); len(got) != 3 || got[0].Threshold != 7 || alarm.Shipped[0].Threshold != 500 {
		t.Errorf("merged %+v", got)
	}
}

func TestAllocations(t *testing.T) {
	a, err := alarm.New(alarm.Options{Alarms: alarm.Shipped})
	if err != nil {
		t.Fatal(err)
	}
	p := invocation("m")
	if n := testing.AllocsPerRun(100, func() { a.Observe(p) }); n != 0 {
		t.Errorf("%v allocations a point, want none", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	a, _ := alarm.New(alarm.Options{Alarms: alarm.Shipped})
	p := invocation("m")
	b.ReportAllocs()
	for b.Loop() {
		a.Observe(p)
	}
}
