package op

import (
	"regexp"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var splitOp = Operator{
	Name: "split", Tier: 3,
	Form:    `split FIELD [delim=','] [escape='\'] [quote='"'] extract N as NAME, …|NAME, _, NAME, …`,
	Help:    "Makes fields of the pieces of a text between delimiters: by number, from 1, or by place, where _ passes one over. A piece in quotes may hold delimiters. Pieces that are not there are null.",
	Example: "split commandLine delim=' ' extract 1 as program, 2 as verb",
	compile: compileSplit,
}

var csvOp = Operator{
	Name: "csv", Tier: 3,
	Form:    `csv FIELD [escape='\'] [quote='"'] extract N as NAME, …|NAME, _, NAME, …`,
	Help:    "Makes fields of the columns of a line of CSV, as split does at commas.",
	Example: "csv line extract user, _, size",
	compile: compileSplit,
}

// maxPieces is how far into a text split reads.
const maxPieces = 200

// splitting is how a text is cut.
type splitting struct{ delim, escape, quote rune }

// piece is one that becomes a field.
type piece struct {
	n    int64
	name string
}

func compileSplit(b *builder, c *syntax.Cursor) error {
	f, err := c.Field()
	if err != nil {
		return err
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	s := splitting{',', '\\', '"'}
	if err := s.readOptions(c); err != nil {
		return err
	}
	if s.delim == s.quote || s.delim == s.escape {
		return b.errorf(c.Last(), CodeValue, "the delimiter cannot be the quote or the escape character")
	}
	pieces, err := b.readPieces(c)
	if err != nil {
		return err
	}
	var made []assign
	for _, p := range pieces {
		text, err := s.piece(toText(x), p.n)
		if err != nil {
			return b.errorf(f.Span(), syntax.CodeRegex, "%v", err)
		}
		made = append(made, assign{p.name, text})
	}
	b.set(made...)
	return nil
}

func (s *splitting) readOptions(c *syntax.Cursor) error {
	for {
		c.Punct(',')
		word, ok := c.Word("delim", "escape", "quote")
		if !ok {
			return c.Expect("extract")
		}
		if err := c.Expect("="); err != nil {
			return err
		}
		r, err := c.Char()
		if err != nil {
			return err
		}
		switch word {
		case "delim":
			s.delim = r
		case "escape":
			s.escape = r
		default:
			s.quote = r
		}
	}
}

// readPieces reads 1 as a, 2 as b, or a, _, b.
func (b *builder) readPieces(c *syntax.Cursor) ([]piece, error) {
	var list []piece
	for place := int64(1); ; place++ {
		at := c.Span()
		p := piece{n: place}
		var err error
		if c.Peek().Kind == syntax.TokNumber {
			p.n, _ = c.Int()
			_ = c.Expect("as") // after a mistake all else fails with it
		}
		if p.name, err = c.Name(); err != nil {
			return nil, err
		}
		if p.n < 1 || p.n > maxPieces || len(list) == maxPieces {
			return nil, b.errorf(at, CodeValue, "pieces have the numbers 1 to %d", maxPieces)
		}
		for _, other := range list {
			if strings.EqualFold(other.name, p.name) {
				return nil, b.errorf(at, CodeDuplicate, "two fields are called %s", p.name)
			}
		}
		if p.name != "_" {
			list = append(list, p)
		}
		if !c.Punct(',') {
			return list, nil
		}
	}
}

// piece is the nth piece of a text: what stands in quotes and up to the delimiter
// behind them, or what has no quote in front. The three never match one text in
// two ways, so that a piece that is missing is not found elsewhere.
func (s splitting) piece(x *core.Expr, n int64) (*core.Expr, error) {
	q, d, e := lit(s.quote), class(s.delim), lit(s.escape)
	escaped, stop := "|"+e+".", class(s.quote)
	if s.escape == s.quote {
		escaped = ""
	} else {
		stop += class(s.escape)
	}
	rest := "(?:[^" + d + class(s.quote) + "][^" + d + "]*)?"
	form := func(open string) string {
		return "(?:" + q + open + "(?:[^" + stop + "]" + escaped + "|" + q + q + ")*)" + q + open + rest + ")|" + open + rest + "))"
	}
	src := "(?s)^"
	if n > 1 {
		src += "(?:" + form("(?:") + lit(s.delim) + "){" + strconv.FormatInt(n-1, 10) + "}"
	}
	src += form("(") + "(?:" + lit(s.delim) + "|$)"
	re, err := regex(src)
	if err != nil {
		return nil, err
	}
	inner := do(core.ReplaceRe, extract(x, re, 1))
	inner.Rep = []core.RepPart{{Group: 1}, {Group: 2}}
	if inner.Re, err = regex("(?s)" + e + "(.)|" + q + "(" + q + ")"); err != nil {
		return nil, err
	}
	return do(core.Concat, inner, extract(x, re, 2), extract(x, re, 3)), nil
}

func lit(r rune) string { return regexp.QuoteMeta(string(r)) }

// class is a character as it stands in brackets.
func class(r rune) string {
	if strings.ContainsRune(`\]^-[`, r) {
		return `\` + string(r)
	}
	return string(r)
}
