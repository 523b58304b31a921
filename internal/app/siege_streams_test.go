package app

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/config"
)

// streamed begins a Converse stream as Bedrock does.
func streamed(w http.ResponseWriter) (send func(kind, payload string) error) {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	rc := http.NewResponseController(w)
	send = func(kind, payload string) error {
		w.Write(eventstream.AppendEvent(nil, kind, []byte(payload)))
		return rc.Flush()
	}
	send("messageStart", `{"role":"assistant"}`)
	return send
}

func delta(text string) string {
	return fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":%q}}`, text)
}

// L14, B17, and litellm #20256: ten thousand clients that vanish in the middle
// of their streams, some before the first byte. Bedrock is told to stop, no slot
// stays taken, what was seen is charged, and nothing of them stays in memory.
func TestClientsVanish(t *testing.T) {
	const clients, atOnce = crowd, 100
	var reached, running atomic.Int64
	g := startGate(t, only(
		config.Limit{Name: "slots", Per: []string{"user"}, Measure: "concurrency", Max: "1000000"},
		config.Limit{Name: "tokens", Per: []string{"user"}, Measure: "tokens", Max: "1000000000000"},
	))
	g.behind(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		reached.Add(1)
		running.Add(1)
		defer running.Add(-1)
		send := streamed(w)
		send("contentBlockDelta", delta("Once upon a time"))
		<-r.Context().Done()
	})
	body := said("Tell me a long story.")
	request := []byte("POST /model/" + lite + "/converse-stream HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer " + g.apiKey("main") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	vanish := func(i int) {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(request)
		seen, buf := 0, make([]byte, 4<<10)
		for i%10 != 0 && !bytes.Contains(buf[:seen], []byte("messageStart")) { // one in ten leaves at once
			n, err := c.Read(buf[seen:])
			if seen += n; err != nil {
				t.Errorf("client %d: %v after %q", i, err, buf[:seen])
				return
			}
		}
		if i%2 == 0 {
			c.(*net.TCPConn).SetLinger(0) // killed, rather than closed
		}
	}
	round := func(n int) {
		var all sync.WaitGroup
		var next atomic.Int64
		for range atOnce {
			all.Go(func() {
				for i := next.Add(1); i <= int64(n) && !t.Failed(); i = next.Add(1) {
					vanish(int(i))
				}
			})
		}
		all.Wait()
		within(t, 5*time.Second, "all calls have ended, also at Bedrock", func() bool {
			return g.server.gateway.Live() == 0 && running.Load() == 0
		})
	}
	round(clients / 10)
	goroutines, memory := measure()
	round(clients - clients/10)
	within(t, 5*time.Second, "goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutines+20 })
	if _, after := measure(); after > memory+16<<20 {
		t.Errorf("%d MB in use after %d clients, %d MB after a tenth of them", after>>20, clients, memory>>20)
	}
	if row := g.row("slots"); row.Used+row.Reserved != 0 || len(g.server.data.limits.Open()) != 0 {
		t.Errorf("slots taken: %+v, %d calls open", row, len(g.server.data.limits.Open()))
	}
	if n := reached.Load(); n < clients*9/10 || g.row("tokens").Used < n || g.row("tokens").Reserved != 0 {
		t.Errorf("%d reached Bedrock, %+v is charged", n, g.row("tokens"))
	}
	if a := g.audit(t); !a.Equal || a.Open != 0 {
		t.Errorf("the journal disagrees: %+v", a)
	}
}

func measure() (goroutines int, memory uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// L06: a model that writes more than it was allowed is paid for by what the
// limit has left, and not beyond: then the stream ends in an exception frame,
// and what was seen is charged.
func TestStreamsThatOutgrow(t *testing.T) {
	words := strings.Repeat("word", 50) // fifty tokens a frame
	for name, tt := range map[string]struct {
		limit  config.Limit
		frames int    // the model writes
		last   string // that the caller sees
		status int    // of the next call
		least  int64  // charged
		most   int64
	}{
		"the limit has room":        {config.Limit{Measure: "output_tokens", Max: "20000"}, 60, "metadata", 200, 3000, 3000},
		"output tokens are used up": {config.Limit{Measure: "output_tokens", Max: "2000"}, 60, "throttlingException", 429, 1000, 2000},
		"tokens are used up":        {config.Limit{Measure: "tokens", Max: "2000"}, 60, "throttlingException", 429, 1000, 2300},
		"money is used up":          {config.Limit{Measure: "usd", Max: "0.0005", Window: "day"}, 60, "throttlingException", 400, 100_000, 500_000},
		"by one huge frame":         {config.Limit{Measure: "output_tokens", Max: "2000"}, -1, "throttlingException", 429, 10_000, 10_100},
		"requests do not grow":      {config.Limit{Measure: "requests", Max: "2"}, 60, "metadata", 200, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tt.limit.Name, tt.limit.Per = "own", []string{"user"}
			g := startGate(t, only(tt.limit))
			g.behind(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				send := streamed(w)
				if tt.frames < 0 {
					send("contentBlockDelta", delta(strings.Repeat(words, 200)))
					send("contentBlockDelta", delta(words))
				}
				for range tt.frames {
					send("contentBlockDelta", delta(words))
				}
				send("messageStop", `{"stopReason":"end_turn"}`)
				send("metadata", fmt.Sprintf(`{"usage":{"inputTokens":5,"outputTokens":%d,"totalTokens":%d},"metrics":{"latencyMs":1}}`, 50*tt.frames, 50*tt.frames+5))
			})
			resp, body := g.answer(t, lite, "converse-stream", said("Tell me a long story."))
			if types := events(t, body); types[len(types)-1] != tt.last {
				t.Errorf("the stream ends with %s after %d frames, want %s", types[len(types)-1], len(types), tt.last)
			}
			admit, result := g.recordOf(t, resp.Header.Get("X-Gatehouse-Call-Id"))
			outcome := "ok"
			if tt.last == "throttlingException" {
				outcome = "stopped"
			}
			if string(result.Outcome) != outcome || admit.MaxTokens != 50 {
				t.Errorf("recorded as %s, with a bound of %d", result.Outcome, admit.MaxTokens)
			}
			row := g.row("own")
			if row.Used < tt.least || row.Used > tt.most || row.Reserved != 0 || row.Debt != max(0, row.Used-row.Max) {
				t.Errorf("%+v, want from %d to %d charged", row, tt.least, tt.most)
			}
			long := strings.Replace(said("And then?"), `"maxTokens":50`, `"maxTokens":1500`, 1)
			if status, kind := g.ask(t, lite, "converse-stream", long); status != tt.status {
				t.Errorf("the next call: %d %s, want %d", status, kind, tt.status)
			}
			if a := g.audit(t); !a.Equal {
				t.Errorf("the journal disagrees: %+v", a)
			}
		})
	}
}
