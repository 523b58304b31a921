package notify_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// mailServer is a small SMTP server that remembers.
type mailServer struct {
	addr  string
	roots *x509.CertPool
	cert  tls.Certificate

	implicit   bool            // TLS from the first byte
	noTLS      bool            // offers no STARTTLS
	refuse     map[string]bool // recipients
	refuseAuth bool
	endless    bool // greets without end

	mu    sync.Mutex
	lines []string // commands, with TLS when under it
	mails []string
}

func (s *mailServer) start(t *testing.T) *mailServer {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate, of 127.0.0.1
	s.cert, s.roots = web.TLS.Certificates[0], x509.NewCertPool()
	s.roots.AddCert(web.Certificate())
	web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.implicit {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{s.cert}})
	}
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	secure := s.implicit
	in := bufio.NewReader(conn)
	say := func(format string, args ...any) { fmt.Fprintf(conn, format+"\r\n", args...) }
	for s.endless {
		if _, err := fmt.Fprint(conn, "220-hello\r\n"); err != nil {
			return
		}
	}
	say("220 mail.test")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		s.note(line, secure)
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.test")
			if !secure && !s.noTLS {
				say("250-STARTTLS")
			}
			say("250-AUTH PLAIN")
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go")
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			in, secure = bufio.NewReader(conn), true
		case "AUTH":
			_, encoded, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(encoded)
			if s.refuseAuth {
				say("535 no such password: %s", strings.ReplaceAll(string(plain), "\x00", " "))
				continue
			}
			say("235 ok")
		case "RCPT":
			if s.refuse[strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>")] {
				say("550 no such mailbox")
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go")
			s.take(in)
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) note(line string, secure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secure {
		line = "TLS " + line
	}
	s.lines = append(s.lines, line)
}

func (s *mailServer) take(in *bufio.Reader) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, b.String())
}
