package guard

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// Values in base64: documents, images and other files. What is text is read
// whole, whatever else is mixed into it, and of what is none the words in it; the
// formats of office programs, which pack their text, are not read, and that is noted.

// unreadRule is the name of the note on a document whose format is not read.
const unreadRule = "unread-document"

// packed begin the formats that pack their texts: PDF, docx and xlsx, and the
// older ones of office programs.
var packed = [...]string{"%PDF-", "PK\x03\x04", "\xd0\xcf\x11\xe0"}

// The parts of a picture that are searched for words are its ends, where
// comments stand; leastWords is how long a run of them must be.
const (
	pictureEnds = 64 << 10
	leastWords  = 16
)

// appendBlob appends what a value in base64 says, and sets unread when it is a
// document that is not read.
func appendBlob(dst, coded []byte, picture bool, unread *bool) ([]byte, kind) {
	at := len(dst)
	dst, err := base64.StdEncoding.AppendDecode(dst, coded)
	if err != nil {
		return append(dst[:at], coded...), inString
	}
	data := dst[at:]
	*unread = *unread || !picture && slices.ContainsFunc(packed[:], func(magic string) bool { return bytes.HasPrefix(data, []byte(magic)) })
	n := 0
	switch {
	case printable(data):
		return dst, inBlob
	case picture:
		n = words(data[:0], data[:min(len(data), pictureEnds)])
		if len(data) > pictureEnds {
			n += words(data[n:n], data[max(len(data)-pictureEnds, pictureEnds):])
		}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		dst = appendUTF16(dst, data)
		n = copy(dst[at:], dst[at+len(data):])
	case mostlyPlain(data):
		n = plain8(data)
	default:
		n = words(data[:0], data)
	}
	return dst[:at+n], inNothing
}

// character returns the length of the character of text that b begins with; 0
// when there is none.
func character(b []byte) int {
	if b[0] < utf8.RuneSelf {
		if plainText(b[0]) {
			return 1
		}
		return 0
	}
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
		return n
	}
	return 0
}

// mostlyPlain reports whether three in four bytes are text.
func mostlyPlain(data []byte) bool {
	text := 0
	for i := 0; i < len(data); {
		n := character(data[i:])
		text, i = text+n, i+max(n, 1)
	}
	return text >= len(data)/4*3
}

// plain8 drops from data what is no text, and returns how much is left.
func plain8(data []byte) int {
	out := data[:0]
	for i := 0; i < len(data); {
		n := character(data[i:])
		out = append(out, data[i:i+n]...)
		i += max(n, 1)
	}
	return len(out)
}

// appendUTF16 appends what data says, which has a byte order mark.
func appendUTF16(dst, data []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 0xfe {
		order = binary.BigEndian
	}
	for i := 2; i+1 < len(data); i += 2 {
		r := rune(order.Uint16(data[i:]))
		if 0xd800 <= r && r < 0xdc00 && i+3 < len(data) {
			if low := rune(order.Uint16(data[i+2:])); 0xdc00 <= low && low < 0xe000 {
				r, i = (r-0xd800)<<10|(low-0xdc00)+0x10000, i+2
			}
		}
		if r >= ' ' || r == '\n' || r == '\t' {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// words appends to dst, which may share data's memory, the runs of text in data,
// in UTF-8 or with a zero byte between any two characters, as ASCII is in UTF-16
// of either order. It returns how much that is.
func words(dst, data []byte) int {
	for i := 0; i < len(data); {
		n := textLen(data[i:])
		wide := 0
		for i+wide < len(data) && data[i+wide] < utf8.RuneSelf && plainText(data[i+wide]) && wide < len(data) {
			if wide += 2; i+wide-1 < len(data) && data[i+wide-1] != 0 {
				break
			}
		}
		switch {
		case n >= leastWords:
			if dst = append(dst, data[i:i+n]...); i+n < len(data) { // never more than was read
				dst = append(dst, '\n')
			}
			i += n + 1
		case wide >= 2*leastWords:
			for end := min(i+wide, len(data)); i < end; i += 2 {
				dst = append(dst, data[i])
			}
			dst = append(dst, '\n')
		default:
			i += max(n, 1)
		}
	}
	return len(dst)
}
