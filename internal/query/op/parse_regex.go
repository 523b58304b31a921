package op

import (
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var parseRegexOp = Operator{
	Name: "parse regex", Also: []string{"extract"}, Tier: 0, parses: true,
	Form: `parse regex [field=FIELD] "…(?<name>…)…" [, "…"] [nodrop] [multi]`,
	Help: "Makes fields of the named groups of a regular expression (RE2), found anywhere in the field, or in _raw. " +
		"Rows without a match are dropped, unless nodrop is said: then fields keep the value they had. multi makes a row of each match.",
	Example: `parse regex field=prompt "<input>(?<user_prompt>.*)<\/input>" nodrop`,
	compile: compileParseRegex,
}

// parseOptions are what parse stages share. Options may stand in any order.
type parseOptions struct {
	field  *syntax.Field
	nodrop bool
	multi  bool
}

// option takes an option when one comes next.
func (o *parseOptions) option(c *syntax.Cursor) (bool, error) {
	switch word, _ := c.Word("field", "nodrop", "multi"); word {
	case "field":
		if err := c.Expect("="); err != nil {
			return true, err
		}
		f, err := c.Field()
		o.field = f
		return true, err
	case "nodrop":
		o.nodrop = true
	case "multi":
		o.multi = true
	default:
		return false, nil
	}
	return true, nil
}

// source is the text to parse.
func (b *builder) source(o parseOptions) (*core.Expr, error) {
	f := o.field
	if f == nil {
		f = &syntax.Field{At: syntax.At{Pos: b.at}, Name: rawColumn}
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return nil, err
	}
	return toText(x), nil
}

func compileParseRegex(b *builder, c *syntax.Cursor) error {
	var o parseOptions
	var list []*syntax.Regex
	for !c.Done() {
		if ok, err := o.option(c); err != nil {
			return err
		} else if ok {
			continue
		}
		if len(list) > 0 {
			if err := c.Expect(","); err != nil {
				return err
			}
		}
		re, err := c.Regex()
		if err != nil {
			return err
		}
		if err := b.checkGroups(re); err != nil {
			return err
		}
		list = append(list, re)
	}
	if len(list) == 0 {
		return c.Errorf(syntax.CodeExpected, "a regular expression was expected")
	}
	return b.parseRegexes(list, o)
}

func (b *builder) parseRegexes(list []*syntax.Regex, o parseOptions) error {
	for _, r := range list {
		src, err := b.source(o)
		if err != nil {
			return err
		}
		re, err := regex(r.Go)
		if err != nil {
			return b.errorf(r.Span(), syntax.CodeRegex, "%v", err)
		}
		if o.multi {
			b.parseMulti(src, re, r.Names, o.nodrop)
			continue
		}
		var made []assign
		for i, name := range r.Names {
			made = append(made, assign{name, extract(src, re, int64(i+1))})
		}
		b.parsed(matchRe(src, re), made, o.nodrop)
	}
	return nil
}

func extract(src *core.Expr, re *core.Regex, group int64) *core.Expr {
	e := do(core.ExtractRe, src)
	e.Re, e.N = re, group
	return e
}

// checkGroups refuses expressions without named groups, or with other ones.
func (b *builder) checkGroups(re *syntax.Regex) error {
	seen := map[string]bool{}
	for _, name := range re.Names {
		switch {
		case name == "":
			return b.errorf(re.Span(), syntax.CodeRegex, "a group has no name\nwrite (?<name>…) to keep what it matches, or (?:…)")
		case seen[strings.ToLower(name)]:
			return b.errorf(re.Span(), CodeDuplicate, "two groups are called %s", name)
		}
		seen[strings.ToLower(name)] = true
	}
	if len(re.Names) == 0 {
		return b.errorf(re.Span(), syntax.CodeRegex, "the regular expression names nothing to keep\nwrite (?<name>…) around it")
	}
	return nil
}

// parsed is the end of every parse stage: rows for which hit holds get the made
// fields. The others are dropped, or keep what they had with nodrop. In a run of
// parse stages, rows that an earlier one with nodrop has matched stay.
func (b *builder) parsed(hit *core.Expr, made []assign, nodrop bool) {
	switch {
	case nodrop:
		mark := hit
		if b.chain != nil {
			mark = or(b.chain, hit)
		}
		keep := b.keep(made) // before the fields change
		read := b.hide(mark)
		b.set(keep...)
		b.chain = do(core.IsTrue, read[0])
	case b.chain != nil:
		b.filter(or(b.chain, hit))
		b.set(b.keep(made)...)
	default:
		b.filter(hit)
		b.set(made...)
	}
}

// keep lets a field have its old value where the new one is null.
func (b *builder) keep(made []assign) []assign {
	out := make([]assign, len(made))
	for i, a := range made {
		out[i] = a
		if old := b.existing(a.name); old != nil {
			out[i].expr = coalesce(a.expr, old)
		}
	}
	return out
}

// parseMulti makes a row of each match. Of several groups, the whole match is
// what makes the rows and the groups are read from it again.
func (b *builder) parseMulti(src *core.Expr, re *core.Regex, names []string, nodrop bool) {
	all := do(core.FindAllRe, src)
	all.Re = re
	if len(names) == 1 {
		all.N = 1
	}
	match := b.unnest(all, nodrop)
	var made []assign
	for i, name := range names {
		if len(names) == 1 {
			made = append(made, assign{name, match})
			continue
		}
		made = append(made, assign{name, extract(match, re, int64(i+1))})
	}
	if nodrop {
		made = b.keep(made)
	}
	b.set(made...)
	b.chain = nil
}

// unnest makes a row of each element of a list and returns how to read it.
func (b *builder) unnest(list *core.Expr, keep bool) *core.Expr {
	x := b.hide(list)[0]
	name := unique(hiddenPrefix+"item", taken(b.plan))
	b.plan = &core.Unnest{In: b.plan, List: x, Name: name, Keep: keep}
	b.hidden = append(b.hidden, core.Col{Name: name, Type: core.Text})
	return core.C(name, core.Text)
}
