package eventstream

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
)

// The headers of Bedrock's frames, and the values of message-type.
const (
	EventTypeHeader     = ":event-type"
	ExceptionTypeHeader = ":exception-type"
	ContentTypeHeader   = ":content-type"
	MessageTypeHeader   = ":message-type"
	ErrorCodeHeader     = ":error-code"
	ErrorMessageHeader  = ":error-message"

	MessageEvent     = "event"
	MessageException = "exception"
	MessageError     = "error"
)

// Padding is what the member "p" of every streamed payload is a prefix of, 2
// to 61 bytes long.
const Padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Append appends m as one frame. It panics when m is beyond the limits of
// this package: frames are written by us, from parts already bounded.
func Append(dst []byte, m *Message) []byte {
	dst, start := begin(dst)
	for i := range m.Headers {
		dst = appendHeader(dst, m.Headers[i].Name, m.Headers[i].Value)
	}
	return finish(dst, start, m.Payload)
}

// AppendEvent appends an event frame with a JSON payload, as Bedrock would.
func AppendEvent(dst []byte, eventType string, payload []byte) []byte {
	dst, start := begin(dst)
	dst = appendText(dst, EventTypeHeader, eventType)
	dst = appendText(dst, ContentTypeHeader, "application/json")
	dst = appendText(dst, MessageTypeHeader, MessageEvent)
	return finish(dst, start, payload)
}

// AppendException appends an exception frame: how a stream that has begun
// reports a modelled error. The type is in camel case ("throttlingException"),
// the payload is {"message":"…"}.
func AppendException(dst []byte, exceptionType string, payload []byte) []byte {
	dst, start := begin(dst)
	dst = appendText(dst, ExceptionTypeHeader, exceptionType)
	dst = appendText(dst, ContentTypeHeader, "application/json")
	dst = appendText(dst, MessageTypeHeader, MessageException)
	return finish(dst, start, payload)
}

// AppendError appends an error frame: an error outside the service's model.
func AppendError(dst []byte, code, message string) []byte {
	dst, start := begin(dst)
	dst = appendText(dst, ErrorCodeHeader, code)
	dst = appendText(dst, ErrorMessageHeader, message)
	dst = appendText(dst, MessageTypeHeader, MessageError)
	return finish(dst, start, nil)
}

// AppendChunk appends the frame in which InvokeModelWithResponseStream sends
// one native JSON document. pad is the padding member, left out when empty.
func AppendChunk(dst, document []byte, pad string) []byte {
	size := len(`{"bytes":"","p":""}`) + base64.StdEncoding.EncodedLen(len(document)) + len(pad)
	payload := append(make([]byte, 0, size), `{"bytes":"`...)
	payload = base64.StdEncoding.AppendEncode(payload, document)
	payload = append(payload, '"')
	if pad != "" {
		payload = append(append(append(payload, `,"p":"`...), pad...), '"')
	}
	return AppendEvent(dst, "chunk", append(payload, '}'))
}

// AppendChunkDocument appends the native JSON document that the payload of a
// chunk frame carries. It reports false, with dst unchanged, when there is none.
func AppendChunkDocument(dst, payload []byte) ([]byte, bool) {
	const prefix = `{"bytes":"`
	if len(payload) > len(prefix) && string(payload[:len(prefix)]) == prefix {
		text := payload[len(prefix):]
		for i, b := range text {
			if b == '\\' {
				break // an escape: left to the general way
			}
			if b == '"' {
				out, err := base64.StdEncoding.AppendDecode(dst, text[:i])
				if err != nil {
					return dst, false
				}
				return out, true
			}
		}
	}
	var chunk struct {
		Bytes []byte `json:"bytes"`
	}
	if json.Unmarshal(payload, &chunk) != nil || chunk.Bytes == nil {
		return dst, false
	}
	return append(dst, chunk.Bytes...), true
}

// begin leaves room for the prelude of a frame that starts at start.
func begin(dst []byte) (out []byte, start int) {
	return append(dst, make([]byte, preludeLen)...), len(dst)
}

// finish adds the payload and fills in lengths and checksums.
func finish(dst []byte, start int, payload []byte) []byte {
	headers := len(dst) - start - preludeLen
	if headers > MaxHeaders || len(payload) > MaxPayload {
		panic("eventstream: frame is beyond the limits")
	}
	dst = append(dst, payload...)
	frame := dst[start:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+crcLen))
	binary.BigEndian.PutUint32(frame[4:], uint32(headers))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(frame))
}

func appendText(dst []byte, name, value string) []byte {
	dst = appendName(dst, name, String)
	return append(appendLength(dst, len(value)), value...)
}

func appendHeader(dst []byte, name string, v Value) []byte {
	dst = appendName(dst, name, v.Type)
	switch v.Type {
	case Int8:
		dst = append(dst, byte(v.Int))
	case Int16:
		dst = binary.BigEndian.AppendUint16(dst, uint16(v.Int))
	case Int32:
		dst = binary.BigEndian.AppendUint32(dst, uint32(v.Int))
	case Int64, Timestamp:
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Int))
	case Bytes, String:
		dst = append(appendLength(dst, len(v.Bytes)), v.Bytes...)
	case UUID:
		dst = append(dst, v.Bytes[:16]...)
	}
	return dst
}

func appendName(dst []byte, name string, t Type) []byte {
	if len(name) == 0 || len(name) > MaxName || t >= numTypes {
		panic("eventstream: header name or type is beyond the limits")
	}
	return append(append(append(dst, byte(len(name))), name...), byte(t))
}

func appendLength(dst []byte, n int) []byte {
	if n > MaxValue {
		panic("eventstream: header value is beyond the limits")
	}
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}
