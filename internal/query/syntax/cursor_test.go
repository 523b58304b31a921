package syntax

import (
	"fmt"
	"strings"
	"testing"
)

// reads are what a cursor is asked for by name in the tables below.
var reads = map[string]func(c *Cursor) (any, error){
	"field":    func(c *Cursor) (any, error) { f, err := c.Field(); return show(f, err) },
	"name":     func(c *Cursor) (any, error) { return c.Name() },
	"string":   func(c *Cursor) (any, error) { return c.String() },
	"char":     func(c *Cursor) (any, error) { r, err := c.Char(); return string(r), err },
	"int":      func(c *Cursor) (any, error) { return c.Int() },
	"number":   func(c *Cursor) (any, error) { return c.Number() },
	"duration": func(c *Cursor) (any, error) { return c.Duration() },
	"path":     func(c *Cursor) (any, error) { return c.Path() },
	"rest":     func(c *Cursor) (any, error) { return c.Rest(), nil },
	"regex":    func(c *Cursor) (any, error) { re, err := c.Regex(); return show(re, err) },
	"expr":     func(c *Cursor) (any, error) { e, err := c.Expr(); return show(e, err) },
	"list": func(c *Cursor) (any, error) {
		l, err := c.ExprList()
		if err != nil {
			return nil, err
		}
		return dumpList("", l), nil
	},
	"pipeline": func(c *Cursor) (any, error) {
		q, err := c.Pipeline()
		if err != nil {
			return nil, err
		}
		return dump(q), nil
	},
}

func show(n any, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return dump(n), nil
}

// TestCursor reads stages as an operator would: a step that names a read asks
// for it, = gives what it returned, ! part of its error; any other is expected
// as it stands.
func TestCursor(t *testing.T) {
	for src, steps := range map[string]string{
		`parse regex field = x "a" nodrop`: `parse;regex;field;=;field =x;string =a;NoDrop`,
		`sum(a) as b by c,%"d e"`:          `sum;(;field =a;);as;name =b;by;field =c;,;field =%d e`,
		`as as as`:                         `as;name =as;as`,
		`timeslice 4h`:                     `timeslice;duration =4h0m0s`,
		`shift -24h`:                       `shift;duration =-24h0m0s`,
		`x 1.5s`:                           `x;duration =1.5s`,
		`x 5ns`:                            `x;duration =5ns`,
		`x 15`:                             `x;duration !a time such as`,
		`x 99999999w`:                      `x;duration !a time such as`,
		`limit 1k -5 1.5`:                  `limit;int =1000;int =-5;int !whole number`,
		`x 4h`:                             `x;int !whole number`,
		`x -1.5 2Ki`:                       `x;number =-1.5;number =2048`,
		`x - y`:                            `x;int !a whole number was expected, not -`,
		`x "s3\:\/\/ \"q\""`:               `x;string =s3\:\/\/ "q"`,
		`x y`:                              `x;string !a string in double quotes was expected, not y`,
		`split f delim=',' q='"' e='\'`:    `split;field =f;delim;=;char =,;q;=;char =";e;=;char =\`,
		`x '\t' ";"`:                       `x;char =` + "\t" + `;char =;`,
		`x "ab"`:                           `x;char !one character`,
		`from path://"A/B c" on k`:         `from;path =path://"A/B c";on;field =k`,
		`from geo://location on k`:         `from;path =geo://location;on;field =k`,
		`from /shared/a-b.csv on k`:        `from;path =/shared/a-b.csv;on;field =k`,
		`from "a.csv"`:                     `from;path =a.csv`,
		`x, /a\/b/`:                        `x;,;regex =/a\/b/`,
		`parse "(?<n>.)"`:                  `parse;regex =/(?<n>.)/`,
		`x "a(?=b)"`:                       `x;regex !lookahead`,
		`x a+1, f(b), "c"`:                 `x;list =( (+ a 1i) (f b) "c")`,
		`x a,`:                             `x;list !a value was expected, not the end of the stage`,
		`x rest of /it/ "as" written `:     `x;rest =rest of /it/ "as" written`,
		`x`:                                `x;rest =;name !a name was expected, not the end`,
		`join (where a | count) as t`:      `join;pipeline = | 1:where 1:a | 1:count;as;name =t`,
		`x (| a | b)`:                      `x;pipeline = | 1:a | 1:b`,
		`x ()`:                             `x;pipeline !no stage in these brackets`,
		`x (a | )`:                         `x;pipeline !no stage behind this pipe`,
		`cat [subquery: a b | c]`:          `cat;pipeline =(and term:a term:b) | 1:c`,
		`cat [subquery: (a | c]`:           ``,
		`cat [subquery since=1: a]`:        `cat;pipeline !from=, to= or the :`,
		`x y z`:                            `x;END !goes on with y`,
		`x nodrp`:                          `x;nodrop !nodrop was expected, not nodrp`,
		`x a ) b`:                          ``,
	} {
		t.Run(src, func(t *testing.T) {
			q, err := Parse("* | first | " + src)
			if steps == "" {
				if err == nil {
					t.Fatal("read, want a mistake")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := NewCursor(q.Stages[1], q)
			for _, step := range split(steps) {
				if !take(t, c, step) {
					return
				}
			}
			if err := c.End(); err != nil {
				t.Error(err)
			}
		})
	}
}

// split cuts steps at their semicolons, which may also be what is wanted.
func split(steps string) []string {
	rest, semicolon := strings.CutSuffix(steps, "=;")
	list := strings.Split(rest, ";")
	if semicolon {
		list[len(list)-1] += "=;"
	}
	return list
}

// take does one step and tells whether to go on.
func take(t *testing.T, c *Cursor, step string) bool {
	t.Helper()
	word, want, wants := strings.Cut(step, " ")
	read := reads[word]
	if read == nil || !wants {
		read = func(c *Cursor) (any, error) {
			if word == "END" {
				return nil, c.End()
			}
			return nil, c.Expect(word)
		}
	}
	got, err := read(c)
	message, refused := strings.CutPrefix(want, "!")
	switch {
	case !refused && err != nil:
		t.Fatalf("%s: %v", step, err)
	case refused && (err == nil || !strings.Contains(err.Error(), message)):
		t.Fatalf("%s: %v, %v", step, got, err)
	case refused:
		if c.Err() == nil || !c.Done() || c.Errorf("x", "later") != err || err.(*Error).Stage != 2 {
			t.Errorf("%s: the cursor is not at its end with stage 2's %v", step, err)
		}
		return false
	case wants && fmt.Sprint(got) != strings.TrimPrefix(want, "="):
		t.Errorf("%s: got %v", step, got)
	}
	return true
}

func TestReset(t *testing.T) {
	q, _ := Parse(`* | a b c`)
	c := NewCursor(q.Stages[0], q)
	c.Next()
	m := c.Mark()
	if _, err := c.Int(); err == nil {
		t.Fatal("a word was read as a number")
	}
	c.Reset(m)
	if w, ok := c.Word(); !ok || w != "b" || c.Last() != (Span{6, 7}) || c.Span() != (Span{8, 9}) {
		t.Errorf("read %q after going back, at %v and %v", w, c.Last(), c.Span())
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"count", "count_distinct", "where", "sum", "by", "top", "transaction", "userIdentity.arn"}
	for word, want := range map[string]string{
		"cuont": "count", "COUNT": "count", "wehre": "where", "coutn_distnict": "count_distinct",
		"sm": "sum", "tranzaktin": "transaction", "useridentity.am": "userIdentity.arn",
		"": "", "x": "", "zz": "", "foo": "", "tpo": "top", "elephant": "", "b": "", strings.Repeat("a", 100): "",
	} {
		if got := Suggest(word, names); got != want {
			t.Errorf("Suggest(%q) is %q, want %q", word, got, want)
		}
	}
}
