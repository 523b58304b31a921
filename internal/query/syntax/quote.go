package syntax

import (
	"strings"
	"unicode/utf8"
)

// quote tells whether r opens a string. Web pages turn straight quotes into
// curly ones, so these do as well.
func quote(r rune) bool { return r == '"' || r == '“' || r == '”' || r == '„' }

// quotation is a string as written and what it stands for.
type quotation struct {
	raw, text string
	closed    bool
}

// quoted reads the string that starts here, without moving on. A string in
// straight quotes may hold curly ones; one in curly quotes ends at any quote. A
// backslash and what follows stay as they are, but for \". One that is never
// closed ends with its line, so that the lines behind it can still be read.
func (l *lexer) quoted() quotation {
	s := l.src[l.at:]
	first, n := utf8.DecodeRuneInString(s)
	var text strings.Builder
	for i := n; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || first != '"' && quote(r):
			return quotation{raw: s[:i+n], text: text.String(), closed: true}
		case r == '\\' && i+1 < len(s):
			next, m := utf8.DecodeRuneInString(s[i+1:])
			switch {
			case next == '"' || first != '"' && quote(next):
				text.WriteByte('"')
			default:
				text.WriteString(s[i : i+1+m])
			}
			n += m
		default:
			text.WriteString(s[i : i+n])
		}
		i += n
	}
	raw, _, _ := strings.Cut(s, "\n")
	return quotation{raw: raw, text: strings.TrimRight(raw[n:], "\r")}
}

func (l *lexer) stringToken() {
	start := l.at
	q := l.quoted()
	l.at += len(q.raw)
	l.add(TokString, q.text, start)
	l.operand = false
	if !q.closed {
		l.fail(CodeUnclosed, Span{start, l.at}, `end it with "; a quote inside is written \"`, "the string is never closed")
	}
}

// name reads an escaped name, %"a b" or %a[0].b, and tells whether there was
// one: behind a value a percent sign takes the remainder. It never does so of a
// string, which settles most; and no one writes a remainder as a %b.
func (l *lexer) name() bool {
	start := l.at
	rest := l.src[l.at+1:]
	r, _ := utf8.DecodeRuneInString(rest)
	if quote(r) {
		l.at++
		q := l.quoted()
		l.at += len(q.raw)
		l.addName(q.text, start)
		if !q.closed {
			l.fail(CodeUnclosed, Span{start, l.at}, `end it with "`, "the name is never closed")
		}
		return true
	}
	n := bareName(rest)
	if n == 0 || l.scope || !l.operand && !l.afterWordAndBlank() {
		return false
	}
	l.at += 1 + n
	l.addName(rest[:n], start)
	return true
}

func (l *lexer) addName(text string, start int) {
	l.add(TokName, text, start)
	l.operand = false
	switch {
	case text == "":
		l.fail(CodeName, Span{start, l.at}, "", "the name is empty")
	case utf8.RuneCountInString(text) > maxWord:
		l.fail(CodeTooLong, Span{start, l.at}, "", "the name is longer than %d characters", maxWord)
	}
}

// afterWordAndBlank tells whether what stands here follows a word, with a blank
// between.
func (l *lexer) afterWordAndBlank() bool {
	n := len(l.toks)
	return n > 0 && l.toks[n-1].Kind == TokWord && l.toks[n-1].Span.End < l.at
}

// bareName returns the length of a name behind a percent sign: letters, digits,
// dots, and indexes in brackets.
func bareName(s string) int {
	if r, _ := utf8.DecodeRuneInString(s); !wordStart(r) {
		return 0
	}
	n := run(s, wordPart)
	for n < len(s) && s[n] == '[' {
		digits := run(s[n+1:], func(r rune) bool { return r >= '0' && r <= '9' })
		end := n + 1 + digits
		if digits == 0 || end >= len(s) || s[end] != ']' {
			break
		}
		n = end + 1
		n += run(s[n:], wordPart)
	}
	return n
}

// charToken reads '…', which options of one character are written in.
func (l *lexer) charToken() {
	start := l.at
	rest := l.src[l.at+1:]
	_, n := utf8.DecodeRuneInString(rest)
	if strings.HasPrefix(rest, `\`) && !strings.HasPrefix(rest, `\'`) {
		_, m := utf8.DecodeRuneInString(rest[1:])
		n += m
	}
	if n > 0 && strings.HasPrefix(rest[n:], "'") {
		l.at += 1 + n + 1
		l.add(TokChar, rest[:n], start)
		l.operand = false
		return
	}
	line, _, _ := strings.Cut(rest, "\n")
	text, _, closed := strings.Cut(line, "'")
	l.at += 1 + len(text)
	if closed {
		l.at++
	}
	l.add(TokString, text, start)
	l.operand = false
	l.fail(CodeCharacter, Span{start, l.at}, "use double quotes", "single quotes hold one character only")
}

// regex reads a regular expression between slashes, which ends on its line.
func (l *lexer) regex() {
	start := l.at
	line, _, _ := strings.Cut(l.src[l.at+1:], "\n")
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '/':
			l.at += 1 + i + 1
			l.add(TokRegex, line[:i], start)
			l.operand = false
			return
		}
	}
	l.at += 1 + len(line)
	l.add(TokRegex, strings.TrimRight(line, "\r"), start)
	l.operand = false
	l.fail(CodeUnclosed, Span{start, start + 1}, "end it with / on the same line", "the regular expression is never closed")
}

// Quote prints s as a string that reads as s. A backslash that would take the
// closing quote with it is doubled: no string of a query holds such a one.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			b.WriteString(`\"`)
		case s[i] == '\\' && (i+1 == len(s) || s[i+1] == '"'):
			b.WriteString(`\\`)
		case s[i] == '\\':
			b.WriteString(s[i : i+2])
			i++
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}
