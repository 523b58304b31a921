package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestConditions says what each kind of condition finds: the texts of find are
// found with what stands in braces, those of pass are not.
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		match string
		find  []string
		pass  []string
	}{
		{`{keywords: [stop now]}`, []string{"please {stop now}!", "{STOP\n  now}", "({stop now})"}, []string{"nonstop now", "stop nowhere", "stop, now"}},
		{`{keywords: ["instruc*", "*ware"]}`, []string{"{instruc}tions", "soft{ware}"}, []string{"reinstruct", "wares"}},
		{`{keywords: [無視]}`, []string{"これを{無視}して"}, nil},
		{`{keywords: [игнорируй]}`, []string{"{ИГНОРИРУЙ} это"}, []string{"проигнорируй"}},
		{`{keywords: [straße]}`, []string{"die {STRASSE}", "die {Straße}"}, nil},
		{`{keywords: [c++]}`, []string{"use {C++}", "{c++}11"}, []string{"c+"}},
		{`{patterns: ['ab+c']}`, []string{"x{ABBC}x"}, []string{"ac"}},
		{`{patterns: ['^system:']}`, []string{"a\n{System:} b", "{system:}"}, []string{"the system:"}},
		{`{patterns: ['end$']}`, []string{"the {end}\nx", "the {end}"}, []string{"ending", "end."}},
		{`{patterns: ['\bкот\p{L}*', 'naïve']}`, []string{"so {NAIVE}"}, nil},
		{`{patterns: ['say (yes|no) now']}`, []string{"{say  yes\nnow}"}, []string{"say maybe now"}},
		{`{patterns: ['[0-9]{3}-[0-9]{2}']}`, []string{"a {123-45}"}, []string{"12-34"}},
		{`{patterns: ['[A-Z]{3}x']}`, []string{"{abcx}"}, nil},
		{`{min_length: 10}`, []string{"{0123456789}"}, []string{"012345678"}},
		{`{all: [{keywords: [b]}, {keywords: [a]}], within: 10}`, []string{"x {a to b} y", "{b to a}"}, []string{"a", "a far, far away b"}},
		{`{then: [{keywords: [a]}, {keywords: [b]}, {keywords: [c]}], within: 20}`, []string{"{a x b x c}", "a{ }"}[:1], []string{"c b a", "a c b"}},
		{`{then: [{keywords: [do]}, {any: [{keywords: [it]}, {patterns: ['th[ae]t']}]}], within: 8}`, []string{"{do it}", "{do thet}"}, []string{"it do"}},
		{`{keywords: [kill], unless: [{keywords: [process, session]}], within: 12}`, []string{"{kill} him", "process one and then {kill}"}, []string{"kill the process", "session kill"}},
		{`{any: [{keywords: [x]}, {keywords: [y]}]}`, []string{"{x}", "{y}"}, []string{"z"}},
		{`{keywords: [p], patterns: ['q{3}'], detectors: [email]}`, []string{"{p}", "{qqq}", "{a@b.org}"}, []string{"qq"}},
	} {
		e := engine(t, Options{}, "rules: [{name: r, action: flag, match: "+c.match+"}]")
		for _, text := range c.find {
			start, end := strings.IndexByte(text, '{'), strings.IndexByte(text, '}')
			plain := text[:start] + text[start+1:end] + text[end+1:]
			if got, want := finds(t, e, plain), text[start+1:end]; !slices.Contains(got, want) {
				t.Errorf("%s in %q: got %q, want %q", c.match, plain, got, want)
			}
		}
		for _, text := range c.pass {
			if got := finds(t, e, text); len(got) > 0 {
				t.Errorf("%s in %q: got %q, want nothing", c.match, text, got)
			}
		}
	}
}

// TestExact checks that exact rules see the text as it was sent.
func TestExact(t *testing.T) {
	e := engine(t, Options{}, `rules: [{name: r, action: flag, exact: true, match: {keywords: [Secret], patterns: ['AB\d{2}', '(?i)zq+']}}]`)
	for text, want := range map[string]string{"my Secret": "Secret", "secret": "", "AB12": "AB12", "ab12": "", "ＡＢ12": "", "ZQQ": "ZQQ"} {
		if got := strings.Join(finds(t, e, text), "|"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestWindows checks that a pattern is found wherever the windows fall, once.
func TestWindows(t *testing.T) {
	for _, pattern := range []string{`k[0-9]+key`, `[0-9]+\b`} {
		e := engine(t, Options{}, "rules: [{name: r, action: flag, match: {patterns: ['"+pattern+"']}}]")
		for _, at := range []int{0, 1, window - 5, window - 1, window, window + 1, 2*window - 3, 3*window + 7} {
			text := strings.Repeat("x ", at/2) + " k12345key " + strings.Repeat(". ", window)
			if pattern[0] == '[' {
				text = strings.Replace(text, "k12345key", "12345", 1)
			}
			hits, err := e.Check([]byte(text), "user", false)
			if err != nil || len(hits) != 1 {
				t.Errorf("%s at %d: %v %v", pattern, at, hits, err)
			}
		}
	}
}

// TestWindowEdge checks that the beginning of a window is no beginning of a line.
func TestWindowEdge(t *testing.T) {
	e := engine(t, Options{}, `rules: [{name: r, action: flag, match: {patterns: ['^[a-z ]+key']}}]`)
	if got := finds(t, e, "1 "+strings.Repeat("so it goes ", 60)+"key"); len(got) > 0 {
		t.Errorf("found %q", got)
	}
}

func TestRequired(t *testing.T) {
	for pattern, want := range map[string]string{
		`foo.*barbaz`: "barbaz", `(?:abc|defg)x?`: "abc|abcx|defg|defgx", `a+bcd`: "bcd", `[0-9]+`: "", `do it|obey`: "do it|obey", `x["']=`: `x"=|x'=`, `(ab)?c.`: "", `\bword\b`: "word", `(?:longer ){2,}`: "longer ",
	} {
		p, err := compilePattern(pattern, false)
		if err != nil {
			t.Fatal(pattern, err)
		}
		if got := strings.Join(p.literals, "|"); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}

// TestOthers: what else every match has, but for what is in its literals.
func TestOthers(t *testing.T) {
	for pattern, want := range map[string]string{
		`(?:text|page)s? (?:\w+ )?(?:before|ahead) .{0,20}chats`: "text|page, chats", `foobar.*barbaz`: "barbaz", `the.*barbaz`: "", `(?:the|pages).*barbaz`: "", `(?:pages)?.*barbaz`: "",
	} {
		p, err := compilePattern(pattern, false)
		if err != nil {
			t.Fatal(pattern, err)
		}
		var sets []string
		for _, lits := range p.others {
			sets = append(sets, strings.Join(lits, "|"))
		}
		if got := strings.Join(sets, ", "); got != want {
			t.Errorf("%s: got literals %q and %q, want %q", pattern, p.literals, got, want)
		}
	}
	e := engine(t, Options{}, `rules: [{name: r, action: flag, match: {patterns: ['pages .{0,20}before .{0,20}chats']}}]`)
	for text, want := range map[string]bool{
		"pages before chats": true, strings.Repeat("pages before me ", 90) + "chats": true, strings.Repeat("chats ", 90) + "pages x before x chats": true,
		strings.Repeat("pages before ", 90): false, "chats before pages": false, "pages before " + strings.Repeat("x", 600) + " chats": false,
	} {
		if got := len(finds(t, e, text)) > 0; got != want {
			t.Errorf("%.60q: found %v, want %v", text, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	rules, err := Parse("r.yaml", []byte(`
rules:
  - name: a
    title: T
    why: W
    action: mask
    direction: both
    roles: [user, tool]
    decode: true
    exact: true
    mode: observe
    message: M
    tags: [x, y]
    match:
      keywords: [$w, yes]
      threshold: 0.7
      detectors: ["score:s", card]
      within: 9
      unless: [{patterns: ['abc']}]
words: {w: [one, two words]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := "[{a T W mask both [user tool] {[one two words yes] [] [score:s card] 0.7 0 [] [] [] 9 [{[] [abc] [] 0 0 [] [] [] 0 []}]} true true M [x y] true r.yaml:3:9: }]"
	if got := fmt.Sprint(rules); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestParseErrors checks that all mistakes of a file are told at once, each at
// its place.
func TestParseErrors(t *testing.T) {
	_, err := Parse("r.yaml", []byte(`rules:
  - name: Bad Name
    action: explode
    color: red
    match: {keywords: [$none, ""], patterns: ['(', 'a*', '\Ax'], detectors: [nope], within: 9999}
  - name: b
    match: {}
  - action: flag
    roles: [king]
    name: b
    match: {any: flat, threshold: 2, min_length: many, keywords: [ok]}
`))
	var es Errors
	if !errors.As(err, &es) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, e := range es {
		if e.File != "r.yaml" {
			t.Errorf("file %q", e.File)
		}
		got = append(got, fmt.Sprintf("%d:%d %.24s", e.Line, e.Col, e.What))
	}
	want := []string{
		`2:11 name "Bad Name": use up `, `3:13 "explode" is unknown; wr`, `4:5 unknown key "color"; kno`, `5:24 no list "none" under wor`, `5:31 the text is empty`, `5:47 pattern: error parsing r`,
		`5:52 pattern: matches the emp`, `5:58 pattern: \A and \z are n`, `5:78 no detector "nope"; ther`, `5:93 write a whole number fro`, `6:9 a rule needs a name, an `, `7:12 the condition finds noth`,
		`8:11 rule "b" stands twice`, `9:13 "king" is unknown; write`, `11:18 write a list`, `11:35 write a number above 0, `, `11:50 write a whole number fro`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for in, want := range map[string]string{
		"":                                  "1:1: the file has no rules",
		"rules: [":                          "r.yaml:1:",
		"rules: 3":                          "1:8: write a list",
		"a: &x 1\nrules: *x":                "anchors",
		"rules: []\n---\nrules: []":         "second document",
		strings.Repeat("#", maxFile+1):      "larger than",
		"rules: " + strings.Repeat("[", 60): "deep",
	} {
		if _, err := Parse("r.yaml", []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", in, err, want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	rule := func(c Cond) Options { return Options{Rules: []Rule{{Name: "r", Action: Flag, Match: c}}} }
	for want, o := range map[string]Options{
		"no scorer":      rule(Cond{Detectors: []string{"score:x"}}),
		"no detector":    rule(Cond{Detectors: []string{"x"}}),
		"finds nothing":  rule(Cond{}),
		"missing":        rule(Cond{Patterns: []string{"("}}),
		"instructions":   rule(Cond{Patterns: []string{"(?:[a-z]{1,100}x){1,10}(?:[a-z]{1,100}y){1,10}(?:[a-z]{1,100}z){1,10}"}}),
		"longer than":    rule(Cond{Keywords: []string{strings.Repeat("a", 200)}}),
		"unknown action": {Rules: []Rule{{Name: "r", Action: "x", Match: Cond{MinLength: 1}}}},
		"unknown role":   {Rules: []Rule{{Name: "r", Action: Flag, Roles: []string{"x"}, Match: Cond{MinLength: 1}}}},
		"no name":        {Rules: []Rule{{Action: Flag, Match: Cond{MinLength: 1}}}},
		"rule name":      {Rules: []Rule{{Name: `a"b`, Action: Flag, Match: Cond{MinLength: 1}}}},
		"does not exist": {Actions: map[string]string{"x": "off"}},
		"on_error":       {OnError: "maybe"},
		"canary":         {Canaries: []string{"short"}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// TestFirstCounts checks that a rule of one's own takes the place of the pack's.
func TestFirstCounts(t *testing.T) {
	own := Rule{Name: "r", Action: Block, Match: Cond{Keywords: []string{"one"}}}
	pack := Rule{Name: "r", Action: Flag, Match: Cond{Keywords: []string{"two"}}}
	e, err := New(Options{Rules: []Rule{own, pack}})
	if err != nil {
		t.Fatal(err)
	}
	hits, _ := e.Check([]byte("one two"), "user", false)
	if len(hits) != 1 || hits[0].Action != Block || hits[0].End != 3 {
		t.Errorf("%+v", hits)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(attackRules))
	f.Add([]byte(outRules))
	f.Add([]byte("rules: [{name: a, action: flag, match: {patterns: ['(?i)a|b{2,5}', '[^a]+'], keywords: [\"*x*\"], unless: [{min_length: 3}]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Parse("f", data)
		if err != nil {
			var es Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Fatalf("error %#v", err)
			}
			return
		}
		e, err := New(Options{Rules: rules, OnError: "allow"})
		if err == nil {
			e.Check(data, "user", true)
			e.Check(data, "tool", false)
		}
	})
}
