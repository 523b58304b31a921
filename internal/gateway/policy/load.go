package policy

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"gatehouse/internal/bedrock/model"
)

//go:embed default.cedar
var shipped string

//go:embed schema.cedarschema
var schemaText string

// File is a file of Cedar policies.
type File struct{ Name, Text string }

// Error is what is wrong at one place of a file.
type Error struct {
	File      string
	Line, Col int // from 1; 0 when it is about the whole file
	Message   string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
}

// Errors is all that is wrong with the policies, in the order of the files.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// The most that is read. Every policy is evaluated for every call, and the
// parser's stack grows with the length of one policy.
const (
	maxFiles    = 64
	maxText     = 256 << 10
	maxPolicy   = 16 << 10
	maxPolicies = 1000
	maxErrors   = 50
)

// loader reads files into rules.
type loader struct {
	names names
	rules ruleSet
	errs  Errors
}

// load reads and checks all policies of the files.
func load(files []File, models *model.Table) (ruleSet, error) {
	l := loader{names: namesOf(models)}
	if len(files) > maxFiles {
		return nil, Errors{{File: files[maxFiles].Name, Message: fmt.Sprintf("is one of more than %d files", maxFiles)}}
	}
	for _, f := range files {
		l.file(f)
	}
	permits := func(r rule) bool { return r.Effect() == cedar.Permit }
	if len(l.errs) == 0 && !slices.ContainsFunc(l.rules, permits) {
		l.errs = Errors{{File: files[0].Name, Message: `nothing is permitted: own files stand in place of the shipped policy, so add "permit (principal, action, resource);" or permits of your own`}}
	}
	if len(l.errs) > 0 {
		return nil, l.errs[:min(len(l.errs), maxErrors)]
	}
	return l.rules, nil
}

func (l *loader) file(f File) {
	switch {
	case len(f.Text) > maxText:
		l.errs = append(l.errs, &Error{File: f.Name, Message: fmt.Sprintf("is longer than %d KiB", maxText>>10)})
		return
	case !utf8.ValidString(f.Text) || strings.ContainsRune(f.Text, 0):
		l.errs = append(l.errs, &Error{File: f.Name, Message: "is no text in UTF-8"})
		return
	}
	for start, end := range statements(f.Text) {
		s := statement{f, start, f.Text[start:end]}
		switch {
		case len(l.rules) == maxPolicies:
			l.bad(s, 0, fmt.Sprintf("there are more than %d policies", maxPolicies))
			return
		case len(s.text) > maxPolicy:
			l.bad(s, 0, fmt.Sprintf("the policy is longer than %d KiB", maxPolicy>>10))
		default:
			l.policy(s)
		}
	}
}

// statement is the text of one policy, up to its semicolon.
type statement struct {
	file  File
	start int // in file.Text
	text  string
}

// at is the place of an offset of s.
func (s statement) at(offset int) (line, col int) {
	before := s.file.Text[:s.start+offset]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// bad reports a mistake at an offset of s.
func (l *loader) bad(s statement, offset int, message string) {
	line, col := s.at(offset)
	l.errs = append(l.errs, &Error{s.file.Name, line, col, message})
}

func (l *loader) policy(s statement) {
	list, err := cedar.NewPolicyListFromBytes(s.file.Name, []byte(s.text))
	if err != nil || len(list) != 1 {
		offset, message := syntaxError(s.text, err)
		l.bad(s, offset, message)
		return
	}
	before := len(l.errs)
	line, col := s.at(0)
	where := fmt.Sprintf("%s:%d:%d", s.file.Name, line, col)
	r := rule{Policy: list[0], id: cedar.PolicyID(where), where: where}
	l.annotations(s, &r)
	l.schema(s, r)
	if len(l.errs) == before {
		l.rules = append(l.rules, r)
	}
}

// annotations reads the annotations of r. One that is not known is a mistake:
// a @mode spelled wrong would enforce, or not, what was not meant to be.
func (l *loader) annotations(s statement, r *rule) {
	for key, value := range r.Annotations() {
		offset := max(0, strings.Index(s.text, "@"+string(key)))
		switch {
		case key == "id" && value != "" && len(value) <= 64:
			r.id = cedar.PolicyID(value)
			if slices.ContainsFunc(l.rules, func(o rule) bool { return o.id == r.id }) {
				l.bad(s, offset, fmt.Sprintf("@id(%q) stands twice", value))
			}
		case key == "mode" && (value == "observe" || value == "enforce"):
			r.observed = value == "observe"
		case key != "description":
			l.bad(s, offset, fmt.Sprintf("@%s(%.80q): write @id of at most 64 characters, @mode of enforce or observe, or @description", key, value))
		}
	}
}

// vocabulary is the schema. It panics when the file that was built in is
// wrong; every test reads it.
var vocabulary = sync.OnceValue(func() *resolved.Schema {
	var s schema.Schema
	s.SetFilename("schema.cedarschema")
	if err := s.UnmarshalCedar([]byte(schemaText)); err != nil {
		panic("policy: " + err.Error())
	}
	v, err := s.Resolve()
	if err != nil {
		panic("policy: schema: " + err.Error())
	}
	return v
})

// schema checks that r names only what exists, and compares only what can be
// compared.
func (l *loader) schema(s statement, r rule) {
	p := (*ast.Policy)(r.AST())
	for _, message := range mistakes(validate.New(vocabulary()).Policy("", p)) {
		l.bad(s, locate(s.text, message), message)
	}
	for _, uid := range literals(p) {
		if message := l.names.check(uid); message != "" {
			l.bad(s, max(0, strings.Index(s.text, string(uid.ID))), message)
		}
	}
}

var forAction = regexp.MustCompile(` in context for .*`)

// mistakes are the messages of the validator, each once and in a fixed order.
// It repeats them for each action, and adds to a name it does not know that
// the policy then applies to nothing.
func mistakes(err error) []string {
	if err == nil {
		return nil
	}
	const nothing = "unable to find an applicable action given the policy scope constraints"
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = forAction.ReplaceAllString(lines[i], " of the context not found")
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if i := slices.Index(lines, nothing); i >= 0 && len(lines) > 1 {
		return slices.Delete(lines, i, i+1)
	} else if i >= 0 {
		return []string{"applies to no operation: see which take this principal and resource; a group of actions is named with \"in\""}
	}
	return lines
}

var quoted = regexp.MustCompile("`([^`]+)`")

// locate finds what a message of the validator quotes, as it has no positions.
func locate(text, message string) int {
	m := quoted.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	return max(0, strings.Index(text, m[1]))
}

var (
	position = regexp.MustCompile(`<input>:(\d+):(\d+)`)
	wanted   = regexp.MustCompile(`exact got (.*) want (.*)$`)
)

// syntaxError turns an error of the parser into a place and words.
func syntaxError(text string, err error) (offset int, message string) {
	if err == nil {
		return 0, "no policy"
	}
	message = err.Error()
	if m := position.FindStringSubmatchIndex(message); m != nil {
		line, _ := strconv.Atoi(message[m[2]:m[3]])
		col, _ := strconv.Atoi(message[m[4]:m[5]])
		offset = offsetOf(text, line, col)
		message = strings.TrimLeft(message[m[1]:], ": ")
	}
	if m := wanted.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("got %.40q, want %q", m[1], m[2])
	}
	return offset, "syntax: " + message
}

// offsetOf is the offset of a line and column, which count from 1.
func offsetOf(text string, line, col int) int {
	offset := 0
	for range line - 1 {
		i := strings.IndexByte(text[offset:], '\n')
		if i < 0 {
			return len(text)
		}
		offset += i + 1
	}
	return min(len(text), offset+max(0, col-1))
}

// statements yields where each policy of the text starts and ends. Policies
// end with a semicolon, which stands nowhere else but in strings and comments;
// to divide the text first lets a mistake in one policy not hide the others.
func statements(text string) func(yield func(start, end int) bool) {
	return func(yield func(start, end int) bool) {
		start := -1
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case strings.HasPrefix(text[i:], "//"):
				n := strings.IndexByte(text[i:], '\n')
				if n < 0 {
					n = len(text) - i
				}
				i += n
				continue
			case c == ' ', c == '\t', c == '\r', c == '\n':
				continue
			case start < 0:
				start = i
			}
			switch text[i] {
			case '"':
				i = stringEnd(text, i)
			case ';':
				if !yield(start, i+1) {
					return
				}
				start = -1
			}
		}
		if start >= 0 {
			yield(start, len(text))
		}
	}
}

// stringEnd is the offset of the quote that ends the string at i.
func stringEnd(text string, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
