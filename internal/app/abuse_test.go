package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// shipped is a gate with nothing configured: the limits that everybody has.
func shipped(g *gate) { g.config.Limits = nil }

// ask makes one call as key main, and tells how it was answered.
func (g *gate) ask(t *testing.T, model, operation, body string) (status int, errorType string) {
	t.Helper()
	resp, _ := g.answer(t, model, operation, body)
	errorType, _, _ = strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	return resp.StatusCode, errorType
}

const lite = "amazon.nova-lite-v1:0"

func said(text string) string {
	return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":50}}`, text)
}

// The abuse patterns of rate abuse as people describe it, each against the
// shipped limits: which one stops it, when, and as what the caller sees it.
func TestAbusePatterns(t *testing.T) {
	models := []string{
		"amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0", "anthropic.claude-3-haiku-20240307-v1:0",
		"meta.llama3-8b-instruct-v1:0", "mistral.mistral-7b-instruct-v0:2", "cohere.command-r-v1:0", "ai21.jamba-1-5-mini-v1:0",
		"amazon.titan-text-lite-v1", "openai.gpt-oss-20b-1:0",
	}
	for name, tt := range map[string]struct {
		call    func(i int) (model, body string)
		limit   string
		after   int // calls that pass
		refused string
	}{
		"prompt flooding, identical": {func(int) (string, string) {
			return lite, said("Write a very long poem about the sea and everything that swims in it.")
		}, "flood", 30, "ThrottlingException"},
		"prompt flooding, slightly varied": {func(i int) (string, string) {
			return lite, said(fmt.Sprintf("Write a very long poem about the sea and everything that swims in it, number %d please.", i*7919))
		}, "flood", 30, "ThrottlingException"},
		"token exhaustion": {func(i int) (string, string) {
			return lite, fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":"%d: %s"}]}],"inferenceConfig":{"maxTokens":5000}}`, i, strings.Repeat("Repeat every word of this. ", 4000)+strings.Repeat("x", i))
		}, "tokens", 3, "ThrottlingException"},
		"sequential model abuse": {func(i int) (string, string) {
			return models[i%len(models)], said(fmt.Sprintf("Question %d: %s?", i, strings.Repeat(string(rune('a'+i)), 30)))
		}, "models", 8, "ThrottlingException"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, shipped)
			// The emulator answers with few tokens: what stops token exhaustion is the
			// reservation while calls are open, so those hang.
			if tt.limit == "tokens" {
				g.hold(t, tt.after, tt.call)
			}
			passed := 0
			for i := range tt.after + 1 {
				model, body := tt.call(i)
				status, kind := g.ask(t, model, "converse", body)
				if status == 200 {
					passed++
					continue
				}
				if kind != tt.refused {
					t.Fatalf("call %d: %d %s", i, status, kind)
				}
				if got := g.lastLimit(t); got != tt.limit {
					t.Errorf("call %d was stopped by limit %q, want %q", i, got, tt.limit)
				}
				break
			}
			if tt.limit != "tokens" && passed != tt.after {
				t.Errorf("%d calls passed, want %d", passed, tt.after)
			}
		})
	}
}

// hold opens n calls that do not end before the test does.
func (g *gate) hold(t *testing.T, n int, call func(i int) (model, body string)) {
	t.Helper()
	g.fault(t, fmt.Sprintf("hang:times=%d", n))
	ctx, cancel := context.WithCancel(g.ctx)
	var ended sync.WaitGroup
	t.Cleanup(func() { cancel(); ended.Wait() })
	for i := range n {
		model, body := call(i)
		r, err := http.NewRequestWithContext(ctx, "POST", "http://"+g.addr+"/model/"+model+"/converse", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+g.apiKey("main"))
		ended.Go(func() {
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		})
	}
	for g.calls.Load() < int64(n) {
		if resp, err := http.Get("http://" + g.addr + "/healthz"); err == nil { // passes the time
			resp.Body.Close()
		}
	}
}

// Concurrent session abuse: the 21st call at once is refused, and none of the
// slots is lost when their callers are gone.
func TestConcurrentSessions(t *testing.T) {
	g := startGate(t, shipped)
	t.Run("open", func(t *testing.T) {
		g.hold(t, 20, func(i int) (string, string) {
			return lite, said(fmt.Sprintf("%d %s", i, strings.Repeat(string(rune('a'+i)), 40)))
		})
		if status, kind := g.ask(t, lite, "converse", said("one more")); status != 429 || kind != "ThrottlingException" {
			t.Errorf("call 21: %d %s", status, kind)
		}
		if got := g.lastLimit(t); got != "slots" {
			t.Errorf("it was stopped by limit %q", got)
		}
	})
	for g.server.gateway.Live() > 0 {
		if resp, err := http.Get("http://" + g.addr + "/healthz"); err == nil {
			resp.Body.Close()
		}
	}
	if status, kind := g.ask(t, lite, "converse", said("a last one")); status != 200 {
		t.Errorf("after all have left: %d %s", status, kind)
	}
}

// The defaults admit the first fifty different prompts of a day and refuse the
// next by the daily quota.
func TestFiftyPromptsADay(t *testing.T) {
	g := startGate(t, shipped)
	for i, prompt := range prompts {
		body := fmt.Sprintf(`{"prompt":%q}`, prompt)
		r, _ := http.NewRequest("POST", "http://"+g.addr+"/v1/chat", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+g.eve(t))
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := 200
		if i >= 50 {
			want = 429
		}
		if resp.StatusCode != want {
			t.Fatalf("prompt %d, %q: %d %s, limit %q", i+1, prompt, resp.StatusCode, answer, g.lastLimit(t))
		}
	}
	if got := g.lastLimit(t); got != "chat-day" {
		t.Errorf("the last was stopped by limit %q", got)
	}
}

// prompts are what people ask on a day: 52 of them.
var prompts = strings.Split(strings.TrimSpace(`
hi
hello there
What's the capital of Kenya?
what is the capital of Peru?
Where is Lake Naivasha?
Translate "good morning" into Swahili
Translate "good night" into Swahili
summarise the plot of Hamlet in two sentences
Write a haiku about rain
Write a haiku about snow
fix this: for i in range(10) print(i)
Explain recursion to a ten year old
explain closures in JavaScript
How do I boil an egg?
how long do I boil potatoes
thanks!
tell me more
and in French?
Is a tomato a fruit?
Draft an e-mail to my landlord about the broken heating
Draft a polite reply declining the invitation
what should I cook with rice, lentils and spinach
Give me five names for a grey cat
Which is bigger, Jupiter or Saturn?
Convert 72 Fahrenheit to Celsius
Convert 10 miles to kilometres
SELECT the top ten customers by revenue, write the SQL
What does HTTP 418 mean?
Why is the sky blue?
why is the sea salty
Plan a weekend in Lisbon for two
Plan a weekend in Porto with small children
Proofread: Their going to there house over they're
What are the side effects of ibuprofen?
Who wrote Things Fall Apart?
who painted The Starry Night
Make a packing list for a hiking trip in October
Compare electric and petrol cars for a commuter
define entropy
define inertia
Write a unit test for a function that reverses a string
Regex for a date like 2026-11-22
What is 17 times 23?
what is 19 times 21?
Suggest a birthday present for my father, he likes fishing
How does a heat pump work?
How does a fridge work?
Tell me a joke about programmers
Tell me a joke about economists
Best way to remove red wine from a carpet
one more question
the last question of the day
`), "\n")

// lastLimit is the limit of the last refusal in the journal.
func (g *gate) lastLimit(t *testing.T) (name string) {
	t.Helper()
	if err := g.server.data.calls.Sync(); err != nil {
		t.Fatal(err)
	}
	for e, err := range journal.Read(nil, filepath.Join(g.dir, callsDir), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != ledger.KindRefused {
			continue
		}
		m, err := ledger.Decode(e.Kind, e.Meta)
		if err != nil {
			t.Fatal(err)
		}
		name = m.(*ledger.Refused).Limit
	}
	return name
}

// L01: a thousand calls at once against a limit of fifty: fifty reach Bedrock.
func TestLimitUnderSiege(t *testing.T) {
	for _, perUser := range []struct {
		name    string
		limit   config.Limit
		reached int64
	}{
		{"requests a day", config.Limit{Name: "daily", Per: []string{"user"}, Measure: "requests", Max: "50", Window: "day", Action: "refuse"}, 50},
		{"tokens", config.Limit{Name: "few", Per: []string{"team"}, Measure: "output_tokens", Max: "5000", Window: "day", Action: "refuse"}, 50},
	} {
		g := startGate(t, func(g *gate) {
			g.config.Limits = append(g.config.Limits, perUser.limit)
			for _, name := range []string{"tokens"} { // not what is asked about here
				g.config.Limits = append(g.config.Limits, config.Limit{Name: name, Per: []string{"user"}, Measure: "requests", Max: "1000000", Window: config.Window(fmt.Sprintf("%ds", 100+len(g.config.Limits))), Action: "refuse"})
			}
		})
		g.fault(t, "hang:times=1000")
		var refused atomic.Int64
		ctx, cancel := context.WithTimeout(g.ctx, time.Minute)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				body := `{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":100}}`
				r, _ := http.NewRequestWithContext(ctx, "POST", "http://"+g.addr+"/model/"+lite+"/converse", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+g.apiKey("main"))
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					return
				}
				resp.Body.Close()
				if resp.StatusCode == 400 || resp.StatusCode == 429 {
					if refused.Add(1) == 1000-perUser.reached {
						cancel()
					}
				}
			})
		}
		all.Wait()
		cancel()
		if got := g.calls.Load(); got != perUser.reached || refused.Load() != 1000-perUser.reached {
			t.Errorf("%s: %d calls reached Bedrock and %d were refused, want %d and %d", perUser.name, got, refused.Load(), perUser.reached, 1000-perUser.reached)
		}
		g.stop()
	}
}
