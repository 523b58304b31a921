package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/bedrock/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const token = "0123456789abcdef0123456789abcdef"

// options returns handler options over a fresh fake; what is logged goes to log.
func options(log *bytes.Buffer) (Options, *fakeAPI) {
	f := &fakeAPI{}
	return Options{
		API: f, Ready: func() error { return nil }, TokenSHA256: sha256.Sum256([]byte(token)),
		Hosts: []string{"gate.example"}, Log: slog.New(slog.NewTextHandler(log, nil)),
	}, f
}

// ask sends one request. Lines of head are headers; without a Host line it is
// localhost's, without an Authorization line the token is sent.
func ask(h http.Handler, line, head, body string) *httptest.ResponseRecorder {
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for l := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), ": ")
		switch {
		case name == "Host":
			r.Host = strings.TrimPrefix(value, "none")
		case value == "none":
			r.Header.Del(name)
		case strings.HasPrefix(name, "+"):
			r.Header.Add(name[1:], value)
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRequests(t *testing.T) {
	big := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	for _, tt := range []struct {
		name, line, head, body string
		status                 int
		want                   string // part of the answer
	}{
		// The door.
		{"token", "GET /api/v1/version", "", "", 200, `"version":"v1"`},
		{"no token", "GET /api/v1/version", "Authorization: none", "", 401, `"code":"unauthorized"`},
		{"wrong token", "GET /api/v1/version", "Authorization: Bearer x" + token, "", 401, "unauthorized"},
		{"empty token", "GET /api/v1/version", "Authorization: Bearer ", "", 401, "unauthorized"},
		{"token of another scheme", "GET /api/v1/version", "Authorization: Basic " + token, "", 401, "unauthorized"},
		{"two tokens", "GET /api/v1/version", "+Authorization: Bearer " + token, "", 401, "unauthorized"},
		{"token in the query", "GET /api/v1/version?token=" + token, "Authorization: none", "", 401, "unauthorized"},
		{"unknown routes are not told to strangers", "GET /api/v1/nothing", "Authorization: none", "", 401, "unauthorized"},
		{"probe", "GET /healthz", "Authorization: none", "", 200, `{"status":"ok"}`},
		{"ready", "GET /readyz", "Authorization: none", "", 200, `{"status":"ready"}`},
		// Rebinding and other sites.
		{"rebound name", "GET /healthz", "Host: evil.example:8081", "", 403, "forbidden"},
		{"rebound name that looks like an address", "GET /healthz", "Host: 127.0.0.1.evil.example", "", 403, "forbidden"},
		{"no host", "GET /healthz", "Host: none", "", 403, "forbidden"},
		{"address of another machine", "GET /healthz", "Host: 192.0.2.1", "", 403, "forbidden"},
		{"IPv6", "GET /healthz", "Host: [::1]:8081", "", 200, "ok"},
		{"localhost", "GET /healthz", "Host: LOCALHOST:8081", "", 200, "ok"},
		{"configured name", "GET /healthz", "Host: gate.example", "", 200, "ok"},
		{"other site", "POST /api/v1/users", "Sec-Fetch-Site: cross-site", `{"name":"a"}`, 403, "forbidden"},
		{"other origin", "POST /api/v1/users", "Origin: https://evil.example", `{"name":"a"}`, 403, "forbidden"},
		{"null origin", "POST /api/v1/users", "Origin: null", `{"name":"a"}`, 403, "forbidden"},
		{"form", "POST /api/v1/users", "Content-Type: application/x-www-form-urlencoded", "name=a", 415, "unsupported_media_type"},
		{"plain text", "POST /api/v1/users", "Content-Type: text/plain", `{"name":"a"}`, 415, "unsupported_media_type"},
		{"no type", "POST /api/v1/users/a/disable", "Content-Type: none", "", 415, "unsupported_media_type"},
		// Paths and methods.
		{"method", "DELETE /api/v1/users", "", "", 405, `"message":"use GET, POST"`},
		{"method in small letters", "get /api/v1/users", "", "", 405, "method_not_allowed"},
		{"trace", "TRACE /api/v1/users", "", "", 405, "method_not_allowed"},
		{"double slash", "GET //api/v1/users", "", "", 404, "not_found"},
		{"dots", "GET /healthz/../api/v1/users", "", "", 404, "not_found"},
		{"escaped dots", "GET /api/v1/models/%2e%2e", "", "", 200, `"id":".."`},
		{"trailing slash", "GET /api/v1/users/", "", "", 404, "not_found"},
		{"empty segment", "POST /api/v1/users//disable", "", "", 404, "not_found"},
		{"NUL", "GET /api/v1/models/a%00", "", "", 404, "not_found"},
		{"bad UTF-8", "GET /api/v1/models/%c0%af", "", "", 404, "not_found"},
		{"an ARN in a segment", "GET /api/v1/models/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fa.b", "", "", 200, `"id":"arn:aws:bedrock:us-east-1::foundation-model/a.b"`},
		{"unknown parameter", "GET /api/v1/users?x=1", "", "", 400, `unknown query parameter \"x\"`},
		{"repeated parameter", "GET /api/v1/journal/export?as=cloudtrail&as=invocations", "", "", 400, "stands twice"},
		{"bad time", "GET /api/v1/journal/export?from=yesterday", "", "", 400, "from: write a time"},
		{"unknown group", "GET /api/v1/usage?by=team,modle", "", "", 400, "did you mean model?"},
		{"group twice", "GET /api/v1/usage?by=team,team", "", "", 400, "stands twice"},
		{"bad zone", "GET /api/v1/usage?tz=../../etc/passwd", "", "", 400, "unknown time zone"},
		{"usage", "GET /api/v1/usage?by=team", "", "", 200, `{"usage":{"user":"","team":"team"`},
		{"an error behind the status", "GET /api/v1/usage?tz=Europe/Berlin", "", "", 200, `{"error":{"code":"invalid","message":"too many rows"}}`},
		{"freeze", "PUT /api/v1/freeze", "", `{"reason":"x"}`, 200, `"team":""`},
		{"freeze a team", "PUT /api/v1/freeze/a", "", `{}`, 200, `"team":"a"`},
		{"freeze without saying JSON", "PUT /api/v1/freeze", "Content-Type: text/plain", `{}`, 415, "unsupported_media_type"},
		{"long reason", "PUT /api/v1/freeze", "", `{"reason":"` + strings.Repeat("x", 1025) + `"}`, 400, "reason: write no more"},
		{"thaw what is not frozen", "DELETE /api/v1/freeze/a", "", "", 404, "not frozen"},
		{"bad form", "GET /api/v1/journal/export?as=csv", "", "", 400, "as: write"},
		// Bodies.
		{"add", "POST /api/v1/users", "", `{"name":"new","team":"t"}`, 201, `"invitation":"planted-code"`},
		{"charset", "POST /api/v1/users", "Content-Type: application/json; charset=utf-8", `{"name":"new2"}`, 201, `"name":"new2"`},
		{"unknown key", "POST /api/v1/users", "", `{"name":"a","admin":true}`, 400, "unknown key /admin"},
		{"other case", "POST /api/v1/users", "", `{"Name":"a"}`, 400, "unknown key /Name"},
		{"repeated key", "POST /api/v1/users", "", `{"name":"a","name":"b"}`, 400, "duplicate"},
		{"wrong type", "POST /api/v1/users", "", `{"name":1}`, 400, "/name has the wrong type"},
		{"array", "POST /api/v1/users", "", `[]`, 400, "the body has the wrong type"},
		{"trailing data", "POST /api/v1/users", "", `{"name":"a"}{}`, 400, "invalid"},
		{"bad UTF-8 in the body", "POST /api/v1/users", "", "{\"name\":\"\xff\"}", 400, "invalid"},
		{"empty", "POST /api/v1/users", "", "", 400, "invalid"},
		{"deep", "POST /api/v1/users", "", strings.Repeat("[", 60_000), 400, "invalid"},
		{"large", "POST /api/v1/users", "", big, 413, "too_large"},
		{"body where none belongs", "POST /api/v1/users/a/disable", "", `{"x":1}`, 400, "takes no body"},
		{"bad overlap", "POST /api/v1/keys/K/rotate", "", `{"overlap":"-1s"}`, 400, "overlap: write a duration"},
		// What the API says.
		{"unknown user", "POST /api/v1/users/nobody/disable", "", "", 404, `there is no user \"nobody\"`},
		{"taken name", "POST /api/v1/users", "", `{"name":"seed"}`, 409, "conflict"},
		{"no rows are an array", "GET /api/v1/teams", "", "", 200, "[]"},
		{"our failure", "POST /api/v1/users", "", `{"name":"fail"}`, 500, `"message":"the server failed: see its log"`},
		{"our panic", "POST /api/v1/users", "", `{"name":"panic"}`, 500, "internal"},
		{"lines", "GET /api/v1/journal/export", "", "", 200, "{}\n{}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			o, f := options(&log)
			f.users = []User{{ID: "0", Name: "seed"}}
			w := ask(Handler(o), tt.line, tt.head, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, tt.status, tt.want)
			}
			if w.Code >= 400 {
				var e struct{ Code, Message string }
				if err := json.Unmarshal(w.Body.Bytes(), &e, json.MatchCaseInsensitiveNames(true)); err != nil || e.Code == "" || e.Message == "" {
					t.Errorf("error body %q: %v", w.Body, err)
				}
			}
			if strings.Contains(w.Body.String(), "planted internal") {
				t.Errorf("internals in the answer: %s", w.Body)
			}
			if tt.status == 500 && !strings.Contains(log.String(), "planted internal detail") {
				t.Errorf("the log does not tell why: %s", &log)
			}
			if strings.Contains(log.String(), token) {
				t.Error("the token is in the log")
			}
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control", "Referrer-Policy"} {
				if w.Header().Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	o, _ := options(&bytes.Buffer{})
	o.Ready = func() error { return errors.New("planted internal detail") }
	if w := ask(Handler(o), "GET /readyz", "", ""); w.Code != 503 || strings.Contains(w.Body.String(), "planted") {
		t.Errorf("got %d %s, want 503 without internals", w.Code, w.Body)
	}
}

// TestSecretsAreShownOnce: the answer that creates a key holds its secrets, and
// no other answer does.
func TestSecretsAreShownOnce(t *testing.T) {
	o, _ := options(&bytes.Buffer{})
	h := Handler(o)
	if w := ask(h, "POST /api/v1/keys", "", `{"name":"k"}`); !strings.Contains(w.Body.String(), secretKey) || !strings.Contains(w.Body.String(), secretAPI) {
		t.Fatalf("create: %s", w.Body)
	}
	for i := range routes {
		if r := &routes[i]; r.method == "GET" {
			w := ask(h, "GET "+strings.ReplaceAll(strings.ReplaceAll(r.path, "{", ""), "}", ""), "", "")
			if w.Code != 200 || strings.Contains(w.Body.String(), "planted") {
				t.Errorf("%v: %d %s", r, w.Code, w.Body)
			}
		}
	}
}

// TestOpenRoutes: what needs no token is this list.
func TestOpenRoutes(t *testing.T) {
	var open []string
	for i := range routes {
		if routes[i].open {
			open = append(open, routes[i].String())
		}
	}
	if diff := cmp.Diff([]string{"GET /healthz", "GET /readyz", "GET /openapi.json"}, open); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOpenAPI holds the document in review, and that it is what is served.
func TestOpenAPI(t *testing.T) {
	got, err := json.Marshal(OpenAPI(), json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o, _ := options(&bytes.Buffer{})
	w := ask(Handler(o), "GET /openapi.json", "Authorization: none", "")
	served := jsontext.Value(w.Body.Bytes())
	if err := served.Indent(jsontext.WithIndent("  ")); err != nil || strings.TrimSpace(string(served)) != string(got) {
		t.Errorf("another document is served: %v", err)
	}
}

// serveSocket starts a server on a data directory's socket.
func serveSocket(t *testing.T, o Options) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: SocketHandler(o), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return dir
}

// TestClient: each method of the client reaches the method of the API.
func TestClient(t *testing.T) {
	o, f := options(&bytes.Buffer{})
	ctx := context.Background()
	c, err := Dial(ctx, serveSocket(t, o))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	say := func(v any, err error) {
		text, _ := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			text = fmt.Appendf(nil, "error: %v", err)
		}
		out.Write(append(text, '\n'))
	}
	say(c.AddUser(ctx, NewUser{Name: "a@b.example", Team: "x"}))
	say(c.AddUser(ctx, NewUser{Name: "a@b.example"}))
	say(c.SetTeam(ctx, "a@b.example", "y z/ä"))
	say(c.SetDisabled(ctx, "a@b.example", true))
	say(c.SetDisabled(ctx, "a@b.example", false))
	say(c.ResetUser(ctx, "a@b.example", false))
	say(c.ResetUser(ctx, "a@b.example", true))
	say(c.EraseUser(ctx, "a@b.example"))
	say(c.EraseUser(ctx, "nobody"))
	say(c.ListUsers(ctx))
	say(c.ListTeams(ctx))
	say(c.CreateKey(ctx, NewKey{Name: "k", User: "a@b.example", Models: []string{"*"}, ExpiresAt: day}))
	say(c.RotateKey(ctx, "GTHK0", 90*time.Minute))
	say(c.RevokeKey(ctx, "GTHK1"))
	say(c.RevokeKey(ctx, "../users"))
	say(c.ListKeys(ctx))
	say(c.ListModels(ctx))
	say(c.ShowModel(ctx, "arn:a/b?c#d%2F"))
	say(c.ListAlarms(ctx))
	say(c.ListChannels(ctx))
	say(c.ListLimits(ctx))
	say(c.AuditLimits(ctx, func(p Scan) { say(p, nil) }))
	say(c.Usage(ctx, UsageQuery{By: []string{"user", "day"}, From: day}, func(p Scan) { say(p, nil) }))
	say(c.Usage(ctx, UsageQuery{By: []string{"usr"}}, nil))
	say(c.Usage(ctx, UsageQuery{TZ: "Europe/Berlin"}, nil))
	say(c.Ingest(ctx, IngestJob{Paths: []string{"/a"}, Strand: "endpoint"}))
	say(c.Ingest(ctx, IngestJob{}))
	say(c.TelemetryState(ctx))
	for _, q := range []string{"ok", "mistake", "broken", ""} {
		say(nil, c.Hunt(ctx, HuntQuery{Query: q, From: day}, func(l *HuntLine) error { say(l, nil); return nil }))
	}
	say(c.ListFreezes(ctx))
	say(c.Freeze(ctx, Freeze{Reason: "ä\n"}))
	say(c.Freeze(ctx, Freeze{Team: "y z/ä"}))
	say(c.Unfreeze(ctx, "y z/ä"))
	say(c.Unfreeze(ctx, "y z/ä"))
	say(c.Unfreeze(ctx, ""))
	say(c.JournalHead(ctx))
	say(c.VerifyJournal(ctx))
	say(c.Info(ctx))
	say(c.Config(ctx))
	say(nil, c.ExportJournal(ctx, Export{As: ExportCloudTrail, From: day}, &out))
	path := filepath.Join("testdata", "client.golden")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := (Export{As: ExportCloudTrail, From: day}); f.asked != want {
		t.Errorf("export asked for %+v, want %+v", f.asked, want)
	}
	if _, err := c.SetDisabled(ctx, "nobody", true); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want one that is ErrNotFound", err)
	}
}

// TestCutExport: a part is never taken for the whole.
func TestCutExport(t *testing.T) {
	o, _ := options(&bytes.Buffer{})
	c, err := Dial(context.Background(), serveSocket(t, o))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.ExportJournal(context.Background(), Export{As: ExportInvocations, To: day}, &out); err == nil || !strings.Contains(err.Error(), "was cut") {
		t.Errorf("got %v after %d bytes, want an error that says it was cut", err, out.Len())
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	if _, err := Dial(ctx, dir); !errors.Is(err, ErrNoServer) {
		t.Errorf("no socket: %v, want ErrNoServer", err)
	}
	l, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, SocketFile))
	if err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v, want mode 0600", fi.Mode(), err)
	}
	if _, err := ListenSocket(dir); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("a second server: %v, want an error", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketFile), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if _, err := Dial(ctx, dir); !errors.Is(err, ErrNoServer) {
		t.Errorf("a socket that a crash left: %v, want ErrNoServer", err)
	}
	l, err = ListenSocket(dir)
	if err != nil {
		t.Fatalf("a socket that a crash left is not replaced: %v", err)
	}
	l.Close()
	if _, err := ListenSocket(filepath.Join(dir, strings.Repeat("d", 10))); err == nil {
		t.Error("a directory that is not there is accepted")
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, TokenFile)
	first, err := LoadToken(dir)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("token file: %v %v, want mode 0600", fi.Mode(), err)
	}
	text, _ := os.ReadFile(path)
	if first != sha256.Sum256(bytes.TrimSpace(text)) {
		t.Error("the hash is not that of the file")
	}
	if again, err := LoadToken(dir); err != nil || again != first {
		t.Errorf("second load: %v, another token", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	for _, spoil := range []func() error{
		func() error { return os.Chmod(path, 0o644) },
		func() error { os.Remove(path); return os.WriteFile(path, []byte("short\n"), 0o600) },
		func() error { os.Remove(path); return os.Symlink("/etc/hostname", path) },
		func() error { os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadToken(dir); err == nil {
			t.Error("a token file that others can read, or that is short, is accepted")
		}
	}
}

func FuzzMatch(f *testing.F) {
	for i := range routes {
		f.Add(routes[i].method, routes[i].path)
	}
	f.Add("GET", "/api/v1/models/%2e%2e%2f%00")
	f.Fuzz(func(t *testing.T, method, path string) {
		r, params, err := match(method, path)
		if (r == nil) == (err == nil) {
			t.Fatalf("match(%q, %q) = %v, %v", method, path, r, err)
		}
		for name, v := range params {
			if v == "" || strings.ContainsFunc(v, isControl) {
				t.Errorf("%s = %q", name, v)
			}
		}
	})
}

// TestModelRows: a row says what its id stands for, in a list and alone.
func TestModelRows(t *testing.T) {
	rows := map[string]Model{}
	for _, m := range ModelRows(model.Default()) {
		rows[m.ID] = m
	}
	for _, tt := range []struct{ id, row, base, geo string }{
		{"amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", ""},
		{"us.amazon.nova-premier-v1:0", "us.amazon.nova-premier-v1:0", "amazon.nova-premier-v1:0", "us"},
		{"ca.amazon.titan-text-lite-v1", "amazon.titan-text-lite-v1", "amazon.titan-text-lite-v1", "ca"},
		{"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", ""},
	} {
		got, err := ModelRow(model.Default(), tt.id)
		if err != nil || got.ID != tt.row || got.BaseID != tt.base || got.Geo != tt.geo {
			t.Errorf("%s: got %s, %s, %s, %v, want %v", tt.id, got.ID, got.BaseID, got.Geo, err, tt)
		}
		if listed := rows[tt.id]; tt.id == tt.row && !cmp.Equal(listed, got) {
			t.Errorf("%s: listed as %+v, shown as %+v", tt.id, listed, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		want string
	}{{0, "0"}, {1, "0.000000000001"}, {60_000_000, "0.00006"}, {1e12, "1"}, {15e11, "1.5"}} {
		if got := usd(tt.n); got != tt.want {
			t.Errorf("usd(%d) = %s, want %s", tt.n, got, tt.want)
		}
	}
}

// TestPaste: whatever the values hold, the shell reads them as they are.
func TestPaste(t *testing.T) {
	got := Paste(Info{Endpoint: "https://127.0.0.1:8443", Region: "us-east-1", CAFile: "/it's $(here)/ca.pem"},
		IssuedKey{AccessKeyID: "GTHK1", SecretAccessKey: "s/+", APIKey: "gth_live_x"})
	for _, want := range []string{
		"export AWS_ACCESS_KEY_ID=GTHK1\n", "export AWS_SECRET_ACCESS_KEY=s/+\n",
		"export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=https://127.0.0.1:8443\n",
		`export AWS_CA_BUNDLE='/it'\''s $(here)/ca.pem'` + "\n",
		"export GATEHOUSE_API_KEY=gth_live_x\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	invited := IssuedUser{User: User{Name: "bob@example.com"}, Invitation: "planted-code"}
	want := "curl -sS --cacert '/it'\\''s/ca.pem' https://127.0.0.1:8443/prod/v1/auth/user/register -H 'Content-Type: application/json'" +
		` -d '{"email":"bob@example.com","password":"CHOOSE ONE","invitation":"planted-code"}'` + "\n"
	if got := Redeem(Info{Endpoint: "https://127.0.0.1:8443", CAFile: "/it's/ca.pem"}, "/prod", invited); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Paste(Info{Region: "us-east-1"}, IssuedKey{}); strings.Contains(got, "KEY") {
		t.Errorf("without a key the block names one:\n%s", got)
	}
}

// Metrics are open to programs on this machine, and to nobody else without the token.
func TestMetricsAreLocal(t *testing.T) {
	o, _ := options(&bytes.Buffer{})
	for _, tt := range []struct {
		from, authorization string
		want                int
	}{
		{"127.0.0.1:5", "", 200},
		{"[::1]:5", "", 200},
		{"[::ffff:127.0.0.1]:5", "", 200},
		{"192.0.2.1:5", "", 401},
		{"", "", 401},
		{"192.0.2.1:5", "Bearer " + token, 200},
	} {
		r := httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil)
		r.RemoteAddr = tt.from
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		w := httptest.NewRecorder()
		Handler(o).ServeHTTP(w, r)
		if w.Code != tt.want || w.Code == 200 && w.Body.String() != "up 1\n" {
			t.Errorf("from %q, %q: %d %s, want %d", tt.from, tt.authorization, w.Code, w.Body, tt.want)
		}
	}
}
