package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/journal"
)

// announced starts a server on dir, returns what it printed, and stops it.
func announced(t *testing.T, dir string, change func(*config.Config)) string {
	t.Helper()
	c := config.Default()
	c.Listen, c.AdminListen = "127.0.0.1:0", ""
	if change != nil {
		change(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := &readyWriter{ready: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, c, Options{DataDir: dir, Stderr: out, Version: "test"}) }()
	select {
	case err := <-done:
		t.Fatalf("%v\n%s", err, out.Bytes())
	case <-out.ready:
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return string(out.Bytes())
}

// readyWriter tells when the ready line has been written.
type readyWriter struct {
	lockedBuffer
	ready chan struct{}
	once  sync.Once
}

func (w *readyWriter) Write(p []byte) (int, error) {
	n, err := w.lockedBuffer.Write(p)
	if strings.HasPrefix(string(p), "ready ") {
		w.once.Do(func() { close(w.ready) })
	}
	return n, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Secrets are printed once, on the first start, and for the emulator only.
func TestQuickstart(t *testing.T) {
	dir := t.TempDir()
	first := announced(t, dir, nil)
	env, err := os.ReadFile(filepath.Join(dir, quickstartFile))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(string(env), "AWS_SECRET_ACCESS_KEY=")
	secret, _, _ = strings.Cut(secret, "\n")
	if len(secret) != 40 || !strings.Contains(first, secret) {
		t.Errorf("the first start did not print the key:\n%s", first)
	}
	second := announced(t, dir, nil)
	if strings.Contains(second, secret) || !strings.Contains(second, ". "+filepath.Join(dir, quickstartFile)) {
		t.Errorf("the second start printed the secret, or not where it is:\n%s", second)
	}
	if info, err := os.Stat(filepath.Join(dir, quickstartFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", quickstartFile, info.Mode(), err)
	}
	d, err := OpenData(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := d.ListKeys(context.Background())
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if _, err := d.RevokeKey(context.Background(), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if third := announced(t, dir, nil); strings.Contains(third, "Paste") || !strings.Contains(third, "key create") {
		t.Errorf("the start after the key was revoked:\n%s", third)
	}
}

// In front of real models nobody gets a key that was not asked for, and the
// gateway does not take its own callers' key for its own.
func TestNoQuickstartBeforeRealModels(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	dir := t.TempDir()
	out := announced(t, dir, func(c *config.Config) { c.Upstream.Kind = "http://127.0.0.1:1" })
	if exists := exists(filepath.Join(dir, quickstartFile)); exists || !strings.Contains(out, "gatehouse key create") {
		t.Errorf("quickstart.env: %v\n%s", exists, out)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "GTHKEXAMPLEEXAMPLE00")
	c := config.Default()
	c.Listen, c.AdminListen, c.Upstream.Kind = "127.0.0.1:0", "", "http://127.0.0.1:1"
	err := Serve(context.Background(), c, Options{DataDir: t.TempDir(), Stderr: &lockedBuffer{}, Version: "test"})
	if err == nil || !strings.Contains(err.Error(), "Gatehouse key") {
		t.Errorf("got %v", err)
	}
}

// Where bodies are not recorded as they are, prompts are not kept either.
func TestPromptsFollowBodies(t *testing.T) {
	for name, tt := range map[string]struct {
		record config.Record
		want   bool
	}{
		"full":                   {config.Record{Bodies: "full"}, true},
		"hash":                   {config.Record{Bodies: "hash"}, false},
		"off":                    {config.Record{Bodies: "off"}, false},
		"full, but not the team": {config.Record{Bodies: "full", Teams: map[string]config.TeamRecord{"default": {Bodies: "hash"}}}, false},
	} {
		g := startGate(t, func(g *gate) { g.config.Record = tt.record })
		for _, r := range []struct{ method, path, body string }{{"POST", "/v1/chat", `{"prompt":"remember me"}`}, {"GET", "/v1/prompts", ""}} {
			req, _ := http.NewRequest(r.method, "http://"+g.addr+r.path, strings.NewReader(r.body))
			req.Header.Set("Authorization", "Bearer "+g.eve(t))
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Fatalf("%s: %s %s", name, resp.Status, got)
			}
			if r.method == "GET" && strings.Contains(string(got), "remember me") != tt.want {
				t.Errorf("%s: kept prompts are %s, want it kept: %v", name, got, tt.want)
			}
		}
	}
}

// Damage in the middle of the journal is told at the start, and does not stop it.
func TestDamageIsTold(t *testing.T) {
	g := startGate(t)
	for range 3 {
		g.converse(t, g.apiKey("main"), "converse", "hello")
	}
	g.stop()
	segments, err := filepath.Glob(filepath.Join(g.dir, callsDir, "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	g.server.verifyJournal()
	if !strings.Contains(string(g.output.Bytes()), "gatehouse journal verify") {
		t.Errorf("the start says nothing of the damage:\n%s", g.output.Bytes())
	}
	if resp, body := g.converse(t, g.apiKey("main"), "converse", "hello"); resp.StatusCode != 200 {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if report, err := journal.Verify(nil, filepath.Join(g.dir, callsDir)); err != nil || report.OK() {
		t.Errorf("verify: %v, %v", report, err)
	}
}
