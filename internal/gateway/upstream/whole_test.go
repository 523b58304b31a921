package upstream

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/call"
)

// slowReader holds its answer until it is released.
type slowReader struct {
	answer
	reading chan<- struct{}
	release <-chan struct{}
}

func (a *slowReader) Whole(status int, _ http.Header, body []byte, _ *call.Result) error {
	a.reading <- struct{}{}
	<-a.release
	a.status = status
	a.body.Write(body)
	return nil
}

// Callers that do not read hold no more of our memory together than the budget.
func TestAnswerBudget(t *testing.T) {
	const size = 1 << 20
	body := `{"usage":{"inputTokens":1000,"outputTokens":500},"pad":"` + strings.Repeat("x", size) + `"}`
	for name, tt := range map[string]struct {
		reply  string
		budget int64 // for three answers, not four
	}{
		"announced": {ok(body), 4 * size},
		"chunked":   {chunked(body) + "0\r\n\r\n", 7 * size}, // 2 MiB of memory each
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return tt.reply, false })
		small := serveRaw(t, func(int64, net.Conn) (string, bool) { return ok(converse), false })
		up := open(t, s.url, func(o *Options) { o.AnswerBudget, o.Control = tt.budget, small.url })
		reading, release := make(chan struct{}), make(chan struct{})
		var slow [3]slowReader
		var wg sync.WaitGroup
		for i := range slow {
			slow[i] = slowReader{reading: reading, release: release}
			wg.Go(func() {
				up.Forward(context.Background(), testCall(t, "Converse", `{}`), &slow[i], new(call.Result))
			})
			<-reading
		}
		a, res := &answer{}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
		if a.refused != call.UpstreamUnavailable || !res.Worked || res.Outcome != call.Truncated || res.Usage.Input != 100 {
			t.Errorf("%s: the fourth: refused with %v, %+v", name, a.refused, res)
		}
		a, res = &answer{}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "ListFoundationModels", ``), a, res)
		if a.status != 200 {
			t.Errorf("%s: a small answer: %+v", name, res)
		}
		close(release)
		wg.Wait()
		for i := range slow {
			if slow[i].body.String() != body {
				t.Errorf("%s: answer %d is not what was sent", name, i)
			}
		}
		a, res = &answer{}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
		if n := up.answers.used.Load(); a.status != 200 || n != 0 {
			t.Errorf("%s: afterwards %d, %d bytes still held", name, a.status, n)
		}
	}
}

// An answer that is refused or cut gives its part of the budget back too.
func TestAnswerBudgetAfterFailures(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for name, reply := range map[string]string{
		"cut":            "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + big,
		"cut chunks":     chunked(big),
		"error":          "HTTP/1.1 400 X\r\nContent-Length: 1000000\r\n\r\n" + big[:1000000],
		"error too long": "HTTP/1.1 400 X\r\nContent-Length: 1048577\r\n\r\n" + big + "x",
		"endless error":  "HTTP/1.1 400 X\r\n\r\n" + big + "x",
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return reply, true })
		up := open(t, s.url)
		a, res := &answer{}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
		if n := up.answers.used.Load(); n != 0 || a.status == 200 {
			t.Errorf("%s: %d bytes still held, %+v", name, n, res)
		}
	}
}
