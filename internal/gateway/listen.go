package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Server limits of the data plane (facts: security §3).
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 75 * time.Second
	handshakeTimeout  = 5 * time.Second
	maxStreams        = 100   // of one HTTP/2 connection
	maxConns          = 20000 // in all, if there are descriptors for so many
	maxConnsPerIP     = 4096  // of one address, or /64 of IPv6
	reservedFiles     = 256   // descriptors that connections never take
)

type connKey struct{}

// NewServer returns the data plane's HTTP server for g: HTTP/1.1, HTTP/2 by ALPN
// and HTTP/2 with prior knowledge, since the JavaScript SDK opens with it.
func NewServer(g *Gateway, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:                      g,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHead,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     64 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			WriteByteTimeout:              30 * time.Second,
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if f, ok := c.(*framedConn); ok && state == http.StateIdle {
				f.busy.Store(false)
			}
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if f, ok := c.(*framedConn); ok && f.tls != nil {
				return context.WithValue(ctx, connKey{}, f.tls)
			}
			return ctx
		},
	}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// connState is the TLS state of the connection that carries r, nil on plain HTTP.
func connState(r *http.Request) *tls.ConnectionState {
	if r.TLS != nil {
		return r.TLS
	}
	s, _ := r.Context().Value(connKey{}).(*tls.ConnectionState)
	return s
}

// Listener accepts connections for the data plane, finishes their TLS
// handshakes, and puts every HTTP/1 connection behind a framedConn.
type Listener struct {
	net.Listener
	g     *Gateway
	tls   *tls.Config
	ready chan net.Conn
	done  chan struct{}
	once  sync.Once

	max int // connections in all

	mu    sync.Mutex
	total int
	perIP map[netip.Addr]int
}

// NewListener wraps inner; conf is nil for plain HTTP.
func NewListener(inner net.Listener, conf *tls.Config, g *Gateway) *Listener {
	l := &Listener{Listener: inner, g: g, tls: conf, ready: make(chan net.Conn), done: make(chan struct{}), max: connLimit(), perIP: map[netip.Addr]int{}}
	if conf != nil {
		l.tls = conf.Clone()
		l.tls.NextProtos = []string{"h2", "http/1.1"}
	}
	go l.loop()
	return l
}

// Accept returns the next connection that is ready for HTTP.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close stops accepting. Connections that were accepted live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

func (l *Listener) loop() {
	for {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			l.Close()
			return
		}
		if err != nil { // out of descriptors: wait for some to come back
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-l.done:
				return
			}
		}
		counted, ok := l.count(c)
		if !ok {
			c.Close()
			continue
		}
		if l.tls == nil {
			l.hand(newFramedConn(counted, l.g.refusedHead, nil))
			continue
		}
		go l.handshake(counted)
	}
}

func (l *Listener) handshake(c net.Conn) {
	t := tls.Server(c, l.tls)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		t.Close()
		return
	}
	state := t.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		l.hand(t)
		return
	}
	l.hand(newFramedConn(t, l.g.refusedHead, &state))
}

func (l *Listener) hand(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.done:
		c.Close()
	}
}

// connLimit leaves every caller's connection one to the upstream, and the
// journal and state their files: a process without descriptors records nothing.
func connLimit() int {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return 1024
	}
	return int(min(maxConns, max(16, (int64(min(files.Cur, 1<<30))-reservedFiles)/2)))
}

// count admits c under the connection caps.
func (l *Listener) count(c net.Conn) (net.Conn, bool) {
	ip := remoteIP(c.RemoteAddr().String())
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.max || l.perIP[ip] >= maxConnsPerIP {
		return nil, false
	}
	l.total++
	l.perIP[ip]++
	return &countedConn{Conn: c, l: l, ip: ip}, true
}

type countedConn struct {
	net.Conn
	l    *Listener
	ip   netip.Addr
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.l.mu.Lock()
		c.l.total--
		if c.l.perIP[c.ip]--; c.l.perIP[c.ip] == 0 {
			delete(c.l.perIP, c.ip)
		}
		c.l.mu.Unlock()
	})
	return c.Conn.Close()
}

// CloseWrite lets a refusal's reply arrive before the connection goes.
func (c *countedConn) CloseWrite() error {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		return t.CloseWrite()
	}
	return nil
}

// remoteIP is the address of an "ip:port", unmapped, without zone.
func remoteIP(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
