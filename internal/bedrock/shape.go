package bedrock

import "gatehouse/internal/strictjson"

// A Shape says what may stand at one place of a body. A list stands for each of
// its elements, so that one shape covers "text, or a list of blocks"; a list in
// a list is never meant. Null may stand anywhere.
type Shape struct {
	leaf    Class             // what a string here is
	list    bool              // an array may stand here
	role    string            // of everything here and below; empty: as above
	roled   bool              // an object here names its role in member "role"
	members map[string]*Shape // what the members of an object here are
	byType  map[string]*Shape // what the object is instead, by its member "type"
}

// members is how the rows write an object.
type members = map[string]*Shape

// Class is what a value of a body is to a guard.
type Class uint8

// The classes that [Family.Walk] shows, all of strings but Unknown.
const (
	Unknown Class = iota // not what the row has there: the zero value is the strict one
	Text                 // the model may read it, or wrote it
	Blob                 // bytes in base64: a document, a video
	Picture              // bytes in base64 that a model takes for one image
	Inner                // a native body in base64, to be read with the model's row
	Link                 // where bytes are to be fetched from
	Tier                 // names a service tier or a latency, which may have its own price

	skip // an enumeration, id or setting; no text, also inside
	free // any JSON: all strings and all keys below are text, but for members of its own
)

// Coded reports whether a value of the class is bytes in base64.
func (c Class) Coded() bool { return c == Blob || c == Picture || c == Inner }

var (
	skipped = &Shape{leaf: skip}
	texts   = &Shape{leaf: Text}
	freely  = &Shape{leaf: free}
	blobs   = &Shape{leaf: Blob}
	picture = &Shape{leaf: Picture}
	links   = &Shape{leaf: Link}
	tiers   = &Shape{leaf: Tier}
)

func object(m members) *Shape            { return &Shape{members: m} }
func list(s *Shape) *Shape               { c := *s; c.list = true; return &c }
func as(role string, s *Shape) *Shape    { c := *s; c.role = role; return &c }
func messages(m members) *Shape          { return &Shape{roled: true, members: m} }
func textOr(s *Shape) *Shape             { c := *s; c.leaf = Text; return &c }
func typed(m members, by members) *Shape { return &Shape{members: m, byType: by} }

// The roles of texts.
const (
	RoleUser      = "user"
	RoleAssistant = "assistant"
	RoleSystem    = "system"
	RoleTool      = "tool" // results, and what tools are said to do
	RoleOther     = "other"
)

// roles maps what bodies call a role to one of ours.
var roles = map[string]string{
	"user": RoleUser, "USER": RoleUser,
	"assistant": RoleAssistant, "CHATBOT": RoleAssistant, "model": RoleAssistant,
	"system": RoleSystem, "SYSTEM": RoleSystem, "developer": RoleSystem,
	"tool": RoleTool, "TOOL": RoleTool, "function": RoleTool,
}

// walker shows every string of a body that is not skipped to see, in document
// order. What the row does not know is shown twice: once as Unknown, then, text
// by text, as free JSON, so that nothing escapes a guard that goes on.
type walker struct {
	doc *strictjson.Document
	see func(c Class, n strictjson.Node, role string)
}

// walk visits n, which stands where s says; member is the nearest member around it.
func (w *walker) walk(s *Shape, n, member strictjson.Node, role string) {
	if s.leaf == skip {
		return
	}
	if s.role != "" {
		role = s.role
	}
	switch w.doc.Kind(n) {
	case strictjson.String:
		w.leaf(s, n, member, role)
	case strictjson.Array:
		w.array(s, n, member, role)
	case strictjson.Object:
		w.object(s, n, member, role)
	case strictjson.Number, strictjson.True, strictjson.False:
		if s.leaf != free { // a prompt as token ids, or a list that only wastes memory
			w.see(Unknown, member, role)
		}
	}
}

func (w *walker) leaf(s *Shape, n, member strictjson.Node, role string) {
	switch s.leaf {
	case free:
		w.see(Text, n, role)
	case Unknown:
		w.unknown(n, member, role)
	default:
		w.see(s.leaf, n, role)
	}
}

func (w *walker) array(s *Shape, n, member strictjson.Node, role string) {
	if s.leaf != free && !s.list { // what it holds would not be found by a Path
		w.unknown(n, member, role)
		return
	}
	for c := w.doc.First(n); c != strictjson.None; c = w.doc.Next(c) {
		if s.leaf != free && w.doc.Kind(c) == strictjson.Array {
			w.unknown(c, member, role)
		} else {
			w.walk(s, c, member, role)
		}
	}
}

// unknown shows n, which must not stand where it does, and all texts below.
func (w *walker) unknown(n, member strictjson.Node, role string) {
	w.see(Unknown, member, role)
	w.walk(freely, n, member, role)
}

func (w *walker) object(s *Shape, n, member strictjson.Node, role string) {
	if s.leaf == free {
		w.free(s, n, role)
		return
	}
	if s.members == nil { // a string was expected
		w.unknown(n, member, role)
		return
	}
	if s.roled {
		role = w.roleOf(n, role)
	}
	known := s.members
	if s.byType != nil {
		if t := s.byType[string(w.string(n, "type"))]; t != nil {
			known = t.members
		}
	}
	for c := w.doc.First(n); c != strictjson.None; c = w.doc.Next(c) {
		sub := known[string(w.doc.KeyBytes(c))]
		if sub != nil {
			w.walk(sub, c, c, role)
		} else if w.couldCarryText(c) {
			w.unknown(c, c, role)
		}
	}
}

func (w *walker) free(s *Shape, n strictjson.Node, role string) {
	for c := w.doc.First(n); c != strictjson.None; c = w.doc.Next(c) {
		w.see(Text, w.doc.KeyNode(c), role)
		sub := s.members[string(w.doc.KeyBytes(c))]
		if sub == nil {
			sub = freely
		}
		w.walk(sub, c, c, role)
	}
}

// couldCarryText is false for numbers, true, false and null: a new setting of
// that kind says nothing to a model, and refusing it would only break clients.
func (w *walker) couldCarryText(n strictjson.Node) bool {
	switch w.doc.Kind(n) {
	case strictjson.String, strictjson.Array, strictjson.Object:
		return true
	}
	return false
}

func (w *walker) roleOf(n strictjson.Node, role string) string {
	if w.doc.Get(n, "role") == strictjson.None {
		return role
	}
	if r := roles[string(w.string(n, "role"))]; r != "" {
		return r
	}
	return RoleOther
}

func (w *walker) string(n strictjson.Node, key string) []byte {
	b, _ := w.doc.Bytes(w.doc.Get(n, key))
	return b
}
