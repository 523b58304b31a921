package op

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var jsonOp = Operator{
	Name: "json", Tier: 1, parses: true,
	Form: `json [field=FIELD] "PATH", … [as NAME, …] [nodrop]
json auto [field=FIELD] [keys "NAME", … [as NAME, …]]`,
	Help: "Makes a field of each path of a JSON text, by default of the record. Keys go by case; a.b[0]['odd.key'] are steps. " +
		"Rows that lack one are dropped, unless nodrop is said. Records are opened by themselves, so json auto is for other fields, of which it takes the keys named.",
	Example: `json field=details "items[0].name" as item nodrop`,
	compile: compileJSON,
}

// jsonStage is the stage as read.
type jsonStage struct {
	parseOptions
	auto  bool
	paths []string
	spans []syntax.Span
	names []string
}

func compileJSON(b *builder, c *syntax.Cursor) error {
	s, err := readJSON(c)
	if err != nil {
		return err
	}
	switch {
	case s.auto && len(s.paths) == 0 && s.field != nil:
		return b.errorf(s.field.Span(), CodeValue, "json auto needs to know which keys of %s to take\nwrite: json auto field=%s keys \"a\", \"b\"", s.field.Name, s.field.Name)
	case s.auto && len(s.paths) == 0:
		b.warn("json auto changes nothing: every path of a record is a field already")
		return nil
	case len(s.paths) == 0:
		return c.Errorf(syntax.CodeExpected, "a path in double quotes was expected")
	case len(s.names) > 0 && len(s.names) != len(s.paths):
		return b.errorf(s.spans[0], CodeValue, "there are %d paths and %d names", len(s.paths), len(s.names))
	}
	src, err := b.source(s.parseOptions)
	if err != nil {
		return err
	}
	return b.jsonPaths(src, s)
}

func readJSON(c *syntax.Cursor) (*jsonStage, error) {
	s := &jsonStage{}
	for !c.Done() {
		if ok, err := s.option(c); err != nil {
			return nil, err
		} else if ok {
			continue
		}
		switch word, _ := c.Word("auto", "keys", "refonly", "extractarrays", "maxdepth", "as"); word {
		case "auto":
			s.auto = true
		case "keys", "refonly", "extractarrays":
		case "maxdepth":
			if _, err := c.Int(); err != nil {
				return nil, err
			}
		case "as":
			if err := s.readNames(c); err != nil {
				return nil, err
			}
		default:
			if err := s.readPath(c); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *jsonStage) readPath(c *syntax.Cursor) error {
	if len(s.paths) > 0 {
		if err := c.Expect(","); err != nil {
			return err
		}
	}
	at := c.Span()
	path, err := c.String()
	s.paths, s.spans = append(s.paths, path), append(s.spans, at)
	return err
}

func (s *jsonStage) readNames(c *syntax.Cursor) error {
	for {
		name, err := c.Name()
		if err != nil {
			return err
		}
		s.names = append(s.names, name)
		if !c.Punct(',') {
			return nil
		}
	}
}

func (b *builder) jsonPaths(src *core.Expr, s *jsonStage) error {
	var made []assign
	var there []*core.Expr
	for i, path := range s.paths {
		steps, err := jsonPath(path)
		if err != nil {
			return b.errorf(s.spans[i], CodeValue, "%v", err)
		}
		name := path
		if len(s.names) > 0 {
			name = s.names[i]
		}
		if assigned(made, name) {
			return b.errorf(s.spans[i], CodeDuplicate, "two fields are called %s\ngive them other names with as", name)
		}
		x := b.jsonValue(src, path, steps, s.auto)
		made = append(made, assign{name, x})
		there = append(there, not(isNull(x)))
	}
	if s.auto {
		b.set(b.keep(made)...)
		return nil
	}
	b.parsed(and(there...), made, s.nodrop)
	return nil
}

// jsonValue is what stands at a path. Of the record, columns that are such a path
// are read instead of its text, and fold finds keys whatever their case.
func (b *builder) jsonValue(src *core.Expr, path string, steps []core.Step, fold bool) *core.Expr {
	raw := src.Op == core.Column && src.Name == rawColumn
	c, ok := b.lookup(path)
	f, known := event.Lookup(path)
	switch {
	case raw && ok && known && !c.made && recordsOwn(f) && (fold || f.String() == path):
		return c.read()
	case raw && fold:
		return b.recordField(path)
	}
	return jsonGet(src, steps, core.Text)
}

// recordsOwn tells whether a column is what records call it themselves, so that
// no mapping of ours stands between.
func recordsOwn(f event.Field) bool { return f >= event.EventName && f <= event.StopReason }

// jsonPath reads $.a.b[0]['odd.key']. A [*] at the end is the array itself.
func jsonPath(s string) ([]core.Step, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s, "$"), "@"), "[*]")
	rest = strings.TrimPrefix(rest, ".")
	var steps []core.Step
	for first := true; rest != ""; first = false {
		var step core.Step
		var err error
		switch {
		case rest[0] == '[':
			step, rest, err = bracketStep(rest)
		case rest[0] == '.' && !first:
			step, rest, err = keyStep(rest[1:])
		case first:
			step, rest, err = keyStep(rest)
		default:
			err = fmt.Errorf("a dot is missing in the path before %s", rest)
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("the path is empty")
	}
	return steps, nil
}

func keyStep(s string) (core.Step, string, error) {
	n := strings.IndexAny(s, ".[")
	if n < 0 {
		n = len(s)
	}
	if n == 0 {
		return core.Step{}, "", fmt.Errorf("the path has two dots in a row, which would search all levels\nname each level")
	}
	return core.Step{Key: s[:n], Index: -1}, s[n:], nil
}

// bracketStep reads [0], ['key'] or ["key"].
func bracketStep(s string) (core.Step, string, error) {
	for _, quote := range []string{"'", `"`} {
		if body, ok := strings.CutPrefix(s, "["+quote); ok {
			key, rest, ok := strings.Cut(body, quote+"]")
			if !ok || key == "" {
				return core.Step{}, "", fmt.Errorf("the path has a quote that is never closed")
			}
			return core.Step{Key: key, Index: -1}, rest, nil
		}
	}
	body, rest, ok := strings.Cut(s[1:], "]")
	if !ok {
		return core.Step{}, "", fmt.Errorf("the path has a bracket that is never closed")
	}
	n, err := strconv.Atoi(body)
	if err != nil || n < 0 {
		return core.Step{}, "", fmt.Errorf("[%s] takes several values, and a field has one\nwrite the number of an element, from 0", body)
	}
	return core.Step{Index: n}, rest, nil
}
