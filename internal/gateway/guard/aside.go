package guard

import (
	"bytes"
	"encoding/base64"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// What a family's row calls no text (ids, stop sequences, metadata, numbers) is
// laid out aside, for the rules that only ask detectors: a secret is one
// wherever it stands. There it can be blocked, but not masked, since nobody
// knows what a changed id would do; only numbers in free JSON become labels.

// The least that can be a secret: a text of so many bytes, a key of so many, and
// a number of so many digits.
const (
	leastSetting = 6
	leastName    = 12
	leastDigits  = 12
)

// rest lays out what of doc is not among texts.
func (j *job) rest(doc *strictjson.Document, texts []text, nested bool) {
	clear(j.shown)
	for _, t := range texts {
		bit := bitOf(t.node)
		for bit>>6 >= len(j.shown) {
			j.shown = append(j.shown, 0)
		}
		j.shown[bit>>6] |= 1 << (bit & 63)
	}
	j.members(doc, doc.First(0), slot{nested: nested})
}

// bitOf numbers values and keys.
func bitOf(n strictjson.Node) int {
	if n < strictjson.None {
		return int(-2-n)*2 + 1
	}
	return int(n) * 2
}

func (j *job) wasShown(n strictjson.Node) bool {
	bit := bitOf(n)
	return bit>>6 < len(j.shown) && j.shown[bit>>6]&(1<<(bit&63)) != 0
}

// members goes over n and its siblings, which stand in what at says.
func (j *job) members(doc *strictjson.Document, n strictjson.Node, at slot) {
	for ; n != strictjson.None; n = doc.Next(n) {
		below := at
		if key := doc.KeyNode(n); key != strictjson.None {
			below.free = at.free || j.wasShown(key)
			if !j.wasShown(key) {
				j.layAside(doc, key, below, inKey)
			}
		}
		switch doc.Kind(n) {
		case strictjson.Object, strictjson.Array:
			j.members(doc, doc.First(n), below)
		case strictjson.String:
			if !j.wasShown(n) {
				j.layAside(doc, n, below, inString)
			}
		case strictjson.Number:
			j.layAside(doc, n, below, inNumber)
		}
	}
}

// layAside appends one token.
func (j *job) layAside(doc *strictjson.Document, n strictjson.Node, token slot, k kind) {
	start, end := doc.Span(n)
	if least := [...]int{inString: leastSetting + 2, inKey: leastName + 2, inNumber: leastDigits}[k]; end-start < least {
		return
	}
	token.start, token.end, token.kind = int32(start), int32(end), k
	s := &j.scans[aside]
	at := s.begin()
	if k == inNumber {
		s.raw = append(s.raw, bytes.TrimPrefix(doc.Raw(n), []byte{'-'})...)
	} else {
		s.raw, _ = doc.AppendString(s.raw, n)
	}
	s.end(at, segment{role: uint8(roleIndex(bedrock.RoleOther)), token: token})
}

// maskable reports whether what stands at sp of the scan aside can be masked.
func (j *job) maskable(sp span) bool {
	s := &j.scans[aside]
	i := s.segAt(sp.start, true)
	return j.e.o.Everything || i < len(s.segs) && s.segs[i].token.kind == inNumber && s.segs[i].token.free
}

// nested is the document that a call's document carries in base64.
type nested struct {
	slot  slot // in the call's document
	data  []byte
	doc   strictjson.Document
	texts []text
}

func (n *nested) reset() {
	n.doc.Reset()
	n.slot, n.texts = slot{}, n.texts[:0]
	if cap(n.data) > keepBytes {
		n.data = nil
	}
}

// open lays out a nested document as what it is: a body of the call's model. It
// is false when it cannot be read, and is then judged as bytes.
func (j *job) open(c *call.Call, t text) bool {
	n := &j.nested
	if c.Model.Model == nil || n.slot.end > 0 {
		return false
	}
	family := bedrock.FamilyOf(c.Model.Family)
	coded, _ := c.Doc.Bytes(t.node)
	var err error
	if n.data, err = base64.StdEncoding.AppendDecode(n.data[:0], coded); family == nil || err != nil || n.doc.Parse(n.data, strictjson.Options{}) != nil {
		return false
	}
	start, end := c.Doc.Span(t.node)
	n.slot = slot{start: int32(start), end: int32(end)}
	family.Walk(&n.doc, func(class bedrock.Class, node strictjson.Node, role string) {
		if class != bedrock.Unknown {
			n.texts = append(n.texts, text{class, node, uint8(roleIndex(role))})
		}
	})
	for role := range roleNames {
		for _, t := range n.texts {
			if int(t.role) == role {
				j.lay(c, &n.doc, t)
			}
		}
	}
	return true
}

// edit writes the nested document anew.
func (n *nested) edit(edits []strictjson.Edit) strictjson.Edit {
	return strictjson.Edit{
		Start: int(n.slot.start), End: int(n.slot.end),
		With: `"` + base64.StdEncoding.EncodeToString(n.doc.Splice(nil, edits...)) + `"`,
	}
}
