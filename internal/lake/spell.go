package lake

import (
	"fmt"
	"strconv"
	"strings"
)

// Paths are stored spelled out: keys joined by dots, indices in brackets, and
// keys that could be mistaken (empty, or with a dot, bracket, quote or
// backslash) in quotes, as Go quotes. Every path has one spelling.

const special = ".[]\"\\"

func spell(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		if s.Index >= 0 {
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		if s.Key == "" || strings.ContainsAny(s.Key, special) {
			b.WriteString(strconv.Quote(s.Key))
		} else {
			b.WriteString(s.Key)
		}
	}
	return b.String()
}

// unspell reads what spell wrote.
func unspell(text string) ([]Step, error) {
	var steps []Step
	for rest := text; rest != ""; {
		if len(steps) >= maxNested+1 {
			return nil, fmt.Errorf("path %.80q is too deep", text)
		}
		s, n, err := step(rest, len(steps) == 0)
		if err != nil {
			return nil, fmt.Errorf("path %.80q: %w", text, err)
		}
		steps, rest = append(steps, s), rest[n:]
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("empty path")
	}
	return steps, nil
}

// step reads the first step and tells its length.
func step(text string, first bool) (Step, int, error) {
	if text[0] == '[' {
		n := strings.IndexByte(text, ']')
		i, err := strconv.Atoi(text[1:max(n, 1)])
		if n < 0 || err != nil || i < 0 || i >= maxIndex {
			return Step{}, 0, fmt.Errorf("bad index")
		}
		return Step{Index: i}, n + 1, nil
	}
	dot := 0
	if !first {
		if text[0] != '.' || len(text) == 1 {
			return Step{}, 0, fmt.Errorf("bad key")
		}
		dot = 1
	}
	key, n := text[dot:], 0
	if key[0] == '"' {
		quoted, err := strconv.QuotedPrefix(key)
		if err != nil {
			return Step{}, 0, fmt.Errorf("bad quotes")
		}
		key, err = strconv.Unquote(quoted)
		n = len(quoted)
		return Step{key, -1}, dot + n, err
	}
	if n = strings.IndexAny(key, special); n < 0 {
		n = len(key)
	}
	if n == 0 {
		return Step{}, 0, fmt.Errorf("empty key")
	}
	return Step{key[:n], -1}, dot + n, nil
}
