package guard

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFold is row G07: what a text folds to.
func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"Hello  World":                  "hello world",
		" a\t\tb\r\n\r\n c ":            " a b\nc ",
		"a\u00a0\u2003b\u2028c":         "a b\nc",
		"ＦＵＬＬ width":                    "full width",
		"𝕄𝕒𝕥𝕙 ⓒⓘⓡ ﬁne ㎏":                "math cir fine kg",
		"naïve Ångström":                "naive angstrom",
		"z\u0335a\u0318l\u0341go":       "zalgo",
		"a\u200bb\u00adc\ufeffd\u2060e": "abcde",
		"a\u202eb\u2066c":               "abc",
		"x\U000e0041\U000e007fy\ufe0f":  "xy",
		"pаypаl":                        "paypal", // Cyrillic a
		"ΚΑΛΟΣ":                         "kaλoσ",
		"Привет, Ёлка":                  "пpиbet, eлka",
		"İstanbul ISPARTA ı":            "istanbul isparta i",
		"“quoted” — ‘it’s’…":            `"quoted" - 'it's'...`,
		"ab\bc\b\bd":                    "d",
		"\b\bx":                         "x",
		"日本語 한국어 हिन्दी":                "日本語 한국어 हिन्दी",
		"\xff\xfea":                     "\xff\xfea",
		"a\x00\x1bb":                    "ab",
		"🇺🇸":                            "us",
		"a \u200b b":                    "a b",
		"a \u200b\n b":                  "a\nb",
	} {
		if got := string(Fold(nil, []byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzFold checks that the way back is rising and within the text, that valid
// text stays valid, and that folding twice changes nothing more.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"Hello  World", "ＦＵＬＬ ﬁ ﷺ", "a\u200b\b b\b\bc", "\xff\xf0é\u0301", "𝐢𝐠𝐧\ufe0f\n\n\t x", " \u3000 "} {
		f.Add(s, "x "+s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var s folding
		raw := append(append(append([]byte(a), '\n'), b...), '\n')
		s.add([]byte(a), 0)
		s.pin(len(a))
		s.buf = append(s.buf, '\n')
		s.add([]byte(b), len(a)+1)
		last := 0
		for i := 0; i <= len(s.buf); i++ {
			at := s.raw(i, len(raw))
			if at < last || at > len(raw) {
				t.Fatalf("%q: folded byte %d comes from %d, the one before from %d", raw, i, at, last)
			}
			last = at
			start, end := s.original(raw, i, min(i+1, len(s.buf)))
			if start < 0 || end < start || end > len(raw) {
				t.Fatalf("%q: byte %d: %d–%d", raw, i, start, end)
			}
		}
		for i := 1; i < len(s.at); i++ {
			if s.at[i].fold <= s.at[i-1].fold || s.at[i].raw < s.at[i-1].raw {
				t.Fatalf("%q: anchors %v", raw, s.at)
			}
		}
		if utf8.ValidString(a) && utf8.ValidString(b) {
			once := Fold(nil, []byte(a))
			if !utf8.Valid(once) {
				t.Fatalf("%q folds to %q", a, once)
			}
			if !strings.ContainsAny(a, "\b\x7f") {
				if twice := Fold(nil, once); !bytes.Equal(once, twice) {
					t.Fatalf("%q folds to %q, and that to %q", a, once, twice)
				}
			}
		}
	})
}
