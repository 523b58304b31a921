package op

import (
	"strings"

	"gatehouse/internal/query/syntax"
)

// notBuilt is the hint of what other languages have and this one has not.
const notBuilt = "it is not built; docs/hunting.md lists what is"

// elsewhere are operators of other languages, and what is written here instead.
var elsewhere = map[string]string{
	"head": "write: limit 10", "take": "write: limit 10", "tail": "write: sort + _messagetime | limit 10",
	"search": "put search words in front of the first pipe, or write: where field matches \"*word*\"",
	"filter": "write: where condition", "grep": "write: where field matches /…/", "having": "write: where condition",
	"stats": "write the aggregate alone: count by field", "summarize": "write the aggregate alone: count by field",
	"eventstats": "write: total field by field", "streamstats": "write: accum field by field", "timechart": "write: timeslice 1h | count by _timeslice",
	"group": "write an aggregate first: count by field",
	"eval":  "write: expression as field", "extend": "write: expression as field", "let": "write: expression as field",
	"rename": "write: old as new", "select": "write: fields a, b", "table": "write: fields a, b", "project": "write: fields a, b",
	"rex": "write: parse regex \"…(?<name>…)…\"", "regex": "write: parse regex \"…(?<name>…)…\"",
	"distinct": "write: dedup by field, count by field, or count_distinct(field)", "dcount": "write: count_distinct(field)", "uniq": "write: dedup by field",
	"bucket": "write: timeslice 1h", "spath": "paths of a record are fields: %\"a.b\"",
	"like": "write: where field matches \"…*\"", "rare": "write: count by field | sort + _count",
	"logreduce": notBuilt, "logcompare": notBuilt, "logexplain": notBuilt, "predict": notBuilt, "sessionize": notBuilt, "xml": notBuilt,
}

// elsewhereFunctions are the same of functions and aggregates.
var elsewhereFunctions = map[string]string{
	"dcount": "write: count_distinct(field)", "dc": "write: count_distinct(field)", "distinct": "write: count_distinct(field)",
	"distinct_count": "write: count_distinct(field)", "approx_distinct": "write: count_distinct(field)",
	"countif": "write: if(condition, 1, 0) as n | sum(n)", "sumif": "write: if(condition, field, null) as n | sum(n)",
	"mean": "write: avg(field)", "average": "write: avg(field)", "percentile": "write: pct(field, 95)", "perc95": "write: pct(field, 95)", "p95": "write: pct(field, 95)",
	"stdev": "write: stddev(field)", "make_set": "write: values(field)", "list": "write: values(field)",
	"latest": "write: most_recent(field)", "earliest": "write: least_recent(field)",
	"iif": "write: if(condition, then, else)", "iff": "write: if(condition, then, else)", "case": "write: if(condition, then, if(…))",
	"coalesce": "write: if(isNull(a), b, a)", "ifnull": "write: if(isNull(a), b, a)", "like": "write: field matches \"…*\"",
	"match":  "write: field matches /…/",
	"strlen": "write: length(field)", "len": "write: length(field)",
	"strftime": "write: formatDate(field)", "strptime": "write: parseDate(field, \"yyyy-MM-dd\")", "tonumber": "write: num(field)",
}

// elsewhereWords are comparisons of other languages, where a stage should have
// ended.
var elsewhereWords = map[string]string{
	"like": "write: field matches \"…*\"", "rlike": "write: field matches /…/", "regexp": "write: field matches /…/", "ilike": "write: field matches /(?i)…/",
	"startswith": "write: field matches \"…*\"", "endswith": "write: field matches \"*…\"", "has": "write: field contains \"…\"",
	"match": "write: field matches /…/", "between": "write: field >= low and field <= high", "is": "write: isNull(field), or !isNull(field)",
	"having": "give it a stage of its own: | where condition", "limit": "give it a stage of its own: | limit 10", "order": "give it a stage of its own: | sort field",
	"where": "give it a stage of its own: | where condition",
}

// end is the end of a stage, with a hint when it goes on as other languages do.
func end(c *syntax.Cursor) error {
	if t := c.Peek(); t.Kind == syntax.TokWord {
		c.Hint(elsewhereWords[strings.ToLower(t.Text)])
	}
	return c.End()
}
