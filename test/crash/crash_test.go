// Package crash_test kills the built program under load, again and again on the
// same data directory, and then asks the journal what it knows.
//
// Two promises must hold. A call that its caller saw answered is in the
// journal: it was admitted there before it was sent on. And the daily quota of
// the chat counts across every kill: never more than fifty admitted, never a
// number given out twice. What a kill cannot show, because the kernel keeps
// written pages, the journal's own tests do with a disk that forgets.
//
// It runs for a minute or two, so only with GATEHOUSE_CRASH=1 (make test).
package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/test/process"
)

const (
	rounds   = 50
	quota    = 50 // chat-day, as shipped
	chatters = 5  // users of the chat, one after the other
	callers  = 4  // connections that call Converse meanwhile
	pace     = 12 * time.Millisecond
	password = "Test@Pass*1239-lake"
)

const configuration = `
listen: 127.0.0.1:0
admin_listen: ""
registration: {per_ip_per_hour: 1000}
limits:
  - {name: requests, per: [user], measure: requests, max: 1000000000, window: 60s}
  - {name: flood, per: [user, similar_prompt], measure: requests, max: 1000000000, window: 60s}
  - {name: ip, per: [ip], measure: requests, max: 1000000000, window: 60s}
  - {name: tokens, per: [user], measure: tokens, max: 1000000000000, window: 60s}
  - {name: spend, per: [user], measure: usd, max: 1000000, window: day}
  - {name: slots, per: [user], measure: concurrency, max: 1000000}
`

// seen is what callers were answered; the lock guards all of it.
type seen struct {
	mu      sync.Mutex
	calls   map[string]bool  // ids of calls answered with 200
	chats   map[string]int   // chats answered with 200, by user
	last    map[string]int64 // the highest counter given out, by user
	refused map[string]int   // chats refused with 429, by user
	strange []string         // answers that should not be
}

func TestKill(t *testing.T) {
	if os.Getenv("GATEHOUSE_CRASH") == "" {
		t.Skip("the kill rounds run with GATEHOUSE_CRASH=1: make test sets it")
	}
	ctx, dir := t.Context(), t.TempDir()
	bin, data := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "data")
	if err := process.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := []string{bin, "serve", "--config", config, "--data", data}
	p := start(t, serve)
	key, err := process.CreateKey(ctx, bin, data, "caller")
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, chatters)
	for i := range tokens {
		tokens[i] = login(t, p.URL(), user(i))
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	s := &seen{calls: map[string]bool{}, chats: map[string]int{}, last: map[string]int64{}, refused: map[string]int{}}
	for round := range rounds {
		who := round * chatters / rounds
		p := start(t, serve)
		life := time.Duration(60+rand.IntN(241)) * time.Millisecond
		load(ctx, p, life, s, key.APIKey, user(who), tokens[who])
	}
	if err := start(t, serve).Stop(); err != nil { // recovers, once more
		t.Fatal(err)
	}
	for _, odd := range s.strange {
		t.Error(odd)
	}
	check(t, bin, data, s)
}

func user(i int) string { return fmt.Sprintf("chatter%d@example.com", i) }

func start(t *testing.T, command []string) *process.Process {
	t.Helper()
	p, err := process.Start(context.WithoutCancel(t.Context()), command, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// load calls and chats until the process is killed, a life after it was ready.
func load(ctx context.Context, p *process.Process, life time.Duration, s *seen, apiKey, who, token string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers + 1}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for s.converse(ctx, client, p.URL(), apiKey) {
			}
		})
	}
	wg.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for s.chat(ctx, client, p.URL(), who, token) {
			<-tick.C
		}
	})
	wg.Go(func() {
		<-time.After(life)
		p.Kill()
	})
	wg.Wait()
}

// post tells the status, header and whole body of an answer; ok is false when
// it did not arrive whole, as when the server is gone.
func post(ctx context.Context, client *http.Client, url, bearer, body string) (resp *http.Response, data []byte, ok bool) {
	r, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, nil, false
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if resp, err = client.Do(r); err != nil {
		return nil, nil, false
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(resp.Body)
	return resp, data, err == nil
}

func (s *seen) converse(ctx context.Context, client *http.Client, url, apiKey string) bool {
	const body = `{"messages":[{"role":"user","content":[{"text":"Where is Lake Naivasha?"}]}],"inferenceConfig":{"maxTokens":40}}`
	resp, data, ok := post(ctx, client, url+"/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", apiKey, body)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := resp.Header.Get("x-gatehouse-call-id")
	if resp.StatusCode != http.StatusOK || id == "" {
		s.strange = append(s.strange, fmt.Sprintf("converse: %s, call id %q: %.200s", resp.Status, id, data))
		return false
	}
	s.calls[id] = true
	return true
}

func (s *seen) chat(ctx context.Context, client *http.Client, url, who, token string) bool {
	resp, data, ok := post(ctx, client, url+"/v1/chat", token, `{"prompt":"Where is Lake Naivasha?"}`)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer struct{ Queries, Balance int64 }
	err := json.Unmarshal(data, &answer)
	switch {
	case err == nil && resp.StatusCode == http.StatusTooManyRequests:
		s.refused[who]++
	case err != nil || resp.StatusCode != http.StatusOK || answer.Queries+answer.Balance != quota:
		s.strange = append(s.strange, fmt.Sprintf("chat: %s: %.200s", resp.Status, data))
		return false
	case answer.Queries <= s.last[who]:
		s.strange = append(s.strange, fmt.Sprintf("chat: %s was given number %d after %d", who, answer.Queries, s.last[who]))
	default:
		s.chats[who]++
		s.last[who] = answer.Queries
	}
	return true
}

// check compares what callers saw with what the journal has.
func check(t *testing.T, bin, data string, s *seen) {
	t.Helper()
	if out, err := process.Run(t.Context(), bin, "journal", "verify", "--data", data); err != nil {
		t.Errorf("journal verify: %v\n%s", err, out)
	}
	admitted, chats := map[string]bool{}, map[string]map[string]int{} // chats by user and day
	for e, err := range journal.Read(nil, filepath.Join(data, "journal", "calls"), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != ledger.KindAdmit {
			continue
		}
		meta, err := ledger.Decode(e.Kind, e.Meta)
		if err != nil {
			t.Fatal(err)
		}
		a := meta.(*ledger.Admit)
		admitted[a.ID] = true
		if a.Principal.Scheme == "token" {
			if chats[a.Principal.User] == nil {
				chats[a.Principal.User] = map[string]int{}
			}
			chats[a.Principal.User][a.Time.UTC().Format(time.DateOnly)]++
		}
	}
	for id := range s.calls {
		if !admitted[id] {
			t.Errorf("call %s was answered and is not in the journal", id)
		}
	}
	exhausted := 0
	for who, days := range chats {
		sum := 0
		for day, n := range days {
			sum += n
			if n > quota {
				t.Errorf("%s was admitted to %d chats on %s, the quota is %d", who, n, day, quota)
			}
		}
		if sum < s.chats[who] {
			t.Errorf("%s saw %d chats answered, the journal has %d", who, s.chats[who], sum)
		}
		if s.refused[who] > 0 {
			exhausted++
		}
		t.Logf("%s: %d chats admitted, %d seen answered, %d refused", who, sum, s.chats[who], s.refused[who])
	}
	if exhausted == 0 {
		t.Error("no user came to the end of the quota: the load was too light to prove anything")
	}
	exported := lines(t, bin, data)
	if exported < len(admitted) {
		t.Errorf("journal export has %d calls, the journal admitted %d", exported, len(admitted))
	}
	t.Logf("%d calls admitted, %d seen answered, over %d kills", len(admitted), len(s.calls), rounds)
}

func lines(t *testing.T, bin, data string) int {
	t.Helper()
	out, err := process.Run(t.Context(), bin, "journal", "export", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		if !json.Valid(line) {
			t.Fatalf("journal export printed %q", line)
		}
	}
	return bytes.Count(out, []byte("\n"))
}

// login registers a user of the chat and returns a token.
func login(t *testing.T, url, email string) string {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
	var answer struct{ Token string }
	for _, path := range []string{"/v1/auth/user/register", "/v1/auth/user/login"} {
		resp, data, ok := post(t.Context(), http.DefaultClient, url+path, "", body)
		if !ok || resp.StatusCode/100 != 2 {
			t.Fatalf("%s: %s", path, data)
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatal(err)
		}
	}
	return answer.Token
}
