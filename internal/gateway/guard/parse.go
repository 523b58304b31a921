package guard

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Error is one mistake in a rule file.
type Error struct {
	Place
	What string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.What)
}

// Errors are all mistakes of a file, in its order.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Parse reads a rule file, in YAML:
//
//	words:                            # lists that keywords name with $
//	  forget: [ignore, disregard, forget about]
//	rules:
//	  - name: override                # needed, as are action and match
//	    title: Asks to drop its instructions
//	    why: The plainest injection. Misses what says it in other words.
//	    action: flag                  # block, mask, flag, off
//	    direction: in                 # in (default), out, both
//	    roles: [user, tool]           # default: all
//	    decode: true                  # default: false
//	    exact: false                  # true: match case and all, not the folded text
//	    mode: enforce                 # or observe
//	    message: Not here.            # to the caller, when blocked
//	    tags: [owasp.llm01]
//	    match:                        # a condition; see Cond
//	      then:
//	        - keywords: [$forget]
//	        - keywords: [previous, prior, all your, above]
//	        - keywords: [instruction*, rule*, prompt*]
//	      within: 60
//	      unless:
//	        - keywords: [how to defend]
//
// A condition has keywords, patterns, detectors, threshold, min_length, any,
// all, then, within and unless. The error is an [Errors] with every mistake. name
// is for messages.
func Parse(name string, data []byte) ([]Rule, error) {
	d := decoder{file: name, words: map[string][]string{}}
	if len(data) > maxFile {
		d.errs = append(d.errs, &Error{Place{name, 1, 1}, fmt.Sprintf("the file is larger than %d KiB", maxFile>>10)})
		return nil, d.errs
	}
	if root := d.parse(data); root != nil {
		d.top(root)
	}
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Col - b.Col
		})
		return nil, d.errs
	}
	return d.rules, nil
}

type decoder struct {
	file  string
	words map[string][]string
	rules []Rule
	errs  Errors
}

func (d *decoder) add(n ast.Node, format string, args ...any) {
	d.addAt(n.GetToken(), fmt.Sprintf(format, args...))
}

func (d *decoder) addAt(t *token.Token, what string) {
	d.errs = append(d.errs, &Error{d.place(t), what})
}

func (d *decoder) place(t *token.Token) Place {
	p := Place{File: d.file, Line: 1, Col: 1}
	if t != nil && t.Position != nil {
		p.Line, p.Col = t.Position.Line, t.Position.Column
	}
	return p
}

// parse returns the root of the file, nil when there is none that can be used.
// It refuses what lets a small file stand for a large one.
func (d *decoder) parse(data []byte) ast.Node {
	tokens := lexer.Tokenize(string(data))
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType:
			d.addAt(t, "anchors, aliases, merge keys, tags and directives are not used; write the value out, or quote it")
			return nil
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > 4*maxNested {
			d.addAt(t, "nested too deeply")
			return nil
		}
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) {
			d.addAt(e.GetToken(), e.GetMessage())
		} else {
			d.addAt(nil, err.Error())
		}
		return nil
	}
	return d.one(f)
}

// one returns the body of the file's only document.
func (d *decoder) one(f *ast.File) (root ast.Node) {
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			d.add(doc.Body, "a second document")
			return nil
		}
		root = doc.Body
	}
	if root == nil {
		d.addAt(nil, "the file has no rules")
	}
	return root
}

func (d *decoder) top(root ast.Node) {
	var rules ast.Node
	d.fields(root, map[string]func(ast.Node){
		"words": d.lists,
		"rules": func(n ast.Node) { rules = n }, // after words, wherever they stand
	})
	if rules == nil {
		if len(d.errs) == 0 {
			d.add(root, "the file has no rules")
		}
		return
	}
	seen := map[string]bool{}
	for _, n := range d.list(rules) {
		r := d.rule(n)
		if seen[r.Name] {
			d.add(n, "rule %q stands twice", r.Name)
		}
		seen[r.Name] = true
		d.rules = append(d.rules, r)
	}
	if len(d.rules) > maxRules {
		d.add(rules, "more than %d rules", maxRules)
	}
}

func (d *decoder) lists(n ast.Node) {
	d.entries(n, func(key string, _, v ast.Node) {
		d.words[key] = nil
		for _, w := range d.strings(v) {
			d.words[key] = append(d.words[key], w.text)
		}
	})
}

func (d *decoder) rule(n ast.Node) Rule {
	r := Rule{Direction: In, At: d.place(n.GetToken())}
	var has struct{ action, match bool }
	d.fields(n, map[string]func(ast.Node){
		"name":  func(v ast.Node) { r.Name = d.name(v) },
		"title": func(v ast.Node) { r.Title = d.text(v) },
		"why":   func(v ast.Node) { r.Why = d.text(v) },
		"action": func(v ast.Node) {
			has.action, r.Action = true, Action(d.word(v, string(Block), string(Mask), string(Flag), string(Off)))
		},
		"direction": func(v ast.Node) { r.Direction = Direction(d.word(v, string(In), string(Out), string(Both))) },
		"roles": func(v ast.Node) {
			for _, s := range d.list(v) {
				r.Roles = append(r.Roles, d.word(s, roleNames[:]...))
			}
		},
		"match":   func(v ast.Node) { has.match, r.Match = true, d.cond(v, 0) },
		"decode":  func(v ast.Node) { r.Decode = d.bool(v) },
		"exact":   func(v ast.Node) { r.Exact = d.bool(v) },
		"message": func(v ast.Node) { r.Message = d.text(v) },
		"mode":    func(v ast.Node) { r.Observe = d.word(v, "enforce", "observe") == "observe" },
		"tags": func(v ast.Node) {
			for _, s := range d.strings(v) {
				r.Tags = append(r.Tags, s.text)
			}
		},
	})
	if r.Name == "" || !has.action || !has.match {
		d.add(n, "a rule needs a name, an action and a match")
	}
	return r
}

func (d *decoder) cond(n ast.Node, depth int) Cond {
	var c Cond
	if depth > maxNested {
		d.add(n, "conditions are nested deeper than %d", maxNested)
		return c
	}
	before := len(d.errs)
	sub := func(to *[]Cond) func(ast.Node) {
		return func(v ast.Node) {
			for _, s := range d.list(v) {
				*to = append(*to, d.cond(s, depth+1))
			}
		}
	}
	d.fields(n, map[string]func(ast.Node){
		"keywords":   func(v ast.Node) { c.Keywords = d.keywords(v) },
		"patterns":   func(v ast.Node) { c.Patterns = d.patterns(v) },
		"detectors":  func(v ast.Node) { c.Detectors = d.detectors(v) },
		"threshold":  func(v ast.Node) { c.Threshold = d.fraction(v) },
		"min_length": func(v ast.Node) { c.MinLength = d.int(v, 1, 64<<20) },
		"within":     func(v ast.Node) { c.Within = d.int(v, 1, maxReach) },
		"any":        sub(&c.Any),
		"all":        sub(&c.All),
		"then":       sub(&c.Then),
		"unless":     sub(&c.Unless),
	})
	if len(d.errs) == before && c.empty() {
		d.add(n, "the condition finds nothing: give it keywords, patterns, detectors, min_length, any, all or then")
	}
	return c
}

func (c *Cond) empty() bool {
	return len(c.Keywords)+len(c.Patterns)+len(c.Detectors)+c.MinLength+len(c.Any)+len(c.All)+len(c.Then) == 0
}

// keywords reads a list of keywords and puts the words of lists for their names.
func (d *decoder) keywords(n ast.Node) []string {
	var out []string
	for _, w := range d.strings(n) {
		if name, ok := strings.CutPrefix(w.text, "$"); ok {
			list, known := d.words[name]
			if !known {
				d.add(w.node, "no list %q under words", name)
			}
			out = append(out, list...)
			continue
		}
		if err := checkKeyword(w.text); err != nil {
			d.add(w.node, "keyword: %s", err)
		}
		out = append(out, w.text)
	}
	return out
}

func (d *decoder) patterns(n ast.Node) []string {
	var out []string
	for _, p := range d.strings(n) {
		if _, err := compilePattern(p.text, false); err != nil {
			d.add(p.node, "pattern: %s", err)
		}
		out = append(out, p.text)
	}
	return out
}

func (d *decoder) detectors(n ast.Node) []string {
	var out []string
	for _, s := range d.strings(n) {
		if err := checkDetector(s.text); err != nil {
			d.add(s.node, "%s", err)
		}
		out = append(out, s.text)
	}
	return out
}

func checkDetector(name string) error {
	if score, ok := strings.CutPrefix(name, "score:"); ok && score != "" {
		return nil
	}
	if Detectors[name] == "" {
		return fmt.Errorf("no detector %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(Detectors)), ", "))
	}
	return nil
}

// The small values.

type located struct {
	text string
	node ast.Node
}

func (d *decoder) strings(n ast.Node) []located {
	var out []located
	for _, s := range d.list(n) {
		if t := d.text(s); t != "" {
			out = append(out, located{t, s})
		}
	}
	return out
}

func (d *decoder) list(n ast.Node) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.add(n, "write a list")
		return nil
	}
	return s.Values
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (d *decoder) name(n ast.Node) string {
	s := d.text(n)
	if s != "" && !validName.MatchString(s) {
		d.add(n, "name %.80q: use up to 64 of a-z, 0-9, dot, dash and underscore", s)
	}
	return s
}

// text reads a scalar, as written.
func (d *decoder) text(n ast.Node) string {
	s := ""
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = strings.TrimRight(n.Value.Value, "\n")
	case *ast.IntegerNode:
		s = n.Token.Value
	case *ast.FloatNode:
		s = n.Token.Value
	case *ast.BoolNode: // a keyword such as yes, no, true
		s = n.Token.Value
	default:
		d.add(n, "write text; quote it when it has : # { } [ ] or begins with * & ! | > @ `")
		return ""
	}
	if s == "" {
		d.add(n, "the text is empty")
	}
	return s
}

func (d *decoder) word(n ast.Node, words ...string) string {
	s := d.text(n)
	if s != "" && !slices.Contains(words, s) {
		d.add(n, "%.80q is unknown; write one of %s", s, strings.Join(words, ", "))
	}
	return s
}

func (d *decoder) bool(n ast.Node) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.add(n, "write true or false")
		return false
	}
	return b.Value
}

func (d *decoder) int(n ast.Node, low, high int) int {
	v, err := strconv.Atoi(d.text(n))
	if err != nil || v < low || v > high {
		d.add(n, "write a whole number from %d to %d", low, high)
	}
	return v
}

func (d *decoder) fraction(n ast.Node) float64 {
	v, err := strconv.ParseFloat(d.text(n), 64)
	if err != nil || !(v > 0 && v <= 1) {
		d.add(n, "write a number above 0, up to 1")
	}
	return v
}

// fields calls the reader of each key of a mapping, and refuses other keys.
func (d *decoder) fields(n ast.Node, read map[string]func(ast.Node)) {
	d.entries(n, func(key string, k, v ast.Node) {
		if read[key] == nil {
			d.add(k, "unknown key %.80q; known here: %s", key, strings.Join(slices.Sorted(maps.Keys(read)), ", "))
			return
		}
		read[key](v)
	})
}

// entries calls each for the entries of a mapping, whose keys are unique text.
func (d *decoder) entries(n ast.Node, each func(key string, k, v ast.Node)) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.add(n, "write keys and values")
		return
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		k, v := it.Key(), it.Value()
		key := d.text(k)
		if seen[key] {
			d.add(k, "key %.80q stands twice", key)
			continue
		}
		seen[key] = true
		if v == nil || v.Type() == ast.NullType {
			d.add(k, "key %.80q has no value", key)
			continue
		}
		each(key, k, v)
	}
}
