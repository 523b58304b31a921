package op

import (
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/syntax"
)

// knownValues are the columns whose values are a closed list of ours, so that
// another one is a slip. What formats there are, the parsers know alone.
var knownValues = map[string][]string{
	event.StrandName.String():     strandNames(),
	event.SourceCategory.String(): {"cloudtrail", "cloudtraildataevents", "bedrock/invocations", "endpoint", "metrics", "gateway"},
	event.Index.String():          {"sec_record_audit", "sec_record_endpoint", "sec_record_metrics", "sec_signal"},
	event.Collector.String():      {"AWS CloudTrail", invocationCollector, "AWS CloudWatch"},
}

func strandNames() []string {
	var names []string
	for _, s := range event.Strands {
		names = append(names, string(s))
	}
	return names
}

// KnownValues are all values that a column may have, nil when there is no such
// list. Its caller must not change them.
func KnownValues(column string) []string { return knownValues[column] }

// doubtValue warns when no value that the field may have fits. It asks of columns
// as records have them: what a stage made may hold anything.
func (b *builder) doubtValue(field, value string, fits func(known string) bool) {
	c, ok := b.lookup(field)
	known := knownValues[c.name]
	if ok && !c.made && known != nil && !slices.ContainsFunc(known, fits) {
		b.warn("no record has %s %s: it is one of %s", c.name, strconv.Quote(value), strings.Join(known, ", "))
	}
}

// doubtScope is that of name=value in the scope, which has no case.
func (b *builder) doubtScope(s *syntax.ScopeField) {
	b.doubtValue(s.Name, s.Value, func(known string) bool {
		return strings.EqualFold(known, s.Value) || s.Wild && wildRegex(strings.ToLower(s.Value)).Go.MatchString(strings.ToLower(known))
	})
}

// doubtText is that of a comparison with a text, which goes by case.
func (b *builder) doubtText(x, y syntax.Expr) {
	f, ok := x.(*syntax.Field)
	l, text := y.(*syntax.Literal)
	if ok && text && l.Kind == syntax.String {
		b.doubtValue(f.Name, l.Text, func(known string) bool { return known == l.Text })
	}
}

// doubtGlob is that of matches with a pattern.
func (b *builder) doubtGlob(x syntax.Expr, pattern string) {
	if f, ok := x.(*syntax.Field); ok {
		b.doubtValue(f.Name, pattern, func(known string) bool {
			return globRegex(strings.Split(pattern, "*")).Go.MatchString(known)
		})
	}
}
