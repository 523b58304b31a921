// Package chat is the small chat API for people: register, log in, ask, and
// read one's own prompts.
//
//	POST /v1/auth/user/register  {email, password[, invitation]}  201 {id, email, message}
//	POST /v1/auth/user/login     {email, password}     200 {statusCode, email, message, token}
//	POST /v1/chat                {prompt}              200 {prompt, response, queries, balance}
//	GET  /v1/prompts?limit&before                      200 {prompts: [{id, time, call_id, prompt}], next}
//
// The last two take a login token and no other credential. Asking goes through
// the gateway's own handler, in this process, as a Converse call with the
// caller's Authorization and address: there is no second path to a model, and
// limits, guards and records are those of every call. queries and balance are
// what the daily limit says; without one they are left out.
//
// A caller who accepts text/event-stream is answered as the text comes:
//
//	event: delta   data: {"text": "…"}
//	event: done    data: {"queries": 1, "balance": 49}
//	event: error   data: {"message": "…", "code": "…"}   instead of done
//
// Errors are {message, code} with status 400, 401, 413, 429 (after a quota
// with queries and balance) or 503; code is a word for programs. Bodies are
// strict JSON of a bounded size, and must be declared as JSON, so that no web
// page elsewhere can post them from a browser without asking first.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// Tokens verifies login tokens.
type Tokens interface {
	Token(r *http.Request) (*call.Principal, *call.Refusal)
}

// Options are what the chat API is made of.
type Options struct {
	Accounts *account.Service
	Tokens   Tokens
	Gateway  http.Handler // serves Converse and ConverseStream
	Model    string       // that answers
	// MaxTokens bounds an answer; 0: 1024.
	MaxTokens int
	// Observe returns a context under which the gateway calls fn with the call
	// it serves, once it is admitted.
	Observe func(ctx context.Context, fn func(*call.Call)) context.Context
	// ClientIP is the client's address; nil: that of the connection.
	ClientIP func(*http.Request) netip.Addr
	// Refused is told of requests that are refused here, before the gateway or
	// the accounts see them; nil: nobody.
	Refused func(*http.Request, *call.Refusal)
	Log     *slog.Logger // nil: discarded
}

// API serves the four routes. It is safe for concurrent use.
type API struct {
	o                     Options
	converse, converseStr string // raw paths
}

// New returns the API.
func New(o Options) *API {
	if o.MaxTokens == 0 {
		o.MaxTokens = 1024
	}
	if o.Observe == nil {
		o.Observe = func(ctx context.Context, _ func(*call.Call)) context.Context { return ctx }
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteIP
	}
	if o.Refused == nil {
		o.Refused = func(*http.Request, *call.Refusal) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &API{o: o, converse: pathOf("Converse", o.Model), converseStr: pathOf("ConverseStream", o.Model)}
}

func pathOf(operation, model string) string {
	for i := range bedrock.Operations {
		if op := &bedrock.Operations[i]; op.Name == operation {
			return string(bedrock.AppendPath(nil, bedrock.Target{Operation: op, Model: model}))
		}
	}
	panic("chat: Bedrock has no operation " + operation)
}

func remoteIP(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap()
}

// problem is an answer that is an error.
type problem struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	quota

	status int
	after  time.Duration
}

// quota is how the caller stands for the day; nil: no daily limit.
type quota struct {
	Queries *int64 `json:"queries,omitempty"`
	Balance *int64 `json:"balance,omitempty"`
}

var (
	errUnavailable = &problem{Message: "The service is temporarily unavailable. Try again", Code: "unavailable", status: http.StatusServiceUnavailable, after: time.Second}
	errToken       = &problem{Message: "A valid login token is required. Log in and try again", Code: "unauthorized", status: http.StatusUnauthorized}
)

// write answers with JSON that nobody may keep or take for something else.
func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // all values are ours
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

func (p *problem) write(w http.ResponseWriter) {
	if p.after > 0 && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((p.after+time.Second-1)/time.Second), 10))
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	write(w, p.status, p)
}

// refuse answers and has the refusal recorded.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, p *problem, ref *call.Refusal) {
	a.o.Refused(r, ref)
	w.Header().Set("Connection", "close")
	p.write(w)
}

// fail answers an error of the accounts, which have recorded it.
func (a *API) fail(w http.ResponseWriter, err error) {
	var e *account.Error
	if !errors.As(err, &e) {
		if !errors.Is(err, context.Canceled) {
			a.o.Log.Error("chat: accounts", "err", err)
		}
		errUnavailable.write(w)
		return
	}
	(&problem{Message: e.Message, Code: e.Code, status: statusOf(e.Class), after: e.RetryAfter}).write(w)
}

func statusOf(c account.Class) int {
	switch c {
	case account.Denied:
		return http.StatusUnauthorized
	case account.TooMany:
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

// body reads a strict JSON object whose members are the named strings, all of
// them required but those after a "?". It has answered when ok is false.
func (a *API) body(w http.ResponseWriter, r *http.Request, max int64, required int, names ...string) (values []string, ok bool) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		a.malformed(w, r, "The Content-Type must be application/json")
		return nil, false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	if err != nil {
		a.unread(w, r, err, max)
		return nil, false
	}
	var d strictjson.Document
	if err := d.Parse(b, strictjson.Options{Depth: 1, MaxNodes: 16}); err != nil {
		a.malformed(w, r, "The body is not a JSON object of strings")
		return nil, false
	}
	values = make([]string, len(names))
	known := 0
	for i, name := range names {
		n := d.Get(0, name)
		s, isString := d.String(n)
		if n != strictjson.None {
			known++
		}
		if !isString && (i < required || n != strictjson.None) {
			a.malformed(w, r, "The body needs "+name+", a string")
			return nil, false
		}
		values[i] = s
	}
	if d.Len(0) != known {
		a.malformed(w, r, "The body has members that this call does not take")
		return nil, false
	}
	return values, true
}

func (a *API) malformed(w http.ResponseWriter, r *http.Request, message string) {
	a.refuse(w, r, &problem{Message: message, Code: "invalid_request", status: http.StatusBadRequest}, call.Malformed.With(message))
}

func (a *API) unread(w http.ResponseWriter, r *http.Request, err error, max int64) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		message := "The body may have " + strconv.FormatInt(max, 10) + " bytes"
		a.refuse(w, r, &problem{Message: message, Code: "too_large", status: http.StatusRequestEntityTooLarge}, call.BodyTooLarge.With(message))
		return
	}
	a.refuse(w, r, &problem{Message: "The body did not arrive", Code: "invalid_request", status: http.StatusBadRequest}, call.BodyTimeout.With(err.Error()))
}
