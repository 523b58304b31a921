package op

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/syntax"
)

// TestLiterals: what a prefilter may look for.
func TestLiterals(t *testing.T) {
	for re, want := range map[string][]string{
		`aws bedrock`:             {"aws bedrock"},
		`(aws\,bedrock)`:          {"aws,bedrock"},
		`<input>(.*)<\/input>`:    {"</input>", "<input>"},
		`(?i)aws-123-4`:           {"-123-4"},
		`(?i)k`:                   nil,
		`(training|model)`:        nil,
		`pre(training|model)post`: {"post", "pre"},
		`a?bc`:                    {"bc"},
		`(abc)+d`:                 {"abc"},
		`(abc){2,}`:               {"abc"},
		`(abc){0,2}`:              nil,
		`ab[0-9]cd`:               {"ab", "cd"},
		`\babc\b`:                 {"abc"},
		`^ab$`:                    {"ab"},
		`(?m)^ab\ncd$`:            {"ab\ncd"},
		`a(?:bc|bd)`:              {"ab"},
		`[^\/]*$`:                 nil,
		`é+ü`:                     {"é", "ü"},
		`aa.bb.cc.dd.ee`:          {"aa", "bb", "cc", "dd"},
		`x`:                       nil,
		``:                        nil,
	} {
		if got := literals(re); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", re, got, want)
		}
	}
}

// TestLiteralsHold: every match of an expression holds its literals, for texts
// made of the expression's own pieces.
func TestLiteralsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"ab", "cd", "e", "x?", "(?:gh)+", "(ij|kl)", "[0-9]", ".", "(?i:mn)", "$", "^", `\b`, "o{2}", "(?:pq){0,1}"}
	texts := []string{"ab", "cd", "e", "x", "gh", "ij", "kl", "7", "MN", "mn", "oo", "pq", "\n", "é", "ſ"}
	matched := 0
	for range 20_000 {
		var src, text string
		for range 1 + r.IntN(5) {
			src += pieces[r.IntN(len(pieces))]
		}
		for range r.IntN(8) {
			text += texts[r.IntN(len(texts))]
		}
		re, err := regex(src)
		if err != nil {
			continue
		}
		for _, m := range re.Go.FindAllString(text, -1) {
			matched++
			for _, lit := range re.All {
				if !strings.Contains(m, lit) {
					t.Fatalf("%s matches %q without %q", src, m, lit)
				}
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches were seen", matched)
	}
}

// TestUnnamed: groups lose their names and nothing else changes.
func TestUnnamed(t *testing.T) {
	for src, want := range map[string]string{
		`(?P<a>x)(?P<b>(?:y))`:      `(x)((?:y))`,
		`\(?P<a>`:                   `\(?P<a>`,
		`[(?P<a>]`:                  `[(?P<a>]`,
		`[]a(?P<b>]`:                `[]a(?P<b>]`,
		`[^](?P<b>](?P<c>d)`:        `[^](?P<b>](d)`,
		`\Q(?P<a>\E(?P<b>c)`:        `\Q(?P<a>\E(c)`,
		`[[:alpha:](?P<x>](?P<y>z)`: `[[:alpha:](?P<x>](z)`,
	} {
		if got := unnamed(src); got != want {
			t.Errorf("%s becomes %s, want %s", src, got, want)
		}
	}
}

// TestGlob: whatever a constant pattern is lowered to, it means what Glob means.
func TestGlob(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	word := func(letters string) string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteByte(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	hits := 0
	for range 20_000 {
		text, pattern := word("ab.\n"), word("ab.*\n")
		want := regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(text)
		if got := holds(t, glob(core.Str(text), pattern)); got != want {
			t.Fatalf("%q matches %q is %v, want %v: %s", text, pattern, got, want, FormatExpr(glob(core.Str(text), pattern)))
		}
		if want {
			hits++
		}
	}
	if hits < 1000 {
		t.Errorf("only %d of the patterns match", hits)
	}
}

func holds(t *testing.T, e *core.Expr) bool {
	t.Helper()
	f, err := eval.Compile(e, nil)
	if err != nil {
		t.Fatalf("%s: %v", FormatExpr(e), err)
	}
	return f.True(&eval.Row{})
}

// TestKeyword: which words are in which text of a record. JSON's escapes are
// blanks or boundaries, never letters.
func TestKeyword(t *testing.T) {
	for _, tt := range []struct {
		term string // as in a scope
		raw  string
		want bool
	}{
		{`456`, `{"a":"1234567"}`, false},
		{`*456*`, `{"a":"1234567"}`, true},
		{`123*`, `{"a":"1234567"}`, true},
		{`*567`, `{"a":"1234567"}`, true},
		{`?234567`, `{"a":"1234567"}`, true},
		{`?34567`, `{"a":"1234567"}`, false},
		{`BEDROCK`, `{"a":"aws-bedrock.x"}`, true},
		{`bedrock`, `{"a":"aws_bedrock"}`, false},
		{`com*services`, `{"a":"com.amazon.services"}`, false},
		{`com.*.services`, `{"a":"com.amazon.services"}`, true},
		{`line`, `{"a":"first\nline two"}`, true},
		{`first`, `{"a":"first\nline two"}`, true},
		{`nline`, `{"a":"first\nline two"}`, false},
		{`"first line"`, `{"a":"first\n\tline two"}`, true},
		{`"first line"`, `{"a":"firstline"}`, false},
		{`nfoo`, `{"a":"C:\\nfoo"}`, true},
		{`"C:\nfoo"`, `{"a":"C:\\nfoo"}`, true},
		{`"say \"hi\""`, `{"a":"say \"hi\""}`, true},
		{`arn:aws:iam::1:user/x`, `{"a":"arn:aws:iam::1:user\/x"}`, true},
		{`input`, `{"a":"\u003cinput\u003e"}`, true},
		{`ünal`, `{"a":"Ünal"}`, true},
		{`nal`, `{"a":"Ünal"}`, false},
	} {
		q, err := syntax.Parse(tt.term)
		if err != nil {
			t.Fatal(err)
		}
		e, err := keyword(q.Scope.(*syntax.ScopeTerm))
		if err != nil {
			t.Fatal(err)
		}
		e, _ = substitute(e, map[string]*core.Expr{rawColumn: core.Str(tt.raw)})
		if got := holds(t, e); got != tt.want {
			t.Errorf("%s in %s is %v, want %v", tt.term, tt.raw, got, tt.want)
		}
	}
}

// TestReplacement: where Go's and Java's readers of replacements differ, ours
// does what a person means.
func TestReplacement(t *testing.T) {
	names := []string{"a", "b"}
	for in, want := range map[string]string{
		`$1b`:        "[1]b", // Go would look for a group 1b
		`${a}$b`:     "[1]$b",
		`$12`:        "[1]2",
		`$0$2`:       "[0][2]",
		`\$1`:        "$1",
		`\\$1`:       "$1",
		`\\\\x`:      `\x`,
		`a\nb\tc\rd`: "a\nb\tc\rd",
		`\d`:         `\d`,
		`$`:          "$",
		``:           "",
	} {
		parts, err := replacement(in, names)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		}
		got := ""
		for _, p := range parts {
			if p.Group >= 0 {
				got += fmt.Sprintf("[%d]", p.Group)
				continue
			}
			got += p.Lit
		}
		if got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"$3", "${c}", "${}"} {
		if _, err := replacement(in, names); err == nil {
			t.Errorf("%s is taken, want a mistake", in)
		}
	}
}

// TestSteps: names as paths.
func TestSteps(t *testing.T) {
	for name, want := range map[string]string{
		"a.b.c":                   "$.a.b.c",
		"users[2].address.street": "$.users[2].address.street",
		"m[1][2].x":               "$.m[1][2].x",
		"a[x].b":                  "$.`a[x]`.b",
		"[0]":                     "$[0]",
		"a]":                      "$.`a]`",
		"a b.c":                   "$.`a b`.c",
	} {
		if got := formatPath(Steps(name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
