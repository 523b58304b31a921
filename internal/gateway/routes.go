package gateway

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/upstream"
)

// AuthClass is who may use a route.
type AuthClass string

// The classes.
const (
	Open    AuthClass = "open"    // anyone: the health check, register and log in
	Caller  AuthClass = "caller"  // a Gatehouse key or login token, verified by the auth stage
	Through AuthClass = "through" // the handler calls the gateway itself with the caller's own credentials
)

// AuditClass is what of a request is recorded when it is not refused.
type AuditClass string

// The classes. A refusal is recorded on every route.
const (
	Silent   AuditClass = "silent"   // nothing: the health check
	Accounts AuditClass = "accounts" // an account record
	Calls    AuditClass = "calls"    // admit and result of the call
)

// Route is one row of the route table.
type Route struct {
	Method, Path string
	Auth         AuthClass
	Limits       bool
	Audit        AuditClass
	Operation    *bedrock.Operation // of Bedrock's own routes
	handler      http.HandlerFunc   // of the others
}

// SetChat installs the chat API's handlers. It must be called before serving.
func (g *Gateway) SetChat(chat ChatRoutes) {
	base := g.o.BasePath
	g.routes = map[string]Route{}
	for _, r := range []Route{
		{http.MethodGet, "/healthz", Open, false, Silent, nil, g.health},
		{http.MethodPost, base + "/v1/auth/user/register", Open, true, Accounts, nil, chat.Register},
		{http.MethodPost, base + "/v1/auth/user/login", Open, true, Accounts, nil, chat.Login},
		{http.MethodPost, base + "/v1/chat", Through, true, Calls, nil, chat.Chat},
		{http.MethodGet, base + "/v1/prompts", Through, false, Accounts, nil, chat.Prompts},
	} {
		if r.handler != nil {
			g.routes[r.Path] = r
		}
	}
}

// Routes lists the whole table: the gateway's own routes and Bedrock's.
func (g *Gateway) Routes() []Route {
	var rows []Route
	for _, r := range g.routes {
		rows = append(rows, r)
	}
	for i := range bedrock.Operations {
		rows = append(rows, operationRoute(&bedrock.Operations[i]))
	}
	return rows
}

func operationRoute(op *bedrock.Operation) Route {
	return Route{Method: op.Method, Path: op.Path, Auth: Caller, Limits: true, Audit: Calls, Operation: op}
}

// route finds the row for the raw path. Nothing is cleaned or redirected.
func (g *Gateway) route(x *exchange) *call.Refusal {
	c := x.call
	if r, ok := g.routes[c.RawPath]; ok {
		if r.Method != c.Method {
			return call.BadMethod
		}
		if r.Audit == Silent && x.r.ContentLength != 0 {
			return call.BadRequest.With("a body on the health check")
		}
		x.route = r
		return nil
	}
	target, err := bedrock.Route(c.Method, c.RawPath)
	c.Target, c.Operation = target, target.Operation
	if ref := errorOfRoute(err, target.Operation); ref != nil {
		return ref
	}
	if ref := checkQuery(c.RawQuery, target.Operation); ref != nil {
		return ref
	}
	var repeated string
	if c.Header, repeated = upstream.Passed(x.r.Header); repeated != "" {
		return call.BadRequest.With("header " + repeated + " is repeated")
	}
	c.ContentType, c.Accept = x.r.Header.Get("Content-Type"), x.r.Header.Get("Accept")
	c.Guardrail = guardrail(c)
	x.route = operationRoute(target.Operation)
	return nil
}

// checkQuery accepts a query only where the operation has one, only its own
// names, each once and plainly spelled.
func checkQuery(query string, op *bedrock.Operation) *call.Refusal {
	if query == "" {
		return nil
	}
	if len(query) > 2048 {
		return call.BadQuery
	}
	seen := map[string]bool{}
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(op.Query, name) || seen[name] || !plain(value) {
			return call.BadQuery
		}
		seen[name] = true
	}
	return nil
}

// plain reports whether v is unreserved characters and percent escapes of them.
func plain(v string) bool {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '~':
		case c == '%' && i+2 < len(v) && hexDigit(v[i+1]) && hexDigit(v[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := g.o.Record.Err(); err != nil || g.draining.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"status":"unavailable"}`))
		return
	}
	w.Write([]byte(`{"status":"ok"}`))
}

func tlsNames(s *tls.ConnectionState) (version, cipher string) {
	return strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1), tls.CipherSuiteName(s.CipherSuite)
}

// guardrail is what an InvokeModel call's headers or an ApplyGuardrail call's path ask for.
func guardrail(c *call.Call) string {
	if c.Target.Guardrail != "" {
		return c.Target.Guardrail + ":" + c.Target.Version
	}
	id := c.Header.Get("X-Amzn-Bedrock-Guardrailidentifier")
	if id == "" {
		return ""
	}
	return id + ":" + c.Header.Get("X-Amzn-Bedrock-Guardrailversion")
}
