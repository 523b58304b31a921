package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (g *gate) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// Strangers who announce large bodies and send most of them keep no caller out.
func TestStrangersBodies(t *testing.T) {
	g := startGate(t)
	for range 8 {
		c := g.dial(t)
		fmt.Fprintf(c, "POST /model/a/converse HTTP/1.1\r\nHost: gate\r\nContent-Length: 25000000\r\nX-Amz-Date: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=GTHKAAAAAAAAAAAAAAAA/%s/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=%s\r\n\r\n",
			time.Now().UTC().Format("20060102T150405Z"), time.Now().UTC().Format("20060102"), strings.Repeat("0", 64))
		go io.Copy(c, io.LimitReader(zeros{}, 22_000_000))
	}
	if resp, body := g.converse(t, g.apiKey("main"), "converse", "hello"); resp.StatusCode != 200 {
		t.Errorf("a caller got %d %s", resp.StatusCode, body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A head that will be refused waits until the answer before it is out.
func TestPipelinedRefusal(t *testing.T) {
	g := startGate(t)
	g.fault(t, "slow:delay=200ms,times=1")
	body := `{"messages":[{"role":"user","content":[{"text":"x"}]}]}`
	c := g.dial(t)
	fmt.Fprintf(c, "POST /model/amazon.nova-lite-v1:0/converse HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%sGET / HTTP/1.1\r\nX: y\r\n\r\n", g.apiKey("main"), len(body), body)
	br := bufio.NewReader(c)
	for i, want := range []int{200, 400} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Errorf("answer %d: %d %s, %v, want %d", i+1, resp.StatusCode, got, err, want)
		}
	}
}

// Who pipelines and leaves is noticed like anybody who leaves.
func TestPipelinedCallerLeaves(t *testing.T) {
	reached := make(chan struct{}, 1)
	g := startGate(t, func(g *gate) { g.arrive = func([]byte) { reached <- struct{}{} } })
	g.fault(t, "hang:times=1")
	body := `{"messages":[{"role":"user","content":[{"text":"x"}]}]}`
	request := fmt.Sprintf("POST /model/amazon.nova-lite-v1:0/converse HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", g.apiKey("main"), len(body), body)
	c := g.dial(t)
	io.WriteString(c, request+request)
	<-reached
	c.Close()
	for end := time.Now().Add(10 * time.Second); g.server.gateway.Live() > 0; {
		if time.Now().After(end) {
			t.Fatal("the call goes on after its caller has gone")
		}
		if resp, err := http.Get("http://" + g.addr + "/healthz"); err == nil { // passes the time
			resp.Body.Close()
		}
	}
}

// A body that never comes does not hold a connection for ever, whatever the route.
func TestBodiesMustCome(t *testing.T) {
	g := startGate(t)
	for _, head := range []string{
		"POST /v1/auth/user/login HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/auth/user/login HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n{",
		"GET /healthz HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n",
		"POST /model/amazon.nova-lite-v1:0/converse HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer " + g.apiKey("main") + "\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(strings.SplitN(head, " HTTP", 2)[0], func(t *testing.T) {
			t.Parallel()
			c := g.dial(t)
			c.SetDeadline(time.Now().Add(15 * time.Second))
			io.WriteString(c, head)
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("still held: %v", err)
			}
		})
	}
}
