package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Document returns the configuration as YAML in which a comment explains every
// key. Load reads it back to the same value. It holds no secrets, since a
// configuration holds none.
func (c *Config) Document() []byte {
	return document(nil, reflect.ValueOf(c).Elem(), "")
}

// document writes the keys of a struct: first those that can be set, then,
// under a heading, those whose feature comes later.
func document(dst []byte, v reflect.Value, indent string) []byte {
	var later []byte
	for sf := range v.Type().Fields() {
		if isLater(sf) {
			later = member(later, sf, v.FieldByIndex(sf.Index), indent)
		} else {
			dst = member(dst, sf, v.FieldByIndex(sf.Index), indent)
		}
	}
	if later == nil || isLaterOnly(v.Type()) { // the heading stands above the whole
		return append(dst, later...)
	}
	return append(fmt.Appendf(dst, "%[1]s# ---- For later versions: this one accepts the following values only. ----\n", indent), later...)
}

func member(dst []byte, sf reflect.StructField, val reflect.Value, indent string) []byte {
	name, opt, _ := strings.Cut(sf.Tag.Get("json"), ",")
	if opt == "embed" {
		return entries(dst, val, indent)
	}
	dst = comment(dst, sf.Tag, indent)
	if sf.Type == reflect.TypeFor[[]Limit]() && val.Len() == 0 {
		dst = sample(dst, indent)
	}
	dst = fmt.Appendf(dst, "%s%s:", indent, name)
	return documentValue(dst, val, indent)
}

// isLater tells whether this version accepts the key's default only.
func isLater(sf reflect.StructField) bool {
	enum, later := split(sf.Tag.Get("enum")), split(sf.Tag.Get("later"))
	return sf.Tag.Get("later") == "*" || later != nil && len(choices(enum, later)) == 0 ||
		sf.Type.Kind() == reflect.Struct && isLaterOnly(sf.Type)
}

func isLaterOnly(t reflect.Type) bool {
	for sf := range t.Fields() {
		if !isLater(sf) {
			return false
		}
	}
	return true
}

// sample writes, as a comment, a limit with every key of it explained.
func sample(dst []byte, indent string) []byte {
	l := defaultLimit()
	l.Name, l.Per, l.Measure, l.Max, l.Window = "requests", []string{"user"}, "requests", 100, "60s"
	dst = fmt.Appendf(dst, "%[1]s# A limit, in full; name, per, measure, max and window are enough:\n%[1]s# limits:\n", indent)
	for line := range strings.Lines(string(documentValue(nil, reflect.ValueOf([]Limit{l}), indent))) {
		if line = strings.TrimPrefix(line, indent); line != "\n" {
			dst = append(dst, indent+"# "+line...)
		}
	}
	return dst
}

// documentValue writes what stands behind a key's colon.
func documentValue(dst []byte, v reflect.Value, indent string) []byte {
	switch {
	case v.Kind() == reflect.Struct && !isText(v):
		return document(append(dst, '\n'), v, indent+"  ")
	case v.Kind() == reflect.Map && v.Len() > 0:
		return entries(append(dst, '\n'), v, indent+"  ")
	case v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem() == reflect.TypeFor[Limit]():
		dst = append(dst, '\n')
		for i := range v.Len() {
			item := document(nil, v.Index(i), indent+"    ")
			dst = append(dst, indent+"  -\n"...)
			dst = append(dst, item...)
		}
		return dst
	}
	dst = append(dst, ' ')
	return append(append(dst, literal(v)...), '\n')
}

func entries(dst []byte, m reflect.Value, indent string) []byte {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		dst = fmt.Appendf(dst, "%s%s:", indent, literal(k))
		dst = documentValue(dst, m.MapIndex(k), indent)
	}
	return dst
}

// literal writes a value as JSON, which is YAML too.
func literal(v reflect.Value) []byte {
	b, err := json.Marshal(v.Interface(), jsontext.SpaceAfterComma(true), jsontext.SpaceAfterColon(true))
	if err != nil {
		panic(fmt.Sprintf("config: print %s: %v", v.Type(), err)) // our own types
	}
	return b
}

func isText(v reflect.Value) bool {
	_, ok := v.Interface().(interface{ MarshalText() ([]byte, error) })
	return ok
}

func comment(dst []byte, tag reflect.StructTag, indent string) []byte {
	text := tag.Get("doc")
	if words := choices(split(tag.Get("enum")), split(tag.Get("later"))); len(words) > 1 {
		text += " (" + strings.Join(words, " | ") + ")"
	}
	if later := tag.Get("later"); later != "" && later != "*" {
		text += " For later versions: " + strings.ReplaceAll(later, ",", ", ") + "."
	}
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > 98 {
			dst = append(append(dst, line...), '\n')
			line = indent + "#"
		}
		line += " " + word
	}
	return append(append(dst, line...), '\n')
}
