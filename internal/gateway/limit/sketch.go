package limit

import (
	"encoding/hex"
	"math/bits"
	"unicode"
	"unicode/utf8"

	"gatehouse/internal/call"
)

// A sketch tells how alike two prompts are without keeping either: the share of
// features that they have in common is about the share of bins that agree.
//
// What counts as the same text: case, white space, punctuation and invisible
// characters do not matter, and anything with a digit in it is one and the same
// word, so numbers, dates and most nonces do not make a prompt another. Features
// are words and pairs of neighbours; in scripts written without spaces each
// character is a word. A prompt of few words has too few features to compare,
// and is like another only when they are the same words.
//
// Each feature falls into one bin, which keeps its least (one-permutation
// hashing); an empty bin borrows from another, found by its own number (the
// "optimal densification" of Shrivastava, 2017). Four bits of each are kept:
// bins of unlike prompts agree by chance one time in sixteen. All hashes are
// fixed, so that sketches mean the same after a restart and on another gateway.
// Somebody who makes texts for it can have unlike ones taken for alike, in a
// count of their own.
type sketch [bins / 16]uint64

const (
	bins = 64
	// alike is how many bins agree, at least, in prompts that are alike: what
	// is expected of texts that share half of their features.
	alike = bins * 17 / 32
	// fewWords is up to how many words only the same are alike.
	fewWords = 4
	// maxText is how much of a prompt is looked at: half from each end.
	maxText = 64 << 10
)

// matches is how many bins agree.
func (a *sketch) matches(b *sketch) (n int) {
	for i := range a {
		x := a[i] ^ b[i]
		x |= x >> 2
		x |= x >> 1
		n += 16 - bits.OnesCount64(x&0x1111111111111111)
	}
	return n
}

func (a *sketch) String() string {
	var raw [bins / 2]byte
	for i, word := range a {
		for j := range 8 {
			raw[8*i+j] = byte(word >> (56 - 8*j))
		}
	}
	return hex.EncodeToString(raw[:])
}

// parseSketch reads what String wrote.
func parseSketch(s string) (a sketch, ok bool) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != bins/2 {
		return a, false
	}
	for i, b := range raw {
		a[i/8] = a[i/8]<<8 | uint64(b)
	}
	return a, true
}

// sketcher makes the sketch of one call's prompt, once.
type sketcher struct {
	text  []byte
	done  bool
	blank bool // there is no prompt
	value sketch

	least    [bins]uint64
	words    int
	word     uint64 // the hash so far of a word that has begun; 0: none has
	number   bool   // it has a digit
	previous uint64
	all      uint64 // the hash of all words
}

func (s *sketcher) reset() {
	s.text, s.done = s.text[:0], false
}

// prompt returns the sketch of what the user said last, false if nothing.
func (s *sketcher) prompt(c *call.Call) (*sketch, bool) {
	if !s.done {
		s.done, s.blank = true, c.Doc == nil || len(c.LastTurn) == 0
		if !s.blank {
			s.gather(c)
			s.sketch(s.text)
		}
	}
	return &s.value, !s.blank
}

// gather copies the prompt's text, of a long one the two ends as they stand in
// the body: what is read is bounded, whatever a body holds.
func (s *sketcher) gather(c *call.Call) {
	size := 0
	for _, n := range c.LastTurn {
		size += len(c.Doc.Raw(n)) + 1
	}
	if size <= maxText {
		for _, n := range c.LastTurn {
			s.text, _ = c.Doc.AppendString(s.text, n)
			s.text = append(s.text, '\n')
		}
		return
	}
	for room, i := maxText/2, 0; room > 0 && i < len(c.LastTurn); i++ {
		raw := c.Doc.Raw(c.LastTurn[i])
		raw = raw[:min(len(raw), room)]
		s.text = append(append(s.text, raw...), '\n')
		room -= len(raw)
	}
	for room, i := maxText/2, len(c.LastTurn)-1; room > 0 && i >= 0; i-- {
		raw := c.Doc.Raw(c.LastTurn[i])
		raw = raw[len(raw)-min(len(raw), room):]
		s.text = append(append(s.text, raw...), '\n')
		room -= len(raw)
	}
}

// sketch sets value to the sketch of a text.
func (s *sketcher) sketch(text []byte) {
	for i := range s.least {
		s.least[i] = ^uint64(0)
	}
	s.words, s.word, s.number, s.previous, s.all = 0, 0, false, 0, 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i = s.ascii(text, i)
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		s.rune(r)
		i += size
	}
	s.endWord()
	if s.words <= fewWords {
		for i := range s.value {
			s.value[i] = mix(s.all + uint64(i+1))
		}
		return
	}
	s.fill()
}

// ascii takes the ASCII at i, up to the end of a word or of the ASCII, and
// returns where to go on: the loop that most prompts spend their time in.
func (s *sketcher) ascii(text []byte, i int) int {
	word := s.word
	for ; i < len(text) && text[i] < utf8.RuneSelf; i++ {
		f := folded[text[i]]
		if f == 0 {
			s.word = word
			s.endWord()
			return i + 1
		}
		if f <= '9' {
			s.number = true
		}
		if word == 0 {
			word = 0xcbf29ce484222325
		}
		word = (word ^ uint64(f)) * 0x100000001b3
	}
	s.word = word
	return i
}

// folded is what of an ASCII character is part of a word; 0: it is none.
var folded = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			t[c] = byte(c)
		case 'A' <= c && c <= 'Z':
			t[c] = byte(c) + 'a' - 'A'
		}
	}
	return t
}()

func (s *sketcher) rune(r rune) {
	switch {
	case 'a' <= r && r <= 'z':
	case 'A' <= r && r <= 'Z':
		r += 'a' - 'A'
	case '0' <= r && r <= '9':
		s.number = true
	case r < utf8.RuneSelf:
		s.endWord()
		return
	default:
		if 0xff01 <= r && r <= 0xff5e { // full-width forms of ASCII
			s.rune(r - 0xfee0)
			return
		}
		if r = s.other(r); r == 0 {
			return
		}
	}
	if s.word == 0 {
		s.word = 0xcbf29ce484222325
	}
	s.word = (s.word ^ uint64(r)) * 0x100000001b3
	if alone(r) {
		s.endWord()
	}
}

// other folds a rune beyond ASCII, or returns 0 when it is no part of a word.
func (s *sketcher) other(r rune) rune {
	switch {
	case unicode.IsLetter(r):
		return unicode.ToLower(r)
	case unicode.IsDigit(r):
		s.number = true
		return r
	case unicode.In(r, unicode.Mn, unicode.Cf):
		return 0 // neither seen nor a separator
	case unicode.IsPunct(r), unicode.IsSpace(r):
		s.endWord()
		return 0
	}
	s.endWord()
	s.word = mix(uint64(r)) | 1 // a symbol is a word
	s.endWord()
	return 0
}

// alone reports whether r is of a script that is written without spaces.
func alone(r rune) bool {
	return 0x0e00 <= r && r <= 0x0eff || 0x1000 <= r && r <= 0x109f || 0x1780 <= r && r <= 0x17ff ||
		0x2e80 <= r && r <= 0xabff && !unicode.Is(unicode.Yi, r) || 0xf900 <= r && r <= 0xfaff || r >= 0x20000
}

// endWord takes the word that has begun, if any, and its pair with the one
// before as features. Numbers in a row are one word.
func (s *sketcher) endWord() {
	word := s.word
	if word == 0 {
		return
	}
	if s.number {
		word = 1
	}
	s.word, s.number = 0, false
	if word == 1 && s.previous == 1 {
		return
	}
	s.feature(mix(word))
	if s.words > 0 {
		s.feature(mix(s.previous*3 + bits.RotateLeft64(word, 32)))
	}
	s.all = mix(s.all + word)
	s.previous = word
	s.words++
}

func (s *sketcher) feature(hash uint64) {
	b := hash >> 58
	s.least[b] = min(s.least[b], hash&(1<<58-1))
}

// fill lets empty bins borrow, and keeps four bits of each.
func (s *sketcher) fill() {
	s.value = sketch{}
	for i := range uint64(bins) {
		v := s.least[i]
		for try := uint64(1); v == ^uint64(0); try++ {
			v = s.least[mix(i<<32+try)%bins]
		}
		s.value[i/16] |= (v & 15) << (4 * (i % 16))
	}
}

// mix spreads a number over all bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
