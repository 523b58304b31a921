// Package gateway is the request path. A request passes these stages, in this
// order, and no route passes fewer than its class says:
//
//	Route    the raw request line names an operation, or nothing happens
//	Begin    who says they call: one credential, well-formed, in scope, in time
//	Body     the body, bounded in bytes and pace
//	Finish   the signature over that body
//	Parse    the body, strictly: model, texts, max tokens, estimate
//	Check    may this principal make this call at all
//	Reserve  the limits, all or nothing
//	Inbound  the guard: may these texts go to a model, and with what masked
//	Admit    the journal has the call on disk
//	Forward  Bedrock, re-signed; the answer back, frame by frame, past the guard
//	Settle   the reservation becomes what was used
//	Result   the journal gets the end of the call
//
// The stages are packages of their own that know only internal/call; the order is
// written in [Gateway.serve] and [Gateway.admitted], nowhere else. Whatever refuses, from a malformed
// head to a broken disk, is answered in Bedrock's dialect and recorded once.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/gateway/auth"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/policy"
	"gatehouse/internal/gateway/read"
	"gatehouse/internal/gateway/record"
	"gatehouse/internal/gateway/upstream"
)

// Options are the parts of a Gateway.
type Options struct {
	Auth     *auth.Authenticator
	Rules    *Rules
	Account  string // for the ARNs of our callers
	Limits   *limit.Limiter
	Record   *record.Recorder
	Upstream *upstream.Upstream
	Trusted  []netip.Prefix // proxies whose X-Forwarded-For is believed
	BasePath string         // before the chat API's paths
	Chat     ChatRoutes
	Observer Observer // nil: none
	Log      *slog.Logger
}

// Rules are the parts that a reload replaces, together: a request is judged by
// one set of them from its first byte to its last.
type Rules struct {
	Read   *read.Reader
	Policy *policy.Policy
	Guard  *guard.Engine
}

// Observer learns what becomes of calls. It must not block or keep the call.
type Observer interface {
	Admitted(*call.Call)
	Refused(*call.Call, *call.Refusal)
	Settled(*call.Call, *call.Result)
	Guard(c *call.Call, rule string) // a rule of the guard blocked the prompt or the answer
}

type noObserver struct{}

func (noObserver) Admitted(*call.Call)               {}
func (noObserver) Refused(*call.Call, *call.Refusal) {}
func (noObserver) Settled(*call.Call, *call.Result)  {}
func (noObserver) Guard(*call.Call, string)          {}

// ChatRoutes are the handlers of the chat API. Chat itself reaches models only
// through the Gateway's own ServeHTTP.
type ChatRoutes struct {
	Register, Login, Chat, Prompts http.HandlerFunc
}

// Gateway serves the data plane. It is safe for concurrent use.
type Gateway struct {
	o         Options
	rules     atomic.Pointer[Rules]
	freezer   freezer
	refusals  refusalLog
	strangers read.Budget // bodies of callers not yet authenticated
	callers   read.Budget // bodies of authenticated ones
	routes    map[string]Route
	draining  atomic.Bool
	live      atomic.Int64
}

const (
	maxBody         = 25_000_000 // InvokeModel's own bound
	strangersBody   = 64 << 10
	strangersBudget = 64 << 20
	callersBudget   = 1 << 30
)

// New builds a gateway. Its chat routes may be set later with SetChat, since
// they call the gateway themselves.
func New(o Options) *Gateway {
	g := &Gateway{o: o}
	if g.o.Observer == nil {
		g.o.Observer = noObserver{}
	}
	g.SetRules(o.Rules)
	g.strangers.Max, g.callers.Max = strangersBudget, callersBudget
	g.SetChat(o.Chat)
	return g
}

// SetRules puts other rules in force, for requests that begin from now on.
func (g *Gateway) SetRules(r *Rules) { g.rules.Store(r) }

// Drain makes every further request a 503; those in progress go on.
func (g *Gateway) Drain() { g.draining.Store(true) }

// Live is the number of requests in progress.
func (g *Gateway) Live() int64 { return g.live.Load() }

// ServeHTTP answers one request and records it once.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.live.Add(1)
	defer g.live.Add(-1)
	x := newExchange(g, w, r)
	defer x.free()
	defer g.recoverPanic(x)
	ref := g.enter(x)
	if ref == nil && x.route.handler != nil {
		x.commonHeaders()
		r.Body = read.Paced(w, r)
		x.route.handler(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
		x.dropBody()
		return
	}
	if ref == nil {
		ref = g.serve(x)
	}
	if ref != nil {
		g.refuse(x, ref)
	}
	if x.aborted { // the caller must not take a part for the whole
		panic(http.ErrAbortHandler)
	}
}

// enter finds the route and refuses what no route accepts.
func (g *Gateway) enter(x *exchange) *call.Refusal {
	if ref := checkRequest(x.r); ref != nil {
		return ref
	}
	if ref := x.rules.Policy.Enter(x.call); ref != nil {
		return ref
	}
	if g.draining.Load() && x.call.RawPath != "/healthz" {
		return call.Draining
	}
	return g.route(x)
}

// serve takes one Bedrock call up to the point where nothing but the journal
// can refuse it any more.
func (g *Gateway) serve(x *exchange) *call.Refusal {
	c := x.call
	pending, ref := g.o.Auth.Begin(c, x.r)
	if ref != nil {
		return ref
	}
	if ref := g.body(x, &pending); ref != nil {
		return ref
	}
	if ref := pending.Finish(c.BodySHA256); ref != nil {
		return ref
	}
	x.authenticated, c.CallerARN = true, c.Principal.ARN(g.o.Account)
	if ref := x.rules.Read.Parse(c); ref != nil {
		return ref
	}
	defer x.rules.Read.Release(c)
	if ref := x.rules.Policy.Check(c, c.Time); ref != nil {
		return ref
	}
	if ref := g.freezer.check(c.Principal.Team); ref != nil {
		return ref
	}
	x.decision, ref = g.o.Limits.Reserve(x.r.Context(), c, time.Now())
	if ref != nil {
		return ref
	}
	verdict, ref := g.inbound(x)
	if ref != nil {
		return ref
	}
	if ref := g.o.Record.Admit(c); ref != nil {
		g.o.Limits.Release(c)
		return ref
	}
	g.o.Observer.Admitted(c)
	if fn, ok := x.r.Context().Value(observerKey{}).(func(*call.Call)); ok {
		fn(c)
	}
	g.admitted(x, verdict)
	return nil
}

// inbound asks the guard about the prompt, and masks what it says. A block is no
// refusal here: it is admitted and recorded, and answered without Bedrock. What
// cannot be judged is refused, and its request counts all the same: the work was
// done.
func (g *Gateway) inbound(x *exchange) (guard.Verdict, *call.Refusal) {
	c := x.call
	if x.rules.Guard == nil || c.Operation.Body == "apply-guardrail" { // its texts are brought to be judged
		return guard.Verdict{}, nil
	}
	v := x.rules.Guard.Inbound(x.r.Context(), c)
	c.Notes = append(c.Notes, v.Notes...)
	if v.Blocked {
		c.Notes = append(c.Notes, blockNote(v))
		g.o.Observer.Guard(c, v.Rule)
		return v, nil
	}
	ref := v.Refusal
	if ref == nil && len(v.Edits) > 0 {
		ref = x.rules.Read.Edit(c, v.Edits...)
	}
	if ref != nil {
		g.o.Limits.Settle(c, &call.Result{Outcome: call.Blocked}, time.Now())
	}
	return v, ref
}

// body reads the body. Whoever shows no key that exists has a small one, from
// the strangers' budget: many of them cannot keep a caller's body out.
func (g *Gateway) body(x *exchange, p *auth.Pending) (ref *call.Refusal) {
	if p.Known() {
		x.held, ref = g.callers.Body(x.w, x.r, x.call, maxBody)
		return ref
	}
	x.held, ref = g.strangers.Body(x.w, x.r, x.call, strangersBody)
	if ref == call.BodyTooLarge {
		return call.UnknownKey.With("a long body behind an unknown key")
	}
	return ref
}

// admitted makes the call. Whatever happens, also a panic, it is settled and
// recorded once.
func (g *Gateway) admitted(x *exchange, inbound guard.Verdict) {
	res := &call.Result{Outcome: call.Interrupted, Status: http.StatusInternalServerError, Worked: true}
	ctx, leave := g.freezer.enter(x.r.Context(), x.call.Principal.Team)
	defer func() {
		leave()
		res.Time = time.Now()
		g.o.Limits.Settle(x.call, res, res.Time)
		g.o.Record.Result(x.call, res)
		g.o.Observer.Settled(x.call, res)
	}()
	if inbound.Blocked {
		x.blocked(inbound, res)
		return
	}
	x.judgeAnswer()
	g.o.Upstream.Forward(ctx, x.call, x, res)
}

// recoverPanic turns a panic of ours into a 500 and an audit record; one
// request must not end the process.
func (g *Gateway) recoverPanic(x *exchange) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	g.o.Log.Error("panic in the request path", "call", x.call.ID, "panic", p, "stack", string(debug.Stack()))
	if x.started {
		panic(http.ErrAbortHandler)
	}
	g.refuse(x, call.Internal.With("panic"))
}

// refuse answers and records a refusal.
func (g *Gateway) refuse(x *exchange, ref *call.Refusal) {
	g.o.Record.Refused(x.call, ref)
	g.o.Observer.Refused(x.call, ref)
	if x.authenticated {
		g.refusals.log(g.o.Log, x.call, ref)
	}
	if x.decision.Applies() {
		x.decision.SetHeaders(x.w.Header())
	}
	x.commonHeaders()
	writeRefusal(x.w, ref, !x.authenticated)
	x.dropBody()
}

// refusedHead audits a head that the listener refused, and returns the reply.
func (g *Gateway) refusedHead(remote string, ref *call.Refusal) []byte {
	c := &call.Call{ID: call.NewID(time.Now()), RequestID: call.NewRequestID(), Time: time.Now(), IP: remoteIP(remote)}
	g.o.Record.Refused(c, ref)
	g.o.Observer.Refused(c, ref)
	return rawRefusal(c, ref)
}

type exchangeKey struct{}

// ClientIP is the client's address of a request that one of the gateway's own
// handlers serves, after trusted proxies.
func ClientIP(r *http.Request) netip.Addr {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x.call.IP
	}
	return remoteIP(r.RemoteAddr)
}

// Refused records that a handler refused the request it was given.
func (g *Gateway) Refused(r *http.Request, ref *call.Refusal) {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		g.o.Record.Refused(x.call, ref)
	}
}

type observerKey struct{}

// Observe returns a context under which the gateway tells fn about the call it
// serves, once it has been admitted. The chat API uses it to join a prompt to its call.
func Observe(ctx context.Context, fn func(*call.Call)) context.Context {
	return context.WithValue(ctx, observerKey{}, fn)
}

// errorOfRoute maps the path grammar's verdicts to refusals.
func errorOfRoute(err error, op *bedrock.Operation) *call.Refusal {
	switch {
	case errors.Is(err, bedrock.ErrBadPath):
		return call.BadPath
	case errors.Is(err, bedrock.ErrNoSuchModel):
		return call.NoSuchModel
	case errors.Is(err, bedrock.ErrMethod):
		return call.BadMethod
	case err != nil:
		return call.UnknownOperation
	case op.Support == bedrock.Refused:
		return call.UnsupportedOp.Say(op.Name + " is not supported by this endpoint.").With("operation " + op.Name)
	}
	return nil
}
