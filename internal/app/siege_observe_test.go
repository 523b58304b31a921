package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/ledger"
)

// In observe mode nothing is refused, masked or blocked, and the record of each
// call says what would have been, whether all observes or one part alone.
func TestObserve(t *testing.T) {
	cedar := filepath.Join(t.TempDir(), "own.cedar")
	if err := os.WriteFile(cedar, []byte("permit (principal, action, resource);\n@id(\"no-red\") forbid (principal in Gatehouse::Team::\"red\", action, resource);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := config.Limit{Name: "own", Per: []string{"user"}, Measure: "requests", Max: "1"}
	for name, tt := range map[string]struct {
		change func(c *config.Config)
		status []int  // of two calls
		answer string // what the caller sees of the second
		notes  string // of the second's record
	}{
		"enforced": {func(*config.Config) {}, []int{403, 403}, "not authorized", ""},
		"policy":   {func(c *config.Config) { c.Policy.Mode = "observe" }, []int{200, 429}, "Too many requests", ""},
		"policy and limit": {func(c *config.Config) {
			c.Policy.Mode, c.Limits[len(c.Limits)-1].Mode = "observe", "observe"
		}, []int{200, 200}, "guardrail_intervened", "policy no-red refuse, limit own refuse, guard block"},
		"guard, without a policy": {func(c *config.Config) {
			c.Policy.Cedar, c.Guard.Mode = nil, "observe"
		}, []int{200, 429}, "Too many requests", ""},
		"limit and guard, without a policy": {func(c *config.Config) {
			c.Policy.Cedar, c.Guard.Mode, c.Limits[len(c.Limits)-1].Mode = nil, "observe", "observe"
		}, []int{200, 200}, "end_turn max_tokens", "limit own refuse, guard block, guard mask"},
		"all": {func(c *config.Config) { c.Mode = "observe" }, []int{200, 200}, "end_turn max_tokens", "policy no-red refuse, limit own refuse, guard block, guard mask"},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived string
			g := startGate(t, guarded, only(small), func(g *gate) {
				g.config.Policy.Cedar = []string{cedar}
				tt.change(g.config)
				g.arrive = func(body []byte) { arrived = string(body) }
			})
			prompt := said("my key is " + awsKey + ", pay with " + card)
			var last *http.Response
			var body []byte
			for i, want := range tt.status {
				if last, body = g.answer(t, lite, "converse", prompt); last.StatusCode != want {
					t.Errorf("call %d: %d %s, want %d", i+1, last.StatusCode, body, want)
				}
				g.checkHeaders(t, last)
			}
			if !slices.ContainsFunc(strings.Fields(tt.answer), func(word string) bool { return strings.Contains(string(body), word) }) {
				t.Errorf("the caller sees %s, want %s", body, tt.answer)
			}
			if last.StatusCode != 200 {
				return
			}
			if whole := strings.Contains(arrived, awsKey) && strings.Contains(arrived, card); whole != strings.Contains(tt.answer, "end_turn") {
				t.Errorf("Bedrock got %q", arrived)
			}
			admit, _ := g.recordOf(t, last.Header.Get("X-Gatehouse-Call-Id"))
			for _, want := range strings.Split(tt.notes, ", ") {
				if !slices.ContainsFunc(admit.Notes, func(n ledger.Note) bool {
					return strings.HasPrefix(want, n.Stage+" ") && strings.HasSuffix(want, " "+n.Action) && (n.Stage == "guard" || strings.Contains(want, n.Name) && n.Observe && n.Detail != "")
				}) {
					t.Errorf("notes %+v lack %q", admit.Notes, want)
				}
			}
			if said := fmt.Sprint(admit.Notes); strings.Contains(said, awsKey) || strings.Contains(said, card) {
				t.Errorf("notes %s quote a secret", said)
			}
			if row := g.row("own"); row.Used != 2 {
				t.Errorf("an observed limit counts %+v, want 2", row)
			}
		})
	}
}

var numbers = regexp.MustCompile(`-?\d+`)

// checkHeaders: what callers are told of limits is never negative, and who is
// refused for now learns when to come back.
func (g *gate) checkHeaders(t *testing.T, resp *http.Response) {
	t.Helper()
	for name, values := range resp.Header {
		if !strings.Contains(strings.ToLower(name), "ratelimit") {
			continue
		}
		for _, n := range numbers.FindAllString(values[0], -1) {
			if v, err := strconv.Atoi(n); err != nil || v < 0 {
				t.Errorf("header %s: %s", name, values[0])
			}
		}
	}
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	kind, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	limited := kind == "ThrottlingException" || kind == "ServiceQuotaExceededException" || kind == "ServiceUnavailableException"
	if limited != (err == nil && after >= 1) {
		t.Errorf("%d %s: Retry-After %q", resp.StatusCode, kind, resp.Header.Get("Retry-After"))
	}
}

// L16: the headers tell the truth, and nothing negative, also beyond the limit,
// in debt, and while all slots are taken.
func TestLimitHeaders(t *testing.T) {
	for name, tt := range map[string]struct {
		limit     config.Limit
		remaining []string // after each of some calls; "" where it does not matter
		status    []int
	}{
		"requests":     {config.Limit{Measure: "requests", Max: "2"}, []string{"1", "0", "0", "0"}, []int{200, 200, 429, 429}},
		"a day":        {config.Limit{Measure: "requests", Max: "2", Window: "day"}, []string{"1", "0", "0", "0"}, []int{200, 200, 400, 400}},
		"tokens, debt": {config.Limit{Measure: "tokens", Max: "3000"}, []string{"", "0", "0"}, []int{200, 429, 429}},
		"usd, debt":    {config.Limit{Measure: "usd", Max: "0.0005", Window: "month"}, []string{"", "0", "0"}, []int{200, 400, 400}},
		"models":       {config.Limit{Measure: "models", Max: "1"}, []string{"0", "0"}, []int{200, 200}},
		"slots":        {config.Limit{Measure: "concurrency", Max: "3"}, []string{"2", "2"}, []int{200, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.limit.Name, tt.limit.Per = "own", []string{"user"}
			g := startGate(t, only(tt.limit), func(g *gate) {
				g.script = "rules: [{text: hello, usage: {input_tokens: 20, output_tokens: 8000}}]" // far beyond its bound
			})
			for i, want := range tt.status {
				resp, body := g.answer(t, lite, "converse", said("hello"))
				if got := resp.Header.Get("X-Ratelimit-Remaining"); resp.StatusCode != want || tt.remaining[i] != "" && got != tt.remaining[i] {
					t.Errorf("call %d: %d %s, %q remain; want %d, %q", i+1, resp.StatusCode, body, got, want, tt.remaining[i])
				}
				g.checkHeaders(t, resp)
			}
		})
	}
}
