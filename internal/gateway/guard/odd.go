package guard

import (
	"bytes"
	"unicode/utf8"
)

// Codes with separators: hexadecimal pairs, decimal and binary numbers, Morse.
//
// A reader takes the run of such codes at a place in one go and says where it
// ends; what is no letter in it becomes a zero byte. The letters between zeros
// are what it hides. Since no reader looks twice at a place that it has read, all
// of them are linear in the text, whatever stands there.

// reading is what a reader made of a run, and where each byte of it stands.
type reading struct {
	text     []byte
	from, to []int32
}

func (r *reading) reset() { r.text, r.from, r.to = r.text[:0], r.from[:0], r.to[:0] }

func (r *reading) add(b byte, from, to int) {
	r.text, r.from, r.to = append(r.text, b), append(r.from, int32(from)), append(r.to, int32(to))
}

// oddReaders read the run at i, and return where it ends, which is behind i. least is
// how many letters they must find: lines and dots of tables have no eight
// letters of Morse in a row.
var oddReaders = [numOdd]struct {
	read  func(r *reading, text []byte, i int) int
	least int
}{{readPairs, 6}, {readCodes, 6}, {readBits, 6}, {readMorse, 8}}

const numOdd = 4

// runOdd takes the runs that begin at i, and returns where to go on.
func (d *decoding) runOdd(text []byte, i int) int {
	if i > 0 && alphabet[text[i-1]]&in64 != 0 {
		return i + 1
	}
	for k := range oddReaders {
		if i < d.odd[k] {
			continue // within a run that was read
		}
		d.j.reading.reset()
		d.odd[k] = max(oddReaders[k].read(&d.j.reading, text, i), i+1)
		d.spend(d.odd[k] - i)
		d.stretches(oddReaders[k].least)
	}
	return i + 1
}

// stretches puts what can be read of a reading. What is only a part of it must be
// longer, for in what is no text some bytes always look like letters.
func (d *decoding) stretches(least int) {
	r := &d.j.reading
	base := int(d.seg.raw.start)
	for i := 0; i < len(r.text); {
		n := textLen(r.text[i:])
		if n == len(r.text) && n >= least || n >= leastRun {
			at := d.to.begin()
			d.to.raw = append(d.to.raw, r.text[i:i+n]...)
			d.put(at, base+int(r.from[i]), base+int(r.to[i+n-1]), true, false)
		}
		i += n + 1
	}
}

// textLen is how many bytes b begins with that are text.
func textLen(b []byte) int {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if !plainText(c) {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// readPairs reads "69 67", "0x69,0x67", `\x69\x67`.
func readPairs(r *reading, text []byte, i int) int {
	for i < len(text) {
		n := i
		if bytes.HasPrefix(text[n:], []byte("0x")) || bytes.HasPrefix(text[n:], []byte(`\x`)) {
			n += 2
		}
		if n+2 > len(text) {
			break
		}
		v, ok := hexNumber(text[n : n+2])
		if !ok || n+2 < len(text) && hexDigit[text[n+2]] >= 0 {
			break
		}
		r.add(byte(v), i, n+2)
		end := n + 2
		for i = end; i < len(text) && i < end+2 && bytes.IndexByte([]byte(" ,:;-\n"), text[i]) >= 0; i++ {
		}
		if i == end && !bytes.HasPrefix(text[i:], []byte(`\x`)) {
			break
		}
	}
	return i
}

// readCodes reads "105 103 110".
func readCodes(r *reading, text []byte, i int) int {
	v, digits := 0, 0
	for ; i <= len(text); i++ {
		if i < len(text) && '0' <= text[i] && text[i] <= '9' {
			v, digits = min(v*10+int(text[i]-'0'), 1000), digits+1
			continue
		}
		if digits > 0 {
			if v > 0x7e || digits > 3 {
				v = 0
			}
			r.add(byte(v), i-digits, i)
			v, digits = 0, 0
		}
		if i == len(text) || alphabet[text[i]]&inCodes == 0 {
			break
		}
	}
	return i
}

// readBits reads "01101001 01100111".
func readBits(r *reading, text []byte, i int) int {
	v, bits := byte(0), 0
	for ; i < len(text); i++ {
		c := text[i]
		if c == '0' || c == '1' {
			if v, bits = v<<1|c&1, bits+1; bits == 8 {
				r.add(v, i-7, i+1)
				v, bits = 0, 0
			}
			continue
		}
		if c != ' ' && c != '\n' && c != ',' {
			break
		}
		if bits > 0 {
			r.add(0, i-bits, i)
			v, bits = 0, 0
		}
	}
	return i
}

var morse = map[string]byte{
	".-": 'a', "-...": 'b', "-.-.": 'c', "-..": 'd', ".": 'e', "..-.": 'f', "--.": 'g', "....": 'h', "..": 'i', ".---": 'j',
	"-.-": 'k', ".-..": 'l', "--": 'm', "-.": 'n', "---": 'o', ".--.": 'p', "--.-": 'q', ".-.": 'r', "...": 's', "-": 't',
	"..-": 'u', "...-": 'v', ".--": 'w', "-..-": 'x', "-.--": 'y', "--..": 'z',
	"-----": '0', ".----": '1', "..---": '2', "...--": '3', "....-": '4', ".....": '5', "-....": '6', "--...": '7', "---..": '8', "----.": '9',
}

// longestMorse is how many signs a letter has.
const longestMorse = 5

// readMorse reads Morse: a space between letters, / or | or more spaces between
// words.
func readMorse(r *reading, text []byte, i int) int {
	letter := 0
	for ; i <= len(text); i++ {
		if i < len(text) && (text[i] == '.' || text[i] == '-') {
			letter++
			continue
		}
		if letter > 0 {
			c := byte(0)
			if letter <= longestMorse {
				c = morse[string(text[i-letter:i])]
			}
			r.add(c, i-letter, i)
			letter = 0
		}
		if i == len(text) || alphabet[text[i]]&inMorse == 0 {
			break
		}
		last := len(r.text) - 1
		if gap := text[i] != ' ' || i+1 < len(text) && text[i+1] == ' '; gap && last >= 0 && r.text[last] != ' ' && r.text[last] != 0 {
			r.add(' ', i, i+1)
		}
	}
	return i
}
