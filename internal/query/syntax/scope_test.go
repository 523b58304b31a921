package syntax

import (
	"strings"
	"testing"
)

func TestScope(t *testing.T) {
	for src, want := range map[string]string{
		`*`:                   `ALL`,
		`| count`:             `ALL`,
		`a`:                   `term:a`,
		`a b`:                 `(and term:a term:b)`,
		`a AND b`:             `(and term:a term:b)`,
		`a or b and not c d`:  `(or term:a (and term:b (not term:c) term:d))`,
		`(a OR b) !c`:         `(and (or term:a term:b) (not term:c))`,
		`NOT (a b)`:           `(not (and term:a term:b))`,
		`not not a`:           `(not (not term:a))`,
		`!(a) or b`:           `(or (not term:a) term:b)`,
		`com*services`:        `term*:com*services`,
		`err?r`:               `term*:err?r`,
		`"err*r"`:             `termq:err*r`,
		"\"a \t\n b\"":        `termq:a b`,
		`"say \"hi\" \d"`:     `termq:say "hi" \d`,
		`“curly words”`:       `termq:curly words`,
		`a-b_c:d/e.f+g@h#i$j`: `term:a-b_c:d/e.f+g@h#i$j`,
		`50%`:                 `term:50%`,
		`me@x.org 10.0.0.1`:   `(and term:me@x.org term:10.0.0.1)`,
		`größe`:               `term:größe`,

		// fields
		`_index=sec_record_*`:               `field*:_index=sec_record_*`,
		`_sourceName = /var/log/*`:          `field*:_sourceName=/var/log/*`,
		`_collector="AWS * Logs"`:           `fieldq:_collector=AWS * Logs`,
		`a=* b!=c`:                          `(and field*:a=* field:b!=c)`,
		`a=or or or=b`:                      `(or field:a=or field:or=b)`,
		`not=a and=b`:                       `(and field:not=a field:and=b)`,
		`%"a b"=c`:                          `field:a b=c`,
		`a=""`:                              `fieldq:a=`,
		`!a=b`:                              `(not field:a=b)`,
		`_sourceCategory=a/b or c`:          `(or field:_sourceCategory=a/b term:c)`,
		`[subquery: a | compose b] c`:       `(and [,: term:a | 1:compose 1:b] term:c)`,
		`(x [subquery to=1h:a|compose b])`:  `(and term:x [,1h: term:a | 1:compose 1:b])`,
		`[subquery: [subquery:a|b]|c %d]|e`: `[,: [,: term:a | 1:b] | 1:c 2:d]`,

		strings.Repeat("[subquery: ", maxNested) + "a" + strings.Repeat("]", maxNested): strings.Repeat("[,: ", maxNested) + "term:a" + strings.Repeat("]", maxNested),

		// comments start between words only
		`https://x.org/a`:        `term:https://x.org/a`,
		"a // b\nc":              `(and term:a term:c)`,
		"// a\nb":                `term:b`,
		`a /* b | c */ d`:        `(and term:a term:d)`,
		`/var/*`:                 `term*:/var/*`,
		`"// kept"`:              `termq:// kept`,
		"a\r\n\u00a0b\ufeff":     `(and term:a term:b)`,
		`a | where x // "( [ | `: `term:a`,

		// refused
		``:                    ``,
		`// only a comment`:   ``,
		`a or`:                ``,
		`or a`:                ``,
		`a and and b`:         ``,
		`not`:                 ``,
		`(a`:                  ``,
		`a)`:                  ``,
		`()`:                  ``,
		`""`:                  ``,
		`a=`:                  ``,
		`a=(b)`:               ``,
		`=a`:                  ``,
		`a==b`:                ``,
		`a > 1`:               ``,
		`a, b`:                ``,
		`'a b'`:               ``,
		`"a`:                  ``,
		`http://x/?q=1`:       ``,
		`a || b`:              ``,
		`a /* b`:              ``,
		`[subquery a]`:        ``,
		`[subquery: a`:        ``,
		`[a]`:                 ``,
		"a\x00":               ``,
		"a\xff":               ``,
		`a |`:                 ``,
		`a | | count`:         ``,
		`a | count | `:        ``,
		`[subquery: a | | b]`: ``,
		strings.Repeat("(", 200) + "a" + strings.Repeat(")", 200):                           ``,
		strings.Repeat("a", maxWord+1):                                                      ``,
		strings.Repeat("a ", maxQuery/2+1):                                                  ``,
		strings.Repeat("[subquery: ", maxNested+1) + "a" + strings.Repeat("]", maxNested+1): ``,
		"*" + strings.Repeat("|a", maxStages+1):                                             ``,
		strings.Repeat("[subquery: ", maxNested+1) + "a" + strings.Repeat("]", maxNested+1): ``,
	} {
		q, err := Parse(src)
		switch {
		case want == "" && err == nil:
			t.Errorf("%.60q was read as %s, want a mistake", src, dump(q))
		case want == "":
		case err != nil:
			t.Errorf("%q: %v", src, err)
		case dump(q.Scope) != want:
			t.Errorf("%q is %s, want %s", src, dump(q.Scope), want)
		default:
			queryAgain(t, q)
		}
	}
}

// queryAgain checks that what a query prints reads back as the same query.
func queryAgain(t testing.TB, q *Query) {
	t.Helper()
	q2, err := Parse(q.String())
	if err != nil {
		t.Fatalf("%q was printed as %q, which does not read back: %v", q.Src, q, err)
	}
	if dump(q2) != dump(q) {
		t.Fatalf("%q was printed as %q, which is\n%s, was\n%s", q.Src, q, dump(q2), dump(q))
	}
}
