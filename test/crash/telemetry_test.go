package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/test/process"
)

const telemetryConfiguration = `
listen: 127.0.0.1:0
admin_listen: ""
ingest_listen: 127.0.0.1:0
telemetry: {sources: [{name: drop, path: drop}]}
limits:
  - {name: requests, per: [user], measure: requests, max: 1000000000, window: 60s}
  - {name: flood, per: [user, similar_prompt], measure: requests, max: 1000000000, window: 60s}
  - {name: ip, per: [ip], measure: requests, max: 1000000000, window: 60s}
  - {name: tokens, per: [user], measure: tokens, max: 1000000000000, window: 60s}
  - {name: spend, per: [user], measure: usd, max: 1000000, window: day}
`

// pushed is what was acknowledged: event ids, and calls that were answered.
type pushed struct {
	next atomic.Int64

	mu     sync.Mutex
	events map[string]bool
	calls  int
}

// TestKillTelemetry kills the program while records are pushed, a watched file
// grows and calls are made. Afterwards the lake has every event that was
// acknowledged, every line of the file and every call that was answered, each
// once. Sealing and merging by themselves are killed in the lake's own test.
func TestKillTelemetry(t *testing.T) {
	if os.Getenv("GATEHOUSE_CRASH") == "" {
		t.Skip("the kill rounds run with GATEHOUSE_CRASH=1: make test sets it")
	}
	ctx, dir := t.Context(), t.TempDir()
	bin, data := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "data")
	if err := process.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	config, log := filepath.Join(dir, "gatehouse.yaml"), filepath.Join(dir, "drop", "edr.jsonl")
	if err := os.WriteFile(config, []byte(telemetryConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	serve := []string{bin, "serve", "--config", config, "--data", data}
	p := start(t, serve)
	key, err := process.CreateKey(ctx, bin, data, "caller")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	s, lines := &pushed{events: map[string]bool{}}, 0
	for range rounds {
		p := start(t, serve)
		lines += s.load(ctx, t, p, log, lines, key.APIKey, time.Duration(60+rand.IntN(340))*time.Millisecond)
	}
	p = start(t, serve)
	await(t, bin, data, `_format=generic* or _strand=endpoint | count`, lines)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	s.check(t, bin, data, lines)
}

// load pushes, appends to the file and calls until the process is killed. It
// returns how many lines it wrote.
func (s *pushed) load(ctx context.Context, t *testing.T, p *process.Process, log string, from int, apiKey string, life time.Duration) int {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers + 1}}
	defer client.CloseIdleConnections()
	ingest := ""
	for field := range strings.FieldsSeq(p.Stderr()) {
		if url, ok := strings.CutPrefix(field, "ingest="); ok {
			ingest = url
		}
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for s.push(ctx, t, client, ingest) {
			}
		})
	}
	wg.Go(func() {
		const body = `{"messages":[{"role":"user","content":[{"text":"Where is Lake Naivasha?"}]}],"inferenceConfig":{"maxTokens":40}}`
		for {
			resp, _, ok := post(ctx, client, p.URL()+"/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", apiKey, body)
			if !ok || resp.StatusCode != http.StatusOK {
				return
			}
			s.mu.Lock()
			s.calls++
			s.mu.Unlock()
		}
	})
	written := 0
	wg.Go(func() {
		f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for end := time.Now().Add(life); time.Now().Before(end); written++ {
			n := from + written
			fmt.Fprintf(f, `{"command_line":"aws bedrock list-agents --max-items %d","hostname":"h%d","timestamp":"2026-03-01T00:00:00.%06dZ","pid":%d}`+"\n", n, n%7, n, n)
			time.Sleep(2 * time.Millisecond)
		}
	})
	wg.Go(func() {
		<-time.After(life)
		p.Kill()
	})
	wg.Wait()
	return written
}

// push sends a batch, and notes its events when it was acknowledged.
func (s *pushed) push(ctx context.Context, t *testing.T, client *http.Client, ingest string) bool {
	const batch = 50
	var body strings.Builder
	ids := make([]string, batch)
	for i := range ids {
		n := s.next.Add(1)
		ids[i] = "e-" + strconv.FormatInt(n, 10)
		fmt.Fprintf(&body, `{"eventVersion":"1.11","eventTime":"2026-03-%02dT12:00:00Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","awsRegion":"us-east-1","eventID":%q,"requestID":"r-%d","eventType":"AwsApiCall","managementEvent":false,"eventCategory":"Data","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/u%d"}}`+"\n",
			1+n%5, ids[i], n, n%3)
	}
	resp, data, ok := post(ctx, client, ingest+"/ingest/auto", "", body.String())
	if !ok {
		return false
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("push: %s: %.200s", resp.Status, data)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.events[id] = true
	}
	return true
}

// await asks until the count is there; what is not sealed is read from the journals.
func await(t *testing.T, bin, data, query string, want int) {
	t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		rows := hunt(t, bin, data, query)
		if len(rows) == 1 {
			if got = string(rows[0]["_count"]); got == strconv.Itoa(want) {
				return
			}
		}
		time.Sleep(200 * time.Millisecond) // the program's own pace, from outside
	}
	t.Errorf("%s: %s, want %d", query, got, want)
}

func hunt(t *testing.T, bin, data, query string) (rows []map[string]json.RawMessage) {
	t.Helper()
	out, err := process.Run(t.Context(), bin, "hunt", query, "--data", data, "--from", "2026-01-01", "--json", "--max-rows", "10000000")
	if err != nil {
		t.Fatalf("%s: %v\n%s", query, err, out)
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("%s: %v\n%.300s", query, err, out)
	}
	return rows
}

func (s *pushed) check(t *testing.T, bin, data string, lines int) {
	t.Helper()
	found := map[string]bool{}
	for _, row := range hunt(t, bin, data, `_strand=data | count by eventID`) {
		var id string
		json.Unmarshal(row["eventID"], &id)
		if string(row["_count"]) != "1" {
			t.Errorf("event %s counts %s times", id, row["_count"])
		}
		found[id] = true
	}
	for id := range s.events {
		if !found[id] {
			t.Errorf("event %s was acknowledged and is lost", id)
		}
	}
	doubles := hunt(t, bin, data, `_strand=endpoint or _strand=gateway | count as n by _messageid | where n > 1`)
	if len(doubles) > 0 {
		t.Errorf("%d events count twice", len(doubles))
	}
	var calls int
	for _, row := range hunt(t, bin, data, `_strand=gateway | count`) {
		calls, _ = strconv.Atoi(string(row["_count"]))
	}
	if calls < s.calls {
		t.Errorf("the lake has %d calls, %d were answered", calls, s.calls)
	}
	if len(s.events) < 1000 || lines < 100 || s.calls < 100 {
		t.Errorf("%d events, %d lines, %d calls: too light a load to prove anything", len(s.events), lines, s.calls)
	}
	t.Logf("%d events acknowledged, %d lines, %d calls, over %d kills", len(s.events), lines, calls, rounds)
}
