package syntax

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scopeToken reads a token by the rules of a scope: what is not an operator, a
// quote or a bracket is part of a search word.
func (l *lexer) scopeToken() {
	start := l.at
	r, n := utf8.DecodeRuneInString(l.src[l.at:])
	switch {
	case r == '%' && l.name():
	case quote(r):
		l.stringToken()
	case termPart(r):
		l.term()
	case strings.ContainsRune("()[]|=!", r):
		if strings.HasPrefix(l.src[l.at:], "!=") {
			n = 2
		}
		l.at += n
		l.operator(l.src[start:l.at], start)
	case r == '\'':
		l.charToken()
		l.fail(CodeCharacter, Span{start, l.at}, "use double quotes", "single quotes do not hold a phrase")
	default:
		l.at += n
		l.scopeCharacter(r, Span{start, l.at})
	}
}

func (l *lexer) scopeCharacter(r rune, s Span) {
	hint := "put the phrase in double quotes"
	if r == '<' || r == '>' {
		hint = "the scope has = and != only; compare in a where stage"
	}
	l.fail(CodeCharacter, s, hint, "%s has no meaning in the scope", short(fmt.Sprintf("%q", r)))
}

// termPart tells whether r may stand in a search word that has no quotes.
func termPart(r rune) bool {
	if r < utf8.RuneSelf {
		return wordPart(r) || strings.ContainsRune("-:/+@#$%^*?", r)
	}
	return !blank(r) && !quote(r) && unicode.IsGraphic(r)
}

// term reads a search word. Comments start between words only, so that URLs and
// paths stay whole.
func (l *lexer) term() {
	start := l.at
	l.at += run(l.src[l.at:], termPart)
	text := l.src[start:l.at]
	if utf8.RuneCountInString(text) > maxWord {
		l.fail(CodeTooLong, Span{start, l.at}, "", "the word is longer than %d characters", maxWord)
	}
	l.add(TokTerm, text, start)
}
