package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/event"
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/syntax"
)

// Saved is a hunt that is kept in a file: the question, what it finds and what
// it misses, and records that it finds something in.
type Saved struct {
	ID             string         `json:"id"` // what its file is called
	Title          string         `json:"title"`
	Description    string         `json:"description"`
	Strands        []event.Strand `json:"strands"`
	Tags           []string       `json:"tags"`
	Severity       int            `json:"severity"`       // of what it finds, 0 to 10
	Query          string         `json:"query"`          // its parameters stand in it as {{name}}
	Seed           string         `json:"seed,omitempty"` // the query that it is the better twin of
	Parameters     []Parameter    `json:"parameters"`
	FalsePositives []string       `json:"false_positives"`
	Pivot          []string       `json:"pivot"` // hunts to go on with

	// What its test runs it over. Files are named below testdata/hunts.
	Sample    []string `json:"-"`
	Finds     []Row    `json:"-"` // of the sample: a row each, with the columns that matter
	SeedFinds []Row    `json:"-"` // what the seed's own query finds there
	Quiet     []string `json:"-"` // files in which it finds nothing
}

// Row is an expected row: what columns hold, as text. "" is null too, and lists
// have a line an element.
type Row map[string]string

// Parameter is a value that whoever runs a saved hunt may choose.
type Parameter struct {
	Name    string        `json:"name"`
	Kind    ParameterKind `json:"kind"`
	Default string        `json:"default"`
	Help    string        `json:"help"`
}

// ParameterKind is what a parameter may be, which its default tells: 20 is a
// number, 4h a time, and the rest is text.
type ParameterKind string

// The kinds of parameters.
const (
	TextParameter   ParameterKind = "text"
	NumberParameter ParameterKind = "number"
	TimeParameter   ParameterKind = "time"
)

var (
	placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)
	numberValue = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,9})?$`)
	timeValue   = regexp.MustCompile(`^[0-9]{1,9}(ns|us|ms|s|m|h|d|w)$`)
)

// maxParameter bounds the text of a value, in bytes.
const maxParameter = 1000

// Text is the hunt's query with its parameters filled in: those of values, by
// name, and the defaults of the others. A value becomes one literal of the
// language, a quoted text or a number, and never anything else: where it would
// not, there is an error.
func (s *Saved) Text(values map[string]string) (string, error) {
	for name := range values {
		if s.parameter(name) == nil {
			return "", fmt.Errorf("hunt %s has no parameter %s; there are: %s", s.ID, name, strings.Join(s.parameterNames(), ", "))
		}
	}
	f, err := s.fill(values)
	if err != nil {
		return "", err
	}
	if bad := f.misplaced(); bad != nil {
		return "", fmt.Errorf("hunt %s: the value of %s cannot be written as %s", s.ID, bad.name, bad.literal)
	}
	return f.text, nil
}

func (s *Saved) parameter(name string) *Parameter {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			return &s.Parameters[i]
		}
	}
	return nil
}

func (s *Saved) parameterNames() []string {
	var names []string
	for _, p := range s.Parameters {
		names = append(names, p.Name)
	}
	return names
}

// literal renders a value as the language writes it.
func (p *Parameter) literal(value string) (string, error) {
	switch {
	case len(value) > maxParameter:
		return "", fmt.Errorf("parameter %s: the value is longer than %d bytes", p.Name, maxParameter)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("parameter %s: the value is not UTF-8", p.Name)
	case p.Kind == TextParameter:
		return syntax.Quote(value), nil
	case p.Kind == NumberParameter && !numberValue.MatchString(value):
		return "", fmt.Errorf("parameter %s: %.40q is not a number such as %s", p.Name, value, p.Default)
	case p.Kind == TimeParameter && !timeValue.MatchString(value):
		return "", fmt.Errorf("parameter %s: %.40q is not a time such as %s", p.Name, value, p.Default)
	}
	return value, nil
}

// filled is a query with literals where its placeholders were.
type filled struct {
	text  string
	holes []hole
}

// hole is a placeholder: where it stood, and where its literal stands now.
type hole struct {
	name, value, literal string
	was, is              syntax.Span
}

func (s *Saved) fill(values map[string]string) (*filled, error) {
	f, b, at := &filled{}, strings.Builder{}, 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(s.Query, -1) {
		h := hole{name: s.Query[m[2]:m[3]], was: syntax.Span{Start: m[0], End: m[1]}}
		p := s.parameter(h.name)
		if p == nil {
			return nil, fmt.Errorf("the query has {{%s}}, which is no parameter", h.name)
		}
		value, chosen := values[h.name]
		if !chosen {
			value = p.Default
		}
		var err error
		if h.literal, err = p.literal(value); err != nil {
			return nil, err
		}
		h.value = value
		b.WriteString(s.Query[at:m[0]])
		h.is = syntax.Span{Start: b.Len(), End: b.Len() + len(h.literal)}
		b.WriteString(h.literal)
		f.holes, at = append(f.holes, h), m[1]
	}
	b.WriteString(s.Query[at:])
	f.text = b.String()
	return f, nil
}

// misplaced is the first hole whose literal is not one token that means its
// value, or nil. It asks the language itself, so that a hole within a string, a
// regular expression, a comment or the scope is found as well.
func (f *filled) misplaced() *hole {
	means := map[syntax.Span]string{}
	if q, _ := syntax.Parse(f.text); q != nil {
		for _, stage := range q.Stages {
			for _, t := range stage.Tokens {
				if t.Kind == syntax.TokString || t.Kind == syntax.TokNumber {
					means[t.Span] = t.Text
				}
			}
		}
	}
	for i := range f.holes {
		h := &f.holes[i]
		if text, ok := means[h.is]; !ok || text != h.value {
			return h
		}
	}
	return nil
}

// before is where a byte of the filled text stood in the query.
func (f *filled) before(at int) int {
	moved := 0
	for _, h := range f.holes {
		switch {
		case at >= h.is.End:
			moved = h.was.End - h.is.End
		case at >= h.is.Start:
			return h.was.Start
		}
	}
	return at + moved
}

// ParseSaved reads the file of a hunt, in YAML:
//
//	id: denied-invocations        # as the file is called, without .yaml
//	title: Callers that were denied a model
//	description: What it finds, and what it misses.
//	strands: [management]
//	tags: [attack.t1526]
//	severity: 3                   # 0 to 10, default 0
//	seed: H1                      # when it is the better twin of a seed's query
//	parameters:
//	  least: {default: 5, help: calls from which a caller is shown}
//	query: |
//	  _sourceCategory=cloudtrail
//	  | count as calls by user_username
//	  | where calls >= {{least}}
//	false_positives: [what it finds that is meant well]
//	pivot: [past-the-gateway]
//	sample: [denied-invocations/trail.json.gz]
//	finds:
//	  - {user_username: "arn:…", calls: 7}
//	seed_finds: []
//	quiet: [denied-invocations/quiet.json.gz]
//
// id, title, description, strands, tags and query are needed; shipped hunts have
// sample, finds and quiet too. The query must compile with the defaults of its
// parameters, which stand where a literal may, as {{name}}. The error is a
// [SavedErrors] with every mistake; name is the file's, for them.
func ParseSaved(name string, data []byte) (*Saved, error) {
	r := &savedReader{file: name, lines: strings.Split(string(data), "\n")}
	if root := r.parse(data); root != nil {
		r.read(root)
	}
	if len(r.errs) > 0 {
		r.errs.sort()
		return nil, r.errs
	}
	return &r.saved, nil
}

// check is what holds between the keys.
func (r *savedReader) check() {
	s := &r.saved
	base := strings.TrimSuffix(filepath.Base(r.file), ".yaml")
	if s.ID != "" && s.ID != base {
		r.at(r.keys["id"], "id %s: the file is called %s", s.ID, base)
	}
	if slices.Contains(s.Pivot, s.ID) {
		r.at(r.keys["pivot"], "the hunt pivots to itself")
	}
	for _, p := range s.Parameters {
		if !slices.ContainsFunc(placeholder.FindAllStringSubmatch(s.Query, -1), func(m []string) bool { return m[1] == p.Name }) {
			r.at(r.keys["parameters"], "the query has no {{%s}}", p.Name)
		}
	}
	if s.Seed == "" && r.keys["seed_finds"] != nil {
		r.at(r.keys["seed_finds"], "seed_finds without seed")
	}
	if s.Query != "" {
		r.checkQuery()
	}
}

// checkQuery compiles the query and gives its mistakes their place in the file.
func (r *savedReader) checkQuery() {
	f, err := r.saved.fill(nil)
	if err != nil {
		r.at(r.keys["query"], "%s", err)
		return
	}
	if bad := f.misplaced(); bad != nil {
		r.atQuery(bad.was.Start, fmt.Sprintf("{{%s}} stands where no literal may: in the scope, a string, a regular expression or a comment", bad.name))
		return
	}
	_, err = Compile(f.text, &op.Env{Subquery: op.NoSubquery})
	var list syntax.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			what := e.Error()
			if e.Hint != "" {
				what += "; " + e.Hint
			}
			r.atQuery(f.before(e.Span.Start), what)
		}
	} else if err != nil {
		r.at(r.keys["query"], "%s", err)
	}
}
