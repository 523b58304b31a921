package op

import (
	"regexp"
	"strings"

	"gatehouse/internal/query/syntax"
)

var parseOp = Operator{
	Name: "parse", Also: []string{"parse anchor"}, Tier: 1, parses: true,
	Form: `parse [field=FIELD] "…*…" as NAME, … [nodrop]`,
	Help: "Makes a field of each * between texts that stand in the field, or in _raw; the last * goes to the end. " +
		"Rows that do not match are dropped, unless nodrop is said.",
	Example: `parse field=userAgent "aws-cli/* Python/*" as version, rest nodrop`,
	compile: compileParse,
}

func compileParse(b *builder, c *syntax.Cursor) error {
	var o parseOptions
	var pattern, at = "", c.Span()
	var names []string
	for !c.Done() {
		ok, err := o.option(c)
		switch {
		case err != nil:
			return err
		case ok:
		case pattern != "":
			return c.End()
		default:
			at = c.Span()
			if pattern, err = c.String(); err != nil {
				return err
			}
			if names, err = readNames(c); err != nil {
				return err
			}
		}
	}
	if pattern == "" {
		return b.errorf(at, syntax.CodeExpected, "a pattern in double quotes was expected\nwrite: parse \"user=* ip=*\" as user, ip")
	}
	if o.multi {
		return b.errorf(at, CodeUnsupported, "multi belongs to parse regex")
	}
	return b.parseAnchors(pattern, names, o, at)
}

// readNames reads as a, b, …
func readNames(c *syntax.Cursor) ([]string, error) {
	if err := c.Expect("as"); err != nil {
		return nil, err
	}
	var names []string
	for {
		name, err := c.Name()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if !c.Punct(',') {
			return names, nil
		}
	}
}

func (b *builder) parseAnchors(pattern string, names []string, o parseOptions, at syntax.Span) error {
	if stars := strings.Count(pattern, "*"); stars != len(names) {
		return b.errorf(at, CodeValue, "the pattern has %d *, and %d names follow", stars, len(names))
	}
	for i, name := range names {
		for _, other := range names[:i] {
			if strings.EqualFold(name, other) {
				return b.errorf(at, CodeDuplicate, "two fields are called %s", name)
			}
		}
	}
	src, err := b.source(o)
	if err != nil {
		return err
	}
	re, err := regex(anchorRegex(pattern))
	if err != nil {
		return b.errorf(at, syntax.CodeRegex, "%v", err)
	}
	var made []assign
	for i, name := range names {
		made = append(made, assign{name, extract(src, re, int64(i+1))})
	}
	b.parsed(matchRe(src, re), made, o.nodrop)
	return nil
}

var anchorEscapes = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`)

// anchorRegex is a pattern of texts and stars: a star is what stands before the
// next text, a first one starts at the start, a last one goes to the end.
func anchorRegex(pattern string) string {
	var b strings.Builder
	b.WriteString("(?s)")
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		switch {
		case i == 0 && p == "":
			b.WriteString("^")
		case i > 0 && i == len(parts)-1 && p == "":
			b.WriteString("(.*)$")
		case i > 0:
			b.WriteString("(.*?)")
		}
		b.WriteString(regexp.QuoteMeta(anchorEscapes.Replace(p)))
	}
	return b.String()
}
