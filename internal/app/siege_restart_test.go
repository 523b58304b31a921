package app

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// L03: what was counted before a stop or a kill counts after it, of every
// measure.
func TestRestartsLoseNoCount(t *testing.T) {
	models := []string{lite, "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0", "mistral.mistral-7b-instruct-v0:2", "cohere.command-r-v1:0", "meta.llama3-8b-instruct-v1:0"}
	same := func(i int) (string, string) { return lite, said(fmt.Sprintf("Question number %d of today", i)) }
	for name, tt := range map[string]struct {
		limit config.Limit
		call  func(i int) (model, body string)
		want  int // as without restarts
	}{
		"requests a day": {config.Limit{Measure: "requests", Max: "6", Window: "day"}, same, 6},
		"requests":       {config.Limit{Measure: "requests", Max: "6"}, same, 6},
		"tokens":         {config.Limit{Measure: "tokens", Max: "800"}, same, 7},
		"output tokens":  {config.Limit{Measure: "output_tokens", Max: "650"}, same, 8},
		"usd":            {config.Limit{Measure: "usd", Max: "0.000165", Window: "month"}, same, 8},
		"models": {config.Limit{Measure: "models", Max: "4"}, func(i int) (string, string) {
			return models[i%len(models)], said("hello")
		}, 4},
		"similar prompts": {config.Limit{Measure: "requests", Per: []string{"user", "similar_prompt"}, Max: "5"}, func(i int) (string, string) {
			return lite, said(fmt.Sprintf("Write a very long poem about the sea and everything that swims in it, number %d please.", i*7919))
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			tt.limit.Name = "own"
			if tt.limit.Per == nil {
				tt.limit.Per = []string{"user"}
			}
			g := startGate(t, only(tt.limit), func(g *gate) {
				g.script = "rules: [{text: hello, usage: {input_tokens: 20, output_tokens: 80, cache_read_tokens: 10}}]"
			})
			admitted := 0
			for ; admitted < 20; admitted++ {
				switch admitted {
				case 2:
					g.stop()
					g.start(t)
				case 4:
					g.crash(t)
				}
				model, body := tt.call(admitted)
				if status, _ := g.ask(t, model, "converse", body); status != 200 {
					break
				}
			}
			if admitted != tt.want {
				t.Errorf("%d calls are admitted with a stop and a kill in between, want %d: %+v", admitted, tt.want, g.row("own"))
			}
			if a := g.audit(t); !a.Equal {
				t.Errorf("the journal disagrees: %+v", a)
			}
		})
	}
}

// A call that a kill interrupts is charged what was reserved for it, once, and
// its slot is free.
func TestKilledInTheMiddle(t *testing.T) {
	g := startGate(t, only(
		config.Limit{Name: "day", Per: []string{"user"}, Measure: "requests", Max: "50", Window: "day"},
		config.Limit{Name: "words", Per: []string{"user"}, Measure: "output_tokens", Max: "1000000"},
		config.Limit{Name: "own", Per: []string{"user"}, Measure: "concurrency", Max: "25"},
	))
	g.hold(t, 25, func(i int) (string, string) { return lite, said(strings.Repeat("x", i+1)) })
	g.crash(t)
	if row := g.row("own"); row.Used+row.Reserved != 0 || g.server.data.cut != 25 {
		t.Errorf("slots after the kill: %+v, %d calls were cut", row, g.server.data.cut)
	}
	for range 2 { // the charge is in the journal now, and is not made again
		if day, words := g.row("day"), g.row("words"); day.Used != 25 || words.Used != 25*50 || day.Reserved+words.Reserved != 0 {
			t.Errorf("after the kill: %+v, %+v, want 25 calls charged with 50 tokens each", day, words)
		}
		g.crash(t)
	}
	g.fault(t, "slow:delay=1ms,times=1")
	passed := 0
	for i := range 60 {
		if status, _ := g.ask(t, lite, "converse", said(fmt.Sprint("question ", i))); status == 200 {
			passed++
		}
	}
	if passed != 25 {
		t.Errorf("%d calls are admitted after the kill, want 25 of the 50", passed)
	}
}
