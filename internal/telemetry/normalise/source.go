package normalise

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/value"
)

// A source is the table of one format of package parse.
type source struct {
	format    string
	collector string                                      // _collector
	index     string                                      // _index
	time      []path                                      // the first that is there
	clock     func(doc *fastjson.Value) (time.Time, bool) // asked before time, where a path is not enough
	starts    func(doc *fastjson.Value) bool              // tells the start of a process: its host, id, time and command line are the key
	id        []keyRow                                    // what duplicates share; the first row whose keys are all there, else the whole record
	rows      []row
}

// A row says where a column is found: at the first of the paths that is there
// and not null, or else by what from makes of the record. Of several rows for a
// column, the first that finds it counts.
type row struct {
	field event.Field
	paths []path
	from  func(doc *fastjson.Value, c *cell)
}

// path is the way from member to member; list indices are numbers.
type path []string

// paths splits at dots. A name that holds dots itself is written as a path
// literal instead.
func paths(names ...string) []path {
	list := make([]path, len(names))
	for i, n := range names {
		list[i] = strings.Split(n, ".")
	}
	return list
}

// at makes a row of paths.
func at(f event.Field, names ...string) row { return row{field: f, paths: paths(names...)} }

// by makes a row of a function.
func by(f event.Field, from func(doc *fastjson.Value, c *cell)) row { return row{field: f, from: from} }

// always makes a row of a constant.
func always(f event.Field, s string) row {
	return by(f, func(_ *fastjson.Value, c *cell) { c.constant(s) })
}

// keyRow is what makes a record itself: a word for the kind of thing, which
// several formats may tell of, and the paths of its key.
type keyRow struct {
	kind string
	keys []path
}

// anySource is for formats without a table.
var anySource = source{time: paths("time", "timestamp", "eventTime", "@timestamp")}

func (s *source) fill(n *Normaliser, doc *fastjson.Value) {
	c := &n.cell // one for all rows and records, since functions get its address
	c.n = n
	for i := range s.rows {
		r := &s.rows[i]
		c.field = r.field
		for _, p := range r.paths {
			if c.filled() || c.value(doc.Get(p...)) {
				break
			}
		}
		if r.from != nil && !c.filled() {
			r.from(doc, c)
		}
	}
}

// cell is a column of the event being made.
type cell struct {
	n     *Normaliser
	field event.Field
}

// filled reports whether the column has a value.
func (c *cell) filled() bool { return c.n.filled[c.field] }

// value gives the column a JSON value, as far as it can be one of the column's
// kind, and reports whether it could. Null is no value.
func (c *cell) value(v *fastjson.Value) bool {
	if v == nil || v.Type() == fastjson.TypeNull {
		return false
	}
	switch event.Columns[c.field].Kind {
	case event.Text:
		c.textOf(v)
	case event.Int:
		n, ok := integer(v)
		if ok {
			c.integer(n)
		}
		return ok
	case event.Float:
		x, err := strconv.ParseFloat(word(v), 64)
		if err == nil {
			c.n.filled[c.field] = true
			c.n.e.SetFloat(c.field, x)
		}
		return err == nil
	case event.Bool:
		if t := v.Type(); t == fastjson.TypeTrue || t == fastjson.TypeFalse {
			c.boolean(t == fastjson.TypeTrue)
			return true
		}
		b, err := strconv.ParseBool(strings.ToLower(word(v)))
		if err == nil {
			c.boolean(b)
		}
		return err == nil
	}
	return true
}

// word is the text of a number, a boolean or a string, short as those that are
// meant to be one are.
func word(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeString:
		b, _ := v.StringBytes()
		if len(b) > 64 {
			return ""
		}
		return strings.TrimSpace(string(b))
	case fastjson.TypeObject, fastjson.TypeArray:
		return ""
	}
	var buf [64]byte
	return string(v.MarshalTo(buf[:0]))
}

// integer reads 7, "7", 7.0 and 7e3.
func integer(v *fastjson.Value) (int64, bool) {
	if v.Type() == fastjson.TypeNumber {
		if n, err := v.Int64(); err == nil {
			return n, true
		}
	}
	s := word(v)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(s, 64)
	n := int64(x)
	return n, err == nil && x > -1<<63 && x < 1<<63
}

// textOf gives a text column a value of any type: strings as they are, others
// as JSON.
func (c *cell) textOf(v *fastjson.Value) {
	if v.Type() == fastjson.TypeString {
		b, _ := v.StringBytes()
		c.text(b)
		return
	}
	from := len(c.n.buf)
	c.n.buf = value.Append(c.n.buf, v)
	c.own(from)
}

// text gives the column a text, which is copied.
func (c *cell) text(b []byte) {
	from := len(c.n.buf)
	c.n.buf = append(c.n.buf, b...)
	c.own(from)
}

// str is text for a string.
func (c *cell) str(s string) {
	from := len(c.n.buf)
	c.n.buf = append(c.n.buf, s...)
	c.own(from)
}

// own says that the end of buf is the column's text.
func (c *cell) own(from int) {
	c.n.texts = append(c.n.texts, span{c.field, from, len(c.n.buf)})
	c.n.filled[c.field] = true
}

// add appends to the column's text, which must have been begun last.
func (c *cell) add(b []byte) {
	if last := len(c.n.texts) - 1; last < 0 || c.n.texts[last].field != c.field {
		c.own(len(c.n.buf))
	}
	c.n.buf = append(c.n.buf, b...)
	c.n.texts[len(c.n.texts)-1].to = len(c.n.buf)
}

// constant gives the column a string that is not copied.
func (c *cell) constant(s string) {
	c.n.filled[c.field] = true
	c.n.e.SetText(c.field, s)
}

// integer gives an integer column its value.
func (c *cell) integer(n int64) {
	c.n.filled[c.field] = true
	c.n.e.SetInt(c.field, n)
}

// boolean gives a boolean column its value.
func (c *cell) boolean(b bool) {
	c.n.filled[c.field] = true
	c.n.e.SetBool(c.field, b)
}
