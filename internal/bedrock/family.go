package bedrock

import (
	"encoding/base64"
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

// Texts shows every string of the body that a model would read, or wrote, with
// its role (the Role constants), in document order. In places that hold free
// JSON (a tool's schema, input and result) keys are shown too, as nodes of
// [strictjson.Document.KeyNode]; so is all that Unknown reports. Documents and
// media in base64 are not text: see Blobs.
func (f *Family) Texts(doc *strictjson.Document, fn func(n strictjson.Node, role string)) {
	f.visit(doc, func(c class, n strictjson.Node, role string) {
		if c == text {
			fn(n, role)
		}
	})
}

// Blobs shows every base64 string of the body: media, documents, and the
// native body inside CountTokens.
func (f *Family) Blobs(doc *strictjson.Document, fn func(n strictjson.Node)) {
	f.visit(doc, func(c class, n strictjson.Node, _ string) {
		if c == blob {
			fn(n)
		}
	})
}

// Links shows every string that tells Bedrock to fetch something: S3 locations
// and URLs (which may be data: URLs).
func (f *Family) Links(doc *strictjson.Document, fn func(n strictjson.Node)) {
	f.visit(doc, func(c class, n strictjson.Node, _ string) {
		if c == link {
			fn(n)
		}
	})
}

// maxUnknown bounds what Unknown returns, in names and in bytes a name.
const maxUnknown = 16

// Unknown returns the keys of members, at any depth the row describes, that
// the row does not know and that could carry text past a guard: strings,
// objects and arrays. Empty means that Texts, Blobs and Links saw everything.
// Members that are numbers, true, false or null pass, so that new settings of
// the models do not break clients. At most 16 names of at most 64 bytes, which
// are the caller's and must be quoted.
func (f *Family) Unknown(doc *strictjson.Document) []string {
	var names []string
	f.visit(doc, func(c class, n strictjson.Node, _ string) {
		if c == unknown && len(names) < maxUnknown {
			key := doc.KeyBytes(n)
			names = append(names, string(key[:min(len(key), 64)]))
		}
	})
	return names
}

func (f *Family) visit(doc *strictjson.Document, see func(class, strictjson.Node, string)) {
	w := walker{doc, see}
	w.walk(f.Body, 0, 0, RoleUser)
}

// MaxTokensNodes returns every bound on the output that the body carries. A
// null is no bound and is left out; whether the others are integers is for the
// caller to check.
func (f *Family) MaxTokensNodes(doc *strictjson.Document) []strictjson.Node {
	return present(doc, f.MaxTokens)
}

// MultiplesNodes returns every member that asks for several answers.
func (f *Family) MultiplesNodes(doc *strictjson.Document) []strictjson.Node {
	return present(doc, f.Multiples)
}

func present(doc *strictjson.Document, paths []Path) []strictjson.Node {
	var nodes []strictjson.Node
	for _, p := range paths {
		if n := p.find(doc, 0); n != strictjson.None && doc.Kind(n) != strictjson.Null {
			nodes = append(nodes, n)
		}
	}
	return nodes
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

// InnerBody appends the native body that a CountTokens request carries in
// base64, to be read with the row of the model. It is false when there is none.
func InnerBody(dst []byte, doc *strictjson.Document) ([]byte, bool) {
	n := Path("input.invokeModel.body").find(doc, 0)
	b, ok := doc.AppendString(nil, n)
	if !ok {
		return dst, false
	}
	dst, err := base64.StdEncoding.Strict().AppendDecode(dst, b)
	return dst, err == nil
}
