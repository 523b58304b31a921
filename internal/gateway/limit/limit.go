// Package limit decides how much a caller may do. It is the stage between
// policy (may they at all) and the journal.
//
// A [Limit] is a row: so much of a measure in a window, for each value of
// something. Its counts are kept in buckets, one for each such value: limit
// "requests" has one bucket a user. A call belongs to at most one bucket of
// each limit. [Limiter.Reserve] asks all of them, takes from all or from none,
// and answers with a [Decision]. What it takes is the most that the call may
// come to; [Limiter.Extend] takes more while a call runs, and [Limiter.Settle]
// or [Limiter.Release] say what is kept; both may be repeated. Amounts go into
// the journal with the call, so that a restart replays numbers
// ([Limiter.Restore], [Limiter.ReplayAdmit], [Limiter.ReplayResult]) and never
// decides again.
//
// What is promised:
//
//   - In any stretch of time as long as a sliding window, wherever it starts,
//     never more than Max is admitted. Windows are counted in sixtieths, and
//     one more, so a count leaves up to a sixtieth late and never early. A call
//     counts when it was admitted, with what it came to in the end: where that
//     is more than was reserved, the rest is debt, which must leave the window
//     before anything fits again.
//   - In any UTC day or month never more than Max is admitted. The day is that
//     of the clock passed in; a clock that steps back over midnight finds the
//     old day's count again. Sliding windows follow the monotonic clock and do
//     not notice steps.
//   - A refusal takes nothing. What was admitted and then found upstream broken
//     or throttling goes back to the day and the month, which are what a user is
//     owed, and never to a sliding window of requests, which bounds what reaches
//     upstream: whoever provokes errors there must not get to send without bound.
//     [Limiter.Release] gives back everything, since nothing was sent.
//   - A slot of a limit on concurrency is freed when its call ends, and after
//     Options.Longest even if it never does.
//   - Memory is bounded: limits that count the same calls by the same things
//     keep their buckets together (table.go), of at most Options.MaxKeys keys.
//     Only idle keys are forgotten, whose counts have left all the windows. When
//     all are in use, callers that would need another are refused.
//   - Limits that flag, or only observe, count like the others and refuse nothing.
//
// Counts are the process's own, or, with Options.Shared, also those of a store
// that several gateways share (shared.go says what holds while it is down).
//
// To add a measure, add a row to measures; to add something to count by, a row
// to parts.
package limit

import (
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/call"
)

// Limit is one limit: no more than Max of Measure in any Window, for each
// combination of values of Per.
type Limit struct {
	Name         string
	Per          []string // of key, user, team, ip, country, model, family, similar_prompt, everyone
	Measure      string   // requests, input_tokens, output_tokens, tokens, usd, concurrency or models
	Max          int64    // of usd in nano-USD
	Window       Window   // means nothing to concurrency
	Match        Match
	Action       string        // Refuse, which is also the meaning of "", Wait or Flag
	Wait         time.Duration // of action Wait, the longest
	RefuseAs     string        // throttling or quota; "": quota for day, month and usd, else throttling
	OnStoreError string        // deny, local_share or allow; "": deny for tokens and usd, else local_share
	Mode         string        // Enforce, which is also the meaning of "", or Observe
	AlertAt      []int64       // thousandths of Max; none: 500, 800 and 1000 for usd by day and month
}

// The words of a Limit.
const (
	Refuse     = "refuse"
	Wait       = "wait"
	Flag       = "flag"
	Throttling = "throttling"
	Quota      = "quota"
	Deny       = "deny"
	LocalShare = "local_share"
	Allow      = "allow"
	Enforce    = "enforce"
	Observe    = "observe"
)

// Match is which calls a limit counts. Every list that is not empty must hold
// the call's value.
type Match struct {
	Models  []string // patterns of path.Match over normalised model ids
	Teams   []string
	Users   []string // names
	Schemes []call.Scheme
}

// Window is the time over which a limit counts: a duration, which slides, or
// one of the calendar's periods in UTC.
type Window time.Duration

// The calendar's periods.
const (
	Day   Window = -1
	Month Window = -2
)

// ParseWindow reads "day", "month" or a duration.
func ParseWindow(s string) (Window, error) {
	switch s {
	case "day":
		return Day, nil
	case "month":
		return Month, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("window %q is not day, month or a duration", s)
	}
	return Window(d), nil
}

func (w Window) String() string {
	switch w {
	case Day:
		return "day"
	case Month:
		return "month"
	}
	return time.Duration(w).String()
}

// USD is a US dollar, as limits and prices count it.
const USD = int64(1e9)

// Shipped are the limits that hold unless configured otherwise.
var Shipped = []Limit{
	{Name: "chat-day", Per: []string{"user"}, Measure: "requests", Max: 50, Window: Day, Match: Match{Schemes: []call.Scheme{call.Token}}},
	{Name: "requests", Per: []string{"user"}, Measure: "requests", Max: 100, Window: Window(time.Minute)},
	{Name: "tokens", Per: []string{"user"}, Measure: "tokens", Max: 400_000, Window: Window(time.Minute)},
	{Name: "slots", Per: []string{"user"}, Measure: "concurrency", Max: 20},
	{Name: "models", Per: []string{"user"}, Measure: "models", Max: 8, Window: Window(10 * time.Minute)},
	{Name: "flood", Per: []string{"user", "similar_prompt"}, Measure: "requests", Max: 30, Window: Window(time.Minute)},
	{Name: "spend", Per: []string{"user"}, Measure: "usd", Max: 25 * USD, Window: Day},
	{Name: "ip", Per: []string{"ip"}, Measure: "requests", Max: 600, Window: Window(time.Minute)},
	{Name: "everyone", Per: []string{"everyone"}, Measure: "usd", Max: 50 * USD, Window: Window(time.Hour), Action: Flag},
}

// Merge returns base with the limits of own added or, by name, replacing.
func Merge(base, own []Limit) []Limit {
	all := slices.Clone(base)
	for _, l := range own {
		if i := slices.IndexFunc(all, func(b Limit) bool { return b.Name == l.Name }); i >= 0 {
			all[i] = l
		} else {
			all = append(all, l)
		}
	}
	return all
}
