// Package value prints JSON values that fastjson has read.
package value

import (
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// Append appends v as JSON. (fastjson's own MarshalTo quotes strings that have
// been looked at as Go does, which is not JSON.) It allocates only to grow dst.
func Append(dst []byte, v *fastjson.Value) []byte {
	switch v.Type() {
	case fastjson.TypeObject:
		o, _ := v.Object()
		dst = append(dst, '{')
		n := 0
		o.Visit(func(key []byte, v *fastjson.Value) {
			if n++; n > 1 {
				dst = append(dst, ',')
			}
			dst = append(AppendText(dst, key), ':')
			dst = Append(dst, v)
		})
		return append(dst, '}')
	case fastjson.TypeArray:
		a, _ := v.Array()
		dst = append(dst, '[')
		for i, v := range a {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, v)
		}
		return append(dst, ']')
	case fastjson.TypeString:
		b, _ := v.StringBytes()
		return AppendText(dst, b)
	}
	return v.MarshalTo(dst)
}

// AppendText appends s as a JSON string, with U+FFFD for what is not UTF-8.
func AppendText(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			dst = append(dst, c)
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
	}
	return append(dst, '"')
}
