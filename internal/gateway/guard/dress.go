package guard

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A disguise turns every letter or word of a passage into another. Whether one
// is worn shows in words that attacks need: in rot13 "ignore" is "vtaber",
// which no language has. They are looked for with the words of the rules, so
// that texts without them cost nothing.
type disguise struct {
	name string
	undo func(b []byte) // in place
}

var disguises = append(shifts(), []disguise{
	{"atbash", func(b []byte) { replace(b, func(c byte) byte { return 'a' + 'z' - c }) }},
	{"backwards", slices.Reverse[[]byte]},
	{"words backwards", reverseWords},
}...)

const numDisguises = 25 + 3

// shifts are the alphabets moved on by 1 to 25 letters, rot13 among them.
func shifts() (list []disguise) {
	for n := byte(1); n < 26; n++ {
		undo := func(b []byte) { replace(b, func(c byte) byte { return 'a' + (c-'a'+26-n)%26 }) }
		list = append(list, disguise{fmt.Sprint("shift ", n), undo})
	}
	return list
}

// tells are the words that show a disguise. One of six letters or more is
// enough, for dressed up it is no other word; of shorter ones, two near each other.
var tells = [...]string{
	"ignore", "disregard", "previous", "instructions", "instruction", "system", "prompt", "reveal", "secret", "password",
	"forget", "override", "restrictions", "guidelines", "developer", "jailbreak", "unrestricted", "everything", "anything", "assistant", "please",
	"answer", "respond", "response", "repeat", "output", "message", "without", "before", "should", "explain", "describe", "pretend", "conversation", "following",
	"the", "and", "you", "your", "that", "this", "what", "which", "with", "from", "have", "tell", "give", "show", "print", "write", "make", "rules", "about", "above", "there", "would",
}

// surely is the length of a word that shows a disguise by itself.
const surely = 6

// redo is how the tells are dressed: undoing 25 times is redoing, for each
// disguise comes back to the text after 26 or 2 times.
func (d *disguise) redo(b []byte) {
	for range 25 {
		d.undo(b)
	}
}

// rareTells are how many tells shifts other than rot13 have, to keep the words few.
const rareTells = 10

func (d *disguise) hints() []word {
	var out []word
	for i, t := range tells {
		if i >= rareTells && strings.HasPrefix(d.name, "shift") && d.name != "shift 13" {
			break
		}
		b := []byte(t)
		d.redo(b)
		out = append(out, word{text: string(b), left: true, right: true})
	}
	return out
}

func replace(b []byte, f func(byte) byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = f(c)
		}
	}
}

func reverseWords(b []byte) {
	for start := 0; start < len(b); {
		end := start
		for end < len(b) && b[end] != ' ' && b[end] != '\n' {
			end++
		}
		slices.Reverse(b[start:end])
		start = end + 1
	}
}

// disguised undoes disguise i around the words that show it.
func (d *decoding) disguised(i int) {
	s := d.from
	done := int32(0)
	hits := s.hits[d.e.hints[i]]
	for n, h := range hits {
		if d.spend(1) {
			return
		}
		if h.start < done || h.end-h.start < surely && (n+1 == len(hits) || hits[n+1].end-h.end > around) {
			continue
		}
		k := s.segAt(h.start, false)
		if k == len(s.segs) {
			return
		}
		d.seg = &s.segs[k]
		sp := span{max(h.start-2*around, d.seg.fold.start, done), min(h.end+2*around, d.seg.fold.end)}
		done = sp.end
		d.spend(2 * int(sp.end-sp.start))
		from := s.unfold(sp)
		at := d.to.begin()
		d.to.raw = append(d.to.raw, s.fold.buf[sp.start:sp.end]...)
		disguises[i].undo(d.to.raw[at:])
		d.put(at, int(from.start), int(from.end), true, false)
	}
}

// leetLetter is the letter that a digit or sign stands for; 0 for none.
var leetLetter = [256]byte{
	'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '6': 'g', '7': 't', '8': 'b', '9': 'g',
	'@': 'a', '$': 's', '!': 'i', '|': 'l', '+': 't',
}

// isLeet reports whether a word has letters, and more than one sign in place of
// a letter or one between letters.
func isLeet(w []byte) bool {
	letters, signs, between := 0, 0, false
	for i, c := range w {
		lower := c | 0x20
		switch {
		case 'a' <= lower && lower <= 'z':
			letters++
		case leetLetter[c] != 0:
			signs++
			between = between || i > 0 && i+1 < len(w) && letter(w[i-1]) && letter(w[i+1])
		}
	}
	return letters > 0 && letters+signs >= 3 && (between || signs > 1) && letters+signs >= len(w)-1
}

func letter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }

// words looks at each word: long ones may be base85, and passages with words
// such as 1gn0r3 are written in letters.
func (d *decoding) words() {
	text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
	first, last := -1, 0
	for i := 0; i < len(text); {
		end := i
		signs := false
		for end < len(text) && text[end] > ' ' {
			signs = signs || leetLetter[text[end]] != 0
			end++
		}
		if signs && end-i < 24 && isLeet(text[i:end]) {
			if first >= 0 && i-last > around {
				d.unleet(text, first, last)
				first = -1
			}
			if first < 0 {
				first = i
			}
			last = end
		}
		if d.spend(end - i + 1) {
			return
		}
		if end-i >= least85 {
			d.word85(text[i:end], i)
		}
		i = end + 1
	}
	if first >= 0 {
		d.unleet(text, first, last)
	}
}

// unleet writes a passage in letters; of what was sent once more, if 1 may stand
// for another.
func (d *decoding) unleet(text []byte, first, last int) {
	start, end := clip(text, first-around, last+around)
	d.unleetAs(text, start, end, 'i')
	if d.first && bytes.IndexByte(text[first:last], '1') >= 0 {
		d.unleetAs(text, start, end, 'l')
	}
}

func (d *decoding) unleetAs(text []byte, start, end int, one byte) {
	at := d.to.begin()
	d.spend(end - start)
	d.to.raw = append(d.to.raw, text[start:end]...)
	out := d.to.raw[at:]
	for i, c := range out {
		if l := leetLetter[c]; l != 0 && (i > 0 && letter(out[i-1]) || i+1 < len(out) && (letter(out[i+1]) || leetLetter[out[i+1]] != 0)) {
			out[i] = l
			if c == '1' {
				out[i] = one
			}
		}
	}
	d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, false, false)
}

// leastApart is how many letters must stand one by one.
const leastApart = 6

// apart joins letters that are set one by one: "i g n o r e", "i.g.n.o.r.e".
func (d *decoding) apart() {
	text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
	if d.spend(len(text)) {
		return
	}
	for i := 0; i+2 < len(text) && !d.j.clock.late; i++ {
		if !letter(text[i]) || letter(text[i+1]) || !letter(text[i+2]) && i+3 < len(text) && !letter(text[i+3]) || i > 0 && letter(text[i-1]) {
			continue
		}
		at, start, letters := d.to.begin(), i, 0
		end := i
		for i < len(text) && letter(text[i]) && (i+1 == len(text) || !letter(text[i+1])) {
			d.to.raw = append(d.to.raw, text[i])
			letters++
			end = i + 1
			gap := end
			for gap < len(text) && gap < end+4 && bytes.IndexByte([]byte(" .-_*|/,\n\t"), text[gap]) >= 0 {
				gap++
			}
			if gap-end > 1 || gap > end && text[end] == '\n' {
				d.to.raw = append(d.to.raw, ' ')
			}
			if gap == end {
				break
			}
			i = gap
		}
		d.spend(end - start)
		i = max(end-1, start)
		if letters < leastApart || !d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, true, true) {
			d.to.raw = d.to.raw[:at]
		}
	}
}
