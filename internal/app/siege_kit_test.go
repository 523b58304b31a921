package app

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
)

// only puts these limits in force, and none of the shipped ones.
func only(own ...config.Limit) func(*gate) {
	return func(g *gate) {
		g.config.Limits = nil
		nobody := config.Match{Teams: []string{"nobody"}}
		for _, l := range limit.Shipped {
			g.config.Limits = append(g.config.Limits, config.Limit{Name: l.Name, Per: []string{"user"}, Measure: "requests", Max: "1", Window: "day", Match: nobody})
		}
		for _, l := range own {
			l.Window = cmp.Or(l.Window, "10m")
			g.config.Limits = append(g.config.Limits, l)
		}
	}
}

// request is a call as key main.
func (g *gate) request(ctx context.Context, model, operation, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+g.addr+"/model/"+model+"/"+operation, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+g.apiKey("main"))
	return r
}

// row is how the first bucket of a limit stands, the zero Row when it is empty.
func (g *gate) row(name string) limit.Row {
	for _, r := range g.server.data.limits.Status(time.Now()) {
		if r.Limit == name {
			return r
		}
	}
	return limit.Row{}
}

// metric is one line of the metrics, by the text before its value.
func (g *gate) metric(t *testing.T, name string) string {
	t.Helper()
	resp, err := http.Get(g.server.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(name) + " (.*)$").FindSubmatch(body)
	if m == nil {
		t.Fatalf("no metric %s in %.2000s", name, body)
	}
	return string(m[1])
}

// within waits for something that happens by itself, and soon.
func within(t *testing.T, d time.Duration, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v not yet: %s", d, what)
		}
	}
}

// behind restarts the gate in front of another upstream than the emulator, for
// what a model that keeps to the rules never does.
func (g *gate) behind(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	g.stop()
	g.config.Upstream.Kind = s.URL
	g.start(t)
}

// crash makes the gate one that was killed: it goes on with the files as they
// are at this moment.
func (g *gate) crash(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(g.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(g.dir, path)
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	g.stop()
	g.dir = dir
	g.start(t)
}

// events are the types of a stream's frames, in order.
func events(t *testing.T, body []byte) (types []string) {
	t.Helper()
	frames := eventstream.NewReader(strings.NewReader(string(body)), 4<<20)
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return types
		}
		if err != nil {
			t.Fatalf("the caller got a malformed stream: %v", err)
		}
		types = append(types, f.EventType()+f.ExceptionType())
	}
}
