package metrics_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newCall is a call of a known caller, 20 ms of which are gone at admission.
func newCall(t testing.TB, operation, modelID string) *call.Call {
	t.Helper()
	c := &call.Call{
		Time: start, Operation: bedrock.OperationOf(operation), CallerARN: "arn:aws:iam::000000000000:user/red/ana",
		Principal: &call.Principal{UserID: "u1", User: "ana", Team: "red", Key: "GTHK1"},
		Amounts:   []call.Amount{{Limit: "requests", N: 1}, {Limit: "spend", N: 5}},
	}
	if modelID != "" {
		ref, err := model.Default().Resolve(modelID)
		if err != nil {
			t.Fatal(err)
		}
		c.Model = ref
	}
	return c
}

func newResult(edit func(*call.Result)) *call.Result {
	r := &call.Result{
		Outcome: call.OK, Status: 200, Worked: true, Latency: 1500 * time.Millisecond, FirstByte: 500 * time.Millisecond,
		Time: start.Add(1520 * time.Millisecond), Cost: 42_000, Usage: call.Usage{Input: 10, Output: 101, CacheRead: 90, Exact: true},
	}
	if edit != nil {
		edit(r)
	}
	return r
}

const claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

// ours is the page but for the runtime's series, those of the clock, and buckets.
func ours(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var b strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if (strings.HasPrefix(name, "gatehouse_") || strings.HasPrefix(name, "gen_ai_")) && !strings.HasPrefix(name, "gatehouse_settle_lag_seconds_") && !strings.Contains(line, "_bucket{") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestPage(t *testing.T) {
	m := metrics.New(metrics.Options{
		Limits: func() []metrics.Limit { return []metrics.Limit{{Name: "spend", Reserved: 7, Debt: 3}} },
		Audit:  func() metrics.Audit { return metrics.AuditWarning },
		Store:  func() bool { return true },
		Live:   func() int64 { return 2 },
		Samples: []func() []metrics.Sample{func() []metrics.Sample {
			return []metrics.Sample{
				{Name: "gatehouse_queued", Help: "Messages waiting.", Label: "channel", Of: "ops", Value: 4},
				{Name: "gatehouse_queued", Help: "Messages waiting.", Label: "channel", Of: "b\xff", Value: 5},
				{Name: "gatehouse_sent_total", Help: "Messages sent.", Counter: true, Value: 6},
			}
		}},
	})
	c := newCall(t, "ConverseStream", claude)
	c.Notes = []call.Note{
		{Stage: "limit", Name: "everyone", Action: "flag"},
		{Stage: "policy", Name: "night", Action: "refuse", Observe: true},
		{Stage: "guard", Name: "card", Action: "mask"},
	}
	m.Admitted(c)
	m.Settled(c, newResult(func(r *call.Result) { r.Notes = []call.Note{{Stage: "guard", Name: "email", Action: "flag"}} }))

	c = newCall(t, "InvokeModel", "meta.llama3-8b-instruct-v1:0")
	c.Principal.Team = ""
	m.Admitted(c)
	m.Settled(c, newResult(func(r *call.Result) {
		r.Outcome, r.Status, r.ErrorType, r.Usage, r.Cost, r.FirstByte = call.Upstream, 429, "ThrottlingException", call.Usage{}, 0, 0
	}))

	c = newCall(t, "ListFoundationModels", "")
	m.Admitted(c)
	m.Settled(c, newResult(func(r *call.Result) { r.Usage, r.Cost, r.Outcome = call.Usage{}, 0, call.ClientGone }))

	limited := *call.RateLimited
	limited.Limit = "requests"
	m.Refused(newCall(t, "Converse", claude), &limited)
	m.Refused(&call.Call{Time: start}, call.NoCredentials)
	m.Guard(newCall(t, "Converse", claude), "aws-keys")

	golden(t, "testdata/page.golden", ours(m))
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, string(want)); d != "" {
		t.Errorf("the page is not that of %s (-got +want):\n%s", path, d)
	}
}

// TestBounded: labels that others choose make a bounded number of series.
func TestBounded(t *testing.T) {
	m := metrics.New(metrics.Options{})
	c := newCall(t, "Converse", claude)
	for i := range 3_000 {
		c.Principal.Team = fmt.Sprint("team-", i)
		m.Settled(c, newResult(func(r *call.Result) { r.ErrorType = fmt.Sprint("Error", i) }))
		m.Guard(c, fmt.Sprint("rule-", i))
	}
	page := ours(m)
	for name, most := range map[string]int{"gatehouse_cost_nano_usd_total{": 2049, "gen_ai_client_operation_duration_seconds_count{": 2049, "gatehouse_guard_verdicts_total{": 1025} {
		if n := strings.Count(page, "\n"+name); n > most || n < most-2 {
			t.Errorf("%d series of %s…}, want about %d", n, name, most)
		}
	}
	if !strings.Contains(page, `gatehouse_cost_nano_usd_total{model="other",team="other"} 3.99`) { // 42,000 each of 952 teams
		t.Error("the cost of teams beyond the bound is not kept under other")
	}
}

// TestOddValues: what an answer holds never panics and never shows as a broken page.
func TestOddValues(t *testing.T) {
	m := metrics.New(metrics.Options{})
	c := newCall(t, "Converse", claude)
	m.Settled(c, newResult(func(r *call.Result) {
		r.ErrorType, r.Cost, r.Usage = "bad\xff\n"+strings.Repeat("x", 300), -1, call.Usage{Input: -5, Output: -1}
	}))
	m.Settled(&call.Call{}, &call.Result{})
	m.Refused(&call.Call{}, &call.Refusal{})
	if page := ours(m); !strings.Contains(page, `error_type="bad?\n`) || strings.Contains(page, "-1") {
		t.Errorf("page:\n%s", page)
	}
}

// sink remembers points, in short.
type sink []string

func (s *sink) Observe(p metrics.Point) {
	*s = append(*s, fmt.Sprintf("%s=%v %s/%s/%s/%s %s", p.Metric, p.Value, p.Model, p.User, p.Team, p.Key, p.Limit))
}

func TestPoints(t *testing.T) {
	const by = " anthropic.claude-sonnet-4-5-20250929-v1:0/ana/red/GTHK1 "
	spent := []string{"InputTokenCount=10" + by, "OutputTokenCount=101" + by, "Cost=4.2e-05" + by}
	answered := append([]string{"Invocations=1" + by, "InvocationLatency=1500" + by, "TimeToFirstToken=500" + by}, spent...)
	for _, row := range []struct {
		name string
		edit func(*call.Result)
		want []string
	}{
		{"answered", nil, answered},
		{"the caller left in the middle: the model answered", func(r *call.Result) { r.Outcome = call.ClientGone }, answered},
		{"stopped by a limit in the middle", func(r *call.Result) {
			r.Outcome, r.ErrorType = call.Stopped, "ServiceQuotaExceededException"
		}, answered},
		{"answer blocked", func(r *call.Result) { r.Outcome = call.Blocked }, answered},
		{"prompt blocked", func(r *call.Result) {
			r.Outcome, r.Worked, r.Usage, r.Cost = call.Blocked, false, call.Usage{}, 0
		}, nil},
		{"the caller left before anything was sent", func(r *call.Result) {
			r.Outcome, r.Worked, r.Usage, r.Cost = call.ClientGone, false, call.Usage{}, 0
		}, nil},
		{"throttled: neither an invocation nor an error", func(r *call.Result) {
			r.Outcome, r.Status, r.ErrorType, r.Usage, r.Cost = call.Upstream, 429, "ThrottlingException", call.Usage{}, 0
		}, []string{"InvocationThrottles=1" + by}},
		{"throttled within the stream", func(r *call.Result) { r.Outcome, r.ErrorType = call.Upstream, "ThrottlingException" },
			append([]string{"InvocationThrottles=1" + by}, spent...)},
		{"refused by Bedrock", func(r *call.Result) {
			r.Outcome, r.Status, r.ErrorType, r.Usage, r.Cost = call.Upstream, 400, "ValidationException", call.Usage{}, 0
		}, []string{"InvocationClientErrors=1" + by}},
		{"broken", func(r *call.Result) {
			r.Outcome, r.Status, r.ErrorType, r.Usage, r.Cost = call.Upstream, 500, "InternalServerException", call.Usage{}, 0
		}, []string{"InvocationServerErrors=1" + by}},
		{"cut", func(r *call.Result) { r.Outcome = call.Truncated }, append([]string{"InvocationServerErrors=1" + by}, spent...)},
		{"no answer", func(r *call.Result) {
			r.Outcome, r.Status, r.ErrorType, r.Usage, r.Cost = call.Unreachable, 408, "ModelTimeoutException", call.Usage{}, 0
		}, []string{"InvocationServerErrors=1" + by}},
	} {
		var got sink
		m := metrics.New(metrics.Options{Sink: &got})
		m.Settled(newCall(t, "ConverseStream", claude), newResult(row.edit))
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: points\n%q, want\n%q", row.name, got, row.want)
		}
	}
}

func TestRefusedPoints(t *testing.T) {
	limited := *call.RateLimited
	limited.Limit = "requests"
	stranger := newCall(t, "Converse", claude)
	stranger.CallerARN = "" // the signature has not been checked
	for _, row := range []struct {
		name string
		c    *call.Call
		ref  *call.Refusal
		want []string
	}{
		{"by a limit", newCall(t, "Converse", ""), &limited, []string{"Refusals=1 /ana/red/GTHK1 requests", "InvocationThrottles=1 /ana/red/GTHK1 requests"}},
		{"by policy", newCall(t, "Converse", ""), call.PolicyDenied, []string{"Refusals=1 /ana/red/GTHK1 "}},
		{"a stranger under another's key", stranger, call.BadSignature, []string{"Refusals=1 anthropic.claude-sonnet-4-5-20250929-v1:0/// "}},
	} {
		var got sink
		metrics.New(metrics.Options{Sink: &got}).Refused(row.c, row.ref)
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: points %q, want %q", row.name, got, row.want)
		}
	}
}

type nothing struct{}

func (nothing) Observe(metrics.Point) {}

// TestConcurrent: series that many calls make at once count all of them.
func TestConcurrent(t *testing.T) {
	m := metrics.New(metrics.Options{Sink: nothing{}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				m.Guard(newCall(t, "Converse", claude), fmt.Sprint("rule-", i%10))
				if i%50 == 0 {
					ours(m)
				}
			}
		})
	}
	wg.Wait()
	if page := ours(m); strings.Count(page, `observed="false",rule="rule-`) != 10 || strings.Count(page, `"} 40`+"\n") != 10 {
		t.Errorf("page:\n%s", page)
	}
}

func TestAllocations(t *testing.T) {
	m := metrics.New(metrics.Options{Sink: nothing{}})
	c, res := newCall(t, "ConverseStream", claude), newResult(nil)
	c.Notes = []call.Note{{Stage: "guard", Name: "card", Action: "mask"}}
	if n := testing.AllocsPerRun(100, func() {
		m.Admitted(c)
		m.Settled(c, res)
		m.Refused(c, call.RateLimited)
	}); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}

func BenchmarkCall(b *testing.B) {
	m := metrics.New(metrics.Options{Sink: nothing{}})
	c, res := newCall(b, "ConverseStream", claude), newResult(nil)
	b.ReportAllocs()
	for b.Loop() {
		m.Admitted(c)
		m.Settled(c, res)
	}
}
