package sql

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var (
	errNUL     = errors.New("a text holds a NUL character, which SQL cannot carry")
	errUTF8    = errors.New("a text is not valid UTF-8")
	errNoName  = errors.New("a column or table has an empty name")
	errTooLong = errors.New("a text is longer than 1 MiB")
)

// maxText bounds one literal.
const maxText = 1 << 20

// doubled quotes s between two of q and doubles each q within, the standard's
// own way, for engines whose literals know no other escape.
func doubled(s, q string) (string, error) {
	switch {
	case len(s) > maxText:
		return "", errTooLong
	case strings.IndexByte(s, 0) >= 0:
		return "", errNUL
	case !utf8.ValidString(s):
		return "", errUTF8
	}
	return q + strings.ReplaceAll(s, q, q+q) + q, nil
}

func quoteText(s string) (string, error) { return doubled(s, "'") }

func quoteIdent(s string) (string, error) {
	if s == "" {
		return "", errNoName
	}
	return doubled(s, `"`)
}
