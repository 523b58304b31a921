package parse

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
)

// Windows and Sysmon for Linux write events as XML. An event becomes the JSON
// that evtx_dump makes of it, so that both are read by one mapping:
//
//	{"Event":{"System":{"EventID":"1","Provider":{"#attributes":{"Name":…}},…},
//	          "EventData":{"CommandLine":…,…}}}
//
// Data elements go by their Name, those without one into an array "Data". All
// values are texts.

const (
	eventEnd    = "</Event>"
	xmlMaxDepth = 32
)

// xmlReader turns events into JSON. It is reused for all of a stream.
type xmlReader struct{ json []byte }

// hasEvent reports whether an Event element begins in b.
func hasEvent(b []byte) bool { return eventStart(b) >= 0 }

// eventStart finds where the last Event element of b begins, -1 for nowhere.
func eventStart(b []byte) int {
	const start = "<Event"
	for {
		i := bytes.LastIndex(b, []byte(start))
		if i < 0 {
			return -1
		}
		if end := i + len(start); end < len(b) && isOneOf(b[end], "> \t\r\n/") || end == len(b) {
			return i
		}
		b = b[:i]
	}
}

// event delivers the element that a piece ends with. Whatever precedes it (a
// declaration, a header, an Events element) says nothing, unless it is an event
// that was cut off.
func (x *xmlReader) event(t *Text, piece []byte) error {
	i := eventStart(piece)
	whole := bytes.HasSuffix(bytes.TrimSpace(piece), []byte(eventEnd))
	switch {
	case i < 0 && whole:
		t.Bad(UnknownFormat, "the end of an event without its beginning", piece)
		return nil
	case i < 0:
		if isForeign(piece) {
			t.Bad(UnknownFormat, "XML without events", piece)
		}
		return nil
	case !whole:
		t.Bad(Truncated, "ends inside an event", piece[i:])
		return nil
	case hasEvent(piece[:i]):
		t.Bad(Truncated, "the next event begins inside this one", piece[:i])
	}
	root, err := readXML(piece[i:])
	if err != nil {
		t.Bad(BadXML, err.Error(), piece[i:])
		return nil
	}
	x.json = append(append(x.json[:0], `{"Event":`...), root.appendJSON(nil)...)
	x.json = append(x.json, '}')
	return t.Record(x.json)
}

// BadXML is the code of an event whose XML cannot be read.
const BadXML = "bad_xml"

// isForeign reports whether what is left of a stream is more than closing tags.
func isForeign(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 0 && !bytes.HasPrefix(b, []byte("</"))
}

// node is an element.
type node struct {
	name  string
	attrs []xml.Attr
	text  strings.Builder
	kids  []*node
}

// illegal are characters that XML forbids and event logs have.
var illegal = regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|x0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));`)

// readXML reads one element. A second try is without the characters that XML
// forbids and without bytes that are not UTF-8.
func readXML(b []byte) (*node, error) {
	root, err := decodeXML(b)
	if err == nil {
		return root, nil
	}
	again, err2 := decodeXML(illegal.ReplaceAll(bytes.ToValidUTF8(b, []byte("\ufffd")), []byte("\ufffd")))
	if err2 != nil {
		return nil, err
	}
	return again, nil
}

func decodeXML(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	root := &node{}
	open := []*node{root}
	for {
		token, err := d.Token()
		if err == io.EOF && len(root.kids) > 0 {
			return root.kids[0], nil
		}
		if err != nil {
			return nil, err
		}
		switch top := open[len(open)-1]; e := token.(type) {
		case xml.StartElement:
			if len(open) > xmlMaxDepth {
				return nil, errors.New("XML nested deeper than 32")
			}
			n := &node{name: e.Name.Local, attrs: e.Copy().Attr}
			top.kids = append(top.kids, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:max(1, len(open)-1)]
		case xml.CharData:
			top.text.Write(e)
		}
	}
}

// appendJSON appends the content of an element: a text where there is nothing
// else, or an object.
func (n *node) appendJSON(dst []byte) []byte {
	text := n.text.String()
	if len(n.kids) == 0 && (len(n.attrs) == 0 || n.name == "Data") {
		return appendText(dst, []byte(text))
	}
	dst = append(dst, '{')
	dst = n.appendAttributes(dst)
	if text = strings.TrimSpace(text); text != "" {
		dst = appendTextMember(dst, "#text", text)
	}
	names, byName := n.groups()
	for _, name := range names {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, []byte(name)), ':')
		dst = appendGroup(dst, byName[name])
	}
	return append(dst, '}')
}

func (n *node) appendAttributes(dst []byte) []byte {
	if len(n.attrs) == 0 {
		return dst
	}
	dst = append(dst, `"#attributes":{`...)
	seen := make(map[string]bool, len(n.attrs))
	for _, a := range n.attrs {
		if !seen[a.Name.Local] {
			seen[a.Name.Local] = true
			dst = appendTextMember(dst, a.Name.Local, a.Value)
		}
	}
	return append(dst, '}')
}

// key is what an element is called in JSON.
func (n *node) key() string {
	if n.name == "Data" {
		for _, a := range n.attrs {
			if a.Name.Local == "Name" {
				return a.Value
			}
		}
	}
	return n.name
}

// groups gives the children by their names, and those in the order of the text.
func (n *node) groups() (names []string, byName map[string][]*node) {
	byName = make(map[string][]*node, len(n.kids))
	for _, k := range n.kids {
		name := k.key()
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], k)
	}
	return names, byName
}

// appendGroup appends an element, or several of one name as an array.
func appendGroup(dst []byte, group []*node) []byte {
	if len(group) == 1 {
		return group[0].appendJSON(dst)
	}
	dst = append(dst, '[')
	for i, k := range group {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = k.appendJSON(dst)
	}
	return append(dst, ']')
}
