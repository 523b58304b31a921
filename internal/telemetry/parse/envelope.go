package parse

import (
	"bytes"
	"encoding/base64"

	"github.com/valyala/fastjson"
)

// This file has what rows of envelopes are made of.

// member matches objects with a member.
func member(key string) func(*fastjson.Value) bool {
	return func(v *fastjson.Value) bool { return has(v, key) }
}

// both matches objects with both members.
func both(a, b string) func(*fastjson.Value) bool {
	return func(v *fastjson.Value) bool { return has(v, a, b) }
}

func textMember(key string) func(*fastjson.Value) bool {
	return typed(key, fastjson.TypeString)
}

func objectMember(key string) func(*fastjson.Value) bool {
	return typed(key, fastjson.TypeObject)
}

func listMember(key string) func(*fastjson.Value) bool {
	return typed(key, fastjson.TypeArray)
}

func typed(key string, t fastjson.Type) func(*fastjson.Value) bool {
	return func(v *fastjson.Value) bool { return has(v, key) && v.Get(key).Type() == t }
}

// into unwraps what a member holds: an object, or text that is one.
func into(key string) func(*scanner, *fastjson.Value, int) error {
	return func(s *scanner, v *fastjson.Value, depth int) error { return s.inside(v.Get(key), depth) }
}

// list unwraps each element of a member.
func list(key string) func(*scanner, *fastjson.Value, int) error {
	return func(s *scanner, v *fastjson.Value, depth int) error { return s.each(v.Get(key), depth) }
}

func (s *scanner) each(v *fastjson.Value, depth int) error {
	a, _ := v.Array()
	for _, v := range a {
		if err := s.inside(v, depth); err != nil {
			return err
		}
	}
	return nil
}

// unwrapBase64 unwraps a member that is bytes in base64: of JSON, of lines of
// it, or of an archive. Text that is no base64 is taken as it is.
func unwrapBase64(key string) func(*scanner, *fastjson.Value, int) error {
	return func(s *scanner, v *fastjson.Value, depth int) error {
		in := text(v.Get(key))
		out := make([]byte, base64.StdEncoding.DecodedLen(len(in)))
		n, err := base64.StdEncoding.Decode(out, bytes.TrimSpace(in))
		if err != nil {
			return s.insideBytes(in, depth+1)
		}
		return s.insideBytes(out[:n], depth+1)
	}
}

// pass unwraps nothing.
func pass(s *scanner, _ *fastjson.Value, _ int) error { return s.skip() }
