package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/test/process"
)

const huntConfiguration = `
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
hunt: {memory_mib: 64, timeout: 2s, max_rows: 1000, at_once: 2}
limits:
  - {name: requests, per: [user], measure: requests, max: 1000000000, window: 60s}
  - {name: flood, per: [user, similar_prompt], measure: requests, max: 1000000000, window: 60s}
  - {name: ip, per: [ip], measure: requests, max: 1000000000, window: 60s}
  - {name: tokens, per: [user], measure: tokens, max: 1000000000000, window: 60s}
  - {name: spend, per: [user], measure: usd, max: 1000000, window: day}
`

// greedy are queries that want too much, and how each ends.
var greedy = []struct{ sql, query, code string }{
	{sql: "SELECT max(len(l)) FROM (SELECT list(repeat(i::VARCHAR, 100)) AS l FROM range(100000000) t(i) GROUP BY i % 3)", code: "memory"},
	{sql: "SELECT sum(hash(a.i * b.i)) FROM range(10000000) a(i), range(10000000) b(i)", code: "time"},
	{sql: "SELECT * FROM range(100000)", code: "rows"},
	{query: "* | join (where _strand=\"gateway\") as a, (where _strand=\"gateway\") as b on a._strand=b._strand | count", code: ""},
}

// TestHuntsBesideCalls asks a server for more than it may give, again and again,
// while calls go through it: each such query ends by itself, in its child, with
// the bound that it met, and no call fails.
func TestHuntsBesideCalls(t *testing.T) {
	if os.Getenv("GATEHOUSE_CRASH") == "" {
		t.Skip("runs with GATEHOUSE_CRASH=1: make test sets it")
	}
	ctx, dir := t.Context(), t.TempDir()
	bin, data := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "data")
	if err := process.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(config, []byte(huntConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{bin, "serve", "--config", config, "--data", data})
	key, err := process.CreateKey(ctx, bin, data, "caller")
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	admin := ""
	for field := range strings.FieldsSeq(p.Stderr()) {
		if url, ok := strings.CutPrefix(field, "admin="); ok {
			admin = url
		}
	}
	client := &http.Client{}
	seenWithinTwoSeconds(ctx, t, client, p.URL(), admin, key.APIKey, strings.TrimSpace(string(token)))

	loaded, stop := context.WithCancel(ctx)
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for loaded.Err() == nil {
				resp, _, ok := post(ctx, client, p.URL()+"/model/amazon.nova-lite-v1:0/converse", key.APIKey, `{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}`)
				if calls.Add(1); !ok || resp.StatusCode != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	for round := range 3 {
		before := calls.Load()
		var asked sync.WaitGroup
		for _, g := range greedy {
			asked.Go(func() {
				if code := ask(ctx, t, client, admin, strings.TrimSpace(string(token)), g.sql, g.query); code != g.code && g.code != "" {
					t.Errorf("round %d: %.60s: ended with %q, want %q", round, g.sql+g.query, code, g.code)
				}
			})
		}
		asked.Wait()
		if calls.Load()-before < 20 {
			t.Errorf("round %d: only %d calls went through meanwhile", round, calls.Load()-before)
		}
	}
	stop()
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
	}
	if code := ask(ctx, t, client, admin, strings.TrimSpace(string(token)), "", "* | count"); code != "" {
		t.Errorf("afterwards a small query ends with %q", code)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls beside %d greedy queries", calls.Load(), 3*len(greedy))
}

// seenWithinTwoSeconds makes a call, and asks for it until it is there.
func seenWithinTwoSeconds(ctx context.Context, t *testing.T, client *http.Client, url, admin, apiKey, token string) {
	t.Helper()
	if resp, _, ok := post(ctx, client, url+"/model/amazon.nova-lite-v1:0/converse", apiKey, `{"messages":[{"role":"user","content":[{"text":"find me"}]}]}`); !ok || resp.StatusCode != http.StatusOK {
		t.Fatal("the call failed")
	}
	for end := time.Now().Add(2 * time.Second); ; {
		_, lines := answer(ctx, t, client, admin, token, "", `_strand=gateway | where prompt_text = "find me" | count`)
		if strings.Contains(lines, `"row":[1]`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the call is not seen after two seconds: %s", lines)
		}
	}
}

// ask runs a query through the admin API and returns the code that it ended with.
func ask(ctx context.Context, t *testing.T, client *http.Client, admin, token, sql, query string) string {
	code, _ := answer(ctx, t, client, admin, token, sql, query)
	return code
}

func answer(ctx context.Context, t *testing.T, client *http.Client, admin, token, sql, query string) (code, lines string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": sql + query, "sql": sql != "", "from": "2026-01-01T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	resp, data, ok := post(ctx, client, admin+"/api/v1/hunt", token, string(body))
	if !ok || resp.StatusCode != http.StatusOK {
		t.Errorf("%.60s: not answered: %s", sql+query, fmt.Sprint(resp))
		return "no answer", ""
	}
	for line := range strings.Lines(string(data)) {
		var l struct {
			Error *struct{ Code, Message string }
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Error != nil {
			return l.Error.Code, string(data)
		}
	}
	return "", string(data)
}
