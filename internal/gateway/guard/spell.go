package guard

import "bytes"

// Alphabets that write each letter as a sign or a word of its own: Braille and
// the spelling alphabet of radio operators.

// brailleLetters are a to z by their dots, as the bits of U+2800 and on.
const brailleLetters = "\x01\x03\x09\x19\x11\x0b\x1b\x13\x0a\x1a\x05\x07\x0d\x1d\x15\x0f\x1f\x17\x0e\x1e\x25\x27\x3a\x2d\x3d\x35"

// leastBraille is how many signs make a text.
const leastBraille = 8

// braille reads the sign that text begins with.
func braille(text []byte) (dots byte, ok bool) {
	if len(text) < 3 || text[0] != 0xe2 || text[1] < 0xa0 || text[1] > 0xa3 {
		return 0, false
	}
	return text[1]<<6 | text[2]&0x3f, true
}

// runBraille takes the run of Braille at i, and returns where to go on. What is
// no letter is a space; signs that say that a capital or number comes are nothing.
func (d *decoding) runBraille(text []byte, i int) int {
	at, end, signs := d.to.begin(), i, 0
	for end < len(text) {
		dots, ok := braille(text[end:])
		if !ok && text[end] != ' ' && text[end] != '\n' {
			break
		}
		end++
		if !ok {
			d.to.raw = append(d.to.raw, ' ')
			continue
		}
		end, signs = end+2, signs+1
		switch l := bytes.IndexByte([]byte(brailleLetters), dots); {
		case l >= 0:
			d.to.raw = append(d.to.raw, letters[l])
		case dots != 0x20 && dots != 0x3c:
			d.to.raw = append(d.to.raw, ' ')
		}
	}
	d.spend(end - i)
	if signs < leastBraille || !d.put(at, int(d.seg.raw.start)+i, int(d.seg.raw.start)+end, true, false) {
		d.to.raw = d.to.raw[:at]
	}
	return max(end, i+1)
}

// codeWords are the spelling alphabet, as it is written and as people write it.
// Their first letters are what they stand for.
var codeWords = [...]string{
	"alfa", "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "juliet", "kilo", "lima", "mike", "november",
	"oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "whisky", "x-ray", "xray", "yankee", "zulu",
}

func codeHints() (list []word) {
	for _, w := range codeWords {
		list = append(list, word{text: w, left: true, right: true})
	}
	return list
}

// spelled reads code words that stand one behind the other.
func (d *decoding) spelled() {
	s, hits := d.from, d.from.hits[d.e.spelling]
	for i := 0; i < len(hits) && !d.spend(1); {
		at, first, broken := d.to.begin(), i, false
		d.to.raw = append(d.to.raw, s.fold.buf[hits[i].start])
		for i++; i < len(hits); i++ {
			d.spend(1 + int(max(hits[i].start-hits[i-1].end, 0)))
			space, ok := betweenCodes(s.fold.buf[hits[i-1].end:max(hits[i].start, hits[i-1].end)])
			if !ok {
				break
			}
			if space {
				d.to.raw, broken = append(d.to.raw, ' '), true
			}
			d.to.raw = append(d.to.raw, s.fold.buf[hits[i].start])
		}
		k := s.segAt(hits[first].start, false)
		if i-first < leastApart || k == len(s.segs) {
			d.to.raw = d.to.raw[:at]
			continue
		}
		d.seg = &s.segs[k]
		from := s.unfold(span{hits[first].start, hits[i-1].end})
		if !d.put(at, int(from.start), int(from.end), true, !broken) {
			d.to.raw = d.to.raw[:at]
		}
	}
}

// betweenCodes reports whether what is between two code words lets them be read
// on, and whether it ends a word.
func betweenCodes(gap []byte) (space, ok bool) {
	if g := bytes.Trim(gap, " ()[]<>-,."); string(g) == "space" || string(g) == "stop" {
		return true, true
	}
	for _, c := range gap {
		if letter(c) || c >= 0x80 {
			return false, false
		}
	}
	return bytes.ContainsAny(gap, "/|_\n;."), 0 < len(gap) && len(gap) <= 5
}
