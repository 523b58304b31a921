package redis_test

import (
	"net"
	"sync"
	"testing"
)

// proxy is a network between gateways and a server that can be broken: it
// passes bytes on, holds them back, or drops whoever calls.
type proxy struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	wake  *sync.Cond
	state state
	conns map[net.Conn]bool
	asked int // connections and pieces of requests that arrived
}

type state int

const (
	passing state = iota
	holding       // what arrives is kept, and goes on once passing
	dropping
)

func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: server, conns: make(map[net.Conn]bool)}
	p.wake = sync.NewCond(&p.mu)
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.set(dropping)
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) set(s state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	for c := range p.conns {
		if s == dropping {
			c.Close()
		}
	}
	p.wake.Broadcast()
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.enter(client) {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.enter(server)
		go p.pipe(server, client, true)
		go p.pipe(client, server, false)
	}
}

func (p *proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.conns[c] = true
	return p.state != dropping
}

// pipe passes bytes on. What a client sent before it left still arrives.
func (p *proxy) pipe(to, from net.Conn, requests bool) {
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		if requests && n > 0 {
			p.asked++
		}
		for p.state == holding {
			p.wake.Wait()
		}
		p.mu.Unlock()
		if _, failed := to.Write(b[:n]); failed != nil || err != nil {
			return
		}
	}
}
