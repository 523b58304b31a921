package query

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"gatehouse/internal/event"
)

// What bounds the file of a hunt.
const (
	maxSavedFile  = 64 << 10
	maxSavedDepth = 6
	maxSavedList  = 200
)

// SavedError is one mistake in the file of a hunt.
type SavedError struct {
	File      string
	Line, Col int // from 1; Col in characters
	What      string
}

func (e *SavedError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.What)
}

// SavedErrors are all mistakes of a file, in its order.
type SavedErrors []*SavedError

func (es SavedErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func (es SavedErrors) sort() {
	slices.SortStableFunc(es, func(a, b *SavedError) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
}

// savedReader fills a Saved from the tree of a file and collects what is wrong.
type savedReader struct {
	file  string
	lines []string
	saved Saved
	keys  map[string]ast.Node // the values of the file, by key
	errs  SavedErrors
}

func (r *savedReader) at(n ast.Node, format string, args ...any) {
	var t *token.Token
	if n != nil {
		t = n.GetToken()
	}
	r.atToken(t, fmt.Sprintf(format, args...))
}

func (r *savedReader) atToken(t *token.Token, what string) {
	line, col := 1, 1
	if t != nil && t.Position != nil {
		line, col = t.Position.Line, t.Position.Column
	}
	r.errs = append(r.errs, &SavedError{r.file, line, col, what})
}

// atQuery is a mistake at a byte of the query. Of a literal block the line and
// column are the file's; other forms fold lines, and there it is where the
// value begins.
func (r *savedReader) atQuery(at int, what string) {
	n := r.keys["query"]
	block, ok := n.(*ast.LiteralNode)
	if !ok || !strings.HasPrefix(block.Start.Value, "|") {
		r.at(n, "%s", what)
		return
	}
	before := r.saved.Query[:min(at, len(r.saved.Query))]
	first := block.Start.Position.Line // the line after it, counted from 0
	for first < len(r.lines)-1 && strings.TrimSpace(r.lines[first]) == "" {
		first++
	}
	indent := len(r.lines[first]) - len(strings.TrimLeft(r.lines[first], " "))
	line := first + 1 + strings.Count(before, "\n")
	col := 1 + indent + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	r.errs = append(r.errs, &SavedError{r.file, line, col, what})
}

// parse returns the root of the file, nil when there is none that can be used.
// What lets a small file stand for a large one is refused first.
func (r *savedReader) parse(data []byte) ast.Node {
	if len(data) > maxSavedFile {
		r.at(nil, "the file is larger than %d KiB", maxSavedFile>>10)
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType:
			r.atToken(t, "anchors, aliases, merge keys, tags and directives are not used; write the value out, or quote it")
			return nil
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxSavedDepth {
			r.atToken(t, "nested too deeply")
			return nil
		}
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var e yaml.Error
	switch {
	case errors.As(err, &e):
		r.atToken(e.GetToken(), e.GetMessage())
	case err != nil:
		r.at(nil, "%s", err)
	case len(f.Docs) != 1 || f.Docs[0].Body == nil || f.Docs[0].Body.Type() == ast.CommentType:
		r.at(nil, "the file has to hold one hunt")
	default:
		return f.Docs[0].Body
	}
	return nil
}

var (
	savedID   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	savedSeed = regexp.MustCompile(`^H[0-9]{1,2}$`)
	savedTag  = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)
	savedFile = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
	paramName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`)
)

// needed are the keys that every hunt has.
var needed = []string{"id", "title", "description", "strands", "tags", "query"}

func (r *savedReader) read(root ast.Node) {
	s := &r.saved
	r.keys = map[string]ast.Node{}
	read := map[string]func(ast.Node){
		"id":              func(n ast.Node) { s.ID = r.word(n, savedID, "words of a-z and 0-9 with dashes between") },
		"title":           func(n ast.Node) { s.Title = r.text(n) },
		"description":     func(n ast.Node) { s.Description = r.text(n) },
		"strands":         r.strands,
		"tags":            func(n ast.Node) { s.Tags = r.words(n, savedTag, "a tag such as attack.t1526") },
		"severity":        func(n ast.Node) { s.Severity = r.number(n, 10) },
		"query":           func(n ast.Node) { s.Query = r.text(n) },
		"seed":            func(n ast.Node) { s.Seed = r.word(n, savedSeed, "the number of a query, such as H1") },
		"parameters":      r.parameters,
		"false_positives": func(n ast.Node) { s.FalsePositives = r.words(n, nil, "") },
		"pivot":           func(n ast.Node) { s.Pivot = r.words(n, savedID, "the id of a hunt") },
		"sample":          func(n ast.Node) { s.Sample = r.words(n, savedFile, "a file below testdata/hunts") },
		"finds":           func(n ast.Node) { s.Finds = r.rows(n) },
		"seed_finds":      func(n ast.Node) { s.SeedFinds = r.rows(n) },
		"quiet":           func(n ast.Node) { s.Quiet = r.words(n, savedFile, "a file below testdata/hunts") },
	}
	r.entries(root, func(key string, k, v ast.Node) {
		if read[key] == nil {
			r.at(k, "unknown key %.40q; known are %s", key, strings.Join(slices.Sorted(maps.Keys(read)), ", "))
			return
		}
		r.keys[key] = v
		read[key](v)
	})
	for _, key := range needed {
		if r.keys[key] == nil {
			r.at(root, "the hunt has no %s", key)
		}
	}
	r.check()
}

func (r *savedReader) strands(n ast.Node) {
	for _, v := range r.list(n) {
		s := event.Strand(r.text(v))
		if !slices.Contains(event.Strands, s) {
			r.at(v, "there is no strand %.40q; there are %v", s, event.Strands)
		}
		r.saved.Strands = append(r.saved.Strands, s)
	}
}

func (r *savedReader) parameters(n ast.Node) {
	r.entries(n, func(name string, k, v ast.Node) {
		p := Parameter{Name: name, Kind: TextParameter}
		if !paramName.MatchString(name) {
			r.at(k, "parameter %.40q: use a-z, 0-9 and _", name)
		}
		r.entries(v, func(key string, k, v ast.Node) {
			switch key {
			case "default":
				p.Default = r.text(v)
				if v.Type() == ast.IntegerType || v.Type() == ast.FloatType {
					p.Kind = NumberParameter
				} else if timeValue.MatchString(p.Default) {
					p.Kind = TimeParameter
				}
				if _, err := p.literal(p.Default); err != nil {
					r.at(v, "%s", err)
				}
			case "help":
				p.Help = r.text(v)
			default:
				r.at(k, "unknown key %.40q; known are default, help", key)
			}
		})
		if p.Default == "" || p.Help == "" {
			r.at(k, "parameter %.40q needs default and help", name)
		}
		r.saved.Parameters = append(r.saved.Parameters, p)
	})
}

// rows reads what a hunt finds. A list in a cell is what values() gives.
func (r *savedReader) rows(n ast.Node) []Row {
	var rows []Row
	for _, v := range r.list(n) {
		row := Row{}
		r.entries(v, func(key string, _, v ast.Node) {
			if _, list := v.(*ast.SequenceNode); list {
				row[key] = strings.Join(r.words(v, nil, ""), "\n")
				return
			}
			row[key] = r.text(v)
		})
		rows = append(rows, row)
	}
	return rows
}

func (r *savedReader) words(n ast.Node, form *regexp.Regexp, want string) []string {
	var words []string
	for _, v := range r.list(n) {
		words = append(words, r.word(v, form, want))
	}
	return words
}

func (r *savedReader) word(n ast.Node, form *regexp.Regexp, want string) string {
	s := r.text(n)
	if s != "" && form != nil && !form.MatchString(s) {
		r.at(n, "%.80q: write %s", s, want)
	}
	return s
}

func (r *savedReader) number(n ast.Node, most int) int {
	i, err := strconv.Atoi(r.text(n))
	if err != nil || i < 0 || i > most {
		r.at(n, "write a number from 0 to %d", most)
	}
	return i
}

func (r *savedReader) list(n ast.Node) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		r.at(n, "write a list")
		return nil
	case len(s.Values) > maxSavedList:
		r.at(n, "more than %d elements", maxSavedList)
		return nil
	}
	return s.Values
}

// text reads a scalar as it is written.
func (r *savedReader) text(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	}
	r.at(n, "write a text")
	return ""
}

// entries calls each for the entries of a mapping. Keys are texts, none twice,
// and each has a value.
func (r *savedReader) entries(n ast.Node, each func(key string, k, v ast.Node)) {
	m, ok := n.(ast.MapNode)
	if !ok {
		r.at(n, "write keys and values")
		return
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		k, v := it.Key(), it.Value()
		key := r.text(k)
		switch {
		case seen[key]:
			r.at(k, "key %.40q stands twice", key)
		case v == nil || v.Type() == ast.NullType:
			r.at(k, "key %.40q has no value", key)
		default:
			each(key, k, v)
		}
		seen[key] = true
	}
}
