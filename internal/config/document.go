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
	if example, ok := samples[name]; ok && sf.Type == reflect.TypeOf(example.value) && val.Len() == 0 {
		dst = sample(dst, indent, name, example)
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

// example is what the documentation shows in place of an empty list.
type example struct {
	what  string
	value any
}

// samples are the examples, by key.
var samples = func() map[string]example {
	l := defaultLimit()
	l.Name, l.Per, l.Measure, l.Max, l.Window = "requests", []string{"user"}, "requests", "100", "60s"
	a := defaultAlarm()
	a.Name, a.Metric, a.Threshold = "Bedrock_HighRequestRate", "Invocations", "500"
	o := defaultOIDC()
	o.Issuer, o.Audience = "https://login.example.com", "gatehouse"
	return map[string]example{
		"limits": {"A limit, in full; name, per, measure, max and window are enough", []Limit{l}},
		"alarms": {"An alarm, in full; name, metric and threshold are enough", []Alarm{a}},
		"oidc":   {"An issuer, in full; issuer and audience are enough", []OIDC{o}},
		"sources": {"Sources; each has a name and one of path, s3, queue and log_group", []TelemetrySource{
			{Name: "trail", Queue: "https://sqs.us-east-1.amazonaws.com/123456789012/trail"}, {Name: "endpoints", Path: "/var/log/edr", Strand: "endpoint"},
		}},
		"notify": {"Channels; each kind has its own keys", map[string]Notify{
			"on-call": {Kind: "slack", URLFile: "slack.url", To: []string{}},
			"mail":    {Kind: "smtp", Server: "smtp.example.com:587", From: "gatehouse@example.com", To: []string{"sec@example.com"}},
		}},
	}
}()

// sample writes an example as a comment, with every key of it explained.
func sample(dst []byte, indent, name string, e example) []byte {
	dst = fmt.Appendf(dst, "%[1]s# %[2]s:\n%[1]s# %[3]s:\n", indent, e.what, name)
	for line := range strings.Lines(string(documentValue(nil, reflect.ValueOf(e.value), indent))) {
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
	case v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct && !isText(v.Index(0)):
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
