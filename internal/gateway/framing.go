package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
)

// What net/http lets through and a gate must not: two equal Content-Lengths,
// bare line feeds, folded headers, HTTP/1.2, any Transfer-Encoding. A framedConn
// therefore reads each HTTP/1 head itself, refuses it or hands it on
// unchanged, and counts the body's bytes to know where the next head begins.
// net/http never sees a byte of a refused head, so nothing can be smuggled
// behind it. HTTP/2 has no such ambiguity: its connections pass untouched.

const (
	maxHead   = 16 << 10
	maxFields = 100
	preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

var errRefusedHead = errors.New("gateway: head refused")

// newFramedConn puts c behind the checks. refused audits a refusal and returns
// the bytes of its reply.
func newFramedConn(c net.Conn, refused func(remote string, r *call.Refusal) []byte, state *tls.ConnectionState) *framedConn {
	return &framedConn{Conn: c, refused: refused, tls: state, interrupt: make(chan struct{}, 1)}
}

// framedConn is used by one reader at a time, as net/http does.
type framedConn struct {
	net.Conn
	refused func(remote string, r *call.Refusal) []byte // audits, returns the reply's bytes

	head    []byte // bytes of the head being collected, and what was read behind it
	ready   int    // how many bytes of head may be handed on
	body    int64  // bytes of the body still to pass
	opaque  bool   // HTTP/2 with prior knowledge: passes untouched
	started bool   // the first bytes have been looked at
	// busy is from the head of a request until its answer has been sent. Once the
	// body has passed, only net/http's watch over the caller reads: it learns that
	// the connection ended, and nothing of a head that waits behind.
	busy      atomic.Bool
	past      atomic.Bool   // the read deadline has passed
	interrupt chan struct{} // it was set; holds one
	err       error         // after a refusal; a deadline's error is not the end
	tls       *tls.ConnectionState
}

func (f *framedConn) Read(p []byte) (int, error) {
	for {
		switch {
		case len(p) == 0:
			return 0, nil
		case f.ready > 0:
			n := copy(p[:min(len(p), f.ready)], f.head)
			f.consume(n)
			f.ready -= n
			return n, nil
		case f.body > 0 && len(f.head) > 0:
			n := copy(p[:min(int64(len(p)), f.body)], f.head)
			f.consume(n)
			f.body -= int64(n)
			return n, nil
		case f.body > 0:
			n, err := f.Conn.Read(p[:min(int64(len(p)), f.body)])
			f.body -= int64(n)
			return n, err
		case f.opaque && len(f.head) > 0:
			n := copy(p, f.head)
			f.consume(n)
			return n, nil
		case f.opaque:
			f.head = nil
			return f.Conn.Read(p)
		case f.err != nil:
			return 0, f.err
		case f.busy.Load():
			return 0, f.watch()
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
}

// errPipelined ends a caller who sends more than a head's worth behind a request
// and does not wait for its answer.
var errPipelined = errors.New("gateway: too much sent behind a request")

// pipelineWait is how long such a caller is borne with. One who has the answer
// and sends the next request is seen here too, for the moment until net/http ends
// the watch.
const pipelineWait = time.Second

// watch waits for the connection's end, or for the deadline by which net/http
// ends the watch, and keeps what arrives.
func (f *framedConn) watch() error {
	for len(f.head) <= maxHead {
		if err := f.more(); err != nil {
			return err
		}
	}
	timer := time.NewTimer(pipelineWait)
	defer timer.Stop()
	for !f.past.Load() {
		select {
		case <-f.interrupt:
		case <-timer.C:
			return errPipelined
		}
	}
	return os.ErrDeadlineExceeded
}

// SetReadDeadline also ends a watch that has stopped reading.
func (f *framedConn) SetReadDeadline(t time.Time) error {
	f.past.Store(!t.IsZero() && !t.After(time.Now()))
	select {
	case f.interrupt <- struct{}{}:
	default:
	}
	return f.Conn.SetReadDeadline(t)
}

// more reads once into head. No bytes and no error do not happen together.
func (f *framedConn) more() error {
	if cap(f.head)-len(f.head) < 512 {
		f.head = append(make([]byte, 0, max(2<<10, 2*cap(f.head))), f.head...)
	}
	n, err := f.Conn.Read(f.head[len(f.head):cap(f.head)])
	f.head = f.head[:len(f.head)+n]
	if n > 0 {
		return nil
	}
	return err
}

// consume drops n bytes from the front, keeping the buffer's capacity.
func (f *framedConn) consume(n int) {
	rest := copy(f.head, f.head[n:])
	f.head = f.head[:rest]
}

// next collects the next head. Afterwards some bytes are ready, or the
// connection has become opaque, or it is over.
func (f *framedConn) next() error {
	from := 0
	for {
		if !f.started && len(f.head) > 0 {
			if isPreface, more := prefacePrefix(f.head); isPreface {
				f.started, f.opaque = true, true
				return nil
			} else if !more {
				f.started = true
			}
		}
		if f.started {
			if end, ref := headEnd(f.head, from); ref != nil {
				return f.refuse(ref)
			} else if end > 0 {
				n, ref := checkHead(f.head[:end])
				if ref != nil {
					return f.refuse(ref)
				}
				f.ready, f.body = end, n
				f.busy.Store(true)
				return nil
			}
			if len(f.head) > maxHead {
				return f.refuse(call.HeadersTooLarge)
			}
			from = max(0, len(f.head)-3)
		}
		if err := f.more(); err == io.EOF && len(f.head) > 0 {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
}

// refuse answers with the reply itself and ends the connection. It lingers for
// what the client still sends, bounded, so that the reply is not lost to a reset.
func (f *framedConn) refuse(r *call.Refusal) error {
	f.Conn.SetDeadline(time.Now().Add(2 * time.Second))
	f.Conn.Write(f.refused(f.Conn.RemoteAddr().String(), r))
	if c, ok := f.Conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		io.CopyN(io.Discard, f.Conn, 256<<10)
	}
	f.Conn.Close()
	f.err = errRefusedHead
	return f.err
}

// prefacePrefix reports whether b begins with the HTTP/2 preface, or may yet.
func prefacePrefix(b []byte) (is, more bool) {
	n := min(len(b), len(preface))
	if string(b[:n]) != preface[:n] {
		return false, false
	}
	return n == len(preface), true
}

// headEnd finds the end of the head in b, the length of the part up to and
// with the empty line, 0 when it has not arrived. A line feed without carriage
// return is refused as soon as it is seen.
func headEnd(b []byte, from int) (int, *call.Refusal) {
	for i := from; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return 0, nil
		}
		i += j
		if i == 0 || b[i-1] != '\r' {
			return 0, call.BadRequest.With("bare line feed in the head")
		}
		if i == 1 || i >= 3 && b[i-2] == '\n' {
			return i + 1, nil
		}
		i++
	}
}

// checkHead returns the length of the body that follows head, or why head is refused.
func checkHead(head []byte) (int64, *call.Refusal) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	http10, ref := checkRequestLine(line)
	if ref != nil {
		return 0, ref
	}
	var fields, hosts, lengths int
	length := int64(0)
	for len(rest) > 2 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if fields++; fields > maxFields {
			return 0, call.HeadersTooLarge.With("too many header fields")
		}
		name, value, ref := splitField(line)
		if ref != nil {
			return 0, ref
		}
		switch {
		case equalFold(name, "transfer-encoding"):
			return 0, call.LengthRequired.With("Transfer-Encoding")
		case equalFold(name, "content-length"):
			if lengths++; lengths > 1 {
				return 0, call.BadRequest.With("two Content-Length fields")
			}
			n, err := strconv.ParseUint(string(value), 10, 63)
			if err != nil || value[0] == '+' {
				return 0, call.BadRequest.With("malformed Content-Length")
			}
			length = int64(n)
		case equalFold(name, "host"):
			if hosts++; hosts > 1 || !validHost(value) {
				return 0, call.BadRequest.With("malformed or repeated Host")
			}
		case equalFold(name, "expect"):
			if !equalFold(value, "100-continue") {
				return 0, call.ExpectationBad
			}
		}
	}
	if hosts == 0 && !http10 {
		return 0, call.BadRequest.With("no Host")
	}
	return length, nil
}

// checkRequestLine wants a known method, an origin-form target and HTTP/1.1;
// HTTP/1.0 only for the health check of an old load balancer.
func checkRequestLine(line []byte) (http10 bool, _ *call.Refusal) {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(target) == 0 || !isToken(method) {
		return false, call.BadRequest.With("malformed request line")
	}
	for i, b := range target {
		switch {
		case b <= 0x20 || b == 0x7f:
			return false, call.BadRequest.With("control character in the request target")
		case b == '%' && (i+2 >= len(target) || !hexDigit(target[i+1]) || !hexDigit(target[i+2])):
			return false, call.BadRequest.With("malformed escape in the request target")
		}
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		if string(target) != "/healthz" || string(method) != http.MethodGet {
			return false, call.BadVersion.With("HTTP/1.0")
		}
		http10 = true
	default:
		if bytes.HasPrefix(version, []byte("HTTP/")) {
			return false, call.BadVersion.With("unknown HTTP version")
		}
		return false, call.BadRequest.With("malformed request line")
	}
	if !knownMethod(string(method)) {
		return false, call.BadMethod.With("method " + strconv.Quote(string(method)))
	}
	if target[0] != '/' {
		return false, call.BadRequest.With("request target is not a path")
	}
	return http10, nil
}

// knownMethod admits the methods of Bedrock's API, also those of operations that
// the gateway refuses by name.
func knownMethod(m string) bool {
	switch m {
	case http.MethodPost, http.MethodGet, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// splitField splits a header line, refusing what RFC 9110 does not allow.
func splitField(line []byte) (name, value []byte, _ *call.Refusal) {
	if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
		return nil, nil, call.BadRequest.With("folded header line")
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return nil, nil, call.BadRequest.With("malformed header name")
	}
	value = bytes.Trim(value, " \t")
	for _, b := range value {
		if b < 0x20 && b != '\t' || b == 0x7f {
			return nil, nil, call.BadRequest.With("control character in a header value")
		}
	}
	return name, value, nil
}

// isToken reports whether b is a token of RFC 9110 §5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenChar[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenChar = func() (t [256]bool) {
	for c := byte(0x21); c < 0x7f; c++ {
		t[c] = bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), c) < 0
	}
	return t
}()

// validHost accepts a host name or address with an optional port and nothing else:
// no user, path, query or fragment can hide in it.
func validHost(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(b) > 0 && len(b) <= 262
}

// equalFold compares b with the lower-case ASCII s.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
