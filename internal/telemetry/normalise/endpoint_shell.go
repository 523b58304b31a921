package normalise

import "strings"

// shellCommand cuts the first command off a script: its words without their
// quotes, and the text after the operator that ended it.
//
// Three rules differ from a shell's, since most texts were never meant for
// one. A backslash is itself unless a quote or a space follows it, for Windows
// paths; an unquoted path that begins with a drive reaches as far as its .exe;
// and a quote that is never closed ends with the text.
func shellCommand(s string) (words []string, rest string) {
	s = trimBlank(s)
	if n := drivePath(s); n > 0 {
		words, s = append(words, s[:n]), s[n:]
	}
	var w strings.Builder
	in := false // a word has begun, perhaps an empty one in quotes
	end := func() {
		if in {
			words = append(words, w.String())
			w.Reset()
			in = false
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t':
			end()
		case '\n', '\r', ';', '|', '(', ')', '`':
			end()
			return words, s[i+1:]
		case '&':
			if in || len(words) > 0 { // else it is PowerShell's call operator
				end()
				return words, strings.TrimPrefix(s[i+1:], "&")
			}
		case '$':
			if i+1 < len(s) && s[i+1] == '(' {
				end()
				return words, s[i+2:]
			}
			w.WriteByte(c)
			in = true
		case '"', '\'':
			i += quoted(&w, s[i:])
			in = true
		case '\\':
			if i+1 < len(s) && s[i+1] == '\n' { // the line goes on
				i++
				end()
				continue
			}
			if i+1 < len(s) && strings.IndexByte("\"' ", s[i+1]) >= 0 {
				i++
			}
			w.WriteByte(s[i])
			in = true
		default:
			w.WriteByte(c)
			in = true
		}
	}
	end()
	return words, ""
}

// quoted appends what stands within the quotes that s begins with and says how
// far the closing one is.
func quoted(w *strings.Builder, s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i
		case s[i] == '\\' && s[0] == '"' && i+1 < len(s) && s[i+1] == '"':
			i++
			w.WriteByte('"')
		default:
			w.WriteByte(s[i])
		}
	}
	return len(s)
}

// drivePath gives the length of an unquoted C:\Program Files\…\aws.exe, 0 when
// s begins otherwise.
func drivePath(s string) int {
	if len(s) < 3 || s[1] != ':' || s[2] != '\\' {
		return 0
	}
	for _, ext := range []string{".exe ", ".cmd "} {
		for i := 3; i+len(ext) <= len(s) && i < 1024; i++ {
			if strings.EqualFold(s[i:i+len(ext)], ext) {
				return i + len(ext) - 1
			}
		}
	}
	return 0
}

func trimBlank(s string) string { return strings.TrimLeft(s, " \t\r\n") }
