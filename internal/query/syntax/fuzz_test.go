package syntax

import (
	"regexp"
	"testing"
)

// FuzzParse reads anything without a panic; what it reads prints as itself, and
// every mistake can be shown.
func FuzzParse(f *testing.F) {
	for name := range seedStages {
		f.Add(seed(f, name))
	}
	for _, s := range []string{
		`a or (b !c=*) [subquery from=(-1d): x | compose y] | where a/b matches /c|d/ ? %"e f" : -1.5s`,
		`* | join (where a | count) as t, (x) as u on t.a=u.a // end`,
		"* | a in (1, 'x') || “y” | lookup z from path://\"a/b\" on %c[0].d=e /* */ | |",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		q, err := Parse(src)
		if err != nil {
			err.(Errors).Render(src)
			err.(Errors).Reports(src)
		} else if len(q.String()) < maxQuery {
			queryAgain(t, q)
		}
		for _, s := range q.Stages {
			if !s.Bad {
				readStage(t, s, q, 0)
			}
		}
	})
}

// readStage reads a stage as what it may be: expressions and nested pipelines.
func readStage(t *testing.T, s *Stage, q *Query, depth int) {
	for c := NewCursor(s, q); !c.Done(); {
		m := c.Mark()
		if sub, err := c.Pipeline(); err == nil && depth < 3 {
			for _, s := range sub.Stages {
				readStage(t, s, sub, depth+1)
			}
		}
		c.Reset(m)
		if e, err := c.Expr(); err == nil {
			again(t, e)
			continue
		} else {
			Join(err).(Errors).Render(q.Src)
		}
		c.Reset(m)
		c.Next()
	}
}

// FuzzRegex passes nothing that Go cannot compile, and compiles it in bounds.
func FuzzRegex(f *testing.F) {
	for src := range regexes {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		re2, names, err := CheckRegex(src)
		if err != nil {
			return
		}
		re, err := regexp.Compile(re2)
		if err != nil {
			t.Fatalf("%q became %q, which Go refuses: %v", src, re2, err)
		}
		if re.NumSubexp() != len(names) {
			t.Fatalf("%q has %d groups, told %d", src, re.NumSubexp(), len(names))
		}
		if _, _, err := CheckRegex(re2); err != nil {
			t.Fatalf("%q became %q, which is refused: %v", src, re2, err)
		}
	})
}
