package alarm

import (
	"math"
	"slices"
	"time"
)

// series is the values of one metric, by period. It is guarded by its watch.
type series struct {
	value string // of By
	state State
	since time.Time

	running   int64 // number of the period that runs, since 1970
	aggregate       // of the running period
	closed    []float64
	next      int  // where the period that runs will be kept in closed
	fresh     bool // something happened since the last look

	older, newer *series // by last use
}

// newSeries keeps the closed periods of one evaluation range; NaN: no data.
func newSeries(value string, a *Alarm, percentile bool, now time.Time) *series {
	s := &series{value: value, state: Insufficient, since: now, running: periodOf(now, a.Period), fresh: true}
	s.closed = make([]float64, a.EvaluationPeriods+rangeExtra)
	for i := range s.closed {
		s.closed[i] = math.NaN()
	}
	if percentile {
		s.sketch = sketch{}
	}
	return s
}

func periodOf(now time.Time, period time.Duration) int64 {
	return now.Unix() / int64(period/time.Second)
}

// roll closes the periods that are over. A clock that steps back stays in the
// period that runs.
func (s *series) roll(w *watch, now time.Time) {
	n := periodOf(now, w.Period)
	if n <= s.running {
		return
	}
	s.fresh = true
	for range min(n-s.running, int64(len(s.closed))) {
		s.closed[s.next] = s.statistic(w.Statistic, w.percentile)
		s.next = (s.next + 1) % len(s.closed)
		s.aggregate.reset()
	}
	s.running = n
}

// newest returns the closed period that is age periods old, 0 the last.
func (s *series) newest(age int) float64 {
	n := len(s.closed)
	return s.closed[(s.next-1-age+2*n)%n]
}

// aggregate is what the statistics of one period need.
type aggregate struct {
	count         int64
	sum, min, max float64
	sketch        sketch // nil unless the statistic is a percentile
}

func (g *aggregate) add(v float64) {
	if g.count == 0 {
		g.min, g.max = v, v
	}
	g.count++
	g.sum += v
	g.min, g.max = min(g.min, v), max(g.max, v)
	if g.sketch != nil {
		g.sketch.add(v)
	}
}

func (g *aggregate) reset() {
	clear(g.sketch)
	*g = aggregate{sketch: g.sketch}
}

// statistic returns NaN when there is no data.
func (g *aggregate) statistic(name string, percentile float64) float64 {
	if g.count == 0 {
		return math.NaN()
	}
	switch {
	case name == "SampleCount":
		return float64(g.count)
	case name == "Sum":
		return g.sum
	case name == "Average":
		return g.sum / float64(g.count)
	case name == "Minimum" || percentile == 0:
		return g.min
	case name == "Maximum" || percentile == 100:
		return g.max
	}
	return min(max(g.sketch.quantile(percentile/100, g.count), g.min), g.max)
}

// sketch counts values by their logarithm: a quantile of it is 1 % off at most,
// whatever the unit, and it has some two thousand buckets at most. An HDR
// histogram of the same range takes integers and 35 KB at once.
type sketch map[int16]int64

var logGamma = math.Log(1.02)

const (
	least = 1e-9 // smaller values count as this
	most  = 1e9
)

func (s sketch) add(v float64) {
	s[int16(math.Ceil(math.Log(min(max(v, least), most))/logGamma))]++
}

// quantile returns the value at rank q of count.
func (s sketch) quantile(q float64, count int64) float64 {
	buckets := make([]int16, 0, len(s))
	for b := range s {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	rank := max(int64(math.Ceil(q*float64(count))), 1)
	for _, b := range buckets {
		if rank -= s[b]; rank <= 0 {
			return math.Exp((float64(b) - 0.5) * logGamma)
		}
	}
	return math.NaN() // not reached: the counts are those of the buckets
}
