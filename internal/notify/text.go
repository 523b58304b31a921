package notify

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a message, in bytes.
const (
	maxTitle  = 200
	maxText   = 4000
	maxName   = 60
	maxValue  = 400
	maxFields = 16
	maxLink   = 1000
)

// clean makes the texts harmless to read and bounded. It works on copies.
func (m *Message) clean() {
	m.Title, m.Text, m.Kind = line(m.Title, maxTitle), text(m.Text, maxText), line(m.Kind, maxName)
	m.Fields = slices.Clone(m.Fields[:min(len(m.Fields), maxFields)])
	for i, f := range m.Fields {
		m.Fields[i] = Field{line(f.Name, maxName), line(f.Value, maxValue)}
	}
	if u, err := url.Parse(m.Link); err != nil || u.Scheme != "https" && u.Scheme != "http" || len(m.Link) > maxLink || strings.ContainsAny(m.Link, "<>|\"") {
		m.Link = ""
	}
}

// line is text without line breaks.
func line(s string, max int) string {
	return text(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " "), max)
}

// text drops control characters, which terminals obey, and format characters,
// which reorder or hide what is read; both come in names that others chose.
func text(s string, max int) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�")), max)
}

// cut shortens s to max bytes, between characters.
func cut(s string, max int) string {
	const dots = "…"
	if len(s) <= max {
		return s
	}
	n := max - len(dots)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + dots
}

// plain is the message as text for people.
func (m *Message) plain() string {
	var b strings.Builder
	b.WriteString(m.Title + "\n")
	if m.Text != "" {
		b.WriteString("\n" + m.Text + "\n")
	}
	b.WriteString("\n")
	for _, f := range append(slices.Clone(m.Fields), Field{"Severity", m.level()}, Field{"Time", m.Time.UTC().Format("2006-01-02 15:04:05 UTC")}) {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	if m.Link != "" {
		b.WriteString("\n" + m.Link + "\n")
	}
	return b.String()
}
