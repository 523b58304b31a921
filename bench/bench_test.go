package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"gatehouse/internal/bedrock/eventstream"
)

// upstreamFake answers by the last part of the path: whole, in chunks with a
// trailer, as a stream of two frames, wrongly.
func upstreamFake(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] {
		case "converse":
			io.WriteString(w, `{"text":"Naivasha"}`)
		case "chunks":
			w.Header().Set("Trailer", "X-Cost")
			io.WriteString(w, `{"text":`)
			w.(http.Flusher).Flush()
			io.WriteString(w, `"Naivasha"}`)
			w.Header().Set("X-Cost", "7")
		case "converse-stream":
			raw := eventstream.AppendEvent(nil, "messageStart", []byte(`{"role":"assistant"}`))
			raw = eventstream.AppendEvent(raw, "messageStop", []byte(`{"stopReason":"end_turn"}`))
			for len(raw) > 0 { // chunks that are not frames
				n := min(50, len(raw))
				w.Write(raw[:n])
				w.(http.Flusher).Flush()
				raw = raw[n:]
			}
		case "other":
			io.WriteString(w, `{"text":"elsewhere"}`)
		default:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestCall(t *testing.T) {
	c, err := dial(t.Context(), upstreamFake(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, tt := range []struct{ operation, fails string }{
		{"converse", ""},
		{"chunks", ""},
		{"converse", ""}, // on the same connection, behind a trailer
		{"other", "a wrong answer"},
		{"refused", "status 429"},
	} {
		request, err := signed(aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "s"}, tt.operation, converse(1<<10))
		if err != nil {
			t.Fatal(err)
		}
		err = c.call(request, []byte("Naivasha"))
		if got := err != nil; got != (tt.fails != "") || got && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("%s: got error %v, want %q", tt.operation, err, tt.fails)
		}
	}
}

func TestStream(t *testing.T) {
	c, err := dial(t.Context(), upstreamFake(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	request, err := signed(aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "s"}, "converse-stream", converse(1<<10))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		at, err := c.stream(request, []byte("messageStop"), nil)
		if err != nil || len(at) != 2 || at[0] > at[1] {
			t.Errorf("got frames at %v, error %v, want two in order", at, err)
		}
	}
	if _, err := c.stream(request, []byte("metadata"), nil); err == nil {
		t.Error("a stream without the frame that was wanted passed")
	}
}

func TestConverse(t *testing.T) {
	for _, size := range sizes {
		if got := len(converse(size)); got != size {
			t.Errorf("converse(%d) has %d bytes", size, got)
		}
	}
}

func TestOpenCountsFromWhenDue(t *testing.T) {
	address := upstreamFake(t)
	request, err := signed(aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "s"}, "converse", converse(1<<10))
	if err != nil {
		t.Fatal(err)
	}
	l, err := open(t.Context(), address, 2, 1000, 50*time.Millisecond, request, []byte("Naivasha"))
	if err != nil || l.hist.TotalCount() != 50 || l.took < 45*time.Millisecond {
		t.Errorf("%d calls in %v, error %v; want 50 in 50 ms", l.hist.TotalCount(), l.took, err)
	}
}

func TestFigures(t *testing.T) {
	if got := slope([]float64{0, 1, 2}, []float64{5, 7, 9}); got != 2 {
		t.Errorf("slope: got %v, want 2", got)
	}
	if got := median([]int{9, 1, 5}, func(n int) float64 { return float64(n) }); got != 5 {
		t.Errorf("median: got %v, want 5", got)
	}
	rows := []Memory{{Peer: "nginx", BytesPerStream: 10}, {Peer: "gatehouse", BytesPerStream: 25}}
	cost := func(m Memory) float64 { return m.BytesPerStream }
	if got := ratio(rows, rows[1], "nginx", nil, cost); got != "2.50" {
		t.Errorf("ratio: got %q, want 2.50", got)
	}
	if got := ratio(rows, rows[1], "caddy", nil, cost); got != "" {
		t.Errorf("ratio to an absent peer: got %q", got)
	}
	ms := time.Millisecond
	s := summarise([][]time.Duration{{2 * ms, 5 * ms}}, [][]time.Duration{{1 * ms, 3 * ms}}, 4*ms)
	if s.Frames != 2 || s.Added.P50 != 1000 || s.CPUMicrosPerFrame != 2000 {
		t.Errorf("summarise: got %+v", s)
	}
}

func TestParseBench(t *testing.T) {
	const out = "goos: linux\npkg: gatehouse/internal/gateway/guard\n" +
		"BenchmarkInbound/1KB         \t   29374\t     34559 ns/op\t  29.63 MB/s\t       0 B/op\t       0 allocs/op\n" +
		"BenchmarkInbound/1KB         \t   29374\t     30000 ns/op\t  29.63 MB/s\t      96 B/op\t       3 allocs/op\n" +
		"BenchmarkNothing\nPASS\nok  \tgatehouse/internal/gateway/guard\t3.552s\n"
	want := map[string][]Part{"Inbound/1KB": {{Nanos: 34559}, {Nanos: 30000, Bytes: 96, Allocs: 3}}}
	if got := parseBench(out); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMissing: a program that is not there is said, and ends nothing.
func TestMissing(t *testing.T) {
	s := suite{needs: "no-such-server", rows: []row{{name: "Admit", what: "an admission", units: 1}}}
	parts, err := new(bench).suite(t.Context(), s)
	if err != nil || len(parts) != 1 || parts[0].said() != "not measured: no-such-server is not installed" {
		t.Errorf("got %+v, error %v", parts, err)
	}
}

func TestCost(t *testing.T) {
	r := Result{
		Prompts: []Prompts{{Peer: on, Kind: "new", CPUMicros: 11}, {Peer: on, Kind: "grown", CPUMicros: 30}, {Peer: before, Kind: "new", CPUMicros: 10}, {Peer: before, Kind: "grown", CPUMicros: 20}},
		Parts:   []Part{{What: "the guard", Benchmark: "Inbound", Nanos: 9.6, Allocs: 3. / 32}},
	}
	var w strings.Builder
	r.cost(&w)
	for _, want := range []string{"| new | 10.0 | 11.0 | 1.10 |", "| grown | 20.0 | 30.0 | 1.50 |", "| the guard | Inbound | 10 ns, 0.1 allocations |"} {
		if !strings.Contains(w.String(), want) {
			t.Errorf("no %q in:\n%s", want, w.String())
		}
	}
}

// TestWorkloads: prompts have the size that is said, and none comes twice.
func TestWorkloads(t *testing.T) {
	for _, w := range workloads {
		seen := map[string]bool{}
		for seed := range uint64(2) {
			for _, body := range w.bodies(seed, 40) {
				if n := len(body); seen[string(body)] || n < w.size*9/10 || n > w.size*11/10 {
					t.Errorf("%s: a body of %d bytes, twice: %v", w.name, n, seen[string(body)])
				}
				seen[string(body)] = true
			}
		}
	}
}

func TestProc(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Log("no /proc: nothing to check")
		return
	}
	pid := os.Getpid()
	if d, err := cpu(pid); err != nil || d < 0 {
		t.Errorf("cpu: %v, %v", d, err)
	}
	if n, err := rss(pid); err != nil || n < 1<<20 {
		t.Errorf("rss: %d, %v", n, err)
	}
}
