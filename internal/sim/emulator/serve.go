package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// The server's bounds. There is none on the time of an answer, which may stream
// for as long as a model speaks. That of a body is set by readBody: a server's
// ReadTimeout runs on while the answer streams, and ends it.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 5 * time.Second
	headerBytes   = 1 << 20
)

// Serve serves h on ln over HTTP/1.1 and HTTP/2 with prior knowledge, and, on a
// TLS listener that offers it, HTTP/2 by ALPN, until ctx ends; then it lets
// calls finish for a few seconds. It closes ln. The error is nil after ctx has
// ended.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := newServer(h)
	if e, ok := h.(*Emulator); ok && e.control {
		ln = headListener{ln}
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve emulator: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		return srv.Close()
	}
	return err
}

func newServer(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		Protocols:         new(http.Protocols),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*headConn); ok {
				return context.WithValue(ctx, headKey{}, c)
			}
			return ctx
		},
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// headListener accepts connections that remember heads.
type headListener struct{ net.Listener }

func (l headListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &headConn{Conn: c, fresh: true}, nil
}

// showHead cuts a head off what was read, without credentials. It is empty for
// bytes that are no HTTP/1 head.
func showHead(b []byte) string {
	head, _, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok || bytes.HasPrefix(b, []byte("PRI ")) {
		return ""
	}
	lines := strings.Split(string(head), "\r\n")
	for i, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "X-Amz-Security-Token") {
			lines[i] = name + ": [redacted]"
		}
	}
	return strings.Join(lines, "\r\n")
}
