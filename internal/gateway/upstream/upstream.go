// Package upstream makes an admitted call at Bedrock: it builds the request anew
// out of what the gateway read, signs it with the gateway's own credentials, and
// carries the answer back — whole, or frame by frame — while it measures usage.
//
// Nothing of the caller's request is passed through but the body's exact bytes,
// the model's path segment and the few headers of [passed]. The upstream's host
// comes from configuration alone.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
)

// Credentials supplies the gateway's own AWS credentials. It is called for every
// request and must cache.
type Credentials interface {
	Retrieve(ctx context.Context) (sigv4.Credentials, error)
}

// Options configure an Upstream.
type Options struct {
	Region       string
	Runtime      *url.URL // bedrock-runtime's endpoint
	Control      *url.URL // bedrock's endpoint, for the read-only control plane
	Credentials  Credentials
	FirstContent time.Duration // until a stream's first frame
	Total        time.Duration // until the last byte of any answer
	AnswerBudget int64         // bytes of whole answers in memory at once; 0: 512 MiB
	TLS          *tls.Config   // roots and minimum version; nil: the system's
	UserAgent    string
	Log          *slog.Logger
}

// Upstream is safe for concurrent use.
type Upstream struct {
	o       Options
	runtime endpoint
	control endpoint
	signer  *sigv4.Signer
	answers budget
}

type endpoint struct {
	*pool
	host string
	base string // path before the operation's
}

// Answer is where an answer goes. Its methods return an error when the caller is
// gone. Start, Frames, Part, Finish and Abort are for streams.
type Answer interface {
	// Whole sends a complete answer. res has its usage and cost. It may send
	// another body, which res then has.
	Whole(status int, header http.Header, body []byte, res *call.Result) error
	// Start sends the head of a stream.
	Start(header http.Header) error
	// Frames takes a whole frame to be sent; flush says that no more is at hand.
	// It returns what has been sent in its place, which may be nothing yet, until
	// the next call. ErrEnded ends the answer: what was sent is its proper end.
	Frames(raw []byte, flush bool) (sent []byte, err error)
	// More asks for more output tokens than were reserved for the call, before a
	// stream goes on. A refusal ends it.
	More(tokens int64) *call.Refusal
	// Part records frames that have been sent.
	Part(frames []byte) error
	// Finish is called before the end of a stream, with its usage and cost. The
	// stream is whole, or says itself in its last frame that it is not.
	Finish(res *call.Result)
	// Abort is called in place of Finish when the caller left or could not be told
	// that its stream ended early. What it got must not look complete: somebody
	// who closed only its sending half may still read.
	Abort()
	// Refuse answers with a refusal of our own.
	Refuse(ref *call.Refusal)
}

// ErrEnded is returned by Answer.Frames when the answer was ended in order.
var ErrEnded = errors.New("upstream: the answer was ended")

// stopped is the refusal that a call's context was ended with by the gateway;
// nil when its caller left, or nothing happened.
func stopped(ctx context.Context) *call.Refusal {
	var ref *call.Refusal
	if ctx.Err() == nil || !errors.As(context.Cause(ctx), &ref) {
		return nil
	}
	return ref
}

// New returns an Upstream. It opens no connection yet.
func New(o Options) *Upstream {
	conf := o.TLS
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	at := func(u *url.URL) endpoint {
		return endpoint{pool: newPool(u, conf), host: u.Host, base: strings.TrimSuffix(u.EscapedPath(), "/")}
	}
	if o.AnswerBudget == 0 {
		o.AnswerBudget = defaultAnswerBudget
	}
	return &Upstream{o: o, runtime: at(o.Runtime), control: at(o.Control), signer: new(sigv4.Signer), answers: budget{max: o.AnswerBudget}}
}

// Close closes the idle connections.
func (u *Upstream) Close() {
	u.runtime.closeIdle()
	u.control.closeIdle()
}

// forward is one call on its way.
type forward struct {
	u     *Upstream
	c     *call.Call
	a     Answer
	res   *call.Result
	start time.Time
	conn  *conn
	stop  func() bool // ends the watch over the caller; false: the caller is gone
	keep  bool        // the connection may be used again
	held  int64       // bytes of the budget of answers
}

// Forward makes the call and answers it. It fills res but for Time and Settled,
// and returns when the last byte was sent or the caller is gone. ctx is the
// caller's: its end closes the upstream connection, so that Bedrock stops too.
// When its cause is a *call.Refusal the gateway stopped the call, and the caller
// is told.
func (u *Upstream) Forward(ctx context.Context, c *call.Call, a Answer, res *call.Result) {
	f := &forward{u: u, c: c, a: a, res: res, start: time.Now()}
	res.Region = u.o.Region
	defer func() { res.Latency = time.Since(f.start) }()
	resp, err := f.send(ctx)
	if err != nil {
		f.unreachable(ctx, err)
		return
	}
	defer func() {
		f.release()
		if f.stop() && f.keep {
			u.endpointOf(c).put(f.conn)
		} else {
			f.conn.Close()
		}
	}()
	f.answer(ctx, resp)
}

func (u *Upstream) endpointOf(c *call.Call) *endpoint {
	if c.Operation.Plane == bedrock.Control {
		return &u.control
	}
	return &u.runtime
}

// send writes the request and reads the head of the answer. A pooled connection
// that turns out to be closed before it took the whole request is replaced once.
// Nothing else is tried again: the SDKs retry, and a model that got the request
// may be at work on it, so that one admitted call would cost twice.
func (f *forward) send(ctx context.Context) (*http.Response, error) {
	creds, err := f.u.o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	to := f.u.endpointOf(f.c)
	buf := heads.Get().(*[]byte)
	defer heads.Put(buf)
	*buf = f.u.head((*buf)[:0], f.c, to, creds, f.start)
	for fresh := false; ; fresh = true {
		f.conn, err = to.get(ctx, fresh)
		if err != nil {
			return nil, err
		}
		resp, err := f.exchange(ctx, *buf)
		if err == nil {
			return resp, nil
		}
		f.stop()
		f.conn.Close()
		if err != errStale || fresh {
			return nil, err
		}
	}
}

// heads keeps the buffers of request heads, with room for a small body.
var heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// exchange sends the request. From here on the caller's end closes the connection.
func (f *forward) exchange(ctx context.Context, head []byte) (*http.Response, error) {
	conn := f.conn
	limit := f.start.Add(f.u.o.Total)
	if f.c.Operation.Stream {
		limit = f.start.Add(f.u.o.FirstContent)
	}
	conn.SetDeadline(limit)
	f.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	f.res.Worked = true // from here on Bedrock may have seen it
	if f.c.Method == http.MethodGet {
		return conn.roundTrip(head, f.c.Body, getRequest)
	}
	return conn.roundTrip(head, f.c.Body, postRequest)
}

var (
	getRequest  = &http.Request{Method: http.MethodGet}
	postRequest = &http.Request{Method: http.MethodPost}
)

// unreachable answers a call to which there was no answer.
func (f *forward) unreachable(ctx context.Context, err error) {
	f.res.Outcome, f.res.Body = call.Unreachable, nil
	ref := call.UpstreamUnavailable
	switch stop := stopped(ctx); {
	case stop != nil:
		f.res.Outcome, ref = call.Stopped, stop
	case ctx.Err() != nil:
		f.res.Outcome = call.ClientGone
	case isTimeout(err):
		ref = call.UpstreamTimeout
	}
	if f.conn == nil {
		f.res.Worked = false
	}
	if f.res.Worked { // it was sent, and nobody knows what Bedrock made of it
		f.unknown()
	}
	f.u.o.Log.Warn("upstream", "call", f.c.ID, "err", err)
	f.refuse(ref)
}

func (f *forward) refuse(ref *call.Refusal) {
	f.res.Status, f.res.ErrorType, f.res.Message = ref.Status, ref.Type, ref.Message
	f.a.Refuse(ref)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// answer carries the response to the caller.
func (f *forward) answer(ctx context.Context, resp *http.Response) {
	if id := resp.Header.Get("X-Amzn-Requestid"); plain(id) {
		f.c.RequestID = id
	}
	f.res.Status = resp.StatusCode
	f.res.ContentType = resp.Header.Get("Content-Type")
	switch {
	case resp.StatusCode/100 == 2 && f.c.Operation.Stream:
		f.stream(ctx, resp)
	case resp.StatusCode/100 == 2:
		f.whole(ctx, resp)
	default:
		f.failed(ctx, resp)
	}
}

// whole carries a complete answer.
func (f *forward) whole(ctx context.Context, resp *http.Response) {
	body, ok := f.readAll(resp, maxAnswer)
	if !ok {
		f.res.Outcome = call.Truncated
		ref := call.UpstreamUnavailable
		if stop := stopped(ctx); stop != nil {
			f.res.Outcome, ref = call.Stopped, stop
		} else if ctx.Err() != nil {
			f.res.Outcome = call.ClientGone
		}
		f.measure(resp.Header, nil) // Bedrock has answered in full
		f.refuse(ref)
		return
	}
	f.res.Outcome, f.res.Body = call.OK, body
	f.res.FirstByte = time.Since(f.start)
	f.measure(resp.Header, body)
	if f.a.Whole(resp.StatusCode, responseHeaders(resp.Header), body, f.res) != nil {
		f.res.Outcome = call.ClientGone
	}
}

// failed carries Bedrock's error, without what it says about our own identity.
func (f *forward) failed(ctx context.Context, resp *http.Response) {
	body, ok := f.readAll(resp, maxError)
	f.res.Outcome = call.Upstream
	if !ok || resp.StatusCode < 400 || resp.StatusCode > 599 { // a redirect is never followed
		f.refuse(call.UpstreamUnavailable)
		return
	}
	code := errorCode(resp.Header, body)
	f.res.Worked = worked(resp.StatusCode, code)
	if ourCredentials[code] {
		f.u.o.Log.Error("upstream refused the gateway's own credentials", "call", f.c.ID, "code", code)
		f.refuse(call.UpstreamUnavailable)
		return
	}
	body = redactBody(body, f.c)
	f.res.ErrorType, f.res.Message, f.res.Body = code, errorMessage(body), body
	header := responseHeaders(resp.Header)
	header["Content-Type"], f.res.ContentType = contentType, contentType[0]
	if f.a.Whole(resp.StatusCode, header, body, f.res) != nil {
		f.res.Outcome = call.ClientGone
	}
}
