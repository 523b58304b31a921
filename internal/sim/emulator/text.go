package emulator

import (
	"math/rand/v2"
	"unicode/utf8"
)

// bytesPerToken is the emulator's whole tokenizer: a token is four bytes of
// UTF-8, the last of a text may be shorter. It is not AWS's or any vendor's,
// but it is exact, cheap, and near enough to theirs for limits and prices.
const bytesPerToken = 4

// mediaTokens is what an image, document, video or audio block counts as.
const mediaTokens = 1500

// tokens is the number of tokens in n bytes of text.
func tokens(n int) int64 { return int64(n+bytesPerToken-1) / bytesPerToken }

// cut shortens text to at most limit tokens, at a rune boundary.
func cut(text []byte, limit int64) []byte {
	if limit >= tokens(len(text)) {
		return text
	}
	n := int(limit) * bytesPerToken
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// maxPiece bounds the bytes of one streamed delta, for texts without spaces.
const maxPiece = 24

// piece returns how many bytes of text the next streamed delta takes: leading
// white space and one word.
func piece(text []byte) int {
	i := 0
	for i < len(text) && text[i] <= ' ' {
		i++
	}
	for i < len(text) && text[i] > ' ' && i < maxPiece {
		i++
	}
	for i < len(text) && !utf8.RuneStart(text[i]) {
		i++
	}
	return i
}

// hash64 is FNV-1a continued from h. It seeds the generator, so that one
// emulator seed, model and prompt always give the same answer.
func hash64[T string | []byte](h uint64, data T) uint64 {
	for i := range len(data) {
		h = (h ^ uint64(data[i])) * 1099511628211
	}
	return h
}

const hashStart = 14695981039346656037

// The word chain: a sentence walks these lists from place to place, and which
// list may follow which is written in nextClass.
type class uint8

const (
	opening class = iota
	determiner
	adjective
	noun
	verb
	preposition
	closing
)

var chain = [closing][]string{
	opening:     {"In practice", "Most of the time", "As a rule", "After all", "For this reason", "At first", "In short", "By contrast"},
	determiner:  {"the", "a", "every", "this", "one", "each", "that", "another"},
	adjective:   {"small", "careful", "distant", "plain", "steady", "quiet", "useful", "common", "recent", "clear", "early", "simple"},
	noun:        {"river", "question", "model", "answer", "garden", "signal", "reader", "number", "bridge", "letter", "market", "engine", "record", "window", "theory", "harbour"},
	verb:        {"follows", "explains", "carries", "changes", "measures", "describes", "holds", "shapes", "supports", "reaches", "joins", "marks"},
	preposition: {"with", "near", "before", "behind", "under", "without", "across", "through"},
}

// nextClass is the class that follows each, chosen evenly.
var nextClass = [closing][]class{
	opening:     {determiner},
	determiner:  {adjective, noun, noun},
	adjective:   {noun},
	noun:        {verb, verb, preposition, closing},
	verb:        {determiner},
	preposition: {determiner},
}

// A sentence has at least minWords words or so, and a noun after maxWords ends it.
const (
	minWords = 5
	maxWords = 16
)

// appendProse appends whole sentences until at least want tokens are there.
func appendProse(dst []byte, rng *rand.PCG, want int64) []byte {
	start := len(dst)
	for tokens(len(dst)-start) < want {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = appendSentence(dst, rng)
	}
	return dst
}

func appendSentence(dst []byte, rng *rand.PCG) []byte {
	start, state := len(dst), determiner
	if rng.Uint64()%3 == 0 {
		state = opening
	}
	for n := 0; ; n++ {
		if n > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, pick(rng, chain[state])...)
		if state == opening {
			dst = append(dst, ',')
		}
		after := pick(rng, nextClass[state])
		switch {
		case state == noun && n >= maxWords:
			after = closing
		case after == closing && n < minWords:
			after = verb
		}
		if after == closing {
			break
		}
		state = after
	}
	if c := dst[start]; 'a' <= c && c <= 'z' {
		dst[start] = c - ('a' - 'A')
	}
	return append(dst, '.')
}

func pick[T any](rng *rand.PCG, list []T) T { return list[rng.Uint64()%uint64(len(list))] }

// naturalLength is how many tokens an answer has that nothing cuts short.
func naturalLength(rng *rand.PCG) int64 { return 24 + int64(rng.Uint64()%72) }

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// appendID appends n letters and digits: the random part of the vendors' ids.
func appendID(dst []byte, rng *rand.PCG, n int) []byte {
	for range n {
		dst = append(dst, base62[rng.Uint64()%uint64(len(base62))])
	}
	return dst
}

// appendUUID appends a UUID v4 made of the two words.
func appendUUID(dst []byte, hi, lo uint64) []byte {
	const digits = "0123456789abcdef"
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(0xc<<60) | 0x8<<60
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		word := hi
		if i >= 16 {
			word = lo
		}
		dst = append(dst, digits[word>>(60-4*(i%16))&15])
	}
	return dst
}
