package parse

import (
	"bytes"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

// This file puts records of CloudTrail and of the invocation log back together
// that a store took apart:
// columns named userIdentity.arn or eventname, and columns whose text is an
// object, in JSON or as SQL engines print it.

// trailObjects are the members of a record that are objects or lists; the last
// line has those of the invocation log.
var trailObjects = lowered("userIdentity", "requestParameters", "responseElements", "additionalEventData", "resources",
	"tlsDetails", "serviceEventDetails", "insightDetails", "eventContext", "addendum", "edgeDeviceDetails",
	"input", "output", "identity", "requestMetadata", "inputBodyJson", "outputBodyJson")

// trailNames are CloudTrail's own names, for those who lost their case. The
// members of parameters and answers are not among them: nobody knows them all.
var trailNames = lowered("eventVersion", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent",
	"errorCode", "errorMessage", "requestID", "eventID", "readOnly", "eventType", "apiVersion", "managementEvent",
	"recipientAccountId", "sharedEventID", "vpcEndpointId", "vpcEndpointAccountId", "eventCategory",
	"sessionCredentialFromConsole", "userIdentity", "requestParameters", "responseElements", "additionalEventData",
	"resources", "tlsDetails", "serviceEventDetails", "insightDetails", "eventContext", "addendum", "edgeDeviceDetails",
	"principalId", "accountId", "accessKeyId", "userName", "invokedBy", "sessionContext", "sessionIssuer", "attributes",
	"creationDate", "mfaAuthenticated", "webIdFederationData", "federatedProvider", "ec2RoleDelivery", "onBehalfOf",
	"userId", "identityStoreArn", "credentialId", "inferenceRegion", "callWithBearerToken", "inputTokens", "outputTokens",
	"tlsVersion", "cipherSuite", "clientProvidedHostHeader", "ARN")

func lowered(names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[strings.ToLower(n)] = n
	}
	return m
}

// hasDotted reports whether a member is called like the path into an object of
// a CloudTrail record.
func hasDotted(v *fastjson.Value) bool {
	found := false
	v.GetObject().Visit(func(key []byte, _ *fastjson.Value) {
		if i := bytes.IndexByte(key, '.'); i > 0 && !found {
			found = trailObjects[strings.ToLower(string(key[:i]))] != ""
		}
	})
	return found
}

// isFlatInvocation takes a record of the invocation log whose members are
// dotted, or whose bodies are texts.
func isFlatInvocation(v *fastjson.Value) bool {
	return has(v, "schemaType") && is(v, "schemaType", "ModelInvocationLog") && (hasDotted(v) || hasTexts(v))
}

func hasTexts(v *fastjson.Value) bool {
	return looksJSON(text(v.Get("input"))) || looksJSON(text(v.Get("output"))) ||
		looksJSON(text(v.Get("input", "inputBodyJson"))) || looksJSON(text(v.Get("output", "outputBodyJson")))
}

// isFlat takes what has the three members that every CloudTrail record has, in
// whatever case. It stands behind isCloudTrail.
func isFlat(v *fastjson.Value) bool {
	if v.Type() != fastjson.TypeObject {
		return false
	}
	n := 0
	v.GetObject().Visit(func(key []byte, _ *fastjson.Value) {
		switch strings.ToLower(string(key)) {
		case "eventname", "eventsource", "eventtime":
			n++
		}
	})
	return n >= 3
}

// unwrapFlat builds the record and delivers it as one of the format that the
// table has under the name. It is not given to the table again: what cannot be
// put together any further is a record as it is.
func unwrapFlat(name string) func(*scanner, *fastjson.Value, int) error {
	return func(s *scanner, v *fastjson.Value, depth int) error { return s.rebuild(name, v, depth) }
}

// maxColumns and maxSteps bound the columns of a row and the dots in one.
const maxColumns, maxSteps = 4096, 32

func (s *scanner) rebuild(name string, v *fastjson.Value, depth int) error {
	if v.GetObject().Len() > maxColumns {
		s.fail(s.at, UnknownFormat, "a row of too many columns", appendJSON(nil, v))
		return nil
	}
	root := &part{}
	v.GetObject().Visit(func(key []byte, v *fastjson.Value) { root.take(string(key), v) })
	p := s.level(depth + 1)
	p.text = root.append(p.text[:0])
	doc, err := p.json.ParseBytes(p.text)
	if err != nil {
		s.fail(s.at, NotJSON, err.Error(), p.text)
		return nil
	}
	row := slices.IndexFunc(s.table, func(f format) bool { return f.name == name })
	return s.accept(&s.table[row], doc, p.text)
}

// part is a member of a record being put together.
type part struct {
	key   string
	value *fastjson.Value // of a leaf
	kids  []*part
}

// take is add for a column, or for each member of one side of a call, whose
// body may be text.
func (p *part) take(key string, v *fastjson.Value) {
	if (key == "input" || key == "output") && v.Type() == fastjson.TypeObject && v.GetObject().Len() <= maxColumns {
		v.GetObject().Visit(func(name []byte, v *fastjson.Value) { p.add(key+"."+string(name), v) })
		return
	}
	p.add(key, v)
}

// add puts a column in its place.
func (p *part) add(key string, v *fastjson.Value) {
	parent, rest, dotted := strings.Cut(key, ".")
	object := trailObjects[strings.ToLower(parent)]
	if !dotted || object == "" {
		p.kid(canonical(key)).value = v
		return
	}
	p = p.kid(object)
	own := object != "requestParameters" && object != "responseElements"
	for _, key := range strings.SplitN(rest, ".", maxSteps) {
		if key = strings.TrimSuffix(key, "{}"); own {
			key = canonical(key)
		}
		p = p.kid(key)
	}
	p.value = v
}

func canonical(key string) string {
	switch key {
	case "arn", "requestId": // a caller's, a call's; there are two spellings of each
		return key
	}
	if name := trailNames[strings.ToLower(key)]; name != "" {
		return name
	}
	return key
}

func (p *part) kid(key string) *part {
	for _, k := range p.kids {
		if k.key == key {
			return k
		}
	}
	k := &part{key: key}
	p.kids = append(p.kids, k)
	return k
}

// append appends the JSON of p. Members that came one by one are more than the
// same object as one text, and win.
func (p *part) append(dst []byte) []byte {
	if len(p.kids) == 0 {
		return appendCell(dst, p.value, trailObjects[strings.ToLower(p.key)] != "")
	}
	dst = append(dst, '{')
	for i, k := range p.kids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, []byte(k.key)), ':')
		dst = k.append(dst)
	}
	return append(dst, '}')
}

// appendCell appends a column's value. Text in place of an object is read as
// one, or as no value when it is empty.
func appendCell(dst []byte, v *fastjson.Value, object bool) []byte {
	b := bytes.TrimSpace(text(v))
	switch {
	case object && v.Type() == fastjson.TypeString && (len(b) == 0 || string(b) == "null" || string(b) == "-"):
		return append(dst, "null"...)
	case looksJSON(b) && check(b) == nil:
		return append(dst, b...)
	case object && looksJSON(b):
		if out, rest, ok := appendStruct(dst, b, 0); ok && len(rest) == 0 {
			return out
		}
	}
	return appendJSON(dst, v)
}

// appendStruct reads {a=1, b={c=2}} and [x, y], as Presto and CloudTrail Lake
// print structs, maps and arrays. Values have no quotes, so a value ends at a
// closing bracket, or at a comma that begins the next member.
func appendStruct(dst, b []byte, depth int) (out, rest []byte, ok bool) {
	if depth > 32 || len(b) == 0 {
		return dst, b, false
	}
	end, list := byte('}'), b[0] == '['
	if list {
		end = ']'
	}
	dst, b = append(dst, b[0]), b[1:]
	for n := 0; ; n++ {
		b = bytes.TrimLeft(b, " ")
		if len(b) == 0 {
			return dst, b, false
		}
		if b[0] == end {
			return append(dst, end), b[1:], true
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		if !list {
			key, after, found := bytes.Cut(b, []byte("="))
			if !found || !isName(key) {
				return dst, b, false
			}
			dst, b = append(appendText(dst, []byte(canonical(string(key)))), ':'), after
		}
		if dst, b, ok = appendStructValue(dst, b, end, depth); !ok {
			return dst, b, false
		}
	}
}

// appendStructValue reads a value and the comma behind it.
func appendStructValue(dst, b []byte, end byte, depth int) (out, rest []byte, ok bool) {
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		if dst, b, ok = appendStruct(dst, b, depth+1); !ok {
			return dst, b, false
		}
		return dst, bytes.TrimPrefix(b, []byte(",")), true
	}
	n := 0
	for n < len(b) && b[n] != end && !(b[n] == ',' && (end == ']' || beginsMember(b[n+1:]))) {
		n++
	}
	if word := b[:n]; string(word) == "null" {
		dst = append(dst, word...)
	} else {
		dst = appendText(dst, word)
	}
	return dst, bytes.TrimPrefix(b[n:], []byte(",")), true
}

// beginsMember reports whether b reads " name=".
func beginsMember(b []byte) bool {
	key, _, found := bytes.Cut(b[:min(len(b), 128)], []byte("="))
	return found && isName(bytes.TrimLeft(key, " "))
}

func isName(b []byte) bool {
	for _, c := range b {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' && c != ':' {
				return false
			}
		}
	}
	return len(b) > 0
}

// isRowCells takes a row as a list of its cells: [{"eventname":"x"}, …] of
// CloudTrail Lake, [{"field":"@message","value":"…"}, …] of Logs Insights.
func isRowCells(v *fastjson.Value) bool {
	cells := v.GetArray()
	for _, c := range cells {
		if c.Type() != fastjson.TypeObject || c.GetObject().Len() != 1 && !has(c, "field", "value") {
			return false
		}
	}
	return len(cells) > 0
}

func unwrapRowCells(s *scanner, v *fastjson.Value, depth int) error {
	p := s.level(depth)
	p.text = append(p.text[:0], '{')
	cell := func(key []byte, v *fastjson.Value) {
		if len(p.text) > 1 {
			p.text = append(p.text, ',')
		}
		p.text = append(appendText(p.text, key), ':')
		p.text = appendJSON(p.text, v)
	}
	for _, c := range v.GetArray() {
		if has(c, "field", "value") {
			cell(text(c.Get("field")), c.Get("value"))
		} else {
			c.GetObject().Visit(cell)
		}
	}
	p.text = append(p.text, '}')
	return s.insideText(p.text, depth+1)
}
