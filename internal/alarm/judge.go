package alarm

// datapoint is one period, compared with the threshold.
type datapoint uint8

const (
	absent datapoint = iota // no data
	within
	breaching
)

// rangeExtra is how many periods more than EvaluationPeriods are looked at when
// data is missing.
const rangeExtra = 2

// judge says which state follows from the periods of the evaluation range, the
// newest first. While it has as many real datapoints as there are evaluation
// periods, the newest of those decide and Missing does not matter. With fewer,
// what is lacking is filled with what Missing says.
func (a *Alarm) judge(points []datapoint, now State) State {
	existing, breaches, oldest := 0, 0, 0
	for age, p := range points {
		if p == absent {
			continue
		}
		if existing++; p == breaching {
			breaches++
			oldest = age + 1
		}
		if existing == a.EvaluationPeriods {
			return a.enough(breaches)
		}
	}
	switch {
	case a.Missing == Breaching:
		return a.enough(breaches + a.EvaluationPeriods - existing)
	case a.Missing == NotBreaching || existing > breaches:
		return a.enough(breaches)
	case existing == 0 && a.Missing == Missing:
		return Insufficient
	case breaches > 0 && breaches >= a.DatapointsToAlarm:
		return InAlarm
	// Nothing but breaches, too few of them: CloudWatch waits until the first
	// is as old as the datapoints it needs.
	case a.Missing == Missing && oldest >= a.DatapointsToAlarm:
		return InAlarm
	}
	return now
}

func (a *Alarm) enough(breaches int) State {
	if breaches >= a.DatapointsToAlarm {
		return InAlarm
	}
	return OK
}

func (a *Alarm) breaches(v float64) bool {
	switch a.Comparison {
	case GreaterOrEqual:
		return v >= a.Threshold
	case LessThan:
		return v < a.Threshold
	case LessOrEqual:
		return v <= a.Threshold
	}
	return v > a.Threshold
}

// settled reports whether a running period that breaches will breach when it
// is over, whatever else comes. All values are zero or more.
func (a *Alarm) settled() bool {
	grows := a.Statistic == "Sum" || a.Statistic == "SampleCount" || a.Statistic == "Maximum"
	return grows && (a.Comparison == GreaterThan || a.Comparison == GreaterOrEqual)
}
