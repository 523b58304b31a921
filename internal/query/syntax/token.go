package syntax

import "strings"

// Kind is what a token is.
type Kind uint8

const (
	TokEnd    Kind = iota // behind the last token of a stage
	TokWord               // a bare name or keyword: count, a.b.c
	TokName               // an escaped name: %"a b", %a[0].b
	TokString             // "…"
	TokChar               // '…': one character, for options such as delim=','
	TokNumber             // 12, 1.5s, 10k
	TokRegex              // /…/
	TokURL                // path://"Folder/Table", geo://location
	TokOp                 // punctuation and operators
	TokTerm               // a search word of a scope
)

// Token is a word of the query. Nothing is said of its meaning.
type Token struct {
	Kind Kind
	Text string // what stands between quotes or slashes, unescaped; operators as in Binary.Op; else as written
	Span Span

	Num  Num // of a Number
	pair int // of a bracket: the index of its partner in the query's tokens, or -1
}

// is tells whether t is the operator op.
func (t Token) is(op string) bool { return t.Kind == TokOp && t.Text == op }

// word tells whether t is the keyword w, which is in lower case.
func (t Token) word(w string) bool { return t.Kind == TokWord && strings.EqualFold(t.Text, w) }

// String prints the token so that it reads as the same token.
func (t Token) String() string {
	switch t.Kind {
	case TokName:
		return "%" + Quote(t.Text)
	case TokString:
		return Quote(t.Text)
	case TokChar:
		return "'" + t.Text + "'"
	case TokRegex:
		return "/" + t.Text + "/"
	case TokOp: // their text would read as words
		switch t.Text {
		case "or":
			return "||"
		case "and":
			return "&&"
		}
	}
	return t.Text
}

// describe names the token for people.
func (t Token) describe() string {
	switch t.Kind {
	case TokEnd:
		return "the end of the stage"
	case TokString:
		return "the string " + short(t.String())
	case TokRegex:
		return "the regular expression " + short(t.String())
	case TokNumber:
		return "the number " + short(t.Text)
	}
	return short(t.String())
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}
