package app

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
)

const (
	haiku   = "anthropic.claude-3-haiku-20240307-v1:0"
	caching = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
)

func native(text string) string {
	return fmt.Sprintf(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":%q}]}`, text)
}

// What a call costs is one number: in the header, in the journal, in usage and
// in the budget, after every call, for everything that is billed (litellm #9531,
// #30725, #41610, apisix #13662).
func TestCostIsOneNumber(t *testing.T) {
	g := startGate(t, guarded, only(config.Limit{Name: "budget", Per: []string{"user"}, Measure: "usd", Max: "1000", Window: "month"}), func(g *gate) {
		g.script = "rules: [{prompt: cached, text: hello, usage: {input_tokens: 20, output_tokens: 80, cache_read_tokens: 3000, cache_write_tokens: 500}}]"
	})
	api, err := admin.Dial(t.Context(), g.dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, tt := range []struct {
		name, model, operation, body string
		fault                        string
		want                         int64 // nano-USD; -1: more than nothing
	}{
		{"whole", lite, "converse", said("hello"), "", -1},
		{"streamed", lite, "converse-stream", said("hello"), "", -1},
		{"native", haiku, "invoke", native("hello"), "", -1},
		{"native, streamed", haiku, "invoke-with-response-stream", native("hello"), "", -1},
		// 20 at 1.1, 80 at 5.5, 3000 at 0.11 and 500 at 1.375 USD a million.
		{"cached", caching, "converse", said("cached"), "", 22_000 + 440_000 + 330_000 + 687_500},
		{"cached, streamed", caching, "converse-stream", said("cached"), "", 1_479_500},
		{"cached, native", caching, "invoke", native("cached"), "", 1_479_500},
		{"cached, native, streamed", caching, "invoke-with-response-stream", native("cached"), "", 1_479_500},
		{"images", "amazon.nova-canvas-v1:0", "invoke", `{"taskType":"TEXT_IMAGE","textToImageParams":{"text":"a harbour"},"imageGenerationConfig":{"numberOfImages":3}}`, "", 180_000_000},
		{"embedding", "amazon.titan-embed-text-v2:0", "invoke", `{"inputText":"hello"}`, "", -1},
		{"through a geo profile", "us." + lite, "converse", said("hello"), "", -1},
		{"cut", lite, "converse-stream", said("hello"), "cut:after=3,times=1", -1},
		{"an error of Bedrock", lite, "converse", said("hello"), "500:times=1", 0},
		{"throttled by Bedrock", lite, "converse", said("hello"), "429:times=1", 0},
		{"blocked by the guard", lite, "converse", said("my key is " + awsKey), "", 0},
		{"counting tokens", haiku, "count-tokens", `{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}`, "", 0},
	} {
		if tt.fault != "" {
			g.fault(t, tt.fault)
		}
		resp, body := g.answer(t, tt.model, tt.operation, tt.body)
		if tt.fault == "" && resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", tt.name, resp.StatusCode, body)
			continue
		}
		_, result := g.recordOf(t, resp.Header.Get("X-Gatehouse-Call-Id"))
		if tt.want >= 0 && result.Cost != tt.want || tt.want < 0 && result.Cost <= 0 {
			t.Errorf("%s: costs %d, want %d; %+v", tt.name, result.Cost, tt.want, result.Usage)
		}
		header := resp.Header.Get("X-Gatehouse-Cost") + resp.Trailer.Get("X-Gatehouse-Cost")
		if want := strconv.FormatInt(result.Cost, 10); header != want && resp.StatusCode == 200 {
			t.Errorf("%s: the header says %q, the journal %s", tt.name, header, want)
		}
		sum += result.Cost
		usage, err := api.Usage(t.Context(), admin.UsageQuery{By: []string{"team"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		limits, err := api.ListLimits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(usage) != 1 || usage[0].Cost != sum || g.row("budget").Used != sum || len(limits) == 0 || limits[0].Used != sum {
			t.Fatalf("%s: usage %+v, the budget %+v, limit status %+v, want %d", tt.name, usage, g.row("budget"), limits, sum)
		}
	}
	// Reading what models there are costs nothing, and is no call of the budget.
	r, _ := http.NewRequest("GET", "http://"+g.addr+"/foundation-models", nil)
	r.Header.Set("Authorization", "Bearer "+g.apiKey("main"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || g.row("budget").Used != sum {
		t.Errorf("the list of models: %d, the budget is %+v, want %d", resp.StatusCode, g.row("budget"), sum)
	}
	if a := g.audit(t); !a.Equal {
		t.Errorf("the journal disagrees: %+v", a)
	}
}

// L09, and litellm #35524: a model without a price is denied, or costs the
// ceiling; it is never free, and a budget holds it.
func TestUnpricedModels(t *testing.T) {
	const mythos = "anthropic.claude-mythos-preview"
	for unpriced, tt := range map[string]struct {
		limit  config.Limit
		first  int
		second int
	}{
		"deny":    {config.Limit{Name: "budget", Per: []string{"user"}, Measure: "usd", Max: "1000", Window: "day"}, 403, 403},
		"ceiling": {config.Limit{Name: "budget", Per: []string{"user"}, Measure: "usd", Max: "1000", Window: "day"}, 200, 200},
	} {
		g := startGate(t, only(tt.limit), func(g *gate) { g.config.Prices.Unpriced = unpriced })
		resp, body := g.answer(t, mythos, "converse", said("hello"))
		if resp.StatusCode != tt.first {
			t.Errorf("%s: %d %s, want %d", unpriced, resp.StatusCode, body, tt.first)
		}
		if tt.first != 200 {
			if g.calls.Load() != 0 {
				t.Errorf("%s: it reached Bedrock", unpriced)
			}
			continue
		}
		_, result := g.recordOf(t, resp.Header.Get("X-Gatehouse-Call-Id"))
		cheap, _ := g.answer(t, lite, "converse", said("hello"))
		_, other := g.recordOf(t, cheap.Header.Get("X-Gatehouse-Call-Id"))
		if result.Cost <= 10*other.Cost || g.row("budget").Used != result.Cost+other.Cost {
			t.Errorf("ceiling: costs %d, another model %d, budget %+v", result.Cost, other.Cost, g.row("budget"))
		}
	}
	g := startGate(t, only(config.Limit{Name: "budget", Per: []string{"user"}, Measure: "usd", Max: "0.000001", Window: "day"}), func(g *gate) { g.config.Prices.Unpriced = "ceiling" })
	if status, kind := g.ask(t, mythos, "converse", said("hello")); status != 400 || kind != "ServiceQuotaExceededException" || g.calls.Load() != 0 {
		t.Errorf("beyond a small budget: %d %s, %d reached Bedrock", status, kind, g.calls.Load())
	}
}
