package emulator

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// controlPrefix is where the emulator itself is asked and told, when
// Options.Control is on:
//
//	GET    /_emulator/faults   the faults in force, with how often they fired
//	POST   /_emulator/faults   replaces them: a JSON list of settings or texts, as ParseFault has them
//	DELETE /_emulator/faults   ends them
//	GET    /_emulator/calls    how many requests came, and the heads of the last ones
const controlPrefix = "/_emulator/"

const (
	maxCalls       = 100      // heads kept
	maxControlBody = 64 << 10 // bytes of a list of faults
)

func (e *Emulator) serveControl(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.Method + " " + r.URL.Path {
	case "POST /_emulator/faults":
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
		if err != nil {
			http.Error(w, "the list is too long", http.StatusRequestEntityTooLarge)
			return
		}
		list, err := decodeFaults(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e.faults.replace(list)
		answer = e.faults.states()
	case "DELETE /_emulator/faults":
		e.faults.replace(nil)
		answer = e.faults.states()
	case "GET /_emulator/faults":
		answer = e.faults.states()
	case "GET /_emulator/calls":
		answer = e.calls.report()
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		e.log.Debug("write control answer", "err", err)
	}
}

// calls keeps the heads of the last requests, for tests of what a client or a
// gateway really sends.
type calls struct {
	mu    sync.Mutex
	count int
	last  []arrival
}

// arrival is the head of one request. Head has it as it came, where that is
// known: over HTTP/1 on a listener that [Serve] has. Names are sorted.
type arrival struct {
	Time  time.Time `json:"time"`
	Proto string    `json:"proto"`
	Line  string    `json:"line"`
	Host  string    `json:"host"`
	Names []string  `json:"names"`
	Head  string    `json:"head,omitempty"`
}

func (c *calls) add(r *http.Request, now time.Time) {
	a := arrival{Time: now, Proto: r.Proto, Line: r.Method + " " + r.RequestURI, Host: r.Host, Head: headOf(r.Context())}
	for name := range r.Header {
		a.Names = append(a.Names, name)
	}
	slices.Sort(a.Names)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if len(c.last) == maxCalls {
		c.last = slices.Delete(c.last, 0, 1)
	}
	c.last = append(c.last, a)
}

type callReport struct {
	Count int       `json:"count"`
	Calls []arrival `json:"calls"`
}

func (c *calls) report() callReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return callReport{c.count, append([]arrival{}, c.last...)}
}

// headConn is a connection that remembers the bytes read since the last write:
// over HTTP/1 without pipelining, the head of the request being served. An
// Authorization header in it is redacted when it is shown.
type headConn struct {
	net.Conn

	mu    sync.Mutex
	head  []byte
	fresh bool // the next read begins a request
}

// maxHead bounds what is remembered.
const maxHead = 16 << 10

func (c *headConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fresh {
		c.head, c.fresh = c.head[:0], false
	}
	c.head = append(c.head, p[:min(n, maxHead-len(c.head))]...)
	return n, err
}

func (c *headConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.fresh = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

type headKey struct{}

// headOf is the head of the HTTP/1 request that is being served.
func headOf(ctx context.Context) string {
	c, ok := ctx.Value(headKey{}).(*headConn)
	if !ok {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return showHead(c.head)
}
