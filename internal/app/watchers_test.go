package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/secretfile"
)

// A channel hears of an alarm that fires and of a budget that is nearly used, and
// Prometheus of all that happened; neither of them, nor a log, holds a secret.
func TestWatchers(t *testing.T) {
	heard := make(chan string, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heard <- r.Header.Get("X-Gatehouse-Signature") + " " + string(body)
	}))
	defer receiver.Close()
	key := filepath.Join(t.TempDir(), "hook.key")
	if err := secretfile.Write(key, []byte("canary-hook-key")); err != nil {
		t.Fatal(err)
	}
	g := startGate(t, func(g *gate) {
		c := g.config
		c.Notify = map[string]config.Notify{"hook": {Kind: "webhook", URL: receiver.URL, SecretFile: key, Private: true}}
		c.Alarms = []config.Alarm{
			{Name: "three-calls", Metric: "Invocations", Statistic: "Sum", Period: config.Duration(300 * time.Second), Comparison: "GreaterThanThreshold", Threshold: "2", EvaluationPeriods: 1, Missing: "missing", Enabled: true},
			{Name: "Bedrock_ModelCallRate"}, // the shipped one, off
		}
		c.Limits = append(c.Limits, config.Limit{Name: "budget", Per: []string{"user"}, Measure: "usd", Max: "0.001", Window: "day", Action: "refuse", AlertAt: []config.Decimal{"0.01"}})
	})
	for range 3 {
		if resp, body := g.answer(t, lite, "converse", said("Where is Lake Naivasha?")); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	g.answer(t, lite, "converse", `{"messages":[{"role":"user","content":[{"text":"too dear"}]}],"inferenceConfig":{"maxTokens":5000}}`)

	wanted := map[string]string{"the alarm": "three-calls", "the budget": "Limit budget"}
	for deadline := time.After(15 * time.Second); len(wanted) > 0; {
		select {
		case m := <-heard:
			if !strings.HasPrefix(m, "v1=") {
				t.Errorf("unsigned: %s", m)
			}
			for what, word := range wanted {
				if strings.Contains(m, word) {
					delete(wanted, what)
				}
			}
		case <-deadline:
			t.Fatalf("nobody was told of %v", wanted)
		}
	}

	resp, err := http.Get(g.server.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, want := range []string{
		`gatehouse_calls_admitted_total`, `gatehouse_refused_total{limit="budget",reason="quota_exceeded"} 1`,
		`gen_ai_client_token_usage`, `gatehouse_audit_state{state="ok"} 1`, `gatehouse_store_up 1`, `gatehouse_config_reload_failed 0`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, secret := range []string{"canary-hook-key", g.apiKey("main"), "ana"} {
		if strings.Contains(string(text), secret) || strings.Contains(string(g.output.Bytes()), "canary-hook-key") {
			t.Errorf("%q was told", secret)
		}
	}
	if rows, err := g.server.data.ListAlarms(t.Context()); err != nil || len(rows) != 2 || rows[1].Name != "three-calls" || rows[1].State != "ALARM" {
		t.Errorf("alarms: %+v, %v", rows, err)
	}
	g.checkSecrets(t)
}
