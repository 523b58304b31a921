package guard

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A word is a keyword in folded form.
type word struct {
	text        string
	left, right bool // must stand at a word boundary
}

func checkKeyword(s string) error {
	if len(s) > maxKeyword {
		return fmt.Errorf("longer than %d bytes", maxKeyword)
	}
	if w := foldWord(s); len(w.text) == 0 || strings.TrimSpace(w.text) == "" {
		return errors.New("nothing is left of it when folded")
	}
	return nil
}

// foldWord reads a keyword. Scripts without spaces have no word boundaries.
func foldWord(s string) word {
	body := s
	body, anyEnd := strings.CutSuffix(body, "*")
	body, anyStart := strings.CutPrefix(body, "*")
	w := word{text: string(Fold(nil, []byte(strings.TrimSpace(body))))}
	w.text = strings.ReplaceAll(w.text, "\n", " ")
	first, _ := utf8.DecodeRuneInString(w.text)
	last, _ := utf8.DecodeLastRuneInString(w.text)
	w.left = !anyStart && bounded(first)
	w.right = !anyEnd && bounded(last)
	return w
}

// bounded reports whether words of r's script end at spaces.
func bounded(r rune) bool {
	return wordRune(r) && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Hangul)
}

func wordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// at reports whether buf[start:end], which has the word's text, stands alone.
func (w *word) at(buf []byte, start, end int) bool {
	if w.left && start > 0 {
		if r, _ := utf8.DecodeLastRune(buf[:start]); wordRune(r) {
			return false
		}
	}
	if w.right && end < len(buf) {
		if r, _ := utf8.DecodeRune(buf[end:]); wordRune(r) {
			return false
		}
	}
	return true
}
