package app

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// loads makes the server read its configuration from a file that the test
// writes, over what the gate has set.
func (g *gate) loads(t *testing.T) (write func(text string)) {
	file := filepath.Join(t.TempDir(), "gatehouse.yaml")
	g.server.o.File = file
	g.server.o.Load = func() (*config.Config, error) {
		c, err := config.Load(file)
		if err != nil {
			return nil, err
		}
		c.Listen, c.AdminListen, c.Upstream = g.config.Listen, g.config.AdminListen, g.config.Upstream
		c.Guard.Packs = g.config.Guard.Packs
		return c, nil
	}
	return func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g.server.reload(g.ctx)
	}
}

// A reload is whole or nothing: what is right holds from the next call, what is
// wrong leaves all as it was.
func TestReload(t *testing.T) {
	g := startGate(t)
	write := g.loads(t)
	call := func() (*http.Response, []byte) { return g.converse(t, g.apiKey("main"), "converse", "hello") }
	for _, step := range []struct {
		name, file string
		status     int
		header     string // of the bound on the answer
		failed     string
	}{
		{"as it was", "", 200, "4096", ""},
		{"another bound", "policy: {max_tokens: 77}", 200, "77", ""},
		{"a limit that is used up", "limits: [{name: requests, per: [user], measure: requests, max: 2, window: 60s}]", 429, "", ""},
		{"a mistake", "limits: [{name: requests, per: [nobody]}]\npolicy: {max_tokens: 5}", 429, "", "nobody"},
		{"a network", "network: {deny: [127.0.0.0/8]}", 403, "", ""},
		{"as it was again", "", 200, "4096", ""},
	} {
		write(step.file)
		resp, body := call()
		if resp.StatusCode != step.status || resp.Header.Get("X-Gatehouse-Max-Tokens") != step.header {
			t.Errorf("%s: %d, bound %q, %s; want %d, %q", step.name, resp.StatusCode, resp.Header.Get("X-Gatehouse-Max-Tokens"), body, step.status, step.header)
		}
		if got := *g.server.data.reloadError.Load(); (got != "") != (step.failed != "") || !strings.Contains(got, step.failed) {
			t.Errorf("%s: the reload said %q, want %q", step.name, got, step.failed)
		}
	}
}

// Files are loaded once they stay as they are.
func TestWatched(t *testing.T) {
	w := watched{loaded: "a"}
	for i, step := range []struct {
		now  string
		want bool
	}{{"a", false}, {"b", false}, {"c", false}, {"c", true}, {"a", false}, {"a", false}, {"d", false}, {"d", true}} {
		if got := w.settled(step.now); got != step.want {
			t.Errorf("look %d, files %s: settled %v, want %v", i, step.now, got, step.want)
		}
	}
}

// The files that are watched are those that the configuration names.
func TestFingerprint(t *testing.T) {
	g := startGate(t)
	write := g.loads(t)
	write("")
	before := g.server.fingerprint()
	if err := os.Remove(g.server.o.File); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if after := g.server.fingerprint(); after == before || !strings.Contains(after, "missing") {
		t.Errorf("the file is gone, and still looks like %q", after)
	}
}
