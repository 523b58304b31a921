// Package eventstream encodes and decodes the binary frames in which Bedrock
// streams its answers (application/vnd.amazon.eventstream), and nothing else:
// it does not know what the payloads mean.
//
// A frame is, in big-endian order,
//
//	total length u32 | headers length u32 | CRC-32 of those 8 bytes u32
//	headers: name length u8, name, type u8, value   (repeated)
//	payload
//	CRC-32 of all before it u32
//
// There are two ways in. [Reader] cuts a stream into frames without copying or
// allocating, for the gateway, which forwards them unchanged and looks at a
// header or two. [Decode] turns one frame into a [Message], for tests, tools
// and the emulator's clients. Both are equally strict: wrong checksums,
// lengths beyond the limits, unknown value types, and repeated or empty header
// names are a [*FormatError]. Encoding is by the Append functions, in
// the header order that Bedrock uses.
package eventstream

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"unicode/utf8"
)

// The limits of a frame, in bytes. Clients of AWS enforce the same.
const (
	MaxPayload = 24 << 20
	MaxHeaders = 128 << 10
	MaxName    = 255
	MaxValue   = 1<<15 - 1
	MaxFrame   = preludeLen + MaxHeaders + MaxPayload + crcLen

	// maxFields bounds the number of headers of one frame, and with it the
	// search for repeated names. Bedrock sends three.
	maxFields = 64

	preludeLen = 12
	crcLen     = 4
	minFrame   = preludeLen + crcLen
)

// Type is the type byte of a header value.
type Type uint8

// The types, as numbered on the wire.
const (
	True Type = iota
	False
	Int8
	Int16
	Int32
	Int64
	Bytes
	String
	Timestamp
	UUID
	numTypes
)

// width is the size of a value of fixed width; -1 marks those with a length.
var width = [numTypes]int{True: 0, False: 0, Int8: 1, Int16: 2, Int32: 4, Int64: 8, Bytes: -1, String: -1, Timestamp: 8, UUID: 16}

// Message is one decoded frame.
type Message struct {
	Headers Headers
	Payload []byte
}

// Headers are a frame's headers in the order they had on the wire.
type Headers []Header

// Header is one header of a frame.
type Header struct {
	Name  string
	Value Value
}

// Value is a header's value. Int holds integers and timestamps (milliseconds
// since 1970), Bytes holds byte strings, text and UUIDs.
type Value struct {
	Type  Type
	Int   int64
	Bytes []byte
}

// Text makes a value of type [String].
func Text(s string) Value { return Value{Type: String, Bytes: []byte(s)} }

// Text returns the value of a [String], and "" for all other types.
func (v Value) Text() string {
	if v.Type != String {
		return ""
	}
	return string(v.Bytes)
}

// Get returns the value of the header called name.
func (hs Headers) Get(name string) (Value, bool) {
	for i := range hs {
		if hs[i].Name == name {
			return hs[i].Value, true
		}
	}
	return Value{}, false
}

// FormatError says why bytes are not an event stream.
type FormatError struct {
	Offset int64  // of the faulty frame in the stream; 0 from Decode
	Reason string // what is wrong with it
}

func (e *FormatError) Error() string {
	return "event stream: frame at byte " + strconv.FormatInt(e.Offset, 10) + ": " + e.Reason
}

// Decode reads raw, which must be exactly one frame. Payload and values share
// memory with raw. The error is a [*FormatError].
func Decode(raw []byte) (Message, error) {
	if len(raw) < minFrame {
		return Message{}, &FormatError{Reason: "shorter than 16 bytes"}
	}
	total, reason := prelude(raw, MaxFrame)
	if reason == "" && total != len(raw) {
		reason = "total length is not the length of the frame"
	}
	if reason != "" {
		return Message{}, &FormatError{Reason: reason}
	}
	f, reason := parse(raw)
	if reason != "" {
		return Message{}, &FormatError{Reason: reason}
	}
	m := Message{Payload: f.Payload}
	for h := f.headers; len(h) > 0; {
		var name []byte
		var v Value
		name, v, h, _ = field(h)
		m.Headers = append(m.Headers, Header{string(name), v})
	}
	return m, nil
}

// prelude checks the first 12 bytes of a frame before any of the lengths in
// them is used, and returns the frame's length.
func prelude(b []byte, limit int) (total int, reason string) {
	length, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	switch {
	case crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]):
		return 0, "prelude checksum mismatch"
	case length < minFrame:
		return 0, "total length is below 16"
	case headers > MaxHeaders:
		return 0, "headers are longer than 128 KiB"
	case headers > length-minFrame:
		return 0, "headers are longer than the frame"
	case length-minFrame-headers > MaxPayload:
		return 0, "payload is longer than 24 MiB"
	case uint64(length) > uint64(limit):
		return 0, "frame is longer than " + strconv.Itoa(limit) + " bytes"
	}
	return int(length), ""
}

// parse checks a frame whose prelude is known to be good and complete.
func parse(raw []byte) (f Frame, reason string) {
	end := len(raw) - crcLen
	if crc32.ChecksumIEEE(raw[:end]) != binary.BigEndian.Uint32(raw[end:]) {
		return Frame{}, "message checksum mismatch"
	}
	split := preludeLen + int(binary.BigEndian.Uint32(raw[4:]))
	f = Frame{Raw: raw, Payload: raw[split:end:end], headers: raw[preludeLen:split]}
	return f, checkHeaders(f.headers)
}

func checkHeaders(all []byte) (reason string) {
	var names [maxFields][]byte
	n := 0
	for rest := all; len(rest) > 0; n++ {
		name, _, after, ok := field(rest)
		if !ok {
			return "malformed header"
		}
		if n == maxFields {
			return "too many headers"
		}
		for _, seen := range names[:n] {
			if string(seen) == string(name) {
				return "repeated header name"
			}
		}
		names[n], rest = name, after
	}
	return ""
}

// field reads the first header of b.
func field(b []byte) (name []byte, v Value, rest []byte, ok bool) {
	n := int(b[0])
	if n == 0 || len(b) < 1+n+1 || !utf8.Valid(b[1:1+n]) {
		return nil, Value{}, nil, false
	}
	name, v.Type, b = b[1:1+n], Type(b[1+n]), b[1+n+1:]
	if v.Type >= numTypes {
		return nil, Value{}, nil, false
	}
	size := width[v.Type]
	if size < 0 {
		if len(b) < 2 {
			return nil, Value{}, nil, false
		}
		size, b = int(binary.BigEndian.Uint16(b)), b[2:]
	}
	if size > MaxValue || len(b) < size {
		return nil, Value{}, nil, false
	}
	v.set(b[:size:size])
	if v.Type == String && !utf8.Valid(v.Bytes) {
		return nil, Value{}, nil, false
	}
	return name, v, b[size:], true
}

// set fills v from the bytes of a value of v.Type.
func (v *Value) set(b []byte) {
	switch v.Type {
	case Int8:
		v.Int = int64(int8(b[0]))
	case Int16:
		v.Int = int64(int16(binary.BigEndian.Uint16(b)))
	case Int32:
		v.Int = int64(int32(binary.BigEndian.Uint32(b)))
	case Int64, Timestamp:
		v.Int = int64(binary.BigEndian.Uint64(b))
	case Bytes, String, UUID:
		v.Bytes = b
	}
}
