package bedrock

import (
	"iter"
	"strconv"
	"strings"

	"gatehouse/internal/strictjson"
)

// Family is one shape of native body, and all that is known about it.
type Family struct {
	Name    string
	Aliases []string // families of the model table with the same bodies

	// Body is the request.
	Body *Shape
	// MaxTokens is every member the model honours as a bound on its output; a
	// missing bound is written at the first. Empty: the answer has no tokens.
	MaxTokens []Path
	// Multiples is every member that asks for several answers, each up to the bound.
	Multiples []Path

	// Answer says where a whole answer tells what was consumed.
	Answer Answer
	// Stream says the same of the documents of a stream.
	Stream []Answer
	// Deltas are the members of stream documents whose strings are the answer.
	Deltas []string

	needles [][]byte // of Deltas, quoted
}

// FamilyOf returns the row of that name or alias, nil when there is none.
func FamilyOf(name string) *Family { return familyIndex[name] }

var familyIndex = func() map[string]*Family {
	index := make(map[string]*Family)
	for i := range Families {
		f := &Families[i]
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			index[name] = f
		}
	}
	return index
}()

// Walk shows what of the body a guard must judge, in document order: see gets
// each string that is not a setting, with its class and role (the Role
// constants), and, as Unknown, each member whose value is not what the row has
// there. In places that hold free JSON (a tool's schema, input and result) keys
// are shown too, as nodes of [strictjson.Document.KeyNode]; so is all that stands
// in a place that is Unknown, as Text.
//
// Unknown is what could carry text past a guard, or be read in a way that we do
// not know: strings, objects and arrays under keys that the row lacks, and
// numbers, true and false where it has a text, an object or a list of them. A
// key that the row lacks may have a number, true, false or null, so that new
// settings of the models do not break clients.
func (f *Family) Walk(doc *strictjson.Document, see func(c Class, n strictjson.Node, role string)) {
	w := walker{doc: doc, see: see}
	w.walk(f.Body, 0, 0, RoleUser)
}

// Texts shows every string of the body that a model would read, or wrote.
func (f *Family) Texts(doc *strictjson.Document, fn func(n strictjson.Node, role string)) {
	f.Walk(doc, func(c Class, n strictjson.Node, role string) {
		if c == Text {
			fn(n, role)
		}
	})
}

// MaxTokensNodes yields every bound on the output that the body carries. A
// null is no bound and is left out; whether the others are integers is for the
// caller to check.
func (f *Family) MaxTokensNodes(doc *strictjson.Document) iter.Seq[strictjson.Node] {
	return present(doc, f.MaxTokens)
}

// MultiplesNodes yields every member that asks for several answers, as
// MaxTokensNodes does.
func (f *Family) MultiplesNodes(doc *strictjson.Document) iter.Seq[strictjson.Node] {
	return present(doc, f.Multiples)
}

func present(doc *strictjson.Document, paths []Path) iter.Seq[strictjson.Node] {
	return func(yield func(strictjson.Node) bool) {
		for _, p := range paths {
			n := p.find(doc, 0)
			if k := doc.Kind(n); k != strictjson.Missing && k != strictjson.Null && !yield(n) {
				return
			}
		}
	}
}

// Bound returns the edit that writes n as the bound on output into a body that
// carries none. It is false when the row has no such member, or when something
// other than an object stands in its way.
func (f *Family) Bound(doc *strictjson.Document, n int64) (strictjson.Edit, bool) {
	if len(f.MaxTokens) == 0 {
		return strictjson.Edit{}, false
	}
	at, rest := strictjson.Node(0), string(f.MaxTokens[0])
	for {
		key, deeper, nested := strings.Cut(rest, ".")
		child := doc.Get(at, key)
		switch doc.Kind(child) {
		case strictjson.Missing:
			start, _ := doc.Span(at)
			member := nestedMember(rest, n)
			if doc.Len(at) > 0 {
				member += ","
			}
			return strictjson.Edit{Start: start + 1, End: start + 1, With: member}, true
		case strictjson.Null:
			value := strconv.FormatInt(n, 10)
			if nested {
				value = "{" + nestedMember(deeper, n) + "}"
			}
			start, end := doc.Span(child)
			return strictjson.Edit{Start: start, End: end, With: value}, true
		case strictjson.Object:
			if !nested {
				return strictjson.Edit{}, false
			}
			at, rest = child, deeper
		default:
			return strictjson.Edit{}, false
		}
	}
}

// nestedMember writes path "a.b" as "a":{"b":n}.
func nestedMember(path string, n int64) string {
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		return `"` + key + `":` + strconv.FormatInt(n, 10)
	}
	return `"` + key + `":{` + nestedMember(rest, n) + "}"
}
