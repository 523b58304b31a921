package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// maxBody bounds a request's body.
const maxBody = 64 << 10

// Options is what a handler is made of.
type Options struct {
	API         API
	Ready       func() error // nil error: calls are accepted and recorded
	TokenSHA256 [32]byte     // of the admin token; unused on the socket
	Hosts       []string     // names that may stand in Host beside those of this machine
	Log         *slog.Logger // gets what callers are not told
}

// Handler serves the API on a TCP listener: it asks for the admin token, and
// on plain HTTP for a Host that a web page cannot take. With TLS the
// certificate proves the name already.
func Handler(o Options) http.Handler { return newService(o, false) }

// SocketHandler serves the API on the Unix socket, whose mode is the
// authentication.
func SocketHandler(o Options) http.Handler { return newService(o, true) }

// service serves the table of routes.
type service struct {
	Options
	socket   bool
	cross    *http.CrossOriginProtection
	document map[string]any
	scans    chan struct{} // holds one for the scan that runs
}

func newService(o Options, socket bool) *service {
	return &service{Options: o, socket: socket, cross: http.NewCrossOriginProtection(), document: OpenAPI(), scans: make(chan struct{}, 1)}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.Log.Error("admin request panicked", "panic", p, "stack", string(debug.Stack()))
			s.fail(w, r, ErrInternal)
		}
	}()
	if err := s.serve(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// serve runs the checks in the order in which they may tell something: where
// the request comes from, who sends it, then what it asks.
func (s *service) serve(w http.ResponseWriter, r *http.Request) error {
	if err := s.origin(r); err != nil {
		return err
	}
	rt, params, err := match(r.Method, r.URL.EscapedPath())
	if err == nil && (rt.open || rt.local && onThisMachine(r)) {
		return s.answer(w, r, rt, params)
	}
	if authErr := s.authenticate(r); authErr != nil {
		return authErr
	}
	if err != nil {
		return err
	}
	return s.answer(w, r, rt, params)
}

// origin refuses requests that a web page of another site makes.
func (s *service) origin(r *http.Request) error {
	if s.socket {
		return nil
	}
	if r.TLS == nil && !s.local(r.Host) {
		return ErrForbidden.Say("the Host is not this machine's: use the address of admin_listen")
	}
	if err := s.cross.Check(r); err != nil {
		return ErrForbidden
	}
	return nil
}

// local tells whether a Host header names this machine: no name that a
// stranger's DNS can point here.
func (s *service) local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// onThisMachine tells whether a program on this machine asks.
func onThisMachine(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

func (s *service) authenticate(r *http.Request) error {
	if s.socket {
		return nil
	}
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return ErrUnauthorized
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	got := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(got[:], s.TokenSHA256[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
		return ErrUnauthorized
	}
	return nil
}

func (s *service) answer(w http.ResponseWriter, r *http.Request, rt *route, params map[string]string) error {
	in := input{path: params}
	var err error
	if in.query, err = rt.checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if in.body, err = rt.read(w, r); err != nil {
		return err
	}
	out, err := rt.do(r.Context(), s, &in)
	if err != nil {
		return err
	}
	switch out := out.(type) {
	case stream:
		return s.stream(w, r, out)
	case text:
		out.ServeHTTP(w, r)
		return nil
	}
	status := rt.status
	if status == 0 {
		status = http.StatusOK
	}
	return write(w, status, out)
}

// read decodes the body strictly: one value, no unknown, repeated or
// differently written keys. A write without a body must still say that it is
// JSON, which a form of another site cannot.
func (rt *route) read(w http.ResponseWriter, r *http.Request) (any, error) {
	if !rt.writes() {
		return nil, nil
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return nil, ErrMediaType
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, ErrTooLarge.Say("the body is larger than %d KiB", maxBody>>10)
	case err != nil:
		return nil, ErrInvalid.Say("the body was cut")
	case rt.body == nil && len(data) > 0 && string(data) != "{}":
		return nil, ErrInvalid.Say("the route takes no body: send none, or {}")
	case rt.body == nil:
		return nil, nil
	}
	body := reflect.New(reflect.TypeOf(rt.body)).Interface()
	if err := json.Unmarshal(data, body, json.RejectUnknownMembers(true)); err != nil {
		return nil, ErrInvalid.Say("the body is not what %s takes: %s", rt.name, mistake(err))
	}
	return body, nil
}

// mistake says what a decoder found, without Go's type names.
func mistake(err error) string {
	var e *json.SemanticError
	if !errors.As(err, &e) {
		return err.Error()
	}
	where := string(e.JSONPointer)
	if errors.Is(err, json.ErrUnknownName) {
		return "unknown key " + where
	}
	if where == "" {
		where = "the body"
	}
	return where + " has the wrong type or form"
}

// stream sends JSON lines. When it breaks, so does the connection: a client
// must not take a part for the whole. It may take longer than a request may
// take to arrive, whose deadline would end the context.
func (s *service) stream(w http.ResponseWriter, r *http.Request, st stream) error {
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // no deadline where that is not supported
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := st(w); err != nil {
		if r.Context().Err() == nil {
			s.Log.Error("admin stream broke", "path", r.URL.Path, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	var m *methodError
	if errors.As(err, &m) {
		w.Header().Set("Allow", m.allow)
		err = ErrMethod.Say("use %s", m.allow)
	}
	e := public(err)
	if e.Status >= 500 && e.Status != http.StatusServiceUnavailable && !errors.Is(err, context.Canceled) {
		s.Log.Error("admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gatehouse"`)
	}
	if err := write(w, e.Status, e); err != nil {
		s.Log.Error("admin error was not written", "error", err)
	}
}

// write answers with JSON. Nothing is sent when v cannot be written.
func write(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // a client that is gone is no error of ours
	return nil
}

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
