package op

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// replacement reads the text that replaces a match: $1, ${name} and $0 stand for
// groups, \\$ or \$ for a dollar, \\\\ for a backslash, \n and \t for themselves.
// A number takes as many digits as there are groups for: of two groups, $12 is
// the first and a 2. It reads what RE2's and Java's own readers disagree about.
func replacement(s string, names []string) ([]core.RepPart, error) {
	r := &replacementReader{s: s, names: names}
	for r.s != "" {
		n, err := r.step()
		if err != nil {
			return nil, err
		}
		r.s = r.s[n:]
	}
	r.flush()
	return r.parts, nil
}

type replacementReader struct {
	s     string
	names []string
	lit   strings.Builder
	parts []core.RepPart
}

func (r *replacementReader) flush() {
	if r.lit.Len() > 0 {
		r.parts = append(r.parts, core.RepPart{Lit: r.lit.String(), Group: -1})
	}
	r.lit.Reset()
}

func (r *replacementReader) group(n int) {
	r.flush()
	r.parts = append(r.parts, core.RepPart{Group: n})
}

// escapedText are the escapes, longest first.
var escapedText = []struct{ in, out string }{
	{`\\\\`, `\`}, {`\\$`, `$`}, {`\$`, `$`}, {`\n`, "\n"}, {`\t`, "\t"}, {`\r`, "\r"}, {`\\`, `\`},
}

// step reads what comes next and returns its length.
func (r *replacementReader) step() (int, error) {
	for _, e := range escapedText {
		if strings.HasPrefix(r.s, e.in) {
			r.lit.WriteString(e.out)
			return len(e.in), nil
		}
	}
	if r.s[0] != '$' {
		r.lit.WriteByte(r.s[0])
		return 1, nil
	}
	if name, _, ok := strings.Cut(strings.TrimPrefix(r.s[1:], "{"), "}"); ok && strings.HasPrefix(r.s, "${") {
		return len(name) + 3, r.named(name)
	}
	return r.numbered()
}

func (r *replacementReader) named(name string) error {
	if i := slices.Index(r.names, name); i >= 0 && name != "" {
		r.group(i + 1)
		return nil
	}
	return fmt.Errorf("the regular expression has no group %s", name)
}

func (r *replacementReader) numbered() (int, error) {
	n, digits := 0, 0
	for _, c := range []byte(r.s[1:]) {
		if c < '0' || c > '9' || digits > 0 && n*10+int(c-'0') > len(r.names) {
			break
		}
		n, digits = n*10+int(c-'0'), digits+1
	}
	switch {
	case digits == 0:
		r.lit.WriteByte('$')
		return 1, nil
	case n > len(r.names):
		return 0, fmt.Errorf("the regular expression has no group %d\nit has %d; a dollar sign is written \\\\$", n, len(r.names))
	}
	r.group(n)
	return 1 + digits, nil
}
