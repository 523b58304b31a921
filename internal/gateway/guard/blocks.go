package guard

import "bytes"

// Block encodings write some bytes as some more characters: base85 in three
// alphabets, and uuencode. Their characters are those of ordinary text, so
// what tells them apart is that they decode to plain text: the first bytes
// decide, and of ordinary words the first one nearly always says no.

// alphabets85 are those of Adobe, of Git and Python, and of ZeroMQ.
var alphabets85 = [...][256]int8{
	digits("!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu"),
	digits("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"),
	digits("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"),
}

// digits returns what each character of an alphabet stands for; -1 for others.
func digits(alphabet string) (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = int8(i)
	}
	return t
}

// least85 is how long a word must be to be tried as base85, and sure how many
// bytes must be ASCII text before the rest is believed.
const (
	least85 = 20
	sure    = 12
)

// word85 tries the word that stands at start as base85.
func (d *decoding) word85(word []byte, start int) {
	start += int(d.seg.raw.start)
	end := start + len(word)
	for _, mark := range [...]string{"<~", "'", `"`, "`"} {
		word = bytes.TrimPrefix(word, []byte(mark))
	}
	for i := range alphabets85 {
		at := d.to.begin()
		d.spend(len(word))
		d.to.raw = append85(d.to.raw, word, &alphabets85[i])
		if len(d.to.raw)-at >= sure && d.put(at, start, end, true, false) {
			return
		}
		d.to.raw = d.to.raw[:at]
	}
}

// append85 decodes as much of word as is base85.
func append85(dst, word []byte, alphabet *[256]int8) []byte {
	at := len(dst)
	for len(word) >= 2 {
		v, n := uint64(0), 0
		for ; n < 5 && n < len(word) && alphabet[word[n]] >= 0; n++ {
			v = v*85 + uint64(alphabet[word[n]])
		}
		for range 5 - n {
			v = v*85 + 84
		}
		for i := range max(n-1, 0) {
			b := byte(v >> (24 - 8*i))
			if v > 1<<32-1 || len(dst)-at < sure && !plainText(b) {
				return dst
			}
			dst = append(dst, b)
		}
		if n < 5 {
			break
		}
		word = word[5:]
	}
	return dst
}

func plainText(b byte) bool { return ' ' <= b && b < 0x7f || b == '\n' || b == '\t' || b == '\r' }

// leastUU is how long a line must be to be tried as uuencode, and longestUU how
// long one can be.
const (
	leastUU   = 13
	longestUU = 61
)

// uuencoded decodes lines that say their own length, as those of uuencode do.
func (d *decoding) uuencoded() {
	text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
	at, start, end := d.to.begin(), -1, 0
	for i := 0; i < len(text); {
		if d.spend(1) {
			break
		}
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			n = len(text) - i
		}
		d.spend(2 * n)
		if body := lineUU(text[i : i+n]); body != nil {
			if start < 0 {
				start = i
			}
			d.to.raw, end = appendUU(d.to.raw, body), i+n
		} else if start >= 0 {
			break
		}
		i += n + 1
	}
	if start >= 0 && !d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, true, false) {
		d.to.raw = d.to.raw[:at]
	}
}

// lineUU returns the line from the character that says its length, if it has
// that length and only characters that may be there.
func lineUU(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	line = line[max(len(line)-len(": ")-longestUU, 0):] // of a longer one it is none, or a title
	if i := bytes.LastIndex(line, []byte(": ")); i >= 0 {
		line = line[i+2:]
	}
	if len(line) < leastUU || line[0] <= ' ' || line[0] > 'M' || len(line)-1 != (int(line[0]-' ')+2)/3*4 {
		return nil
	}
	for _, c := range line {
		if c < ' ' || c > '`' {
			return nil
		}
	}
	return line
}

func appendUU(dst, line []byte) []byte {
	end := len(dst) + int(line[0]-' ')
	for b := line[1:]; len(b) >= 4; b = b[4:] {
		v := uint32(0)
		for _, c := range b[:4] {
			v = v<<6 | uint32(c-' ')&63
		}
		dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
	}
	return dst[:end]
}
