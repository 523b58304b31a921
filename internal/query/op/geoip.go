package op

import (
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var geoipOp = Operator{
	Name: "geoip", Tier: 1,
	Form: "geoip FIELD [FIELD, …]\nlookup FIELD [as NAME], … from geo://location on ip=FIELD",
	Help: "Adds where an address is: latitude, longitude, country_code, country_name, region, city, and on request asn and organization. " +
		"Null for what is no public address. Needs a database of places; the country and network of a record's caller are in src_country and src_asn without it.",
	Example: "geoip sourceIPAddress | count by country_code",
	compile: compileGeoip,
}

// placeFields is the table of what a place can tell.
var placeFields = []struct {
	name  string
	asked bool // only when it is named
	typ   core.Type
	of    func(p Place) any
}{
	{"latitude", false, core.Text, func(p Place) any { return p.Latitude }},
	{"longitude", false, core.Text, func(p Place) any { return p.Longitude }},
	{"country_code", false, core.Text, func(p Place) any { return p.Country }},
	{"country_name", false, core.Text, func(p Place) any { return p.CountryName }},
	{"region", false, core.Text, func(p Place) any { return p.Region }},
	{"state", false, core.Text, func(p Place) any { return p.Region }},
	{"city", false, core.Text, func(p Place) any { return p.City }},
	{"asn", true, core.Int, func(p Place) any { return p.ASN }},
	{"organization", true, core.Text, func(p Place) any { return p.Organization }},
}

// callerPlace are columns that the lake fills, when it can, for the address of a
// record's caller.
var callerPlace = map[string]event.Field{"country_code": event.Country, "asn": event.ASN, "organization": event.ASOrganization}

// wanted is a field of a place and the name it gets.
type wanted struct {
	field int // of placeFields
	name  string
}

func compileGeoip(b *builder, c *syntax.Cursor) error {
	f, err := c.Field()
	if err != nil {
		return err
	}
	var list []wanted
	for i, p := range placeFields {
		if !p.asked {
			list = append(list, wanted{i, p.name})
		}
	}
	for !c.Done() {
		c.Punct(',')
		w, err := b.readPlaceField(c)
		if err != nil {
			return err
		}
		if placeFields[w.field].asked {
			list = append(list, w)
		}
	}
	return b.places(f, list)
}

// readPlaceField reads the name of a field of places.
func (b *builder) readPlaceField(c *syntax.Cursor) (wanted, error) {
	at := c.Span()
	name, err := c.Name()
	if err != nil {
		return wanted{}, err
	}
	return b.placeField(name, name, at)
}

func (b *builder) placeField(field, name string, at syntax.Span) (wanted, error) {
	var names []string
	for i, p := range placeFields {
		if strings.EqualFold(p.name, field) {
			return wanted{i, name}, nil
		}
		names = append(names, p.name)
	}
	return wanted{}, b.errorf(at, CodeField, "a place has no %s\nthere are: %s", field, strings.Join(names, ", "))
}

// geoSource tells whether a path of lookup means places.
func geoSource(path string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(path), "://")
	return scheme == "geo" || scheme == "asn"
}

// lookupPlace reads what follows lookup … from: geo://location on ip = field.
func (b *builder) lookupPlace(c *syntax.Cursor, s *lookupStage) error {
	at := c.Next().Span
	if err := c.Expect("on"); err != nil {
		return err
	}
	if err := c.Expect("ip"); err != nil {
		return err
	}
	if err := c.Expect("="); err != nil {
		return err
	}
	f, err := c.Field()
	if err != nil {
		return err
	}
	var list []wanted
	for _, o := range s.out {
		w, err := b.placeField(o.column, o.name, o.at)
		if err != nil {
			return err
		}
		list = append(list, w)
	}
	if len(list) == 0 {
		return b.errorf(at, CodeValue, "name the fields of the place\nwrite: lookup country_code, city from geo://location on ip=%s", f.Name)
	}
	return b.places(f, list)
}

// places adds fields of the place of an address. The different addresses are
// looked up outside the engine, and what is found is joined to the rows.
func (b *builder) places(f *syntax.Field, list []wanted) error {
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	if b.env.Place == nil {
		return b.callerPlaces(f, x, list)
	}
	ip := b.stored([]core.Key{{Expr: toText(x)}})[0].Expr
	have := taken(b.plan)
	key := unique(hiddenPrefix+"ip", have)
	have = append(have, core.Named{Name: key})
	cols := []core.Col{{Name: key, Type: core.Text}}
	var made []assign
	for _, w := range list {
		p := placeFields[w.field]
		col := core.Col{Name: unique(hiddenPrefix+p.name, have), Type: p.typ}
		have, cols = append(have, core.Named{Name: col.Name}), append(cols, col)
		made = append(made, assign{w.name, core.C(col.Name, col.Type)})
	}
	distinct := &core.Aggregate{In: &core.Filter{In: b.plan, Cond: not(isNull(ip))}, By: []core.Named{{Name: key, Expr: ip}}}
	h := &core.Host{In: distinct, Name: "geoip", Out: cols, MaxRows: b.env.Limits.Rows, Run: placesOf(b.env.Place, cols, list)}
	b.plan = &core.Join{L: b.plan, R: h, Kind: core.Left, On: [][2]*core.Expr{{ip, core.C(key, core.Text)}}}
	b.hidden = append(b.hidden, cols...)
	b.set(made...)
	return nil
}

// placesOf looks addresses up.
func placesOf(find func(string) (Place, bool), out []core.Col, list []wanted) func([]core.Col, [][]any) ([]core.Col, [][]any, []string, error) {
	return func(_ []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
		var res [][]any
		for _, row := range rows {
			ip, _ := row[0].(string)
			p, ok := find(ip)
			if !ok {
				continue
			}
			line := []any{ip}
			for _, w := range list {
				line = append(line, known(placeFields[w.field].of(p)))
			}
			res = append(res, line)
		}
		return out, res, nil, nil
	}
}

// known makes null of what a place does not tell.
func known(v any) any {
	if v == "" || v == int64(0) {
		return nil
	}
	return v
}

// callerPlaces does without a database, as far as the lake has the answer.
func (b *builder) callerPlaces(f *syntax.Field, x *core.Expr, list []wanted) error {
	caller := x.Op == core.Column && (x.Name == event.SourceIPAddress.String() || x.Name == event.SrcDeviceIP.String())
	var made []assign
	missing := false
	for _, w := range list {
		p := placeFields[w.field]
		value := core.NullOf(p.typ)
		if field, ok := callerPlace[p.name]; ok && caller && b.raw {
			if c, ok := b.lookup(field.String()); ok {
				value = c.read()
			}
		}
		missing = missing || value.IsNullConst()
		made = append(made, assign{w.name, value})
	}
	if missing {
		b.warn("there is no database of places to look %s up in", f.Name)
	}
	b.set(made...)
	return nil
}
