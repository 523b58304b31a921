package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/call"
)

// The rows of the attack catalogue that concern the head of an HTTP/1 request
// (H01–H18, H22, H27, P05, P08, P09). want is the status, 0 for accepted.
var heads = []struct {
	id, head string
	want     int
}{
	{"plain", "POST /model/a/converse HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\n\r\n{}", 0},
	{"empty values and ports", "GET /healthz HTTP/1.1\r\nHost: [::1]:8080\r\nX-A:\r\nX-B: \t \r\n\r\n", 0},
	{"expect 100", "POST / HTTP/1.1\r\nHost: gate\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n", 0},
	{"health check of 1.0", "GET /healthz HTTP/1.0\r\n\r\n", 0},

	{"H01 length and chunked", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: gate\r\n\r\n", 411},
	{"H02 same length twice", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
	{"H03 two lengths", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
	{"H04 list", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 2, 2\r\n\r\n{}", 400},
	{"H04 plus", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: +2\r\n\r\n{}", 400},
	{"H04 minus", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: -1\r\n\r\n{}", 400},
	{"H04 hex", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 0x2\r\n\r\n{}", 400},
	{"H04 underscore", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 1_0\r\n\r\n{}", 400},
	{"H04 empty", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: \r\n\r\n{}", 400},
	{"H04 twenty digits", "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 99999999999999999999\r\n\r\n{}", 400},
	{"H05 xchunked", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: xchunked\r\n\r\n", 411},
	{"H05 identity", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: identity\r\n\r\n", 411},
	{"H05 twice", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n", 411},
	{"H06 space before colon", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
	{"H06 bare CR", "POST / HTTP/1.1\r\nHost: gate\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", 400},
	{"H06 vertical tab", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: \vchunked\r\n\r\n", 400},
	{"H07 tab", "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding:\tchunked\r\n\r\n", 411},
	{"H08 bare LF", "POST / HTTP/1.1\r\nHost: gate\r\nX: X\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"H09 only LF", "POST / HTTP/1.1\nHost: gate\n\n", 400},
	{"H10 1.0", "POST / HTTP/1.0\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n", 505},
	{"H11 1.2", "GET / HTTP/1.2\r\nHost: gate\r\n\r\n", 505},
	{"H11 0.9", "GET /\r\n\r\n", 400},
	{"H12 broken preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
	{"H15 NUL in value", "GET / HTTP/1.1\r\nHost: gate\r\nX: a\x00b\r\n\r\n", 400},
	{"H15 space in name", "GET / HTTP/1.1\r\nHost: gate\r\nX Y: a\r\n\r\n", 400},
	{"H15 empty name", "GET / HTTP/1.1\r\nHost: gate\r\n: a\r\n\r\n", 400},
	{"H15 UTF-8 in name", "GET / HTTP/1.1\r\nHost: gate\r\nX\xc3\xa9: a\r\n\r\n", 400},
	{"H16 folded", "GET / HTTP/1.1\r\nHost: gate\r\nX: a\r\n b\r\n\r\n", 400},
	{"H17 32 KiB", "GET / HTTP/1.1\r\nHost: gate\r\nX: " + strings.Repeat("a", 32<<10) + "\r\n\r\n", 431},
	{"H18 2,000 fields", "GET / HTTP/1.1\r\nHost: gate\r\n" + strings.Repeat("A: b\r\n", 2000) + "\r\n", 431},
	{"H22 unknown expectation", "POST / HTTP/1.1\r\nHost: gate\r\nExpect: 200-maybe\r\n\r\n", 417},
	{"H26 OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: gate\r\n\r\n", 405},
	{"H27 CONNECT", "CONNECT host:443 HTTP/1.1\r\nHost: gate\r\n\r\n", 405},
	{"H27 TRACE", "TRACE / HTTP/1.1\r\nHost: gate\r\n\r\n", 405},
	{"H27 lower case", "post / HTTP/1.1\r\nHost: gate\r\n\r\n", 405},
	{"H27 space", "GE T / HTTP/1.1\r\nHost: gate\r\n\r\n", 400},
	{"P04 bad escape", "POST /model/%zz/converse HTTP/1.1\r\nHost: gate\r\n\r\n", 400},
	{"P04 cut escape", "POST /model/a%2 HTTP/1.1\r\nHost: gate\r\n\r\n", 400},
	{"P05 control in target", "GET /a\x01b HTTP/1.1\r\nHost: gate\r\n\r\n", 400},
	{"P08 absolute form", "GET http://evil/ HTTP/1.1\r\nHost: gate\r\n\r\n", 400},
	{"P09 no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
	{"P09 two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
	{"P09 user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
	{"P09 path", "GET / HTTP/1.1\r\nHost: x/../y\r\n\r\n", 400},
	{"P09 query", "GET / HTTP/1.1\r\nHost: x?/y\r\n\r\n", 400},
	{"P09 fragment", "GET / HTTP/1.1\r\nHost: x#y\r\n\r\n", 400},
}

// piped returns a framedConn whose peer sends input, in pieces of step bytes,
// and then waits. refused gets the reason of a refusal.
func piped(t *testing.T, input string, step int, refused *call.Reason) *framedConn {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	go func() {
		for rest := input; rest != ""; rest = rest[min(step, len(rest)):] {
			if _, err := io.WriteString(client, rest[:min(step, len(rest))]); err != nil {
				break
			}
		}
		client.Close()
	}()
	go io.Copy(io.Discard, client)
	return newFramedConn(server, func(_ string, r *call.Refusal) []byte {
		*refused = r.Reason
		return rawRefusal(&call.Call{}, r)
	}, nil)
}

// served reads f as net/http does that answers each request at once.
func served(f *framedConn) (all []byte, err error) {
	p := make([]byte, 512)
	for {
		if f.ready == 0 && f.body == 0 {
			f.busy.Store(false)
		}
		n, err := f.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestFraming(t *testing.T) {
	status := map[call.Reason]int{"": 0}
	for _, r := range []*call.Refusal{call.BadRequest, call.BadMethod, call.BadVersion, call.LengthRequired, call.HeadersTooLarge, call.ExpectationBad} {
		status[r.Reason] = r.Status
	}
	for _, tt := range heads {
		for _, step := range []int{1, 7, 4096} {
			var reason call.Reason
			f := piped(t, tt.head, step, &reason)
			got, err := served(f)
			if status[reason] != tt.want {
				t.Errorf("%s, %d bytes at a time: refused with %q (%v), want status %d", tt.id, step, reason, err, tt.want)
			}
			if tt.want != 0 && (len(got) > 0 || !errors.Is(err, errRefusedHead)) {
				t.Errorf("%s: %q reached the server, error %v", tt.id, got, err)
			}
			if tt.want == 0 && string(got) != tt.head[:len(got)] {
				t.Errorf("%s: the server saw %q", tt.id, got)
			}
		}
	}
}

// H28: of two requests on one connection, the first passes unchanged with its
// body, and the second is looked at only where the first one's body ends.
func TestFramingPipeline(t *testing.T) {
	first := "POST /one HTTP/1.1\r\nHost: gate\r\nContent-Length: 31\r\n\r\nGET /in-the-body HTTP/1.1\r\n\r\nxy"
	second := "GET /two HTTP/1.1\r\nHost: gate\r\n\r\n"
	bad := "GET /three HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, step := range []int{1, 5, 64, 4096} {
		var reason call.Reason
		f := piped(t, first+second+bad, step, &reason)
		got, err := served(f)
		if string(got) != first+second || !errors.Is(err, errRefusedHead) || reason != "length_required" {
			t.Errorf("%d bytes at a time: got %q, %v, reason %q", step, got, err, reason)
		}
	}
}

func TestFramingPassesHTTP2(t *testing.T) {
	input := preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "whatever\n\n follows"
	for _, step := range []int{1, 24, 4096} {
		var reason call.Reason
		got, err := served(piped(t, input, step, &reason))
		if string(got) != input || err != nil || reason != "" {
			t.Errorf("%d bytes at a time: got %q, %v, reason %q", step, got, err, reason)
		}
	}
}

// Whatever a peer sends, the server behind sees only whole heads that checkHead
// accepts, and exactly the bytes that were sent.
func FuzzFraming(f *testing.F) {
	for _, tt := range heads {
		f.Add(tt.head, 7)
	}
	f.Fuzz(func(t *testing.T, input string, step int) {
		if step < 1 || len(input) > 64<<10 {
			return // no pieces, or more than is ever read
		}
		var reason call.Reason
		got, err := served(piped(t, input, step, &reason))
		if !strings.HasPrefix(input, string(got)) {
			t.Fatalf("the server saw %q of %q", got, input)
		}
		if len(got) > 0 && !strings.HasPrefix(input, preface) && !strings.Contains(string(got), "\r\n\r\n") {
			t.Fatalf("part of a head passed: %q", got)
		}
		if reason != "" && !errors.Is(err, errRefusedHead) {
			t.Fatalf("refused with %q but the connection goes on: %v", reason, err)
		}
	})
}

// net/http interrupts a read of the next head with a deadline when a handler
// ends, and reads again: what had arrived of the head must not be lost.
func TestFramingSurvivesDeadline(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	f := newFramedConn(server, nil, nil)
	head := "GET /one HTTP/1.1\r\nHost: gate\r\n\r\n"
	interrupted := make(chan error)
	go func() {
		_, err := f.Read(make([]byte, 1))
		interrupted <- err
	}()
	if _, err := io.WriteString(client, head[:20]); err != nil { // returns once it was taken
		t.Fatal(err)
	}
	f.SetReadDeadline(time.Unix(1, 0))
	if err := <-interrupted; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline error", err)
	}
	f.SetReadDeadline(time.Time{})
	go io.WriteString(client, head[20:])
	got := make([]byte, len(head))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != head {
		t.Errorf("got %q, %v", got, err)
	}
}

// While a request is being answered, net/http watches the connection for its
// end. What waits behind the request, even a head that will be refused, is not
// looked at before the answer is out: a refusal would be written into it.
func TestFramingWatch(t *testing.T) {
	first := "GET /one HTTP/1.1\r\nHost: gate\r\n\r\n"
	for name, tt := range map[string]struct {
		behind string
		want   error
	}{
		"nothing":        {"", io.EOF},
		"a good head":    {first, io.EOF},
		"a bad head":     {"GET / HTTP/1.1\r\nX: y\r\n\r\n", io.EOF},
		"far too much":   {strings.Repeat("x", 2*maxHead), errPipelined},
		"half a request": {first[:9], io.EOF},
	} {
		var reason call.Reason
		f := piped(t, first+tt.behind, 4096, &reason)
		if _, err := io.ReadFull(f, make([]byte, len(first))); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || !errors.Is(err, tt.want) || reason != "" {
			t.Errorf("%s behind: watch returned %d bytes, %v, refused with %q, want %v", name, n, err, reason, tt.want)
		}
	}
}

// Whoever has the answer may send a long request before net/http has ended its
// watch: nothing is lost, and the watch ends as by any deadline.
func TestFramingWatchOverflow(t *testing.T) {
	first := "GET /one HTTP/1.1\r\nHost: gate\r\n\r\n"
	second := "POST /two HTTP/1.1\r\nHost: gate\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40000)
	var reason call.Reason
	f := piped(t, first+second, 4096, &reason)
	if _, err := io.ReadFull(f, make([]byte, len(first))); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := f.Read(make([]byte, 1))
		ended <- err
	}()
	f.SetReadDeadline(time.Unix(1, 0))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the watch ended with %v", err)
	}
	f.SetReadDeadline(time.Time{})
	f.busy.Store(false)
	got := make([]byte, len(second))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != second {
		t.Errorf("got %d bytes of %d, %v", len(got), len(second), err)
	}
}
