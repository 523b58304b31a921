package app

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/journal"
	"gatehouse/internal/sim/emulator"
)

// gate is a whole gateway on loopback, in this process: real journals, accounts
// and limits, in front of the emulator, which counts what reaches it.
type gate struct {
	server     *server
	dir        string
	addr       string
	calls      atomic.Int64
	keys       map[string]account.Issued
	tokens     map[string]string
	output     lockedBuffer      // all that anybody was told: replies and logs
	disk       journal.FS        // under the main journal; nil: the real one
	arrive     func(body []byte) // called as a request reaches the upstream
	stop       func()
	stopBroken bool   // the disk failed: closing reports it
	upstream   string // the emulator's address
	ctx        context.Context
	config     *config.Config
	script     string // of the emulator's answers
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// guarded gives a gate the shipped rules of the guard.
func guarded(g *gate) { g.config.Guard.Packs = []string{"default"} }

const userPassword = "canary-password-2Fq8"

func startGate(t *testing.T, change ...func(*gate)) *gate {
	t.Helper()
	g := &gate{dir: t.TempDir(), keys: map[string]account.Issued{}, tokens: map[string]string{}, config: config.Default()}
	c := g.config
	for _, l := range []config.Limit{ // these are in the way of most tests
		{Name: "requests", Per: []string{"user"}, Window: "60s"}, {Name: "flood", Per: []string{"user", "similar_prompt"}, Window: "60s"},
		{Name: "ip", Per: []string{"ip"}, Window: "60s"}, {Name: "slots", Per: []string{"user"}, Measure: "concurrency"},
	} {
		l.Measure, l.Max, l.Action = cmp.Or(l.Measure, "requests"), "1048576", "refuse"
		c.Limits = append(c.Limits, l)
	}
	c.Guard.Packs = nil // which takes its time to compile; what is about the guard has it
	for _, f := range change {
		f(g)
	}
	var script *emulator.Script
	if g.script != "" {
		var err error
		if script, err = emulator.LoadScript([]byte(g.script)); err != nil {
			t.Fatal(err)
		}
	}
	em := emulator.New(emulator.Options{
		Script:      script,
		Credentials: []emulator.Credential{{AccessKeyID: "AKIAUPSTREAMCANARY00", Secret: "canary-upstream-secret"}},
		Padding:     true, Control: true,
		Arrived: func(r *http.Request, body []byte) {
			if strings.HasPrefix(r.URL.Path, "/_emulator") {
				return
			}
			g.calls.Add(1)
			if g.arrive != nil {
				g.arrive(body)
			}
		},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go emulator.Serve(ctx, ln, em)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAUPSTREAMCANARY00")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-upstream-secret")

	c.Listen, c.AdminListen, c.Upstream.Kind = "127.0.0.1:0", "127.0.0.1:0", "http://"+ln.Addr().String()
	g.upstream, g.ctx = c.Upstream.Kind, ctx
	g.start(t)
	g.populate(t)
	return g
}

// start starts the server; stop ends it, the second of two also when a test forgets.
func (g *gate) start(t *testing.T) {
	c, ctx := g.config, g.ctx
	s := &server{
		o: Options{DataDir: g.dir, Stderr: &g.output, Version: "test"}, c: c,
		log: slog.New(slog.NewTextHandler(&g.output, &slog.HandlerOptions{Level: slog.LevelDebug})), started: time.Now(), failed: make(chan error, 4),
	}
	s.data = &Data{dir: g.dir, config: c, log: s.log, strangersPerSecond: 1 << 20, disk: g.disk}
	if err := s.data.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.build(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	g.stop = sync.OnceFunc(func() {
		s.close()
		s.upstream.Close()
		if err := s.data.Close(); err != nil && !g.stopBroken {
			t.Error(err)
		}
	})
	t.Cleanup(g.stop)
	g.server, g.addr = s, strings.TrimPrefix(s.info.endpoint, "http://")
}

// populate makes the users and keys that the scripts name.
func (g *gate) populate(t *testing.T) {
	ctx := context.Background()
	a := g.server.data.accounts
	for _, user := range []string{"ana", "dis"} {
		if _, _, err := a.AddUser(ctx, account.NewUser{Name: user, Team: "red"}); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]account.NewKey{
		"main":      {User: "ana"},
		"scoped":    {User: "ana", Scope: call.Scope{Models: []string{"anthropic.*"}, Operations: []string{"Converse"}}},
		"anthropic": {User: "ana", Scope: call.Scope{Models: []string{"anthropic.*"}}},
		"office":    {User: "ana", Scope: call.Scope{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		"revoked":   {User: "ana"},
		"disabled":  {User: "dis"},
	} {
		k.Name = name
		issued, err := a.CreateKey(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		g.keys[name] = issued
	}
	if err := a.RevokeKey(ctx, g.keys["revoked"].Key.ID); err != nil {
		t.Fatal(err)
	}
	if err := a.SetDisabled(ctx, "dis", true); err != nil {
		t.Fatal(err)
	}
}

// eve is a token of a user of the chat API, who registers when she is first
// asked for: passwords are dear to hash.
func (g *gate) eve(t *testing.T) string {
	t.Helper()
	if token := g.tokens["eve"]; token != "" {
		return token
	}
	const user = "eve@example.com"
	a, ctx, from := g.server.data.accounts, context.Background(), netip.MustParseAddr("127.0.0.1")
	if _, err := a.Register(ctx, from, user, userPassword, ""); err != nil {
		t.Fatal(err)
	}
	session, err := a.Login(ctx, from, user, userPassword)
	if err != nil {
		t.Fatal(err)
	}
	g.tokens["eve"] = string(session.Token)
	return g.tokens["eve"]
}

// checkSecrets looks for every planted secret in all that was said and in every
// file but those that exist to hold one.
func (g *gate) checkSecrets(t *testing.T) {
	t.Helper()
	secrets := map[string]string{"password": userPassword, "upstream": "canary-upstream-secret"}
	for name, k := range g.keys {
		secrets["secret of "+name], secrets["API key "+name] = string(k.SecretKey), string(k.APIKey)
	}
	for name, token := range g.tokens {
		secrets["token of "+name] = token
	}
	places := map[string][]byte{"output": g.output.Bytes()}
	err := filepath.WalkDir(g.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, data := range places {
		for what, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds the %s", place, what)
			}
		}
	}
}
