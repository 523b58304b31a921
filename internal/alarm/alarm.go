// Package alarm watches metrics as CloudWatch does: a statistic of a metric over
// aligned periods, compared with a threshold over the last few of them.
//
// An [Alarm] is a row. It watches one series or, with By, one for each value of
// a dimension: each model, each user. [Alarms.Observe] takes the points of
// internal/metrics; [Alarms.Run] looks at every series once a second, and a
// change of state goes to the history and, when it is into ALARM or out of it,
// to Options.Notify.
//
// The meaning is that of CloudWatch, missing data included (judge.go), with
// these differences:
//
//   - An alarm on a Sum, SampleCount or Maximum that must not become too great
//     fires in the middle of a period, once what is left of it can change
//     nothing: up to a period earlier than CloudWatch would.
//   - The evaluation range, which CloudWatch leaves open, is two periods more
//     than the evaluation periods, as in the examples of its documentation.
//   - A percentile may be 1 % off, and counts every value.
//   - A series of By without data in the whole range goes to OK and is
//     forgotten, as CloudWatch's contributors are.
//
// Memory is bounded: each alarm has at most Options.MaxSeries series, of which
// the one unused for longest makes room, and the alarm then says that it is
// degraded. States are not kept over a restart: an alarm begins with
// INSUFFICIENT_DATA.
package alarm

import (
	"errors"
	"fmt"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/metrics"
)

// Alarm is one alarm.
type Alarm struct {
	Name              string
	Metric            string            // of internal/metrics
	By                string            // model, user, team, key or limit; empty: one series
	Match             map[string]string // dimension: pattern of path.Match
	Statistic         string            // SampleCount, Sum, Average, Minimum, Maximum, p0 to p100
	Period            time.Duration     // whole seconds
	Comparison        string            // one of the Comparison constants; empty: GreaterThan
	Threshold         float64
	EvaluationPeriods int      // 0: 1
	DatapointsToAlarm int      // 0: EvaluationPeriods
	Missing           string   // one of the Missing constants; empty: missing
	Channels          []string // for its messages; empty: all
}

// The comparisons.
const (
	GreaterThan    = "GreaterThanThreshold"
	GreaterOrEqual = "GreaterThanOrEqualToThreshold"
	LessThan       = "LessThanThreshold"
	LessOrEqual    = "LessThanOrEqualToThreshold"
)

// What a period without data counts as.
const (
	Missing      = "missing"
	NotBreaching = "notBreaching"
	Breaching    = "breaching"
	Ignore       = "ignore"
)

// Shipped are the alarms that hold unless configured otherwise. Calls that
// stop are no reason to keep an alarm, so silence does not breach.
var Shipped = []Alarm{
	{Name: "Bedrock_HighRequestRate", Metric: metrics.Invocations, Statistic: "Sum", Period: 300 * time.Second, Threshold: 500, Missing: NotBreaching},
	{Name: "Bedrock_ModelCallRate", Metric: metrics.Invocations, By: "model", Statistic: "SampleCount", Period: 300 * time.Second, Threshold: 100, Missing: NotBreaching},
}

// Merge returns base with the alarms of own added or, by name, replacing.
func Merge(base, own []Alarm) []Alarm {
	all := slices.Clone(base)
	for _, a := range own {
		if i := slices.IndexFunc(all, func(b Alarm) bool { return b.Name == a.Name }); i >= 0 {
			all[i] = a
		} else {
			all = append(all, a)
		}
	}
	return all
}

// State is that of an alarm or of one of its series.
type State string

// The states.
const (
	OK           State = "OK"
	InAlarm      State = "ALARM"
	Insufficient State = "INSUFFICIENT_DATA"
)

// Change is a series that went from one state to another.
type Change struct {
	Alarm    string    `json:"alarm"`
	Series   string    `json:"series,omitempty"` // value of By
	From     State     `json:"from"`
	To       State     `json:"to"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason"`
	By       string    `json:"-"`
	Channels []string  `json:"-"`
}

// Options are what Alarms are made of.
type Options struct {
	Alarms    []Alarm
	MaxSeries int          // of one alarm; 0: 1000
	Notify    func(Change) // into ALARM and out of it; called from Run, must not block; nil: nobody
}

// Title says the change in a line.
func (c Change) Title() string {
	of := ""
	if c.By != "" {
		of = " for " + c.By + " " + c.Series
	}
	return "Alarm " + c.Alarm + of + ": " + string(c.To)
}

// Alarms watches. It is safe for concurrent use.
type Alarms struct {
	notify  func(Change)
	most    int // series of one alarm
	set     atomic.Pointer[set]
	running sync.Mutex // one evaluation at a time, so that changes come in order
}

// set is the alarms there are; it never changes.
type set struct {
	watches  []*watch // in the order given
	byMetric map[string][]*watch
}

// New returns Alarms, or all that is wrong with the rows.
func New(o Options) (*Alarms, error) {
	a := &Alarms{notify: o.Notify, most: or(o.MaxSeries, 1000)}
	if a.notify == nil {
		a.notify = func(Change) {}
	}
	a.set.Store(&set{})
	return a, a.Replace(o.Alarms)
}

// Replace puts rows in the place of those there are. An alarm whose row is the
// same goes on as it was; one that is gone tells nothing more. When any row is
// wrong nothing changes.
func (a *Alarms) Replace(rows []Alarm) error {
	s := &set{byMetric: map[string][]*watch{}}
	var errs []error
	for i, row := range rows {
		w, err := a.watch(row)
		if err == nil && slices.ContainsFunc(rows[:i], func(r Alarm) bool { return r.Name == row.Name }) {
			err = errors.New("stands twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("alarm %q: %w", row.Name, err))
			continue
		}
		s.watches = append(s.watches, w)
		s.byMetric[row.Metric] = append(s.byMetric[row.Metric], w)
	}
	if errs == nil {
		a.set.Store(s)
	}
	return errors.Join(errs...)
}

// watch finds the watch of a row, or makes one.
func (a *Alarms) watch(row Alarm) (*watch, error) {
	for _, w := range a.set.Load().watches {
		if reflect.DeepEqual(w.given, row) {
			return w, nil
		}
	}
	return newWatch(row, a.most)
}

// dimensions are what points can be told apart by.
var dimensions = map[string]func(p metrics.Point) string{
	"model": func(p metrics.Point) string { return p.Model },
	"user":  func(p metrics.Point) string { return p.User },
	"team":  func(p metrics.Point) string { return p.Team },
	"key":   func(p metrics.Point) string { return p.Key },
	"limit": func(p metrics.Point) string { return p.Limit },
}

var metricNames = []string{
	metrics.Invocations, metrics.InvocationLatency, metrics.InvocationClientErrors, metrics.InvocationServerErrors,
	metrics.InvocationThrottles, metrics.InputTokenCount, metrics.OutputTokenCount, metrics.OutputImageCount,
	metrics.TimeToFirstToken, metrics.Cost, metrics.Refusals, metrics.GuardBlocked,
}

const (
	maxPeriods = 1000
	maxRange   = 7 * 24 * time.Hour // CloudWatch's own bound
)

// check fills what was left out, and says what is wrong.
func (a *Alarm) check() error {
	a.Comparison, a.Missing = or(a.Comparison, GreaterThan), or(a.Missing, Missing)
	a.EvaluationPeriods = max(a.EvaluationPeriods, 1)
	a.DatapointsToAlarm = or(a.DatapointsToAlarm, a.EvaluationPeriods)
	switch {
	case a.Name == "":
		return errors.New("name is missing")
	case !slices.Contains(metricNames, a.Metric):
		return fmt.Errorf("metric %q is none of %s", a.Metric, strings.Join(metricNames, ", "))
	case a.By != "" && dimensions[a.By] == nil:
		return fmt.Errorf("by %q is not model, user, team, key or limit", a.By)
	case (a.By == "limit" || a.Match["limit"] != "") && a.Metric != metrics.Refusals && a.Metric != metrics.InvocationThrottles:
		return fmt.Errorf("only %s and %s have a limit", metrics.Refusals, metrics.InvocationThrottles)
	case !slices.Contains([]string{GreaterThan, GreaterOrEqual, LessThan, LessOrEqual}, a.Comparison):
		return fmt.Errorf("comparison %q is not known", a.Comparison)
	case !slices.Contains([]string{Missing, NotBreaching, Breaching, Ignore}, a.Missing):
		return fmt.Errorf("treatment of missing data %q is not known", a.Missing)
	case math.IsNaN(a.Threshold) || math.IsInf(a.Threshold, 0):
		return errors.New("threshold is not a number")
	case a.Period < time.Second || a.Period%time.Second != 0:
		return fmt.Errorf("period %s is not whole seconds", a.Period)
	case a.EvaluationPeriods > maxPeriods || a.Period > maxRange/time.Duration(a.EvaluationPeriods):
		return fmt.Errorf("%d periods of %s are more than %d or than seven days", a.EvaluationPeriods, a.Period, maxPeriods)
	case a.DatapointsToAlarm < 1 || a.DatapointsToAlarm > a.EvaluationPeriods:
		return fmt.Errorf("datapoints to alarm %d is not between 1 and the %d evaluation periods", a.DatapointsToAlarm, a.EvaluationPeriods)
	}
	if _, err := parseStatistic(a.Statistic); err != nil {
		return err
	}
	return checkMatch(a.Match)
}

func checkMatch(match map[string]string) error {
	for dim, pattern := range match {
		if dimensions[dim] == nil {
			return fmt.Errorf("match: %q is not model, user, team, key or limit", dim)
		}
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("match: pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// parseStatistic returns the percentile, or -1 for the other statistics.
func parseStatistic(s string) (float64, error) {
	if slices.Contains([]string{"SampleCount", "Sum", "Average", "Minimum", "Maximum"}, s) {
		return -1, nil
	}
	digits, ok := strings.CutPrefix(s, "p")
	p, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || strings.Trim(digits, "0123456789.") != "" || p > 100 {
		return 0, fmt.Errorf("statistic %q is not SampleCount, Sum, Average, Minimum, Maximum or a percentile such as p99", s)
	}
	return p, nil
}

func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}
