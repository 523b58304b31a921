package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value decodes n into v. What it cannot decode it reports, and leaves v as it is.
func (d *decoder) value(n ast.Node, v reflect.Value, f field) {
	d.at[f.path] = d.place(n.GetToken())
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	if n.Type() == ast.NullType {
		d.unread[f.path] = true
		d.addAt(n, fmt.Sprintf("%s has no value", f.path), "give it one or remove the key")
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, t, f)
	} else {
		d.kind(n, v, f)
	}
	d.notLater(f, before, v)
}

func (d *decoder) kind(n ast.Node, v reflect.Value, f field) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, f)
	case reflect.Map:
		d.mapping(n, v, f)
	case reflect.Slice:
		d.list(n, v, f)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.want(n, f, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.String:
		s, ok := scalar(n)
		if !ok {
			d.want(n, f, "text")
			return
		}
		d.word(d.at[f.path], s, v, f)
	case reflect.Int, reflect.Int64:
		s, _ := scalar(n)
		i, err := strconv.ParseInt(s, 10, 64)
		if _, ok := n.(*ast.IntegerNode); !ok || err != nil {
			d.want(n, f, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.String())) // later work; only its presence matters
	}
}

// notLater refuses a value whose feature this version does not have.
func (d *decoder) notLater(f field, before, after reflect.Value) {
	refused, next := "", "remove the key"
	if d.at[f.path].line == 0 {
		next = "leave it out"
	}
	switch {
	case slices.Equal(f.later, []string{"*"}):
		if reflect.DeepEqual(before.Interface(), after.Interface()) {
			return
		}
		refused = f.path
	case after.Kind() == reflect.String && slices.Contains(f.later, after.String()):
		refused, next = fmt.Sprintf("%s %q", f.path, after.String()), oneOf(choices(f.enum, f.later))
	default:
		return
	}
	d.add(d.at[f.path], refused+" is not available in this version", next)
}

func (d *decoder) want(n ast.Node, f field, what string) {
	d.unread[f.path] = true
	if _, ok := n.(ast.MapNode); ok && what == "text" {
		what += "; inside [ ] and { } put what holds a colon in quotes"
	}
	d.addAt(n, fmt.Sprintf("%s is %s", f.path, strings.ToLower(n.Type().YAMLName())), "write "+what)
}

// word sets a string, checking it against the words its field may hold.
func (d *decoder) word(p place, s string, v reflect.Value, f field) {
	if f.enum != nil && !slices.Contains(f.enum, s) {
		words := choices(f.enum, f.later)
		next := oneOf(words)
		if near := Nearest(s, words); near != "" && len(words) > 1 {
			next = fmt.Sprintf("did you mean %q? Or %s", near, next)
		}
		d.unread[f.path] = true
		d.add(p, fmt.Sprintf("%s %q is unknown", f.path, clip(s)), next)
		return
	}
	v.SetString(s)
}

// oneOf says what to write.
func oneOf(words []string) string {
	switch len(words) {
	case 0:
		return "remove the key"
	case 1:
		return "write " + words[0]
	}
	return "write one of " + strings.Join(words, ", ")
}

func (d *decoder) text(n ast.Node, t encoding.TextUnmarshaler, f field) {
	s, ok := scalar(n)
	if !ok {
		d.want(n, f, "a value")
		return
	}
	if err := t.UnmarshalText([]byte(s)); err != nil {
		d.unread[f.path] = true
		d.addAt(n, f.path+": "+err.Error(), "")
	}
}

// scalar returns the text of a scalar as it was written, so that an account id
// without quotes is the digits that one sees.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode:
		return n.Token.Value, true
	case *ast.FloatNode:
		return n.Token.Value, true
	}
	return "", false
}

func (d *decoder) list(n ast.Node, v reflect.Value, f field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.want(n, f, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		e := out.Index(i)
		switch e.Type() {
		case reflect.TypeFor[Limit]():
			e.Set(reflect.ValueOf(defaultLimit()))
		case reflect.TypeFor[Alarm]():
			e.Set(reflect.ValueOf(defaultAlarm()))
		case reflect.TypeFor[OIDC]():
			e.Set(reflect.ValueOf(defaultOIDC()))
		}
		item0 := f
		item0.path = fmt.Sprintf("%s[%d]", f.path, i)
		if slices.Equal(f.later, []string{"*"}) {
			item0.later = nil
		}
		d.value(item, e, item0)
	}
	v.Set(out)
}

// keys calls each for the entries of a mapping, whose keys are unique text.
func (d *decoder) keys(n ast.Node, f field, each func(key string, k, v ast.Node)) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.want(n, f, "keys and values")
		return
	}
	seen := map[string]place{}
	for it := m.MapRange(); it.Next(); {
		k := it.Key()
		name, ok := scalar(k)
		if !ok {
			d.addAt(k, "the key is not text", "quote it")
			continue
		}
		if p, dup := seen[name]; dup {
			d.addAt(k, fmt.Sprintf("key %q stands twice", clip(name)), fmt.Sprintf("it is on line %d already", p.line))
			continue
		}
		seen[name] = d.place(k.GetToken())
		each(name, k, it.Value())
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, f field) {
	out := reflect.MakeMap(v.Type())
	d.keys(n, f, func(name string, _, val ast.Node) {
		d.entry(out, name, val, f)
	})
	v.Set(out)
}

func (d *decoder) entry(m reflect.Value, name string, val ast.Node, f field) {
	e := reflect.New(m.Type().Elem()).Elem()
	d.value(val, e, f.child(name, ""))
	m.SetMapIndex(reflect.ValueOf(name), e)
}

func (d *decoder) structure(n ast.Node, v reflect.Value, f field) {
	fields, rest := fieldsOf(v.Type())
	d.keys(n, f, func(name string, k, val ast.Node) {
		if sf, ok := fields[name]; ok {
			d.value(val, v.FieldByIndex(sf.Index), f.child(name, sf.Tag))
			return
		}
		if rest != nil {
			d.entry(v.FieldByIndex(rest.Index), name, val, f)
			return
		}
		d.unknown(k, name, f, fields)
	})
}

func (d *decoder) unknown(k ast.Node, name string, f field, fields map[string]reflect.StructField) {
	names := make([]string, 0, len(fields))
	for n, sf := range fields {
		if !isLater(sf) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	next := "known here: " + strings.Join(names, ", ")
	if near := Nearest(name, names); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	where := ""
	if f.path != "" {
		where = " in " + f.path
	}
	d.addAt(k, fmt.Sprintf("unknown key %q%s", clip(name), where), next)
}

// fieldsOf returns a struct's fields by their keys, and the field that takes
// all other keys, if it has one.
func fieldsOf(t reflect.Type) (fields map[string]reflect.StructField, rest *reflect.StructField) {
	fields = map[string]reflect.StructField{}
	for sf := range t.Fields() {
		if name, opt, _ := strings.Cut(sf.Tag.Get("json"), ","); opt == "embed" {
			rest = &sf
		} else {
			fields[name] = sf
		}
	}
	return fields, rest
}

// flag puts a value from the command line over the file's.
func (d *decoder) flag(c *Config, fl Flag) {
	v, f := reflect.ValueOf(c).Elem(), field{}
	for name := range strings.SplitSeq(fl.Key, ".") {
		fields, _ := fieldsOf(v.Type())
		v, f = v.FieldByIndex(fields[name].Index), f.child(name, fields[name].Tag)
	}
	p := place{file: fl.Name}
	d.at[f.path] = p
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := t.UnmarshalText([]byte(fl.Value)); err != nil {
			d.add(p, err.Error(), "")
		}
		return
	}
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	d.word(p, fl.Value, v, f)
	d.notLater(f, before, v)
}
