package chat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/account"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/auth"
	"gatehouse/internal/store/sqlite"
)

const (
	email    = "newemail@example.com"
	password = "Test@Pass*1239"
)

var ctx = context.Background()

// gateway stands for the real one: it authenticates, counts to a limit and
// answers in Bedrock's dialect. It remembers what it was asked.
type gateway struct {
	auth   *auth.Authenticator
	limit  int
	answer func(w http.ResponseWriter, r *http.Request) // instead of the usual answer

	mu    sync.Mutex
	used  map[string]int
	calls []asked
}

type asked struct {
	r    *http.Request
	body string
	user string
}

type observerKey struct{}

func observe(ctx context.Context, fn func(*call.Call)) context.Context {
	return context.WithValue(ctx, observerKey{}, fn)
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	c := &call.Call{ID: fmt.Sprintf("call-%d", len(g.calls)+1), Method: r.Method, RawPath: r.RequestURI, Host: r.Host}
	p, ref := g.auth.Begin(c, r)
	if ref == nil {
		ref = p.Finish([32]byte{})
	}
	if ref != nil {
		refuse(w, ref)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	user := c.Principal.UserID
	g.calls = append(g.calls, asked{r, string(b), user})
	left := g.limit - g.used[user]
	h := w.Header()
	h["X-Gatehouse-Call-Id"], h["X-Amzn-Requestid"] = []string{c.ID}, []string{"r1"}
	if left > 0 {
		g.used[user]++
		left--
	} else {
		ref = call.QuotaExceeded.After(3600e9)
	}
	h["Ratelimit"] = []string{fmt.Sprintf(`"chat-day";r=%d;t=3600, "requests";r=99;t=60`, left)}
	h["Ratelimit-Policy"] = []string{fmt.Sprintf(`"chat-day";q=%d;w=86400, "requests";q=100;w=60`, g.limit)}
	if ref != nil {
		refuse(w, ref)
		return
	}
	if fn, ok := r.Context().Value(observerKey{}).(func(*call.Call)); ok {
		fn(c)
	}
	switch {
	case g.answer != nil:
		g.answer(w, r)
	case strings.HasSuffix(r.RequestURI, "/converse-stream"):
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		w.Write(frames(`messageStart {"role":"assistant"}`, `contentBlockDelta {"contentBlockIndex":0,"delta":{"text":" Lake\n"},"p":"ab"}`,
			`contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Naivasha"}}`, `contentBlockStop {"contentBlockIndex":0}`,
			`messageStop {"stopReason":"end_turn"}`, `metadata {"usage":{}}`))
	default:
		io.WriteString(w, `{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"text":" Lake "},{"text":"Naivasha"}],"role":"assistant"}},"stopReason":"end_turn","usage":{}}`)
	}
}

func refuse(w http.ResponseWriter, ref *call.Refusal) {
	w.Header().Set("X-Amzn-ErrorType", bedrock.ErrorHeader(ref.Type, ref.AuthLayer))
	if ref.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(ref.RetryAfter.Seconds()))
	}
	w.WriteHeader(ref.Status)
	fmt.Fprintf(w, `{"message":%q}`, ref.Message)
}

// frames makes event-stream frames of "type payload" texts.
func frames(events ...string) (b []byte) {
	for _, e := range events {
		kind, payload, _ := strings.Cut(e, " ")
		b = eventstream.AppendEvent(b, kind, []byte(payload))
	}
	return b
}

// house is the API on a real server over real accounts.
type house struct {
	t       *testing.T
	gateway *gateway
	api     *API
	url     string
	keys    account.Issued

	mu      sync.Mutex
	refused []call.Reason
}

func open(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"))
	must(t, err)
	accounts, err := account.Open(ctx, account.Options{
		Store: db, Dir: dir, Issuer: "i", Audience: "a", PromptKeep: 3, Registration: account.Registration{PerIPPerHour: 20},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(accounts.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	a, err := auth.New(auth.Options{Keys: accounts, Tokens: accounts, Regions: []string{"us-east-1"}, Issuer: "i", Audience: "a"})
	must(t, err)
	h := &house{t: t, gateway: &gateway{auth: a, limit: 50, used: make(map[string]int)}}
	h.api = New(Options{
		Accounts: accounts, Tokens: a, Gateway: h.gateway, Model: "cohere.command-text-v14", Observe: observe,
		Refused: func(_ *http.Request, ref *call.Refusal) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.refused = append(h.refused, ref.Reason)
		},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/auth/user/register", h.api.Register)
	mux.HandleFunc("POST /v1/auth/user/login", h.api.Login)
	mux.HandleFunc("POST /v1/chat", h.api.Chat)
	mux.HandleFunc("GET /v1/prompts", h.api.Prompts)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.url = server.URL

	_, _, err = accounts.AddUser(ctx, account.NewUser{Name: "robot"})
	must(t, err)
	h.keys, err = accounts.CreateKey(ctx, account.NewKey{Name: "k", User: "robot"})
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) get(key string) any {
	var v map[string]any
	json.Unmarshal([]byte(r.body), &v)
	return v[key]
}

// do sends a request; headers are "Name: value".
func (h *house) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	must(h.t, err)
	r.Header.Set("Content-Type", "application/json")
	for _, f := range headers {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	must(h.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(h.t, err)
	return reply{res.StatusCode, res.Header, string(b)}
}

func credentials(email, password string) string {
	return fmt.Sprintf(`{"email":%q, "password":%q}`, email, password)
}

// login registers and logs in.
func (h *house) login(email string) (authorization string) {
	h.t.Helper()
	h.do("POST", "/v1/auth/user/register", credentials(email, password))
	r := h.do("POST", "/v1/auth/user/login", credentials(email, password))
	if r.status != 200 {
		h.t.Fatalf("login: %d %s", r.status, r.body)
	}
	return "Authorization: Bearer " + r.get("token").(string)
}

func (h *house) chat(authorization, prompt string, headers ...string) reply {
	h.t.Helper()
	return h.do("POST", "/v1/chat", fmt.Sprintf(`{"prompt":%q}`, prompt), append(headers, authorization)...)
}

// The shapes of seed 003, member by member in order.
func TestShapes(t *testing.T) {
	h := open(t)
	r := h.do("POST", "/v1/auth/user/register", credentials("NewEmail@example.com", password))
	id, _ := r.get("id").(string)
	want := fmt.Sprintf(`{"id":%q,"email":%q,"message":"Account created. Proceed to login to access the Chat"}`, id, email)
	if r.status != 201 || r.body != want || len(id) != 36 {
		t.Errorf("register: got %d %s, want %s", r.status, r.body, want)
	}
	again := h.do("POST", "/v1/auth/user/register", credentials(email, "Another*Pass1239"))
	if id2, _ := again.get("id").(string); again.status != 201 || strings.Replace(again.body, id2, id, 1) != want || id2 == id {
		t.Errorf("register again: got %d %s", again.status, again.body)
	}
	r = h.do("POST", "/v1/auth/user/login", credentials(email, password))
	token, _ := r.get("token").(string)
	want = fmt.Sprintf(`{"statusCode":200,"email":%q,"message":"Successfully authenticated. Proceed to access the Chat","token":%q}`, email, token)
	if r.status != 200 || r.body != want || strings.Count(token, ".") != 2 || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("login: got %d %s %v, want %s", r.status, r.body, r.header, want)
	}
	r = h.chat("Authorization: Bearer "+token, "Where is Lake Naivasha?")
	want = `{"prompt":"Where is Lake Naivasha?","response":" Lake Naivasha","queries":1,"balance":49}`
	if r.status != 200 || r.body != want || r.header.Get("X-Gatehouse-Call-Id") != "call-1" || r.header.Get("Ratelimit") == "" {
		t.Errorf("chat: got %d %s %v, want %s", r.status, r.body, r.header, want)
	}
	if r := h.chat("Authorization: Bearer "+token, "And?"); r.get("queries") != 2.0 || r.get("balance") != 48.0 {
		t.Errorf("second: got %s", r.body)
	}
}

// The call that the gateway sees is the caller's own.
func TestRequestToGateway(t *testing.T) {
	h := open(t)
	bearer := h.login(email)
	prompt := "quotes \" \\ \u2028 <b> \U0001F600 \x00"
	if r := h.do("POST", "/v1/chat", `{"prompt":"quotes \" \\ \u2028 <b> \ud83d\ude00 \u0000"}`, bearer, "User-Agent: test/1", "X-Forwarded-For: 10.1.1.1", "X-Gatehouse-User: evil", "Cookie: a=b"); r.status != 200 || r.get("prompt") != prompt {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	c := h.gateway.calls[0]
	var body struct {
		Messages []struct {
			Role    string
			Content []struct{ Text string }
		}
		InferenceConfig struct{ MaxTokens int }
	}
	must(t, json.Unmarshal([]byte(c.body), &body))
	if len(body.Messages) != 1 || body.Messages[0].Role != "user" || body.Messages[0].Content[0].Text != prompt || body.InferenceConfig.MaxTokens != 1024 {
		t.Errorf("got body %s", c.body)
	}
	if c.r.Method != "POST" || c.r.RequestURI != "/model/cohere.command-text-v14/converse" || c.r.URL.Path != c.r.RequestURI || c.r.ContentLength != int64(len(c.body)) {
		t.Errorf("got %s %s, %d bytes", c.r.Method, c.r.RequestURI, c.r.ContentLength)
	}
	if !strings.HasPrefix(c.r.RemoteAddr, "127.0.0.1:") || "http://"+c.r.Host != h.url || c.r.UserAgent() != "test/1" || c.r.Header.Get("X-Forwarded-For") != "10.1.1.1" || len(c.r.Header) != 4 {
		t.Errorf("got %s, host %s, header %v", c.r.RemoteAddr, c.r.Host, c.r.Header)
	}
}

func TestStream(t *testing.T) {
	h := open(t)
	bearer := h.login(email)
	const stream = "Accept: application/json;q=0.1, Text/Event-Stream;q=1"
	r := h.chat(bearer, "hi", stream)
	want := "event: delta\ndata: {\"text\":\" Lake\\n\"}\n\nevent: delta\ndata: {\"text\":\"Naivasha\"}\n\nevent: done\ndata: {\"queries\":1,\"balance\":49}\n\n"
	if r.status != 200 || r.body != want || r.header.Get("Content-Type") != "text/event-stream" || r.header.Get("X-Gatehouse-Call-Id") == "" {
		t.Errorf("got %d %q %v", r.status, r.body, r.header)
	}
	const unavailable = "event: error\ndata: {\"message\":\"The service is temporarily unavailable. Try again\",\"code\":\"unavailable\"}\n\n"
	delta := `contentBlockDelta {"delta":{"text":"x"}}`
	const deltaEvent = "event: delta\ndata: {\"text\":\"x\"}\n\n"
	corrupt := frames(delta)
	corrupt[len(corrupt)-1] ^= 1
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"exception":      {eventstream.AppendException(frames(delta), "modelStreamErrorException", []byte(`{"message":"internal detail"}`)), deltaEvent + unavailable},
		"cut":            {frames(delta), deltaEvent + unavailable},
		"cut in a frame": {append(frames(delta, `messageStop {}`), frames(delta)[:9]...), deltaEvent + unavailable},
		"bad checksum":   {append(frames(delta), corrupt...), deltaEvent + unavailable},
		"huge frame":     {append(frames(delta), 0xff, 0xff, 0xff, 0xff), deltaEvent + unavailable},
		"nothing":        {nil, unavailable},
		"tool use":       {frames(`contentBlockDelta {"delta":{"toolUse":{"input":"{}"}}}`, delta, `messageStop {}`), deltaEvent + "event: done\ndata: {\"queries\":0,\"balance\":50}\n\n"},
	} {
		h.gateway.used = make(map[string]int)
		for _, size := range []int{1, 7, 1 << 20} { // of each write
			h.gateway.used = make(map[string]int)
			h.gateway.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(200)
				for raw := c.raw; len(raw) > 0; {
					n := min(size, len(raw))
					w.Write(raw[:n])
					http.NewResponseController(w).Flush()
					raw = raw[n:]
				}
			}
			got := h.chat(bearer, "hi", stream).body
			if want := strings.Replace(c.want, `"queries":0,"balance":50`, `"queries":1,"balance":49`, 1); got != want {
				t.Errorf("%s in writes of %d: got %q, want %q", name, size, got, want)
			}
		}
	}
}

// Each piece of text is on its way before the next one comes.
func TestStreamFlushes(t *testing.T) {
	h := open(t)
	bearer := h.login(email)
	next := make(chan string)
	h.gateway.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		for text := range next {
			w.Write(frames(`contentBlockDelta {"delta":{"text":"` + text + `"}}`))
			http.NewResponseController(w).Flush()
		}
		w.Write(frames(`messageStop {}`))
	}
	r, err := http.NewRequest("POST", h.url+"/v1/chat", strings.NewReader(`{"prompt":"hi"}`))
	must(t, err)
	name, value, _ := strings.Cut(bearer, ": ")
	r.Header = http.Header{name: {value}, "Accept": {"text/event-stream"}, "Content-Type": {"application/json"}}
	go func() { next <- "one" }()
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	line := func() string {
		for lines.Scan() {
			if lines.Text() != "" {
				return lines.Text()
			}
		}
		return "EOF"
	}
	for _, text := range []string{"one", "two", "three"} {
		if text != "one" {
			next <- text
		}
		if a, b := line(), line(); a != "event: delta" || b != `data: {"text":"`+text+`"}` {
			t.Fatalf("got %s %s", a, b)
		}
	}
	close(next)
	if a := line(); a != "event: done" {
		t.Errorf("got %s", a)
	}
}

// Every refusal has the same shape, and each is recorded once: here, or by the
// gateway or the accounts.
func TestRefusals(t *testing.T) {
	h := open(t)
	bearer := h.login(email)
	apiKey := "Authorization: Bearer " + string(h.keys.APIKey)
	const register, login, chat = "POST /v1/auth/user/register", "POST /v1/auth/user/login", "POST /v1/chat"
	for _, c := range []struct {
		name, route, body, header string
		status                    int
		code                      string
		recorded                  call.Reason // here
	}{
		{"not JSON", register, `email=a`, "", 400, "invalid_request", "malformed_body"},
		{"a form", register, `email=a`, "Content-Type: application/x-www-form-urlencoded", 400, "invalid_request", "malformed_body"},
		{"text/plain", login, credentials(email, password), "Content-Type: text/plain", 400, "invalid_request", "malformed_body"},
		{"charset is fine", login, credentials(email, "Wrong*Pass*1239"), "Content-Type: application/json; charset=utf-8", 401, "invalid_credentials", ""},
		{"empty", login, ``, "", 400, "invalid_request", "malformed_body"},
		{"null", login, `null`, "", 400, "invalid_request", "malformed_body"},
		{"B01 twice", login, `{"email":"a@b.co","email":"c@d.ef","password":"x"}`, "", 400, "invalid_request", "malformed_body"},
		{"B02 case", login, `{"Email":"a@b.co","password":"x"}`, "", 400, "invalid_request", "malformed_body"},
		{"B04 UTF-8", chat, "{\"prompt\":\"\xff\"}", bearer, 400, "invalid_request", "malformed_body"},
		{"B04 surrogate", chat, `{"prompt":"\ud800"}`, bearer, 400, "invalid_request", "malformed_body"},
		{"B06 depth", chat, `{"prompt":[["x"]]}`, bearer, 400, "invalid_request", "malformed_body"},
		{"B08 trailing", login, credentials(email, password) + `{}`, "", 400, "invalid_request", "malformed_body"},
		{"number", login, `{"email":1,"password":"x"}`, "", 400, "invalid_request", "malformed_body"},
		{"missing", login, `{"email":"a@b.co"}`, "", 400, "invalid_request", "malformed_body"},
		{"unknown member", login, `{"email":"a@b.co","password":"x","admin":true}`, "", 400, "invalid_request", "malformed_body"},
		{"C05 10 MB", register, credentials(email, strings.Repeat("x", 10<<20)), "", 413, "too_large", "body_too_large"},
		{"email", register, credentials("a@b", password), "", 400, "invalid_email", ""},
		{"C05 short", register, credentials("a@b.co", "short"), "", 400, "invalid_password", ""},
		{"C05 common", register, credentials("a@b.co", "password1234"), "", 400, "common_password", ""},
		{"invitation", register, `{"email":"a@b.co","password":"` + password + `","invitation":"x"}`, "", 401, "invitation_required", ""},
		{"C01 wrong", login, credentials(email, "Wrong*Pass*1239"), "", 401, "invalid_credentials", ""},
		{"C01 nobody", login, credentials("nobody@example.com", password), "", 401, "invalid_credentials", ""},
		{"no token", chat, `{"prompt":"x"}`, "", 401, "unauthorized", "no_credentials"},
		{"bad token", chat, `{"prompt":"x"}`, "Authorization: Bearer a.b.c", 401, "unauthorized", "bad_token"},
		{"J18 API key", chat, `{"prompt":"x"}`, apiKey, 401, "unauthorized", "bad_token"},
		{"API key on prompts", "GET /v1/prompts", "", apiKey, 401, "unauthorized", "bad_token"},
		{"no token on prompts", "GET /v1/prompts", "", "", 401, "unauthorized", "no_credentials"},
		{"J20 query", "GET /v1/prompts?token=x", "", "", 401, "unauthorized", "no_credentials"},
		{"token first", chat, strings.Repeat("x", 1<<20), "", 401, "unauthorized", "no_credentials"},
		{"no prompt", chat, `{}`, bearer, 400, "invalid_request", "malformed_body"},
		{"blank prompt", chat, `{"prompt":" \n"}`, bearer, 400, "invalid_request", "malformed_body"},
		{"large prompt", chat, `{"prompt":"` + strings.Repeat("x", maxPrompt) + `"}`, bearer, 413, "too_large", "body_too_large"},
		{"page", "GET /v1/prompts?limit=0", "", bearer, 400, "invalid_request", "bad_query"},
		{"page too long", "GET /v1/prompts?limit=201", "", bearer, 400, "invalid_request", "bad_query"},
		{"page twice", "GET /v1/prompts?limit=1&limit=2", "", bearer, 400, "invalid_request", "bad_query"},
		{"page of another", "GET /v1/prompts?user=x", "", bearer, 400, "invalid_request", "bad_query"},
		{"page SQL", "GET /v1/prompts?before=1%20OR%201", "", bearer, 400, "invalid_request", "bad_query"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.refused = nil
			method, path, _ := strings.Cut(c.route, " ")
			var headers []string
			if c.header != "" {
				headers = append(headers, c.header)
			}
			r := h.do(method, path, c.body, headers...)
			message, _ := r.get("message").(string)
			if r.status != c.status || r.get("code") != c.code || message == "" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %s, want %d %s", r.status, r.body, c.status, c.code)
			}
			if got := fmt.Sprint(h.refused); got != fmt.Sprint([]call.Reason{c.recorded}[:map[bool]int{true: 0, false: 1}[c.recorded == ""]]) {
				t.Errorf("recorded %s, want %q", got, c.recorded)
			}
			if (c.status == 401) != (r.header.Get("WWW-Authenticate") != "") {
				t.Errorf("got WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
			}
		})
	}
	if len(h.gateway.calls) > 0 {
		t.Errorf("%d calls reached the gateway", len(h.gateway.calls))
	}
}

func TestLockedOut(t *testing.T) {
	h := open(t)
	h.login(email)
	var r reply
	for range 6 {
		r = h.do("POST", "/v1/auth/user/login", credentials(email, "Wrong*Pass*1239"))
	}
	if r.status != 429 || r.get("code") != "too_many_attempts" || r.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %s %v", r.status, r.body, r.header)
	}
}

// A quota is exact, says so with 429, and each user has their own.
func TestQuota(t *testing.T) {
	h := open(t)
	h.gateway.limit = 2
	a, b := h.login(email), h.login("other@example.com")
	h.chat(a, "1")
	h.chat(a, "2", "Accept: text/event-stream")
	for _, accept := range []string{"application/json", "text/event-stream"} {
		r := h.chat(a, "3", "Accept: "+accept)
		if r.status != 429 || r.get("queries") != 2.0 || r.get("balance") != 0.0 || r.get("code") != "quota_exceeded" || r.header.Get("Retry-After") != "3600" {
			t.Errorf("%s: got %d %s %v", accept, r.status, r.body, r.header)
		}
	}
	if r := h.chat(b, "1"); r.status != 200 || r.get("balance") != 1.0 {
		t.Errorf("the other user: got %d %s", r.status, r.body)
	}
}

// What Bedrock's dialect says becomes this API's; internals stay inside.
func TestProblems(t *testing.T) {
	h := open(t)
	bearer := h.login(email)
	for _, c := range []struct {
		ref    *call.Refusal
		status int
		code   string
	}{
		{call.RateLimited, 429, "rate_limited"}, {call.QuotaExceeded, 429, "quota_exceeded"}, {call.BadToken, 401, "unauthorized"},
		{call.ExpiredCredential, 401, "unauthorized"}, {call.Malformed, 400, "invalid_request"}, {call.BodyTooLarge, 413, "too_large"},
		{call.ModelDenied, 400, "not_allowed"}, {call.NetworkDenied, 400, "not_allowed"}, {call.UnknownModel, 400, "invalid_request"},
		{call.NoSuchModel, 503, "unavailable"}, {call.RecorderDown, 503, "unavailable"}, {call.Draining, 503, "unavailable"},
		{call.Internal, 503, "unavailable"}, {call.UpstreamTimeout, 503, "unavailable"}, {call.AuthBusy, 503, "unavailable"},
	} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			h.gateway.answer = func(w http.ResponseWriter, _ *http.Request) { refuse(w, c.ref) }
			r := h.chat(bearer, "x", "Accept: "+accept)
			if r.status != c.status || r.get("code") != c.code || r.get("message") == "" {
				t.Errorf("%s: got %d %s, want %d %s", c.ref.Reason, r.status, r.body, c.status, c.code)
			}
			if c.status == 503 && r.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", c.ref.Reason)
			}
		}
	}
	for name, answer := range map[string]string{"garbage": "not JSON", "too long": strings.Repeat(" ", maxResponse+1)} {
		h.gateway.answer = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }
		if r := h.chat(bearer, "x"); r.status != 503 {
			t.Errorf("%s: got %d", name, r.status)
		}
	}
}

// A prompt is kept once its call was admitted, whatever came of it, and only
// its owner sees it (C09).
func TestPrompts(t *testing.T) {
	h := open(t)
	a, b := h.login(email), h.login("other@example.com")
	ids := func(authorization, query string) (texts string, next any) {
		t.Helper()
		r := h.do("GET", "/v1/prompts"+query, "", authorization)
		if r.status != 200 {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		for _, p := range r.get("prompts").([]any) {
			m := p.(map[string]any)
			texts += m["prompt"].(string)
			if m["call_id"] == "" || m["time"] == "" || len(m) != 4 {
				t.Errorf("got %v", m)
			}
		}
		return texts, r.get("next")
	}
	if texts, next := ids(a, ""); texts != "" || next != nil {
		t.Errorf("at first: %q, %v", texts, next)
	}
	h.chat(a, "1")
	h.chat(b, "x")
	h.chat(a, "2", "Accept: text/event-stream")
	h.gateway.answer = func(w http.ResponseWriter, _ *http.Request) { refuse(w, call.UpstreamTimeout) }
	h.chat(a, "3")
	h.gateway.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	if _, err := http.DefaultClient.Do(h.request(a, "4")); err == nil {
		t.Error("an aborted answer came through")
	}
	h.gateway.mu.Lock() // an aborted reply orders nothing
	h.gateway.answer, h.gateway.limit = nil, 0
	h.gateway.mu.Unlock()
	if r := h.chat(a, "5"); r.status != 429 {
		t.Errorf("got %d", r.status)
	}
	page, next := ids(a, "?limit=2")
	if page != "43" {
		t.Errorf("first page %q, want 43", page)
	}
	page, next = ids(a, fmt.Sprintf("?limit=2&before=%.0f", next))
	if page != "2" || next != nil { // three are kept of each user
		t.Errorf("second page %q, next %v, want 2 and none", page, next)
	}
	if page, _ := ids(b, ""); page != "x" {
		t.Errorf("the other user's: %q", page)
	}
}

func (h *house) request(authorization, prompt string) *http.Request {
	r, err := http.NewRequest("POST", h.url+"/v1/chat", strings.NewReader(fmt.Sprintf(`{"prompt":%q}`, prompt)))
	must(h.t, err)
	name, value, _ := strings.Cut(authorization, ": ")
	r.Header = http.Header{name: {value}, "Content-Type": {"application/json"}}
	return r
}

func TestQuotaOf(t *testing.T) {
	for _, c := range []struct{ state, policy, want string }{
		{`"chat-day";r=49;t=3600, "requests";r=99;t=60`, `"chat-day";q=50;w=86400, "requests";q=100;w=60`, `{"queries":1,"balance":49}`},
		{`"requests";r=99;t=60,"chat-day";r=0`, `"chat-day";w=86400;q=50`, `{"queries":50,"balance":0}`},
		{`"chat-day";r=60`, `"chat-day";q=50`, `{"queries":0,"balance":60}`},
		{"", "", "{}"},
		{`"requests";r=99`, `"requests";q=100`, "{}"},
		{`"chat-day"`, `"chat-day"`, "{}"},
		{`"chat-day";r=-1`, `"chat-day";q=50`, "{}"},
		{`"chat-day";r=x`, `"chat-day";q=50`, "{}"},
		{`chat-day;r=1`, `chat-day;q=50`, "{}"},
		{`"chat-day-2";r=1`, `"chat-day-2";q=50`, "{}"},
	} {
		got, _ := json.Marshal(quotaOf(http.Header{"Ratelimit": {c.state}, "Ratelimit-Policy": {c.policy}}))
		if string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.state, got, c.want)
		}
	}
}

// FuzzStream: whatever the gateway's body is, in whatever pieces, what the
// client gets is well-formed events with one end.
func FuzzStream(f *testing.F) {
	f.Add(frames(`contentBlockDelta {"delta":{"text":"x"}}`, `messageStop {}`), uint8(3))
	f.Add([]byte{0, 0, 0, 0}, uint8(1))
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255}, uint8(200))
	f.Fuzz(func(t *testing.T, raw []byte, size uint8) {
		w := httptest.NewRecorder()
		s := &events{buffer: buffer{header: make(http.Header), outer: http.NewResponseController(w)}, w: w}
		s.WriteHeader(200)
		for len(raw) > 0 {
			n := min(int(size)+1, len(raw))
			s.Write(raw[:n])
			raw = raw[n:]
		}
		s.end()
		out := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
		for i, e := range out {
			name, data, _ := strings.Cut(e, "\ndata: ")
			if last := i == len(out)-1; last == (name == "event: delta") || !json.Valid([]byte(data)) {
				t.Errorf("event %d of %d is %q", i+1, len(out), e)
			}
		}
	})
}
