package normalise

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// awsSources are the tables of AWS's records and of our own gateway's.
var awsSources = []source{cloudTrail, invocation, gateway, cloudWatch}

// text is the text of a string, nil of anything else.
func text(v *fastjson.Value) []byte {
	if v == nil || v.Type() != fastjson.TypeString {
		return nil
	}
	b, _ := v.StringBytes()
	return b
}

// firstText gives the first of the paths that is a text which is not empty.
func firstText(doc *fastjson.Value, ways []path) []byte {
	for _, p := range ways {
		if b := text(doc.Get(p...)); len(b) > 0 {
			return b
		}
	}
	return nil
}

// geographies are the prefixes of ids of inference profiles.
var geographies = []string{"us", "us-gov", "eu", "apac", "jp", "au", "global", "ca", "in", "sa"}

// modelOf is a model's id without what differs between calls of the same
// model: the ARN around it and the geography before it.
func modelOf(id []byte) []byte {
	if bytes.HasPrefix(id, []byte("arn:")) {
		i := bytes.LastIndexByte(id, '/')
		if i < 0 {
			return id
		}
		id = id[i+1:]
	}
	if i := bytes.IndexByte(id, '.'); i > 0 && bytes.IndexByte(id[i+1:], '.') > 0 && slices.Contains(geographies, string(id[:i])) {
		return id[i+1:]
	}
	return id
}

// modelBy makes the row of the normalised model.
func modelBy(names ...string) row {
	ways := paths(names...)
	return by(event.Model, func(doc *fastjson.Value, c *cell) {
		if id := firstText(doc, ways); len(id) > 0 {
			c.text(modelOf(id))
		}
	})
}

// roleBy makes the row of the role behind a session: the issuer where the
// record names it, else as the ARN of the session tells. A role's path is only
// known from the issuer.
func roleBy(issuer, arn string) row {
	from, session := strings.Split(issuer, "."), strings.Split(arn, ".")
	return by(event.UserRole, func(doc *fastjson.Value, c *cell) {
		if b := text(doc.Get(from...)); bytes.Contains(b, []byte(":role/")) {
			c.text(b)
			return
		}
		c.role(text(doc.Get(session...)))
	})
}

// role gives the ARN of the role of arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION.
func (c *cell) role(session []byte) {
	partition, rest, ok := bytes.Cut(session, []byte(":sts::"))
	account, name, is := bytes.Cut(rest, []byte(":assumed-role/"))
	name, _, whole := bytes.Cut(name, []byte("/"))
	if !ok || !is || !whole {
		return
	}
	c.add(partition)
	c.add([]byte(":iam::"))
	c.add(account)
	c.add([]byte(":role/"))
	c.add(name)
}

// addressBy makes the row of the caller's address, when it is one: for calls
// that a service makes the record has the service's name.
func addressBy(names ...string) row {
	ways := paths(names...)
	return by(event.SrcDeviceIP, func(doc *fastjson.Value, c *cell) {
		b := firstText(doc, ways)
		if len(b) == 0 || len(b) > 64 {
			return
		}
		if addr, err := netip.ParseAddr(string(b)); err == nil {
			from := len(c.n.buf)
			c.n.buf = addr.Unmap().AppendTo(c.n.buf)
			c.own(from)
		}
	})
}

// successBy makes the row of success: there is no error.
func successBy(names ...string) row {
	ways := paths(names...)
	return by(event.Success, func(doc *fastjson.Value, c *cell) { c.boolean(len(firstText(doc, ways)) == 0) })
}

// errorBy makes the row of the error in one spelling: CloudTrail says
// AccessDenied where the service and the invocation log say
// AccessDeniedException.
func errorBy(names ...string) row {
	ways := paths(names...)
	return by(event.ErrorName, func(doc *fastjson.Value, c *cell) {
		if b := firstText(doc, ways); len(b) > 0 {
			c.text(bytes.TrimSuffix(b, []byte("Exception")))
		}
	})
}
