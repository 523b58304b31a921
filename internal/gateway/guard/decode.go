package guard

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"html"
	"slices"
	"unicode/utf8"
)

// What a text hides is looked for two layers deep, in two ways: runs of an
// encoding's alphabet that decode to something readable (base64, base32, base85,
// uuencode, hex, decimal and binary codes, Morse, Braille, spelling alphabet, tag
// characters, invisible bits), and whole passages in which signs of a dressing
// are found (escapes, rot13, Atbash, reversed words, leet, letters set apart). What comes out of one call is bounded, so that encodings in
// encodings cost no more than some times the text itself; a text that hides more
// is not judged by half: the guard is down for it.

// A layer may have decodedFloor bytes, and decodedTimes the length of the call's texts.
const (
	decodedFloor = 96 << 10
	decodedTimes = 4
)

// decoding is one layer being taken off. Each decoder tells spend how much it
// looked at, and gives up when it says so.
type decoding struct {
	e        *Engine
	j        *job
	from, to *scan
	first    bool // from is the texts as they were sent
	seg      *segment
	left     int
	odd      [numOdd]int // where each of oddReaders has read to in seg
}

// spend counts n bytes looked at, and reports whether there is to be an end: the
// time is over, or more is hidden than will be looked at.
func (d *decoding) spend(n int) bool { return d.j.clock.spend(n) || d.left < 0 }

// decode lays out in to what from hides, and reports whether that is all.
func (j *job) decode(from, to *scan) bool {
	from.deeper = to
	d := decoding{e: j.e, j: j, from: from, to: to, first: from == &j.scans[asSent], left: decodedFloor + decodedTimes*len(j.scans[asSent].raw)}
	for i := range from.segs {
		d.seg, d.odd = &from.segs[i], [numOdd]int{}
		if d.spend(1) {
			break
		}
		if d.seg.part { // the whole of it hides nothing
			continue
		}
		d.runs()
		d.escapes()
		d.uuencoded()
		d.words()
		d.apart()
	}
	d.hidden()
	d.spelled()
	for i := range disguises {
		d.disguised(i)
	}
	if len(to.segs) > 0 {
		to.read(&j.clock)
	}
	return d.left >= 0
}

// put takes a text that was appended to d.to.raw since at, when it can be read.
// It came from from.raw[start:end].
func (d *decoding) put(at, start, end int, coded, loose bool) bool {
	text := d.to.raw[at:]
	if len(text) < 6 || coded && !readable(text) {
		d.to.raw = d.to.raw[:at]
		return false
	}
	if d.left -= len(text); d.left < 0 {
		d.to.raw = d.to.raw[:at]
		return false
	}
	o := d.from.origin(span{int32(start), int32(end)}, d.first)
	d.to.end(at, segment{role: d.seg.role, origin: o, source: span{int32(start), int32(end)}, coded: coded, loose: loose, token: slot{kind: inNothing}})
	return true
}

// readable reports whether b is text, and so long, or so much of it letters and
// spaces, that this is no accident.
func readable(b []byte) bool {
	letters := 0
	for _, c := range b {
		if c >= 0x80 || c == ' ' || letter(c) {
			letters++
		}
	}
	return (letters*2 >= len(b) || len(b) >= 16) && printable(b)
}

// printable reports whether b is text: UTF-8 without control characters.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0x7f {
			return false
		}
	}
	return len(b) > 0 && utf8.Valid(b)
}

// The alphabets of runs.
const (
	in64 = 1 << iota
	inMorse
	inCodes
)

var alphabet = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '-', c == '_':
			t[c] |= in64
		}
		if c == '.' || c == '-' || c == '/' || c == ' ' || c == '|' || c == '\n' {
			t[c] |= inMorse
		}
		if '0' <= c && c <= '9' || c == ' ' || c == ',' || c == ';' || c == '\n' {
			t[c] |= inCodes
		}
	}
	return t
}()

// leastRun is how long a run must be to be decoded.
const leastRun = 12

// runs looks for runs of encodings' alphabets in d.seg.
func (d *decoding) runs() {
	text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
	for i, from := 0, 0; i < len(text) && !d.spend(i-from); {
		c := text[i]
		from = i
		switch {
		case alphabet[c]&in64 != 0:
			i = d.run64(text, i)
		case c == '.' || c == '\\':
			i = d.runOdd(text, i)
		case c == 0xe2 && i+1 < len(text) && text[i+1]&^3 == 0xa0:
			i = d.runBraille(text, i)
		default:
			i++
		}
	}
}

// run64 takes the run of letters and digits at i, and returns where to go on.
func (d *decoding) run64(text []byte, i int) int {
	end := i
	for end < len(text) && alphabet[text[end]]&in64 != 0 {
		end++
		if end < len(text) && end-i >= 40 && lineEnd(text[end:]) > 0 && end+2 < len(text) {
			if n := lineEnd(text[end:]); alphabet[text[end+n]]&in64 != 0 {
				end += n
			}
		}
	}
	switch {
	case end-i >= leastRun:
		run := text[i:end]
		for end < len(text) && text[end] == '=' {
			end++
		}
		d.decodeRun(run, int(d.seg.raw.start)+i, int(d.seg.raw.start)+end)
	case text[i] == '-' || text[i] == '_' || end-i <= 8 && '0' <= text[i] && text[i] <= '9' || end-i == 2 && hexDigit[text[i]] >= 0 && hexDigit[text[i+1]] >= 0:
		return max(d.runOdd(text, i), i+1)
	}
	return end
}

func lineEnd(b []byte) int {
	switch {
	case b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// decodeRun tries the encodings of which run may be, the strictest first. With
// its padding it is raw[start:end].
func (d *decoding) decodeRun(run []byte, start, end int) {
	at := d.to.begin()
	if run[0]&^1 == '0' {
		if out, ok := appendBits(d.to.raw, run); ok {
			d.to.raw = out
			if d.put(at, start, end, true, false) {
				return
			}
		}
		d.to.raw = d.to.raw[:at]
	}
	if out, ok := appendHex(d.to.raw, run); ok {
		d.to.raw = out
		if d.put(at, start, end, true, false) {
			return
		}
	}
	d.spend(2 * len(run))
	for shift := 0; shift < 4 && len(run)-shift >= leastRun; shift++ {
		d.spend(len(run))
		out, ok := append64(d.to.raw[:at], run[shift:])
		if d.to.raw = out; ok && d.put(at, start+shift, end, true, false) {
			return
		}
	}
	if len(run) >= 16 && is32(run[:16]) {
		upper := bytes.ToUpper(run)
		out, err := base32.StdEncoding.WithPadding(base32.NoPadding).AppendDecode(d.to.raw[:at], upper[:whole32(len(upper))])
		if d.to.raw = out; err == nil {
			d.put(at, start, end, true, false)
			return
		}
		d.to.raw = d.to.raw[:at]
	}
}

// whole32 is how many of n characters of base32 make whole bytes.
func whole32(n int) int { return n - [8]int{1: 1, 3: 1, 6: 1}[n%8] }

// is32 reports whether b is of base32's alphabet.
func is32(b []byte) bool {
	for _, c := range b {
		if !letter(c) && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// appendBits decodes whole bytes of nothing but bits.
func appendBits(dst, run []byte) ([]byte, bool) {
	if len(run)%8 != 0 {
		return dst, false
	}
	v := byte(0)
	for i, c := range run {
		if c&^1 != '0' {
			return dst, false
		}
		if v = v<<1 | c&1; i%8 == 7 {
			dst = append(dst, v)
		}
	}
	return dst, true
}

func appendHex(dst, run []byte) ([]byte, bool) {
	if len(run)%2 != 0 {
		return dst, false
	}
	for i := 0; i < len(run); i += 2 {
		a, b := hexDigit[run[i]], hexDigit[run[i+1]]
		if a < 0 || b < 0 {
			return dst, false
		}
		dst = append(dst, byte(a)<<4|byte(b))
	}
	return dst, true
}

// append64 decodes base64 of either alphabet, with or without padding. The
// first bytes tell whether it is worth it.
func append64(dst, run []byte) ([]byte, bool) {
	at := len(dst)
	dst = append(dst, run...) // room, and a copy in one alphabet
	b := slices.DeleteFunc(dst[at:], func(c byte) bool { return c == '\n' || c == '\r' })
	for i, c := range b {
		switch c {
		case '-':
			b[i] = '+'
		case '_':
			b[i] = '/'
		}
	}
	if len(b)%4 == 1 {
		b = b[:len(b)-1]
	}
	var head [24]byte
	n, err := base64.RawStdEncoding.Decode(head[:], b[:min(len(b)/4*4, 32)])
	if err != nil || !mostlyText(head[:n]) {
		return dst[:at], false
	}
	n, err = base64.RawStdEncoding.Decode(b, b)
	return dst[:at+n], err == nil
}

// mostlyText is readable without the last character, which may be cut.
func mostlyText(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut < len(b); cut++ {
		if readable(b[:len(b)-cut]) {
			return true
		}
	}
	return false
}

// leastEscapes is how many escapes make a passage worth decoding, and around how
// much of the text on either side is taken along.
const (
	leastEscapes = 3
	around       = 128
)

// escapes decodes the passage from the first to the last of %41, =41, \x41, \101,
// \u0041, &#65; and &amp;, if there are some.
func (d *decoding) escapes() {
	text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
	signs := 0
	for _, c := range [...]string{"%", "=", `\`, "&"} {
		signs += bytes.Count(text, []byte(c))
	}
	if d.spend(len(text)) || signs < leastEscapes {
		return
	}
	first, last, count := -1, 0, 0
	for i, c := range text {
		if c != '%' && c != '=' && c != '\\' && c != '&' {
			continue
		}
		if n, _ := escape(text[i:]); n > 0 {
			if first < 0 {
				first = i
			}
			last, count = i+n, count+1
		}
	}
	if count < leastEscapes {
		return
	}
	start, end := clip(text, first-around, last+around)
	d.spend(end - start)
	at := d.to.begin()
	for i := start; i < end; {
		n, out := escape(text[i:end])
		if n == 0 {
			n, out = 1, text[i:i+1]
		}
		d.to.raw = append(d.to.raw, out...)
		i += n
	}
	d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, false, false)
}

// clip moves start and end inwards to the text and to whole characters.
func clip(text []byte, start, end int) (int, int) {
	start, end = max(start, 0), min(end, len(text))
	for start < end && !utf8.RuneStart(text[start]) {
		start++
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	return start, end
}

// escape reads one escape at the beginning of s; 0 when there is none.
func escape(s []byte) (n int, out []byte) {
	switch {
	case len(s) >= 3 && (s[0] == '%' || s[0] == '='):
		if v, ok := hexNumber(s[1:3]); ok {
			return 3, []byte{byte(v)}
		}
		if s[0] == '=' && s[1] == '\n' { // soft line break
			return 2, nil
		}
	case len(s) >= 4 && s[0] == '\\' && '0' <= s[1] && s[1] <= '1' && s[2]&^7 == '0' && s[3]&^7 == '0': // octal
		return 4, []byte{s[1]&7<<6 | s[2]&7<<3 | s[3]&7}
	case len(s) >= 4 && s[0] == '\\' && s[1] == 'x':
		if v, ok := hexNumber(s[2:4]); ok {
			return 4, []byte{byte(v)}
		}
	case len(s) >= 6 && s[0] == '\\' && s[1] == 'u':
		if _, ok := hex4(s); ok {
			size, c := unescape(s)
			return size, bytes.Clone(c.bytes())
		}
	case len(s) >= 4 && s[0] == '&':
		if end := bytes.IndexByte(s[:min(len(s), 12)], ';'); end > 2 {
			if u := html.UnescapeString(string(s[:end+1])); len(u) < end {
				return end + 1, []byte(u)
			}
		}
	}
	return 0, nil
}

// hidden reads what tag characters and variation selectors spell.
func (d *decoding) hidden() {
	if d.from.fold.seen&hasInvisible != 0 {
		d.invisibleBits()
	}
	if d.from.fold.seen&hasTags == 0 {
		return
	}
	for i := range d.from.segs {
		d.seg = &d.from.segs[i]
		text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
		at, start, end := d.to.begin(), -1, 0
		d.spend(len(text))
		for i, r := range string(text) {
			b, ok := hiddenByte(r)
			if !ok {
				continue
			}
			if start < 0 {
				start = i
			}
			d.to.raw, end = append(d.to.raw, b), i+utf8.RuneLen(r)
		}
		if start >= 0 {
			d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, true, false)
		}
	}
}

// hiddenByte returns the byte that an invisible character stands for.
func hiddenByte(r rune) (byte, bool) {
	switch {
	case 0xe0020 <= r && r <= 0xe007e:
		return byte(r), true
	case 0xfe00 <= r && r <= 0xfe0e: // the last one asks for an emoji in colour
		return byte(r - 0xfe00), true
	case 0xe0100 <= r && r <= 0xe01ef:
		return byte(r - 0xe0100 + 16), true
	}
	return 0, false
}

// invisibleBits reads texts of which each bit is one of two characters that
// show nothing. Which of them is the one is not known, so both are tried.
func (d *decoding) invisibleBits() {
	for i := range d.from.segs {
		d.seg = &d.from.segs[i]
		text := d.from.raw[d.seg.raw.start:d.seg.raw.end]
		for flip := range byte(2) {
			d.spend(len(text))
			at := d.to.begin()
			out, start, end := appendInvisible(d.to.raw, text, flip)
			if d.to.raw = out; len(out)-at >= 6 && d.put(at, int(d.seg.raw.start)+start, int(d.seg.raw.start)+end, true, false) {
				break
			}
			d.to.raw = d.to.raw[:at]
		}
	}
}

// appendInvisible takes the first invisible character and its like for flip, and
// all others for the other bit.
func appendInvisible(dst, text []byte, flip byte) (out []byte, start, end int) {
	v, bits, zero := byte(0), 0, rune(-1)
	for i, r := range string(text) {
		if r < 0xad || !isZeroWidth(r) {
			continue
		}
		if zero < 0 {
			zero, start = r, i
		}
		b := flip
		if r != zero {
			b ^= 1
		}
		if v, bits = v<<1|b, bits+1; bits == 8 {
			dst, v, bits = append(dst, v), 0, 0
		}
		end = i + utf8.RuneLen(r)
	}
	return dst, start, end
}
