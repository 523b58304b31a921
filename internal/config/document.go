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

func document(dst []byte, v reflect.Value, indent string) []byte {
	for sf := range v.Type().Fields() {
		name, opt, _ := strings.Cut(sf.Tag.Get("json"), ",")
		val := v.FieldByIndex(sf.Index)
		if opt == "embed" {
			dst = entries(dst, val, indent)
			continue
		}
		dst = comment(dst, sf.Tag, indent)
		dst = fmt.Appendf(dst, "%s%s:", indent, name)
		dst = documentValue(dst, val, indent)
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
	if enum := tag.Get("enum"); enum != "" {
		text += " (" + strings.ReplaceAll(strings.TrimPrefix(enum, ","), ",", " | ") + ")"
	}
	switch later := tag.Get("later"); later {
	case "":
	case "*":
		text += " Not available in this version: only the default is accepted."
	default:
		text += " Not available in this version: " + strings.ReplaceAll(later, ",", ", ") + "."
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
