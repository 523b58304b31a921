package alarm

import (
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/metrics"
)

// Row is an alarm and how it stands, for people and programs.
type Row struct {
	Name              string            `json:"name"`
	Metric            string            `json:"metric"`
	By                string            `json:"by,omitempty"`
	Match             map[string]string `json:"match,omitempty"`
	Statistic         string            `json:"statistic"`
	PeriodSeconds     int64             `json:"period_seconds"`
	Comparison        string            `json:"comparison"`
	Threshold         float64           `json:"threshold"`
	EvaluationPeriods int               `json:"evaluation_periods"`
	DatapointsToAlarm int               `json:"datapoints_to_alarm"`
	TreatMissingData  string            `json:"treat_missing_data"`
	State             State             `json:"state"`    // the worst of its series
	Degraded          bool              `json:"degraded"` // there were more series than it may keep, within its evaluation range
	Series            []SeriesRow       `json:"series"`   // those in alarm first
	History           []Change          `json:"history"`  // the newest first
}

// SeriesRow is one series of an alarm.
type SeriesRow struct {
	Value   string    `json:"value,omitempty"` // of By
	State   State     `json:"state"`
	Since   time.Time `json:"since"`
	Running *float64  `json:"running"` // the statistic of the period that runs; null: no data
	Last    *float64  `json:"last"`    // of the last whole period
}

// Rows returns how all alarms stand, in the order in which they were given.
func (a *Alarms) Rows() []Row {
	watches := a.set.Load().watches
	rows := make([]Row, len(watches))
	for i, w := range watches {
		rows[i] = w.row(time.Now())
	}
	return rows
}

// Samples is how the alarms stand, for Prometheus.
func (a *Alarms) Samples() []metrics.Sample {
	var out []metrics.Sample
	for _, r := range a.Rows() {
		out = append(out,
			metrics.Sample{Name: "gatehouse_alarm", Help: "1 for an alarm that has a series in alarm.", Label: "alarm", Of: r.Name, Value: number(r.State == InAlarm)},
			metrics.Sample{Name: "gatehouse_alarm_degraded", Help: "1 for an alarm with more series than it keeps.", Label: "alarm", Of: r.Name, Value: number(r.Degraded)})
	}
	return out
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (w *watch) row(now time.Time) Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Row{
		Name: w.Name, Metric: w.Metric, By: w.By, Match: w.Match, Statistic: w.Statistic,
		PeriodSeconds: int64(w.Period / time.Second), Comparison: w.Comparison, Threshold: w.Threshold,
		EvaluationPeriods: w.EvaluationPeriods, DatapointsToAlarm: w.DatapointsToAlarm, TreatMissingData: w.Missing,
		State: Insufficient, Series: []SeriesRow{}, History: slices.Clone(w.history),
	}
	span := w.Period * time.Duration(w.EvaluationPeriods+rangeExtra)
	r.Degraded = !w.forgotten.IsZero() && now.Sub(w.forgotten) <= span
	for _, s := range w.series {
		s.roll(w, now)
		r.Series = append(r.Series, SeriesRow{s.value, s.state, s.since.UTC(), some(s.statistic(w.Statistic, w.percentile)), some(s.newest(0))})
		if rank(s.state) < rank(r.State) {
			r.State = s.state
		}
	}
	slices.SortFunc(r.Series, func(a, b SeriesRow) int {
		if d := rank(a.State) - rank(b.State); d != 0 {
			return d
		}
		return strings.Compare(a.Value, b.Value)
	})
	slices.Reverse(r.History)
	return r
}

func rank(s State) int { return slices.Index([]State{InAlarm, OK, Insufficient}, s) }

func some(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
