package normalise

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/value"
)

// This file has what the tables of endpoint_sources.go are made of.

// clockFunc reads the time of a record.
type clockFunc func(doc *fastjson.Value) (time.Time, bool)

// sensor makes a table. argv gives the arguments, where the record has them.
func sensor(format, vendor, product string, c endpointClock, argv func(*fastjson.Value) []string, rows ...row) source {
	all := append([]row(nil), rows...)
	if vendor != "" {
		all = append(all, always(event.MetadataVendor, vendor))
	}
	if product != "" {
		all = append(all, always(event.MetadataProduct, product))
	}
	all = append(all,
		by(event.Application, func(_ *fastjson.Value, c *cell) {
			if image := c.n.bytesOf(event.BaseImage); len(image) > 0 {
				c.text(image[bytes.LastIndexAny(image, `/\`)+1:])
			}
		}),
		by(event.CLIService, cliColumns(argv)),
	)
	return source{format: format, index: endpointIndex, time: c.paths, clock: c.read, rows: all}
}

// withID gives a table the key of its own records.
func (s source) withID(kind string, names ...string) source {
	s.id = append(s.id, keyRow{kind, paths(names...)})
	return s
}

// ofStarts gives a table the key of a process for those records that tell the
// start of one, since they come in several exports. Other records must not have
// it: a process does many things in a millisecond.
func (s source) ofStarts(starts func(*fastjson.Value) bool) source {
	s.starts = starts
	return s
}

// processKey appends what makes a start of a process itself, and reports
// whether all of it is there. Exports round times, so milliseconds count.
func (n *Normaliser) processKey() bool {
	host, line, pid := n.bytesOf(event.DeviceHostname), n.bytesOf(event.CommandLine), n.e.Values[event.PID]
	if len(host) == 0 || len(line) == 0 || pid.Kind != event.Int {
		return false
	}
	n.buf = append(n.buf, "process\x00"...)
	n.buf = binary.BigEndian.AppendUint64(n.buf, uint64(n.e.Time.UnixMilli()))
	n.buf = binary.BigEndian.AppendUint64(n.buf, uint64(pid.N))
	n.buf = binary.BigEndian.AppendUint32(n.buf, uint32(len(host)))
	n.buf = append(append(n.buf, host...), line...)
	return true
}

// bytesOf is the text of a column that was copied from the record, before
// settle; nil when there is none.
func (n *Normaliser) bytesOf(f event.Field) []byte {
	for _, t := range n.texts {
		if t.field == f {
			return n.buf[t.from:t.to]
		}
	}
	return nil
}

// cliColumns fills in both columns of the AWS CLI.
func cliColumns(argv func(*fastjson.Value) []string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) {
		line := c.n.bytesOf(event.CommandLine)
		if !mentionsCLI(line) {
			return
		}
		var args []string
		if argv != nil {
			args = argv(doc)
		}
		service, verb, ok := CLI(string(line), args)
		if !ok {
			return
		}
		c.str(service)
		if verb != "" {
			(&cell{c.n, event.CLIVerb}).str(verb)
		}
	}
}

// endpointClock is where a source has its time. The paths are tried in their
// order until one of them is a time.
type endpointClock struct {
	paths []path
	read  clockFunc
}

func clock(names ...string) endpointClock {
	ways := waysOf(names)
	return endpointClock{ways, func(doc *fastjson.Value) (time.Time, bool) {
		for _, w := range ways {
			if v := doc.Get(w...); v != nil {
				if t, ok := Time(v); ok {
					return t, true
				}
			}
		}
		return time.Time{}, false
	}}
}

// waysOf gives the paths of names: a name that has a dot may be a member's
// whole name, or members in one another.
func waysOf(names []string) []path {
	var ways []path
	for _, n := range names {
		if strings.Contains(n, ".") {
			ways = append(ways, path{n})
		}
		ways = append(ways, strings.Split(n, "."))
	}
	return ways
}

// one makes a row of the first of the names that has something to say.
func one(f event.Field, names ...string) row {
	ways := waysOf(names)
	return by(f, func(doc *fastjson.Value, c *cell) { c.first(doc, ways) })
}

// oneOf is one for another value than the record.
func (c *cell) oneOf(v *fastjson.Value, names ...string) {
	if v == nil {
		return
	}
	for _, n := range names {
		if c.said(v.Get(n)) || strings.Contains(n, ".") && c.said(v.Get(strings.Split(n, ".")...)) {
			return
		}
	}
}

func (c *cell) first(v *fastjson.Value, ways []path) {
	for _, w := range ways {
		if c.said(v.Get(w...)) {
			return
		}
	}
}

// said gives the column a value unless it only says that there is none. Of a
// list the first element counts.
func (c *cell) said(v *fastjson.Value) bool {
	if v != nil && v.Type() == fastjson.TypeArray {
		v = v.Get("0")
	}
	if isNothing(v) {
		return false
	}
	if event.Columns[c.field].Kind == event.Int && v.Type() == fastjson.TypeString {
		n, err := strconv.ParseInt(word(v), 0, 64) // 0x1a2c too
		if err == nil {
			c.integer(n)
			return true
		}
	}
	return c.value(v)
}

// isNothing knows the ways in which sensors write that they do not know.
func isNothing(v *fastjson.Value) bool {
	if v == nil || v.Type() == fastjson.TypeNull {
		return true
	}
	if v.Type() != fastjson.TypeString {
		return false
	}
	switch b, _ := v.StringBytes(); string(b) {
	case "", "-", "-1", "<NA>", "(null)", "unset", "?", "4294967295":
		return true
	}
	return false
}

// arguments gives the list, or the object of numbered members, at a path.
func arguments(name string) func(*fastjson.Value) []string {
	way := strings.Split(name, ".")
	return func(doc *fastjson.Value) []string { return listOf(doc.Get(way...)) }
}

func listOf(v *fastjson.Value) (list []string) {
	eachArgument(v, func(a *fastjson.Value) { list = append(list, str(a)) })
	return list
}

// maxNumbered bounds an object of arguments.
const maxNumbered = 4096

// eachArgument calls f for each argument of a list, or of an object that
// numbers them from 0 or, as Jamf's does, from 1.
func eachArgument(v *fastjson.Value, f func(*fastjson.Value)) {
	if v == nil {
		return
	}
	if o, err := v.Object(); err == nil {
		for i := 0; i <= o.Len() && o.Len() <= maxNumbered; i++ { // Get walks all members
			if a := o.Get(strconv.Itoa(i)); a != nil {
				f(a)
			}
		}
		return
	}
	list, _ := v.Array()
	for _, a := range list {
		f(a)
	}
}

// str is the text of a string, or the JSON of another value.
func str(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	if b, err := v.StringBytes(); err == nil {
		return string(b)
	}
	return string(value.Append(nil, v))
}

// joined renders arguments with sep between them; a text stays as it is.
func joined(sep string, names ...string) func(*fastjson.Value, *cell) {
	ways := waysOf(names)
	return func(doc *fastjson.Value, c *cell) {
		for _, w := range ways {
			v := doc.Get(w...)
			switch {
			case isNothing(v):
				continue
			case v.Type() != fastjson.TypeArray && v.Type() != fastjson.TypeObject:
				c.value(v)
				return
			}
			if c.join(v, sep) {
				return
			}
		}
	}
}

// join gives the column arguments with sep between them, and reports whether
// there were any.
func (c *cell) join(v *fastjson.Value, sep string) bool {
	from, n := len(c.n.buf), 0
	eachArgument(v, func(a *fastjson.Value) {
		if n++; n > 1 {
			c.n.buf = append(c.n.buf, sep...)
		}
		if b, err := a.StringBytes(); err == nil {
			c.n.buf = append(c.n.buf, b...)
		} else {
			c.n.buf = value.Append(c.n.buf, a)
		}
	})
	if n > 0 {
		c.own(from)
	}
	return n > 0
}

// domainUser gives DOMAIN\name, as Windows does, or the name alone.
func domainUser(domain string, names ...string) func(*fastjson.Value, *cell) {
	way, ways := strings.Split(domain, "."), waysOf(names)
	return func(doc *fastjson.Value, c *cell) {
		for _, w := range ways {
			name := doc.Get(w...)
			if isNothing(name) {
				continue
			}
			if d := doc.Get(way...); !isNothing(d) && !strings.Contains(str(name), `\`) {
				c.str(str(d) + `\` + str(name))
			} else {
				c.value(name)
			}
			return
		}
	}
}

var null = fastjson.MustParse("null")

func orNull(v *fastjson.Value) *fastjson.Value {
	if v == nil {
		return null
	}
	return v
}
