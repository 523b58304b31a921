package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// The HTTP/1.1 client of the request path. It does what http.Transport does for
// one request over one pooled connection, on the caller's own goroutine: no read
// and write loops, so no hand-over between goroutines for each call (half of a Go
// proxy's cost). The response head is parsed by net/http. It follows no redirect,
// reads no proxy variable and decodes no body.

const (
	dialTimeout     = 5 * time.Second
	idleConnTimeout = 50 * time.Second // below AWS's own, so that we close first
	maxIdleConns    = 512
	maxResponseHead = 64 << 10
)

// errStale is a pooled connection that the other side closed while it was idle,
// and that has not carried the request there whole.
var errStale = errors.New("upstream: idle connection was closed")

// pool holds the idle connections to one host, newest last.
type pool struct {
	addr string
	tls  *tls.Config // nil: plain

	mu   sync.Mutex
	idle []*conn
}

func newPool(u *url.URL, conf *tls.Config) *pool {
	port := u.Port()
	p := &pool{}
	if u.Scheme == "https" {
		p.tls = conf.Clone()
		p.tls.ServerName = u.Hostname()
		p.tls.NextProtos = []string{"http/1.1"}
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	p.addr = net.JoinHostPort(u.Hostname(), port)
	return p
}

// conn is one connection; it is used by one call at a time.
type conn struct {
	net.Conn
	raw    syscall.RawConn // of the socket, to see whether it was closed
	br     *bufio.Reader
	budget int64 // bytes of response head still allowed; <0: the body, no limit
	since  time.Time
	reused bool
	got    bool // a byte of the response has been read
}

func (c *conn) Read(p []byte) (int, error) {
	if c.budget == 0 {
		return 0, errors.New("upstream: response head too large")
	}
	if c.budget > 0 && int64(len(p)) > c.budget {
		p = p[:c.budget]
	}
	n, err := c.Conn.Read(p)
	if c.budget > 0 {
		c.budget -= int64(n)
	}
	c.got = c.got || n > 0
	return n, err
}

// get returns an idle connection that is still open, or dials one.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			break
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if time.Since(c.since) < idleConnTimeout && c.quiet() {
			c.reused, c.got = true, false
			return c, nil
		}
		c.Close()
	}
	return p.dial(ctx)
}

func (p *pool) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{KeepAlive: 30 * time.Second}
	nc, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	if s, ok := nc.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	if p.tls != nil {
		t := tls.Client(nc, p.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		c.Conn = t
	}
	c.br = bufio.NewReaderSize(c, 4<<10)
	return c, nil
}

// put gives a connection back whose response was read to its end.
func (p *pool) put(c *conn) {
	c.since = time.Now()
	c.SetDeadline(time.Time{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.br.Buffered() > 0 || len(p.idle) >= maxIdleConns {
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}

// quiet reports whether the idle socket has neither data nor an end to read:
// either means that the server has given it up.
func (c *conn) quiet() bool {
	if c.raw == nil {
		return true
	}
	quiet := false
	var b [1]byte
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}

// roundTrip writes head and body and reads the response's head. The caller
// reads the body and then puts or closes the connection.
func (c *conn) roundTrip(head, body []byte, req *http.Request) (*http.Response, error) {
	if err := c.write(head, body); err != nil {
		return nil, c.staleOr(err)
	}
	for {
		c.budget = maxResponseHead
		resp, err := http.ReadResponse(c.br, req)
		c.budget = -1
		if err != nil && req.Method == http.MethodGet {
			return nil, c.staleOr(err)
		}
		if err != nil {
			return nil, err // written whole: a model may be at work on it
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// write sends head and body in one system call; over TLS, in few records.
func (c *conn) write(head, body []byte) error {
	if len(body) <= cap(head)-len(head) {
		_, err := c.Conn.Write(append(head, body...))
		return err
	}
	both := net.Buffers{head, body}
	_, err := both.WriteTo(c.Conn)
	return err
}

// staleOr marks an error that a fresh connection would not have met: the pooled
// one had been closed before a byte of the answer came. Only what may be sent
// twice comes here: a request that could not be written whole, or a read-only one.
func (c *conn) staleOr(err error) error {
	var timeout net.Error
	if c.reused && !c.got && !(errors.As(err, &timeout) && timeout.Timeout()) &&
		(errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return errStale
	}
	return err
}
