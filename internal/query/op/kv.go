package op

import (
	"regexp"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var kvOp = Operator{
	Name: "kv", Also: []string{"keyvalue"}, Tier: 3, parses: true,
	Form: `kv [field=FIELD] [infer|auto|regex "…(…)…"] [keys] "KEY", … [as NAME, …] [delim "SIGN"] [nodrop]`,
	Help: "Makes a field of the value behind each key: key=value, key: value or key->value, the value in quotes or up to a blank or comma. " +
		"With regex, its group is the value, or the second of two, the first being the key. Rows with none of the keys are dropped, unless nodrop is said.",
	Example: `kv field=commandLine "region", "profile" nodrop`,
	compile: compileKV,
}

// kvStage is the stage as read.
type kvStage struct {
	parseOptions
	re    *syntax.Regex
	delim string
	keys  []string
	names []string
}

func compileKV(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	s, err := readKV(c)
	if err != nil {
		return err
	}
	switch {
	case len(s.keys) == 0:
		return b.errorf(at, syntax.CodeExpected, "the keys to read were expected\nwrite: kv \"key\", \"other\"")
	case s.multi:
		return b.errorf(at, CodeUnsupported, "multi belongs to parse regex")
	case s.re != nil && (len(s.re.Names) < 1 || len(s.re.Names) > 2):
		return b.errorf(s.re.Span(), CodeValue, "the expression needs one group, of the value, or two, of key and value\nwrite: kv regex \"(\\w+)=(\\w+)\" keys \"a\", and (?:…) around the rest")
	case len(s.names) == 0:
		for _, k := range s.keys {
			s.names = append(s.names, notInNames.ReplaceAllString(k, "_"))
		}
	case len(s.names) != len(s.keys):
		return b.errorf(at, CodeValue, "there are %d keys and %d names", len(s.keys), len(s.names))
	}
	src, err := b.source(s.parseOptions)
	if err != nil {
		return err
	}
	var made []assign
	var hits []*core.Expr
	for i, key := range s.keys {
		if assigned(made, s.names[i]) {
			return b.errorf(at, CodeDuplicate, "two fields are called %s\ngive them other names with as", s.names[i])
		}
		x, hit, err := b.keyValue(src, s, key)
		if err != nil {
			return err
		}
		made, hits = append(made, assign{s.names[i], x}), append(hits, hit)
	}
	b.parsed(or(hits...), made, s.nodrop)
	return nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_]`)

func readKV(c *syntax.Cursor) (*kvStage, error) {
	s := &kvStage{}
	for !c.Done() {
		ok, err := s.option(c)
		if err == nil && !ok {
			err = s.part(c)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// part reads one option, or one key.
func (s *kvStage) part(c *syntax.Cursor) (err error) {
	switch word, _ := c.Word("infer", "auto", "keys", "refonly", "regex", "delim", "as"); word {
	case "infer", "auto", "keys", "refonly":
	case "regex":
		s.re, err = c.Regex()
	case "delim":
		s.delim, err = c.String()
	case "as":
		for more := true; more && err == nil; more = c.Punct(',') {
			var name string
			name, err = c.Name()
			s.names = append(s.names, name)
		}
	default:
		if len(s.keys) > 0 {
			if err := c.Expect(","); err != nil {
				return err
			}
		}
		var key string
		if c.Peek().Kind == syntax.TokString {
			key, err = c.String()
		} else {
			key, err = c.Name()
		}
		s.keys = append(s.keys, key)
	}
	return err
}

// keyValue is the value behind a key, and whether the key is there.
func (b *builder) keyValue(src *core.Expr, s *kvStage, key string) (value, hit *core.Expr, err error) {
	if s.re != nil {
		re, group, err := keyRegex(s.re, key)
		if err != nil {
			return nil, nil, b.errorf(s.re.Span(), syntax.CodeRegex, "%v", err)
		}
		return extract(src, re, group), matchRe(src, re), nil
	}
	sign := `(?:=|:|->)`
	if s.delim != "" {
		sign = regexp.QuoteMeta(s.delim)
	}
	re, err := regex(`(?:^|[^A-Za-z0-9_.-])["']?` + regexp.QuoteMeta(key) + `["']?\s*` + sign +
		`\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s,;&|"'(){}\[\]]*))`)
	if err != nil {
		return nil, nil, b.errorf(b.at, syntax.CodeRegex, "%v", err)
	}
	return do(core.Concat, extract(src, re, 1), extract(src, re, 2), extract(src, re, 3)), matchRe(src, re), nil
}

// keyRegex puts the key where the first of two groups stands. With one group it
// is the first match behind the key.
func keyRegex(re *syntax.Regex, key string) (*core.Regex, int64, error) {
	quoted := regexp.QuoteMeta(key)
	if len(re.Names) < 2 {
		out, err := regex(`(?s)` + quoted + `.*?(?:` + re.Go + `)`)
		return out, 1, err
	}
	start, end := firstGroup(re.Go)
	out, err := regex(re.Go[:start] + `(` + quoted + `)` + re.Go[end:])
	return out, 2, err
}

// firstGroup is where the first group of an expression stands, with its brackets.
func firstGroup(re string) (start, end int) {
	var open []int // of the brackets that are open, -1 for those that are no group
	for i := 0; i < len(re); i++ {
		switch rest := re[i:]; {
		case rest[0] == '\\':
			i++
		case rest[0] == '[':
			for i++; i < len(re) && (re[i] != ']' || re[i-1] == '['); i++ {
				if re[i] == '\\' {
					i++
				}
			}
		case rest[0] == '(' && strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?P<"):
			open = append(open, -1)
		case rest[0] == '(':
			open = append(open, i)
		case rest[0] == ')' && len(open) > 0:
			from := open[len(open)-1]
			open = open[:len(open)-1]
			if from >= 0 && !slices.ContainsFunc(open, func(o int) bool { return o >= 0 }) {
				return from, i + 1
			}
		}
	}
	return 0, 0
}
