package limit

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// rule is a limit made ready: its lookups done and its header text written.
type rule struct {
	Limit
	*measure
	parts   []func(dst []byte, c *call.Call) []byte // nil: similar_prompt
	soft    bool                                    // never refuses
	quota   bool
	quoted  string    // the name as a string of RFC 9651
	policy  string    // this limit's item of RateLimit-Policy
	meaning string    // name, measure and per: of a limit with the same, the counts mean the same
	similar *clusters // if Per holds similar_prompt

	table  *table
	place  int // of the table among all
	column int // of the limit in the table
}

func (r *rule) adjust(key, item string, at, n int64) (freed bool) {
	return r.table.adjust(nil, r.column, key, item, at, n)
}

// each calls f with every bucket of r that holds something, its shard locked.
func (r *rule) each(f func(key string, b *bucket)) { r.table.each(r.column, f) }

// lease reports whether r counts calls that are open.
func (r *rule) lease() bool { return r.counting == store.Leases }

// compile checks limits and makes them ready. All mistakes are reported.
func compile(limits []Limit, o *Options) ([]*rule, []*table, error) {
	var rules []*rule
	var errs []error
	for _, l := range limits {
		r, err := newRule(l, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %q: %w", l.Name, err))
			continue
		}
		if slices.ContainsFunc(rules, func(o *rule) bool { return o.Name == l.Name }) {
			errs = append(errs, fmt.Errorf("limit %q stands twice", l.Name))
		}
		rules = append(rules, r)
	}
	slices.SortFunc(rules, func(a, b *rule) int { return strings.Compare(a.Name, b.Name) })
	return rules, tabulate(rules, o), errors.Join(errs...)
}

// tabulate gives limits that count the same calls by the same things one table.
// Others have their own, so that none runs out of room for keys because of calls
// that it does not count, or only watches.
func tabulate(rules []*rule, o *Options) (tables []*table) {
	for i, r := range rules {
		if first := slices.IndexFunc(rules[:i], r.joins); first >= 0 {
			r.table, r.place = rules[first].table, rules[first].place
		} else {
			r.table, r.place = newTable(o.MaxKeys), len(tables)
			tables = append(tables, r.table)
		}
		r.column = len(r.table.columns)
		r.table.columns = append(r.table.columns, column{r.meaning, r.Window, r.counting})
	}
	return tables
}

// joins reports whether r and o count the same calls by the same things. Prompts
// are alike or not for each limit by itself.
func (r *rule) joins(o *rule) bool {
	a, b := &r.Match, &o.Match
	return r.soft == o.soft && r.similar == nil && slices.Equal(r.Per, o.Per) &&
		slices.Equal(a.Models, b.Models) && slices.Equal(a.Teams, b.Teams) && slices.Equal(a.Users, b.Users) && slices.Equal(a.Schemes, b.Schemes)
}

// maxMax keeps sums of counts far from overflow, and in a shared store exact.
const maxMax = int64(1e15)

func newRule(l Limit, o *Options) (*rule, error) {
	r := &rule{Limit: l, soft: l.Action == Flag || l.Mode == Observe}
	var ok bool
	if r.measure, ok = measures[l.Measure]; !ok {
		return nil, fmt.Errorf("measure %q is not available", l.Measure)
	}
	if r.lease() {
		r.Window = Window(o.Longest)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.count()
	r.defaults()
	r.quoted = strconv.Quote(l.Name)
	r.policy = r.quoted + ";q=" + strconv.FormatInt(l.Max, 10)
	if !r.lease() {
		r.policy += ";w=" + strconv.FormatInt(l.Window.seconds(), 10)
	}
	r.meaning = fmt.Sprintf("%s %s %q", r.Name, r.Measure, r.Per)
	return r, nil
}

func (r *rule) check() error {
	w := r.Window
	for _, name := range r.Per {
		if _, ok := parts[name]; !ok {
			return fmt.Errorf("per %q is not available", name)
		}
	}
	for _, p := range r.Match.Models {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("model pattern %q: %w", p, err)
		}
	}
	for _, word := range []struct {
		key, value string
		known      []string
	}{
		{"action", r.Action, []string{"", Refuse, Wait, Flag}},
		{"refuse_as", r.RefuseAs, []string{"", Throttling, Quota}},
		{"on_store_error", r.OnStoreError, []string{"", Deny, LocalShare, Allow}},
		{"mode", r.Mode, []string{"", Enforce, Observe}},
	} {
		if !slices.Contains(word.known, word.value) {
			return fmt.Errorf("%s %q is unknown", word.key, word.value)
		}
	}
	switch {
	case r.Name == "" || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return errors.New("name is not lower-case letters, digits, - and _")
	case len(r.Per) == 0:
		return errors.New("per is missing")
	case r.Max < 1 || r.Max > maxMax:
		return fmt.Errorf("max %d is not between 1 and %d", r.Max, maxMax)
	case r.counting == store.Distinct && r.Max > maxItems:
		return fmt.Errorf("max %d is more than the %d that are told apart", r.Max, maxItems)
	case w < Month || w == 0 || 0 < w && w < Window(time.Second) || w > Window(31*24*time.Hour):
		return errors.New("window is not day, month, or between a second and 31 days")
	case r.Action == Wait && (r.Wait <= 0 || r.Wait > time.Minute):
		return errors.New("wait is not between a moment and a minute")
	}
	return nil
}

// count sets what r counts by. Its own list has similar_prompt last, which is
// the order of the values in a key.
func (r *rule) count() {
	r.Per = slices.Clone(r.Per)
	slices.SortStableFunc(r.Per, func(a, b string) int { return order(a) - order(b) })
	for _, name := range r.Per {
		r.parts = append(r.parts, parts[name])
		if name == similarPrompt {
			r.similar = new(clusters)
		}
	}
}

func order(part string) int {
	if part == similarPrompt {
		return 1
	}
	return 0
}

// defaults fills in what an empty value means.
func (r *rule) defaults() {
	r.quota = r.RefuseAs == Quota || r.RefuseAs == "" && !r.lease() && (r.Window < 0 || r.money)
	if r.OnStoreError == "" {
		r.OnStoreError = LocalShare
		if r.tokens || r.money {
			r.OnStoreError = Deny
		}
	}
	if len(r.AlertAt) == 0 && r.money && r.Window < 0 {
		r.AlertAt = []int64{500, 800, 1000}
	}
	r.AlertAt = slices.Clone(r.AlertAt)
	slices.Sort(r.AlertAt)
}

func (r *rule) matches(c *call.Call) bool {
	m := &r.Match
	return (len(m.Schemes) == 0 || slices.Contains(m.Schemes, c.Principal.Scheme)) &&
		(len(m.Teams) == 0 || slices.Contains(m.Teams, orDefault(c.Principal.Team))) &&
		(len(m.Users) == 0 || slices.Contains(m.Users, c.Principal.User)) &&
		(len(m.Models) == 0 || c.Model.Model != nil && slices.ContainsFunc(m.Models, func(p string) bool {
			ok, _ := path.Match(p, c.Model.ID)
			return ok
		}))
}
