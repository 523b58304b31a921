// Package clients_test runs real, unmodified clients against the built program:
// a table of client × operation × credential. Nothing of a client is changed
// but what its user would set: the endpoint and the credentials, in the
// environment variables that the client itself documents.
//
// A cell that cannot exist is named in the table of impossible cells, with the
// reason, and is no test. The clients come from lock files (make test installs
// them), so the tests run only with GATEHOUSE_CLIENTS=1 in the environment.
package clients_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/test/process"
)

// What every cell says and asks.
const (
	region = "us-east-1"
	prompt = "Where is Lake Naivasha? Answer in one sentence."
)

// The models. Each but the first is where one thing goes wrong, so that cells
// need no order among each other.
const (
	sound     = "anthropic.claude-3-haiku-20240307-v1:0"
	limited   = "anthropic.claude-3-opus-20240229-v1:0"     // one call a user, by the gateway's configuration
	throttled = "anthropic.claude-3-sonnet-20240229-v1:0"   // 429 of the upstream
	excepted  = "anthropic.claude-3-5-sonnet-20240620-v1:0" // an exception frame after two deltas
	truncated = "anthropic.claude-3-5-haiku-20241022-v1:0"  // the upstream's connection breaks within a frame
	ended     = "anthropic.claude-3-5-sonnet-20241022-v2:0" // the upstream's stream ends in good order, but too early
)

var faults = []string{
	"429:model=" + throttled,
	"exception:after=2,type=throttlingException,model=" + excepted,
	"cut-frame:after=2,model=" + truncated,
	"end:after=2,model=" + ended,
}

const configuration = `
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
registration: {per_ip_per_hour: 1000}
limits:
  - {name: matrix, per: [user], measure: requests, max: 1, window: 30s, refuse_as: throttling, match: {models: ["` + limited + `"]}}
`

// operations of the matrix, in the order of its columns.
var operations = []string{
	"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream",
	"CountTokens", "ApplyGuardrail", "ListFoundationModels",
}

// client is one program that users have.
type client struct {
	name string
	// run makes the calls named, in order, and returns what came of each.
	run func(ctx context.Context, s *site, c credential, model string, operations []string) ([]result, error)
	// attempts is how often the client documents to try a throttled call.
	attempts int
	// throttle is the name under which it raises one.
	throttle string
	// waits is whether it waits as long as Retry-After says, however long.
	waits bool
}

var clients = []client{
	{"boto3", runPython, 3, "ThrottlingException", false},
	{"aws-cli", runCLI, 5, "ThrottlingException", false}, // version 1 keeps the legacy mode: 4 retries
	{"aws-sdk-js", runJS("aws.js"), 3, "ThrottlingException", false},
	{"anthropic-js", runJS("anthropic.js"), 3, "RateLimitError", true},
	{"aws-sdk-go", runGo, 3, "ThrottlingException", false},
	{"curl", runCurl, 1, "ThrottlingException", false},
}

// schemes are the ways to prove oneself, with and without TLS.
var schemes = []struct {
	name string
	tls  bool
}{
	{"sigv4", false},
	{"api-key", false},
	{"token", false},
	{"sigv4-tls", true},
	{"api-key-tls", true},
	{"token-tls", true},
}

// impossible names the cells that cannot be; "*" is any.
var impossible = []struct{ client, scheme, operation, why string }{
	{"anthropic-js", "*", "Converse", "the SDK speaks the Messages API only"},
	{"anthropic-js", "*", "ConverseStream", "the SDK speaks the Messages API only"},
	{"anthropic-js", "*", "CountTokens", "the SDK removes messages.countTokens on Bedrock"},
	{"anthropic-js", "*", "ApplyGuardrail", "the SDK speaks the Messages API only"},
	{"anthropic-js", "*", "ListFoundationModels", "the SDK speaks the Messages API only"},
	{"aws-cli", "*", "ConverseStream", "the CLI has no operation that answers with an event stream"},
	{"aws-cli", "*", "InvokeModelWithResponseStream", "the CLI has no operation that answers with an event stream"},
	{"boto3", "api-key", "*", "the SDK refuses bearer credentials without TLS"},
	{"boto3", "token", "*", "the SDK refuses bearer credentials without TLS"},
	{"aws-sdk-go", "api-key", "*", "the SDK refuses bearer credentials without TLS"},
	{"aws-sdk-go", "token", "*", "the SDK refuses bearer credentials without TLS"},
}

func whyNot(client, scheme, operation string) string {
	is := func(pattern, name string) bool { return pattern == "*" || pattern == name }
	for _, i := range impossible {
		if is(i.client, client) && is(i.scheme, scheme) && is(i.operation, operation) {
			return i.why
		}
	}
	return ""
}

func (c client) operations(scheme string) []string {
	return slices.DeleteFunc(slices.Clone(operations), func(op string) bool { return whyNot(c.name, scheme, op) != "" })
}

// result is what came of one operation; the programs print it as JSON.
type result struct {
	Operation string   `json:"operation"`
	OK        bool     `json:"ok"`
	Text      string   `json:"text"`
	Stop      string   `json:"stop"`
	Input     int      `json:"input"`
	Output    int      `json:"output"`
	Events    int      `json:"events"`
	Models    int      `json:"models"`
	Error     *failure `json:"error"`
}

type failure struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// TestMatrix is the table. Each client and scheme has a user of its own.
func TestMatrix(t *testing.T) {
	h := start(t)
	var cells matrix
	t.Cleanup(func() { cells.write(t) })
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range schemes {
				if ops := c.operations(s.name); len(ops) > 0 {
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						at := h.plain
						if s.tls {
							at = h.tls
						}
						cells.run(t, c, at, h.credential(t, at, s.name, c.name+"-"+s.name), s.name, ops)
					})
				}
			}
			t.Run("throttled-by-gateway", func(t *testing.T) { t.Parallel(); h.throttledByGateway(t, c) })
			t.Run("throttled-by-upstream", func(t *testing.T) { t.Parallel(); h.throttledByUpstream(t, c) })
			t.Run("broken-streams", func(t *testing.T) { t.Parallel(); h.brokenStreams(t, c) })
		})
	}
}

// run makes the calls of one client and scheme, and judges each as a test.
func (m *matrix) run(t *testing.T, c client, at *site, cred credential, scheme string, ops []string) {
	results, err := c.run(t.Context(), at, cred, sound, ops)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(ops) {
		t.Fatalf("%d results of %d operations: %+v", len(results), len(ops), results)
	}
	for i, r := range results {
		t.Run(ops[i], func(t *testing.T) {
			judge(t, ops[i], r)
			m.set(c.name, scheme, ops[i], !t.Failed())
		})
	}
}

// judge tells whether a sound call came back sound.
func judge(t *testing.T, op string, r result) {
	t.Helper()
	if r.Operation != op || !r.OK {
		t.Fatalf("%s: %+v, error %+v", op, r, r.Error)
	}
	switch op {
	case "CountTokens":
		if r.Input <= 0 {
			t.Errorf("counted %d tokens", r.Input)
		}
	case "ApplyGuardrail":
		if r.Stop != "NONE" && r.Stop != "GUARDRAIL_INTERVENED" {
			t.Errorf("action %q", r.Stop)
		}
	case "ListFoundationModels":
		if r.Models < 10 {
			t.Errorf("%d models listed", r.Models)
		}
	default:
		if r.Text == "" || r.Stop == "" || r.Input <= 0 || r.Output <= 0 {
			t.Errorf("an answer lacks its text, stop reason or usage: %+v", r)
		}
		if strings.HasSuffix(op, "Stream") && r.Events < 3 {
			t.Errorf("a stream of %d events", r.Events)
		}
	}
}

// first is the operation that the client has for a plain answer.
func (c client) first() string { return c.operations("sigv4-tls")[0] }

// throttledByGateway takes the one call that the gateway's limit allows, then
// one more. The client raises its throttling error, after as many attempts as
// it documents; the journal has a record of each. A client that waits as told
// comes back when the limit is free, and its second attempt is answered.
func (h *house) throttledByGateway(t *testing.T, c client) {
	user := c.name + "-gateway"
	cred := h.credential(t, h.plain, "sigv4", user)
	results, err := c.run(t.Context(), h.plain, cred, limited, []string{c.first(), c.first()})
	if err != nil || len(results) != 2 {
		t.Fatalf("%d results, error %v", len(results), err)
	}
	if !results[0].OK {
		t.Errorf("the call within the limit: %+v", results[0].Error)
	}
	attempts := c.attempts
	if c.waits {
		attempts = 2
		if !results[1].OK {
			t.Errorf("the call after waiting as told: %+v", results[1].Error)
		}
	} else {
		checkThrottled(t, c, results[1])
	}
	if got := h.recorded(t, user, limited); got != 1+attempts {
		t.Errorf("the journal has %d calls, want 1 within the limit and %d attempts beyond it", got, attempts)
	}
}

// throttledByUpstream lets the upstream answer 429. The client sees it through
// the gateway as it would see Bedrock's own.
func (h *house) throttledByUpstream(t *testing.T, c client) {
	user := c.name + "-upstream"
	cred := h.credential(t, h.plain, "sigv4", user)
	results, err := c.run(t.Context(), h.plain, cred, throttled, []string{c.first()})
	if err != nil || len(results) != 1 {
		t.Fatalf("%d results, error %v", len(results), err)
	}
	checkThrottled(t, c, results[0])
	if got := h.recorded(t, user, throttled); got != c.attempts {
		t.Errorf("the journal has %d calls, want %d attempts", got, c.attempts)
	}
}

func checkThrottled(t *testing.T, c client, r result) {
	t.Helper()
	if r.OK || r.Error == nil {
		t.Fatalf("a throttled call went through: %+v", r)
	}
	if r.Error.Name != c.throttle {
		t.Errorf("raised as %q (%s), want %q", r.Error.Name, r.Error.Message, c.throttle)
	}
}

// brokenStreams ends streams in the three ways an upstream can: every client
// must raise, also boto3 and the Go SDK, which take a stream that just stops
// for its end. The gateway owes them an exception frame.
func (h *house) brokenStreams(t *testing.T, c client) {
	for _, op := range []string{"ConverseStream", "InvokeModelWithResponseStream"} {
		if whyNot(c.name, "sigv4", op) != "" {
			continue
		}
		for model, name := range map[string]string{
			excepted:  "throttlingException",
			truncated: "modelStreamErrorException",
			ended:     "modelStreamErrorException",
		} {
			kind := map[string]string{excepted: "exception", truncated: "truncated", ended: "ended-early"}[model]
			t.Run(op+"-"+kind, func(t *testing.T) {
				t.Parallel()
				cred := h.credential(t, h.plain, "sigv4", strings.ToLower(c.name+"-"+op+"-"+kind))
				results, err := c.run(t.Context(), h.plain, cred, model, []string{op})
				if err != nil || len(results) != 1 {
					t.Fatalf("%d results, error %v", len(results), err)
				}
				r := results[0]
				if r.OK || r.Error == nil {
					t.Fatalf("a broken stream ended as if it were whole: %+v", r)
				}
				if r.Text == "" {
					t.Error("nothing arrived before the break")
				}
				said := r.Error.Name + " " + r.Error.Message
				if !strings.Contains(strings.ToLower(said), strings.ToLower(name)) {
					t.Errorf("raised as %q, want %s", said, name)
				}
			})
		}
	}
}

// matrix keeps which cells passed.
type matrix struct {
	mu    sync.Mutex
	cells map[string]bool
}

func (m *matrix) set(client, scheme, op string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[string]bool{}
	}
	m.cells[client+" "+scheme+" "+op] = ok
}

// write leaves the table, with the reasons of its gaps, where make test and
// the documentation find it.
func (m *matrix) write(t *testing.T) {
	var b strings.Builder
	b.WriteString("| client | credential | " + strings.Join(operations, " | ") + " |\n|---|---" + strings.Repeat("|---", len(operations)) + "|\n")
	notes := map[string]int{}
	for _, c := range clients {
		for _, s := range schemes {
			fmt.Fprintf(&b, "| %s | %s |", c.name, s.name)
			for _, op := range operations {
				b.WriteString(" " + m.cell(c.name, s.name, op, notes) + " |")
			}
			b.WriteString("\n")
		}
	}
	for _, why := range slices.SortedFunc(maps.Keys(notes), func(a, b string) int { return notes[a] - notes[b] }) {
		fmt.Fprintf(&b, "\n(%d) %s", notes[why], why)
	}
	b.WriteString("\n")
	path := filepath.Join("..", "..", "bin", "client-matrix.md")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

func (m *matrix) cell(client, scheme, op string, notes map[string]int) string {
	if why := whyNot(client, scheme, op); why != "" {
		if notes[why] == 0 {
			notes[why] = len(notes) + 1
		}
		return fmt.Sprintf("– (%d)", notes[why])
	}
	ok, ran := m.cells[client+" "+scheme+" "+op]
	switch {
	case ok:
		return "ok"
	case ran:
		return "FAILED"
	}
	return "not run"
}

// TestImpossible keeps the table of impossible cells honest: a row that names
// no client, scheme or operation of the matrix is a row nobody misses.
func TestImpossible(t *testing.T) {
	for _, i := range impossible {
		found := slices.ContainsFunc(clients, func(c client) bool { return c.name == i.client })
		if !found || i.operation != "*" && !slices.Contains(operations, i.operation) || i.why == "" {
			t.Errorf("impossible cell %+v is not of the matrix", i)
		}
	}
}

// house is the whole of it: an emulator that misbehaves on demand, and two
// gateways before it, with and without TLS.
type house struct {
	bin        string
	plain, tls *site
}

// site is one gateway: where it is, and the folder it keeps.
type site struct {
	url  string
	data string
	ca   string // the authority of its certificate, empty without TLS
}

func start(t *testing.T) *house {
	t.Helper()
	if os.Getenv("GATEHOUSE_CLIENTS") == "" {
		t.Skip("real clients run with GATEHOUSE_CLIENTS=1: make test installs them and sets it")
	}
	ctx, dir := t.Context(), t.TempDir()
	bin := filepath.Join(dir, "gatehouse")
	if err := process.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(conf, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := emulate(t, bin)
	h := &house{bin: bin}
	h.plain = h.serve(t, "off", conf, upstream)
	h.tls = h.serve(t, "auto", conf, upstream)
	return h
}

// The emulator's credentials, which the gateways sign with.
const (
	upstreamKey    = "AKIAGATEHOUSEMATRIX0"
	upstreamSecret = "gatehouse-matrix-upstream-secret-000000"
)

func emulate(t *testing.T, bin string) string {
	t.Helper()
	args := []string{bin, "emulate", "--listen", "127.0.0.1:0", "--control"}
	for _, f := range faults {
		args = append(args, "--fault", f)
	}
	p := launch(t, args)
	return p.URL()
}

func (h *house) serve(t *testing.T, tls, conf, upstream string) *site {
	t.Helper()
	s := &site{data: t.TempDir()}
	p := launch(t, []string{h.bin, "serve", "--config", conf, "--data", s.data, "--upstream", upstream, "--tls", tls})
	s.url = p.URL()
	if tls == "auto" {
		s.ca = filepath.Join(s.data, "ca.pem")
	}
	return s
}

func launch(t *testing.T, args []string) *process.Process {
	t.Helper()
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID="+upstreamKey, "AWS_SECRET_ACCESS_KEY="+upstreamSecret, "AWS_REGION="+region)
	p, err := process.Start(context.WithoutCancel(t.Context()), args, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%s: %v", args[1], err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", args[1], p.Stderr())
		}
	})
	return p
}

// recorded counts the calls of a user on a model in the journal.
func (h *house) recorded(t *testing.T, user, model string) int {
	t.Helper()
	n := 0
	deadline := time.Now().Add(10 * time.Second) // results are queued, not waited for
	for {
		out, err := process.Run(t.Context(), h.bin, "journal", "export", "--data", h.plain.data)
		if err != nil {
			t.Fatal(err)
		}
		n = countCalls(t, out, user, model)
		if n > 0 || time.Now().After(deadline) {
			return n
		}
	}
}
