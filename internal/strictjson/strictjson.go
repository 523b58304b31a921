// Package strictjson reads JSON the way a guard must: a body is accepted only
// if every reader of it sees the same thing. Beyond RFC 8259 it refuses
// duplicate keys, keys of one object that differ only in case, invalid UTF-8
// and lone surrogates, deep nesting, numbers no float64 can hold, a byte order
// mark, anything after the value, and anything but an object at the top.
//
// A [Document] is an index over bytes that are never copied or changed: what
// was inspected is what is forwarded, and an edit is a [Document.Splice] at
// offsets the index gives. A [Node] names one value, or the key of a member.
// Keys match exactly after unescaping; nothing is folded to make one match.
//
//	var d strictjson.Document
//	if err := d.Parse(body, strictjson.Options{}); err != nil { … }
//	max, ok := d.Int(d.Get(d.Get(0, "inferenceConfig"), "maxTokens"))
//
// A Document keeps its memory from one Parse to the next, so that a pooled one
// allocates nothing for ordinary bodies. It is for one goroutine at a time.
package strictjson

import "fmt"

// Kind is what a value is.
type Kind uint8

// The kinds. Missing is the kind of [None].
const (
	Missing Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

var kindNames = [...]string{"missing", "object", "array", "string", "number", "true", "false", "null"}

func (k Kind) String() string { return kindNames[k] }

// Node names a value of a Document: 0 is the object at the top. Values below
// [None] name keys, see [Document.KeyNode].
type Node int32

// None is the node of a value that is not there. Every method takes it.
const None Node = -1

// Options bound what Parse accepts.
type Options struct {
	Depth    int // nested objects and arrays, the top one included; 0 means 32
	MaxNodes int // values in the document; 0 means 262,144, about 8 MB of index
}

const (
	defaultDepth = 32
	defaultNodes = 1 << 18
)

// SyntaxError says why a document was refused. Reason may quote a few bytes of
// the document.
type SyntaxError struct {
	Offset int // bytes before the fault
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("json: offset %d: %s", e.Offset, e.Reason) }

// Document is the index of one parsed text. The zero value is ready for use;
// after a failed Parse it is empty.
type Document struct {
	data  []byte
	nodes []node
	keys  []byte // keys that had escapes, unescaped, end to end
	spans []span // of those keys in keys

	open    []frame
	scratch []byte  // a key, folded
	table   []int32 // hash table over the keys of one large object
}

type span struct{ start, end int32 }

// node is one value. The children of a container follow it in document order,
// each with its own descendants behind it.
type node struct {
	span           // quotes included
	key      span  // quotes included; empty for elements and the top
	unquoted int32 // 1 + index in spans when the key had escapes
	next     Node  // the sibling behind
	count    int32 // children
	kind     Kind
	escaped  bool // a string with escapes
}

// frame is a container that is not closed yet.
type frame struct {
	node, last Node
}

// Parse checks data and indexes it. It keeps data, which must not change while
// the Document is in use. The error is a [*SyntaxError].
func (d *Document) Parse(data []byte, opt Options) error {
	d.reset(data)
	if err := d.parse(opt); err != nil {
		d.Reset()
		return err
	}
	return nil
}

// Reset forgets the document and lets go of its data, for instance before d
// goes back to a pool.
func (d *Document) Reset() { d.reset(nil) }

// The largest index whose memory is kept for the next document, in values and
// in bytes of keys with escapes.
const (
	keepNodes = 1 << 14
	keepBytes = 1 << 16
)

func (d *Document) reset(data []byte) {
	if cap(d.nodes) > keepNodes || cap(d.keys)+cap(d.scratch) > keepBytes {
		*d = Document{}
	}
	d.data = data
	d.nodes, d.keys, d.spans, d.open = d.nodes[:0], d.keys[:0], d.spans[:0], d.open[:0]
}

// add records a value below the innermost open container.
func (d *Document) add(kind Kind, at span, opt Options) (Node, error) {
	inObject := len(d.open) > 0 && d.nodes[d.open[len(d.open)-1].node].kind == Object
	if !inObject {
		d.nodes = append(d.nodes, node{})
	}
	if len(d.nodes) > opt.MaxNodes {
		return None, &SyntaxError{int(at.start), "too many values"}
	}
	n := Node(len(d.nodes) - 1)
	v := &d.nodes[n]
	v.span, v.kind, v.next = at, kind, None
	if len(d.open) > 0 {
		top := &d.open[len(d.open)-1]
		if top.last != None {
			d.nodes[top.last].next = n
		}
		top.last = n
		d.nodes[top.node].count++
	}
	return n, nil
}
