package guard

import (
	"sort"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Texts are matched folded, so that a word is found however it is dressed:
// lower case, compatibility forms (full width, mathematical, enclosed) and
// letters that look like Latin ones as plain letters, without accents,
// invisible characters and what a backspace takes away, white space as one
// space or line break. Folding is for matching only: what is forwarded is what
// was sent. Since keywords and patterns are folded too, it may take letters
// together that a language keeps apart.

// Fold appends the folded form of text. It does not fail: bytes that are no
// UTF-8 stay as they are. It is safe for concurrent use.
func Fold(dst, text []byte) []byte {
	f := folding{buf: dst, floor: len(dst)}
	f.add(text, 0)
	return f.buf
}

// folding is a text being folded, and the way back from it to the original.
type folding struct {
	buf   []byte
	at    []anchor // rising
	floor int      // where the text that is being added began
	shift int      // of the last anchor: raw less fold
	seen  marks
}

// anchor says that buf[fold:] comes from raw on, byte by byte up to the next one.
type anchor struct{ fold, raw int32 }

// marks tell which rare characters a text has, so that detectors of others need
// not look.
type marks uint8

const (
	hasTags      marks = 1 << iota // tag characters or variation selectors
	hasInvisible                   // zero width and soft hyphens
	hasBidi
	hasForeign // a letter beyond ASCII that folds to an ASCII one
	hasDigits
)

func (f *folding) reset() {
	f.buf, f.at, f.floor, f.shift, f.seen = f.buf[:0], f.at[:0], 0, 0, 0
}

// plain is what an ASCII byte folds to; 0 for those that need a closer look.
var plain = func() (t [256]byte) {
	for c := byte(0x21); c < 0x7f; c++ {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c + 'a' - 'A'
	}
	return t
}()

// add folds text, which stands at raw in the original.
func (f *folding) add(text []byte, raw int) {
	f.floor = len(f.buf)
	f.pin(raw)
	for i := 0; i < len(text); {
		c := text[i]
		if p := plain[c]; p != 0 {
			if '0' <= c && c <= '9' {
				f.seen |= hasDigits
			}
			f.buf = append(f.buf, p)
			i++
			continue
		}
		if c == ' ' && i+1 < len(text) && plain[text[i+1]] != 0 && !f.spaced() {
			f.buf = append(f.buf, ' ')
			i++
			continue
		}
		i += f.rare(text[i:], raw+i)
		f.pin(raw + i)
	}
}

// pin notes that what is appended next comes from raw.
func (f *folding) pin(raw int) {
	n := len(f.buf)
	if len(f.at) > 0 && raw-n == f.shift {
		return
	}
	f.shift = raw - n
	if k := len(f.at); k > 0 && int(f.at[k-1].fold) == n {
		f.at[k-1].raw = int32(raw)
		return
	}
	f.at = append(f.at, anchor{int32(n), int32(raw)})
}

// rare folds white space, a control byte or one character beyond ASCII, and
// returns how long it was.
func (f *folding) rare(text []byte, raw int) int {
	if n, line := space(text); n > 0 {
		s := byte(' ')
		if line {
			s = '\n'
		}
		if f.spaced() { // something invisible stands between
			if line {
				f.buf[len(f.buf)-1] = s
			}
			return n
		}
		f.buf = append(f.buf, s)
		return n
	}
	if text[0] < utf8.RuneSelf {
		if text[0] == '\b' || text[0] == 0x7f {
			f.back()
		}
		return 1
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		f.buf = append(f.buf, text[0])
		return 1
	}
	s, mark := foldRune(r)
	f.seen |= mark
	f.buf = append(f.buf, s...)
	if s == asIs {
		f.buf = append(f.buf[:len(f.buf)-len(asIs)], text[:n]...)
	}
	return n
}

// spaced reports whether the text so far ends in white space.
func (f *folding) spaced() bool {
	k := len(f.buf)
	return k > f.floor && (f.buf[k-1] == ' ' || f.buf[k-1] == '\n')
}

// back takes the last character away, as a backspace does.
func (f *folding) back() {
	_, n := utf8.DecodeLastRune(f.buf[f.floor:])
	f.buf = f.buf[:len(f.buf)-n]
	for len(f.at) > 1 && int(f.at[len(f.at)-1].fold) > len(f.buf) {
		f.at = f.at[:len(f.at)-1]
	}
	last := f.at[len(f.at)-1]
	f.shift = int(last.raw - last.fold)
}

// original returns where buf[start:end] comes from. Both are rounded outwards to
// whole characters of raw.
func (f *folding) original(raw []byte, start, end int) (int, int) {
	s, e := f.raw(start, len(raw)), f.raw(end, len(raw))
	for s > 0 && s < len(raw) && !utf8.RuneStart(raw[s]) {
		s--
	}
	for e < len(raw) && !utf8.RuneStart(raw[e]) {
		e++
	}
	return s, max(s, e)
}

func (f *folding) raw(pos, limit int) int {
	if pos >= len(f.buf) {
		return limit
	}
	i := sort.Search(len(f.at), func(i int) bool { return int(f.at[i].fold) > pos }) - 1
	if i < 0 {
		return 0
	}
	r := int(f.at[i].raw) + pos - int(f.at[i].fold)
	if i+1 < len(f.at) {
		r = min(r, int(f.at[i+1].raw))
	}
	return min(r, limit)
}

// space returns the length of the white space that text begins with, and whether
// it has a line break.
func space(text []byte) (n int, line bool) {
	for n < len(text) {
		c := text[n]
		switch {
		case c == ' ' || c == '\t':
			n++
			continue
		case '\n' <= c && c <= '\r':
			n, line = n+1, true
			continue
		case c < utf8.RuneSelf:
			return n, line
		}
		r, size := utf8.DecodeRune(text[n:])
		if !unicode.IsSpace(r) {
			return n, line
		}
		n, line = n+size, line || r == 0x85 || r == 0x2028 || r == 0x2029
	}
	return n, line
}

// asIs stands for a character that folds to itself.
const asIs = "\xff"

// foldRune returns what a character beyond ASCII folds to.
func foldRune(r rune) (string, marks) {
	switch {
	case int(r) < len(common):
		return common[r].to, common[r].mark
	case 0x3040 <= r && r <= 0x30ff, 0x3400 <= r && r <= 0x9fff, 0xac00 <= r && r <= 0xd7a3:
		return asIs, 0 // kana, Han, Hangul
	}
	return foldSlow(r)
}

type foldTo struct {
	to   string
	mark marks
}

// common holds the folds of the alphabets that fill whole texts.
var common = func() (t [0x600]foldTo) {
	for r := range t {
		t[r].to, t[r].mark = foldSlow(rune(r))
	}
	return t
}()

func foldSlow(r rune) (string, marks) {
	if m, gone := invisible(r); gone {
		return "", m
	}
	if s, ok := lookalike(unicode.ToLower(r)); ok {
		if 'a' <= s[0] && s[0] <= 'z' {
			return s, hasForeign
		}
		return s, 0
	}
	if d := norm.NFKD.PropertiesString(string(r)).Decomposition(); len(d) > 0 {
		return foldParts(d)
	}
	if l := unicode.ToLower(r); l != r {
		return string(l), 0
	}
	return asIs, 0
}

// foldParts folds a decomposed character.
func foldParts(d []byte) (string, marks) {
	out := make([]byte, 0, len(d))
	for _, r := range string(d) {
		if _, gone := invisible(r); gone {
			continue
		}
		if s, ok := lookalike(unicode.ToLower(r)); ok {
			out = append(out, s...)
			continue
		}
		out = utf8.AppendRune(out, unicode.ToLower(r))
	}
	m := marks(0)
	if len(out) > 0 && out[0] < utf8.RuneSelf && d[0] < utf8.RuneSelf && d[len(d)-1] < utf8.RuneSelf {
		m = hasForeign // not a letter with an accent
	}
	return string(out), m
}

// invisible reports whether r shows nothing, or only marks a letter.
func invisible(r rune) (marks, bool) {
	switch {
	case r < 0xad:
		return 0, false
	case isSelector(r) || isTag(r):
		return hasTags, true
	case isBidi(r):
		return hasBidi, true
	case isZeroWidth(r):
		return hasInvisible, true
	}
	return 0, accent(r)
}

func isTag(r rune) bool { return 0xe0000 <= r && r <= 0xe007f }

func isSelector(r rune) bool {
	return 0xfe00 <= r && r <= 0xfe0f || 0xe0100 <= r && r <= 0xe01ef
}

func isBidi(r rune) bool { return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 }

func isZeroWidth(r rune) bool {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xfeff, r == 0xffa0:
		return true
	case 0x180b <= r && r <= 0x180f, 0x200b <= r && r <= 0x200f, 0x2060 <= r && r <= 0x206f, 0xfff9 <= r && r <= 0xfffb, 0x1d173 <= r && r <= 0x1d17a:
		return true
	}
	return false
}

// accent covers what is written over, under and through letters. Vowel signs of
// the Indic scripts are letters and stay.
func accent(r rune) bool {
	switch {
	case 0x300 <= r && r <= 0x36f, 0x483 <= r && r <= 0x489, 0x64b <= r && r <= 0x652, r == 0x640, 0x591 <= r && r <= 0x5c7:
		return true
	case 0x1ab0 <= r && r <= 0x1aff, 0x1dc0 <= r && r <= 0x1dff, 0x20d0 <= r && r <= 0x20ff, 0xfe20 <= r && r <= 0xfe2f:
		return true
	}
	return false
}

// lookalike returns the Latin letters that r, in lower case, is read as. Where
// the capital is the look-alike (Cyrillic ve and en) it is mapped through its
// lower case, or one word would fold differently at the start of a sentence.
func lookalike(r rune) (string, bool) {
	if s, ok := lookalikes[r]; ok {
		return s, true
	}
	for _, base := range [...]rune{0x1f150, 0x1f170, 0x1f1e6} { // enclosed capitals, and flags
		if base <= r && r < base+26 {
			return letters[r-base : r-base+1], true
		}
	}
	return "", false
}

const letters = "abcdefghijklmnopqrstuvwxyz"

var lookalikes = func() map[rune]string {
	m := map[rune]string{
		'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ł': "l", 'ð': "d", 'þ': "th", 'ħ': "h", 'ŧ': "t", 'ς': "σ",
		'‘': "'", '’': "'", '‚': "'", '‛': "'", '′': "'", '“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`, '″': `"`,
		'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-", '⁃': "-", '·': ".", '•': ".", '∕': "/", '⁄': "/", 'ꞌ': "'",
	}
	for _, pair := range [...][2]string{
		{"авекмнорстухіјѕԁԛԝһӏѵөүғґ", "abekmhopctyxijsdqwhlvoyfr"}, // Cyrillic
		{"αβγεζηικμνορτυχω", "abyeznikmvoptuxw"},                   // Greek
		{"օոսհցքզյ", "onuhggqj"},                                   // Armenian
		{"ɑɐɓƅɔɕɖɘəɛɡɢɦɩɪɨʝʞɭɯɱɲɳɵʀɾʂʈʉʋʌʍʏʐʙʜʟ", "aabbccdeeegghiiijklmmnnorrstuvvwyzbhl"},
		{"ᴀᴄᴅᴇꜰᴊᴋᴍɴᴏᴘꜱᴛᴜᴠᴡᴢıȷⲟⲣⲥ", "acdefjkmnopstuvwzijopc"},
	} {
		to := []byte(pair[1])
		i := 0
		for _, r := range pair[0] {
			m[r] = string(to[i])
			i++
		}
	}
	return m
}()
