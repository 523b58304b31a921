package alarm

import (
	"context"
	"fmt"
	"math"
	"path"
	"sync"
	"time"

	"gatehouse/internal/metrics"
)

// watch is one alarm and its series.
type watch struct {
	Alarm            // filled and checked
	given      Alarm // as it was
	percentile float64
	max        int
	match      []matcher
	dim        func(metrics.Point) string // nil without By

	mu        sync.Mutex
	series    map[string]*series
	ring      series    // by last use: ring.older is the one used last
	history   []Change  // the newest last
	pending   []Change  // to be told
	forgotten time.Time // when a series last made room for another
}

type matcher struct {
	dim     func(metrics.Point) string
	pattern string
}

const maxHistory = 50

func newWatch(row Alarm, maxSeries int) (*watch, error) {
	w := &watch{Alarm: row, given: row, max: maxSeries, series: map[string]*series{}, dim: dimensions[row.By]}
	if err := w.check(); err != nil {
		return nil, err
	}
	w.percentile, _ = parseStatistic(w.Statistic)
	for dim, pattern := range w.Match {
		w.match = append(w.match, matcher{dimensions[dim], pattern})
	}
	w.ring.older, w.ring.newer = &w.ring, &w.ring
	if w.By == "" {
		w.use("", time.Now())
	}
	return w, nil
}

// Observe takes one point. It allocates only for a value of By that is new, and
// tells nobody: Run does.
func (a *Alarms) Observe(p metrics.Point) {
	watches := a.set.Load().byMetric[p.Metric]
	if len(watches) == 0 || math.IsNaN(p.Value) || p.Value < 0 {
		return
	}
	now := time.Now()
	for _, w := range watches {
		w.observe(p, now)
	}
}

func (w *watch) observe(p metrics.Point, now time.Time) {
	for _, m := range w.match {
		if ok, _ := path.Match(m.pattern, m.dim(p)); !ok {
			return
		}
	}
	value := ""
	if w.dim != nil {
		if value = w.dim(p); value == "" {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.use(value, now)
	s.roll(w, now)
	s.add(p.Value)
	s.fresh = true
}

// use returns the series of a value as the one used last.
func (w *watch) use(value string, now time.Time) *series {
	s := w.series[value]
	if s == nil {
		if len(w.series) >= w.max {
			w.forgotten = now
			w.forget(w.ring.newer, "made room for another "+w.By, now)
		}
		s = newSeries(value, &w.Alarm, w.percentile >= 0, now)
		w.series[value] = s
	} else {
		s.older.newer, s.newer.older = s.newer, s.older
	}
	s.older, s.newer = w.ring.older, &w.ring
	s.older.newer, w.ring.older = s, s
	return s
}

// forget drops a series. Whoever was told of its alarm is told of its end.
func (w *watch) forget(s *series, why string, now time.Time) {
	if s.state == InAlarm {
		w.change(s, OK, why, now)
	}
	delete(w.series, s.value)
	s.older.newer, s.newer.older = s.newer, s.older
}

// Run looks at all series every second until ctx ends.
func (a *Alarms) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.evaluate(time.Now())
		}
	}
}

func (a *Alarms) evaluate(now time.Time) {
	a.running.Lock()
	defer a.running.Unlock()
	for _, w := range a.set.Load().watches {
		for _, c := range w.evaluate(now) {
			a.notify(c)
		}
	}
}

// evaluate looks at the series that something happened to, and returns what is
// to be told.
func (w *watch) evaluate(now time.Time) []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.series {
		s.roll(w, now)
		if s.fresh {
			w.look(s, now)
		}
	}
	told := w.pending
	w.pending = nil
	return told
}

func (w *watch) look(s *series, now time.Time) {
	s.fresh = false
	points := make([]datapoint, 0, len(s.closed)+1)
	running := s.statistic(w.Statistic, w.percentile)
	if w.settled() && w.breaches(running) {
		points = append(points, breaching)
	}
	silent := s.count == 0
	for age := range s.closed {
		v := s.newest(age)
		p := w.datapoint(v)
		silent = silent && p == absent
		points = append(points, p)
	}
	if w.By != "" && silent {
		w.forget(s, "no data", now)
		return
	}
	if to := w.judge(points[:len(s.closed)], s.state); to != s.state {
		w.change(s, to, w.reason(s, running), now)
	}
}

func (w *watch) datapoint(v float64) datapoint {
	switch {
	case math.IsNaN(v):
		return absent
	case w.breaches(v):
		return breaching
	}
	return within
}

// change notes a change of state.
func (w *watch) change(s *series, to State, why string, now time.Time) {
	c := Change{Alarm: w.Name, By: w.By, Series: s.value, From: s.state, To: to, Time: now.UTC(), Reason: why, Channels: w.Channels}
	s.state, s.since = to, now
	if len(w.history) == maxHistory {
		w.history = append(w.history[:0], w.history[1:]...)
	}
	w.history = append(w.history, c)
	if c.From == InAlarm || c.To == InAlarm {
		w.pending = append(w.pending, c)
	}
}

// reason says what was seen, in the words of the row.
func (w *watch) reason(s *series, running float64) string {
	v, when := s.newest(0), "in the last period"
	if w.settled() && w.breaches(running) {
		v, when = running, "so far in this period"
	}
	seen := "no data " + when
	if !math.IsNaN(v) {
		seen = fmt.Sprintf("%.6g %s", v, when)
	}
	return fmt.Sprintf("%s of %s over %s: %s; alarm if %s %.6g in %d of %d periods", w.Statistic, w.Metric, w.Period, seen,
		words[w.Comparison], w.Threshold, w.DatapointsToAlarm, w.EvaluationPeriods)
}

var words = map[string]string{GreaterThan: "more than", GreaterOrEqual: "at least", LessThan: "less than", LessOrEqual: "at most"}
