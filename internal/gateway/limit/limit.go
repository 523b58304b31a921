// Package limit decides how much a caller may do. It is the stage between
// policy (may they at all) and the journal.
//
// A [Limit] is a row: so much of a measure in a window, for each value of
// something. Its counts are kept in buckets, one for each such value: limit
// "requests" has one bucket a user. A call belongs to at most one bucket of
// each limit. [Limiter.Reserve] asks all of them, takes from all or from none,
// and answers with a [Decision]. The reservation stays open, by call id, until
// [Limiter.Settle] or [Limiter.Release] says what is kept of it; both may be
// repeated. Amounts go into the journal with the call, so that a restart
// replays numbers ([Limiter.Restore], [Limiter.ReplayAdmit],
// [Limiter.ReplayResult]) and never decides again.
//
// What is promised:
//
//   - In any stretch of time as long as a sliding window, wherever it starts,
//     never more than Max is admitted. Windows are counted in sixtieths, and
//     one more, so a count leaves up to a sixtieth late and never early.
//   - In any UTC day or month never more than Max is admitted. The day is that
//     of the clock passed in; a clock that steps back over midnight finds the
//     old day's count again. Sliding windows follow the monotonic clock and do
//     not notice steps.
//   - A refusal takes nothing. What was admitted and then found upstream broken
//     or throttling goes back to the day and the month, which are what a user is
//     owed, and never to a sliding window, which bounds what reaches upstream:
//     whoever provokes errors there must not get to send without bound.
//     [Limiter.Release] gives back everything, since nothing was sent.
//   - Memory is bounded: a limit keeps at most Options.MaxKeys buckets. Only
//     idle ones are forgotten, those whose counts have left the window. When
//     all are in use, callers that would need another are refused.
//
// To add a measure, add a row to measures; to add something to count by, a row
// to parts. Counts live behind the few methods of counts (counts.go), which a
// shared store can take over.
package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/call"
)

// Limit is one limit: no more than Max of Measure in any Window, for each
// combination of values of Per.
type Limit struct {
	Name     string
	Per      []string // of key, user, team, ip, model, everyone
	Measure  string   // requests
	Max      int64
	Window   Window
	Match    Match
	Action   string // refuse, which is also the meaning of ""
	RefuseAs string // throttling or quota; "": quota for day and month, else throttling
}

// The values of Action and RefuseAs.
const (
	Refuse     = "refuse"
	Throttling = "throttling"
	Quota      = "quota"
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

// Shipped are the limits that hold unless configured otherwise.
var Shipped = []Limit{
	{Name: "requests", Per: []string{"user"}, Measure: "requests", Max: 100, Window: Window(time.Minute)},
	{Name: "chat-day", Per: []string{"user"}, Measure: "requests", Max: 50, Window: Day, Match: Match{Schemes: []call.Scheme{call.Token}}},
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

// measure is what a limit counts.
type measure struct {
	ask    func(c *call.Call) int64                         // what a call may come to
	settle func(held int64, w Window, r *call.Result) int64 // what is kept in the end
}

var measures = map[string]measure{
	"requests": {
		ask: func(*call.Call) int64 { return 1 },
		settle: func(held int64, w Window, r *call.Result) int64 {
			if w < 0 && !r.Worked {
				return 0
			}
			return held
		},
	},
}

// parts are what can be counted by. A call for which a part is empty has no
// bucket of the limit: a login token has no key, a list operation no model.
var parts = map[string]func(c *call.Call) string{
	"key":  func(c *call.Call) string { return string(c.Principal.Key) },
	"user": func(c *call.Call) string { return c.Principal.UserID },
	"team": func(c *call.Call) string { return orDefault(c.Principal.Team) },
	"ip":   func(c *call.Call) string { return network(c.IP) },
	"model": func(c *call.Call) string {
		if c.Model.Model == nil {
			return ""
		}
		return c.Model.ID
	},
	"everyone": func(*call.Call) string { return "everyone" },
}

func orDefault(team string) string {
	if team == "" {
		return "default"
	}
	return team
}

// network is what counts as one client: an IPv4 address, a /64 of IPv6.
func network(ip netip.Addr) string {
	switch {
	case !ip.IsValid():
		return "unknown"
	case ip.Is6():
		p, _ := ip.WithZone("").Prefix(64)
		return p.String()
	}
	return ip.String()
}

// key is the bucket of a call: the values of Per, escaped and joined by ",".
// It is empty when the limit does not count the call.
func (l *rule) key(c *call.Call) string {
	if !l.matches(c) {
		return ""
	}
	if len(l.parts) == 1 {
		return escape(l.parts[0](c))
	}
	key := make([]byte, 0, 96)
	for i, part := range l.parts {
		value := part(c)
		if value == "" {
			return ""
		}
		if i > 0 {
			key = append(key, ',')
		}
		key = append(key, escape(value)...)
	}
	return string(key)
}

// escape keeps the parts of a key apart: no two lists of values give one key.
func escape(s string) string {
	if !strings.ContainsAny(s, "%,") {
		return s
	}
	return strings.NewReplacer("%", "%25", ",", "%2C").Replace(s)
}

func (l *rule) matches(c *call.Call) bool {
	m := &l.Match
	return (len(m.Schemes) == 0 || slices.Contains(m.Schemes, c.Principal.Scheme)) &&
		(len(m.Teams) == 0 || slices.Contains(m.Teams, orDefault(c.Principal.Team))) &&
		(len(m.Users) == 0 || slices.Contains(m.Users, c.Principal.User)) &&
		(len(m.Models) == 0 || c.Model.Model != nil && slices.ContainsFunc(m.Models, func(p string) bool {
			ok, _ := path.Match(p, c.Model.ID)
			return ok
		}))
}

// rule is a limit made ready: its lookups done and its header text written.
type rule struct {
	Limit
	measure measure
	parts   []func(c *call.Call) string
	quota   bool
	quoted  string // the name as a string of RFC 9651
	policy  string // this limit's item of RateLimit-Policy
	counts  *counts
}

// compile checks limits and makes them ready. All mistakes are reported.
func compile(limits []Limit, maxKeys int) ([]*rule, error) {
	var rules []*rule
	var errs []error
	for _, l := range limits {
		r, err := newRule(l, maxKeys)
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %q: %w", l.Name, err))
			continue
		}
		if slices.ContainsFunc(rules, func(o *rule) bool { return o.Name == l.Name }) {
			errs = append(errs, fmt.Errorf("limit %q stands twice", l.Name))
		}
		rules = append(rules, r)
	}
	// The order in which buckets are locked.
	slices.SortFunc(rules, func(a, b *rule) int { return strings.Compare(a.Name, b.Name) })
	return rules, errors.Join(errs...)
}

// maxMax keeps sums of counts far from overflow.
const maxMax = int64(1e15)

func newRule(l Limit, maxKeys int) (*rule, error) {
	r := &rule{Limit: l, quota: l.RefuseAs == Quota || l.RefuseAs == "" && l.Window < 0}
	var ok bool
	if r.measure, ok = measures[l.Measure]; !ok {
		return nil, fmt.Errorf("measure %q is not available", l.Measure)
	}
	for _, name := range l.Per {
		part, ok := parts[name]
		if !ok {
			return nil, fmt.Errorf("per %q is not available", name)
		}
		r.parts = append(r.parts, part)
	}
	for _, p := range l.Match.Models {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("model pattern %q: %w", p, err)
		}
	}
	switch {
	case l.Name == "" || strings.Trim(l.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return nil, errors.New("name is not lower-case letters, digits, - and _")
	case len(r.parts) == 0:
		return nil, errors.New("per is missing")
	case l.Max < 1 || l.Max > maxMax:
		return nil, fmt.Errorf("max %d is not between 1 and %d", l.Max, maxMax)
	case l.Window < Month || l.Window == 0 || 0 < l.Window && l.Window < Window(time.Second) || l.Window > Window(31*24*time.Hour):
		return nil, errors.New("window is not day, month, or between a second and 31 days")
	case l.Action != "" && l.Action != Refuse:
		return nil, fmt.Errorf("action %q is not available", l.Action)
	case l.RefuseAs != "" && l.RefuseAs != Throttling && l.RefuseAs != Quota:
		return nil, fmt.Errorf("refuse_as %q is unknown", l.RefuseAs)
	}
	r.quoted = strconv.Quote(l.Name)
	r.policy = r.quoted + ";q=" + strconv.FormatInt(l.Max, 10) + ";w=" + strconv.FormatInt(l.Window.seconds(), 10)
	r.counts = newCounts(l.Window, maxKeys)
	return r, nil
}
