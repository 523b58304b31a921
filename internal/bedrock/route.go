package bedrock

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What can be wrong with a request line.
var (
	ErrBadPath     = errors.New("malformed path")           // 400
	ErrNoSuchModel = errors.New("escaped twice")            // 404, of the model
	ErrUnknown     = errors.New("no such operation")        // 404
	ErrMethod      = errors.New("no such method on a path") // 405
)

// maxLabel is the longest modelId or guardrailIdentifier of the service model.
const maxLabel = 2048

// Target is what a request line asks for. Labels are decoded; those the
// operation does not have are empty.
type Target struct {
	Operation *Operation
	Model     string
	Guardrail string
	Version   string
	Name      string
}

// label returns the field that a segment such as "{model}" of a path fills,
// nil for a literal segment.
func (t *Target) label(segment string) *string {
	switch segment {
	case "{model}":
		return &t.Model
	case "{guardrail}":
		return &t.Guardrail
	case "{version}":
		return &t.Version
	case "{name}":
		return &t.Name
	}
	return nil
}

// table splits the paths of the operations once.
func table(ops []Operation) []Operation {
	for i := range ops {
		ops[i].segments = strings.Split(ops[i].Path[1:], "/")
	}
	return ops
}

// Route tells which operation a request line asks for. rawPath is the path as
// sent, still percent-encoded: it is split on "/" first, then each label is
// decoded once. Nothing is cleaned: a path that another reader might see
// differently (an empty or dotted segment, a second layer of escapes, a
// semicolon) is an error, one of those above.
func Route(method, rawPath string) (Target, error) {
	if err := checkPath(rawPath); err != nil {
		return Target{}, err
	}
	var buf [8]string
	segments := buf[:0]
	for s := range strings.SplitSeq(rawPath[1:], "/") {
		if len(segments) == cap(segments) || s == "" || dotted(s) {
			return Target{}, ErrUnknown
		}
		segments = append(segments, s)
	}
	err := ErrUnknown
	for i := range Operations {
		op := &Operations[i]
		if !op.matches(segments) {
			continue
		}
		if op.Method != method {
			err = ErrMethod
			continue
		}
		return op.target(segments)
	}
	return Target{}, err
}

// checkPath refuses what no client sends: bytes that are not printable ASCII,
// bytes that URL parsers disagree about, and escapes that are broken or hide
// any of these.
func checkPath(path string) error {
	if path == "" || path[0] != '/' {
		return ErrBadPath
	}
	var twice, semicolon bool
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '#' || c == '?':
			return ErrBadPath
		case c == ';':
			semicolon = true
		case c == '%':
			b, ok := unhex(path[i+1:])
			if !ok || b < ' ' || b == 0x7f {
				return ErrBadPath
			}
			twice = twice || b == '%'
			i += 2
		}
	}
	switch {
	case twice:
		return ErrNoSuchModel
	case semicolon:
		return ErrUnknown
	}
	return nil
}

// dotted reports whether s is "." or "..", escaped or not.
func dotted(s string) bool {
	if len(s) > len("%2e%2e") {
		return false
	}
	s, _ = unescape(s)
	return s == "." || s == ".."
}

func (op *Operation) matches(segments []string) bool {
	if len(segments) != len(op.segments) {
		return false
	}
	for i, s := range op.segments {
		if s[0] != '{' && s != segments[i] {
			return false
		}
	}
	return true
}

func (op *Operation) target(segments []string) (Target, error) {
	t := Target{Operation: op}
	for i, s := range op.segments {
		if s[0] != '{' {
			continue
		}
		text, ok := unescape(segments[i])
		if !ok || len(text) > maxLabel {
			return Target{}, ErrBadPath
		}
		*t.label(s) = text
	}
	return t, nil
}

// unescape decodes the escapes of a checked segment. It is false when the
// result is not UTF-8 or has control characters.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c, _ = unhex(s[i+1:])
			i += 2
		}
		b = append(b, c)
	}
	return string(b), utf8.Valid(b) && strings.IndexFunc(string(b), unicode.IsControl) < 0
}

func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := hexDigit(s[0]), hexDigit(s[1])
	return hi<<4 | lo&0xf, hi < 16 && lo < 16
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// AppendPath appends the path of t as the AWS SDKs write it: every byte of a
// label but A-Za-z0-9-._~ is escaped.
func AppendPath(dst []byte, t Target) []byte {
	for _, s := range t.Operation.segments {
		dst = append(dst, '/')
		if l := t.label(s); l != nil {
			dst = appendEscaped(dst, *l)
		} else {
			dst = append(dst, s...)
		}
	}
	return dst
}

func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&0xf])
		}
	}
	return dst
}
