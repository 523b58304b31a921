// Package emulator is a Bedrock that is not AWS, for tests and demonstrations:
// an [http.Handler] that answers as bedrock-runtime does (Converse, InvokeModel,
// their streams, CountTokens, ApplyGuardrail) and the read-only calls of its
// control plane that SDKs make. Status, headers, bodies, event sequences and
// the texts of errors are AWS's, down to the order of keys and the padding of
// frames; only what the model says is made up.
//
// A request takes one way, in [Emulator.ServeHTTP]: route, authenticate by
// SigV4 or bearer key, read the body by the family's [shape], decide the
// answer, write it in the same shape. What can vary is data: families and
// their shapes are rows, faults are a list, answers can be scripted.
//
// Answers are a function of Seed, model and prompt, so a test can hold goldens
// of them. Tokens are four bytes each (see text.go); times that are reported
// are those of the configured pace, not of a clock.
//
// The emulator shares the wire vocabulary with the gateway and nothing else: it
// reads and writes bodies by code of its own, so that it is a witness against
// the gateway and not its mirror. What it does not emulate it refuses as AWS
// would an operation it does not know.
package emulator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/strictjson"
)

// Options configure an emulator. The zero value answers at once and lets
// nobody in.
type Options struct {
	Region  string // "" is us-east-1
	Account string // of the ARNs; "" is 123456789012

	Credentials []Credential   // that SigV4 requests may be signed with
	BearerKeys  []sigv4.Secret // Bedrock API keys that are accepted
	Anonymous   bool           // accept every request, whoever sent it

	Seed            uint64
	TTFT            time.Duration // until an answer begins
	TokensPerSecond float64       // of an answer once begun; 0 is at once
	Padding         bool          // streamed payloads carry the member p, as AWS's do

	Script     *Script
	Faults     []Fault
	Guardrails []Guardrail  // nil: DefaultGuardrail alone
	Models     *model.Table // nil: the embedded table

	// Control serves /_emulator/faults and /_emulator/calls, without any
	// authentication. It is for tests on a loopback address.
	Control bool

	// Arrived, if set, is called with each request and its whole body before
	// anything else is done. It must not keep or change the body.
	Arrived func(r *http.Request, body []byte)

	Now       func() time.Time // nil: time.Now
	RequestID func() string    // nil: random
	Log       *slog.Logger     // nil: nothing is logged
}

// Credential is an access key that may sign requests.
type Credential struct {
	AccessKeyID  string
	Secret       sigv4.Secret
	SessionToken sigv4.Secret // if set, every request must carry it
	User         string       // the IAM user in messages; "" is emulated
}

// Emulator is an http.Handler that behaves as Bedrock. It is safe for
// concurrent use and must not be copied.
type Emulator struct {
	region, account string
	keys            map[string]*key
	bearers         map[[32]byte]bool
	anonymous       bool
	seed            uint64
	ttft            time.Duration
	perToken        time.Duration
	padding         bool
	script          *Script
	guardrails      []Guardrail
	models          *model.Table
	profileOnly     map[string]bool
	control         bool
	arrived         func(*http.Request, []byte)
	now             func() time.Time
	requestID       func() string
	log             *slog.Logger

	faults faults
	cache  promptCache
	calls  calls
	pool   sync.Pool // of *call
}

// New returns an emulator with the options o.
func New(o Options) *Emulator {
	e := &Emulator{
		region: cmp.Or(o.Region, "us-east-1"), account: cmp.Or(o.Account, "123456789012"),
		keys: map[string]*key{}, bearers: map[[32]byte]bool{}, anonymous: o.Anonymous,
		seed: o.Seed, ttft: o.TTFT, padding: o.Padding,
		script: o.Script, guardrails: slices.Clone(o.Guardrails), models: o.Models,
		control: o.Control, arrived: o.Arrived, now: o.Now, requestID: o.RequestID, log: o.Log,
	}
	if o.TokensPerSecond > 0 {
		e.perToken = time.Duration(float64(time.Second) / o.TokensPerSecond)
	}
	for _, c := range o.Credentials {
		e.keys[c.AccessKeyID] = &key{Credential: c}
	}
	for _, b := range o.BearerKeys {
		e.bearers[sha256.Sum256([]byte(b))] = true
	}
	e.fillDefaults()
	e.profileOnly = profileOnly(e.models)
	e.faults.rng = *rand.NewPCG(o.Seed, 1)
	e.faults.replace(o.Faults)
	e.cache.life = map[uint64]time.Time{}
	e.pool.New = func() any { return new(call) }
	return e
}

func (e *Emulator) fillDefaults() {
	if e.guardrails == nil {
		e.guardrails = []Guardrail{DefaultGuardrail}
	}
	if e.models == nil {
		e.models = model.Default()
		e.models.Account = e.account
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.requestID == nil {
		e.requestID = func() string { return string(appendUUID(nil, rand.Uint64(), rand.Uint64())) }
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
}

// profileOnly lists the base ids whose models an inference profile alone
// reaches: those that the table has with a geo prefix only, and one that the
// service's documentation names.
func profileOnly(t *model.Table) map[string]bool {
	only := map[string]bool{"deepseek.r1-v1:0": true}
	for _, m := range t.All() {
		if ref, err := t.Resolve(m.ID); err == nil && ref.Geo != "" {
			if _, ok := t.Lookup(ref.ID); !ok {
				only[ref.ID] = true
			}
		}
	}
	return only
}

// arn is the ARN of a resource of the account.
func (e *Emulator) arn(resource string) string {
	return "arn:aws:bedrock:" + e.region + ":" + e.account + ":" + resource
}

// pace is how long n tokens take.
func (e *Emulator) pace(n int64) time.Duration { return time.Duration(n) * e.perToken }

// call is one request being served. Its memory is used again by the next.
type call struct {
	e         *Emulator
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	body      []byte // as it came
	rawPath   string
	rawQuery  string
	bearer    bool // authenticated by a bearer key
	user      string

	target bedrock.Target
	op     *bedrock.Operation
	fault  *Fault

	doc   strictjson.Document // of the body, or of the native body inside of it
	inner []byte
	ref   model.Ref
	row   *family
	shape *shape
	guard *Guardrail

	ask    ask
	answer answer
	rng    rand.PCG
	out    []byte
	stream stream
}

// maxKept bounds the memory a finished call may leave to the next.
const maxKept = 1 << 20

func (c *call) release() {
	if cap(c.body) > maxKept || cap(c.out) > maxKept || cap(c.ask.text) > maxKept || cap(c.inner) > maxKept {
		return
	}
	e := c.e
	c.ask.reset()
	c.answer.reset()
	c.stream.reset()
	c.e, c.w, c.r, c.op, c.fault, c.row, c.shape, c.guard = nil, nil, nil, nil, nil, nil, nil, nil
	c.target, c.ref, c.bearer, c.user = bedrock.Target{}, model.Ref{}, false, ""
	e.pool.Put(c)
}

// ServeHTTP answers one request: body, arrival hook, route, authentication,
// operation.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.control && strings.HasPrefix(r.URL.Path, controlPrefix) {
		e.serveControl(w, r)
		return
	}
	c := e.pool.Get().(*call)
	defer c.release()
	c.e, c.w, c.r, c.requestID = e, w, r, e.requestID()
	c.rawPath, c.rawQuery, _ = strings.Cut(r.RequestURI, "?")
	h := w.Header()
	h["x-amzn-RequestId"] = []string{c.requestID}
	if r.ProtoMajor == 1 {
		h["Connection"] = keepAlive
	}
	werr := c.readBody()
	if e.control {
		e.calls.add(r, e.now())
	}
	if e.arrived != nil {
		e.arrived(r, c.body)
	}
	if werr == nil {
		werr = c.serve()
	}
	if werr != nil {
		if err := werr.write(w, c.target.Model); err != nil {
			e.log.Debug("write error", "request_id", c.requestID, "err", err)
		}
	}
}

var keepAlive = []string{"keep-alive"}

// maxBody is the service's bound on a request body, bodyTimeout ours on the time
// it takes to arrive.
const (
	maxBody     = 25_000_000
	bodyTimeout = 2 * time.Minute
)

func (c *call) readBody() *wireError {
	rc := http.NewResponseController(c.w)
	// A writer without deadlines is that of a test.
	if rc.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		defer rc.SetReadDeadline(time.Time{})
	}
	c.body = c.body[:0]
	if c.r.ContentLength > maxBody {
		return errTooLarge
	}
	c.body = slices.Grow(c.body, int(max(c.r.ContentLength, 0))+1)
	for {
		n, err := c.r.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		switch {
		case len(c.body) > maxBody:
			return errTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return errMalformed // the client is gone, or will not like the answer either
		}
		if len(c.body) == cap(c.body) {
			c.body = slices.Grow(c.body, len(c.body))
		}
	}
}

// serve runs the stages. The error is one to be written; with nil all has been.
func (c *call) serve() *wireError {
	target, err := bedrock.Route(c.r.Method, c.rawPath)
	if err != nil {
		return routeError(err)
	}
	c.target, c.op = target, target.Operation
	if werr := c.authenticate(); werr != nil {
		return werr
	}
	c.fault = c.e.faults.take(c.op.Name, c.target.Model, c.op.Stream)
	if done, werr := c.early(); done {
		return werr
	}
	switch c.op.Name {
	case "Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream":
		return c.converse()
	case "CountTokens":
		return c.json(c.countTokens)
	case "ApplyGuardrail":
		return c.json(func() *wireError { return firstError(c.parse(c.body), c.applyGuardrail()) })
	case "ListFoundationModels":
		return c.json(c.listModels)
	case "GetFoundationModel":
		return c.json(c.getModel)
	case "ListInferenceProfiles":
		return c.json(c.listProfiles)
	case "GetInferenceProfile":
		return c.json(c.getProfile)
	case "InvokeModelWithBidirectionalStream":
		if c.bearer {
			return errNoBearer
		}
	}
	return errUnknownOp
}

func routeError(err error) *wireError {
	switch err {
	case bedrock.ErrBadPath:
		return errBadPath
	case bedrock.ErrNoSuchModel:
		return errUnknownModel
	case bedrock.ErrMethod:
		return errMethod
	}
	return errUnknownOp
}

// early lets the call suffer a fault that needs no answer. done says that
// nothing is left to do but to write the error, if there is one.
func (c *call) early() (done bool, werr *wireError) {
	f := c.fault
	if f == nil {
		return false, nil
	}
	switch werr = f.wire(); {
	case f.Kind == FaultHang:
		<-c.r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Kind == FaultHeaders:
		c.addHeaders(f.Size)
		return false, nil
	case f.Kind == FaultRedirect:
		c.wait(f.Delay)
		c.w.Header()["Location"] = []string{f.Location}
		c.w.WriteHeader(http.StatusFound)
		return true, nil
	case f.Kind == FaultDenied:
		werr = c.denied()
	case werr == nil:
		return false, nil
	}
	c.wait(f.Delay)
	return true, werr
}

func (c *call) denied() *wireError {
	resource := "*"
	if ref, err := c.e.models.Resolve(c.target.Model); err == nil {
		resource = "arn:aws:bedrock:" + c.e.region + "::foundation-model/" + ref.ID
	}
	return denied("arn:aws:iam::"+c.e.account+":user/"+cmp.Or(c.user, "emulated"), "bedrock:"+c.op.Action, resource)
}

// addHeaders adds about size bytes of response headers.
func (c *call) addHeaders(size int) {
	const line = 4 << 10
	value := strings.Repeat("x", line)
	list := make([]string, 0, size/line+1)
	for ; size > 0; size -= line {
		list = append(list, value[:min(size, line)])
	}
	c.w.Header()["x-amzn-emulated-padding"] = list
}

// wait sleeps, no longer than the client stays. It is false when the client
// has gone.
func (c *call) wait(d time.Duration) bool { return wait(c.r.Context(), d) }

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// parse indexes a body.
func (c *call) parse(data []byte) *wireError {
	if err := c.doc.Parse(data, strictjson.Options{}); err != nil {
		return errMalformed
	}
	return nil
}

// json serves an operation that leaves its answer in c.out.
func (c *call) json(operation func() *wireError) *wireError {
	if werr := operation(); werr != nil {
		return werr
	}
	if c.fault != nil && !c.wait(c.fault.Delay) {
		return nil
	}
	c.respond()
	return nil
}

// respond sends c.out, whole unless a fault says otherwise.
func (c *call) respond() {
	kind, out := FaultKind(""), c.out
	if c.fault != nil {
		kind = c.fault.Kind
	}
	if kind == FaultEnd {
		out = out[:len(out)/2]
	}
	var err error
	switch kind {
	case FaultCut:
		setLength(c.w, len(out))
		c.w.Write(out[:len(out)/2])
		http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	case FaultBytes:
		setLength(c.w, len(out))
		err = writeBytes(c.w, http.NewResponseController(c.w), out)
	default:
		err = writeJSON(c.w, http.StatusOK, out)
	}
	if err != nil {
		c.e.log.Debug("write answer", "request_id", c.requestID, "err", err)
	}
}

// writeBytes writes and flushes byte by byte.
func writeBytes(w io.Writer, rc *http.ResponseController, b []byte) error {
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return err
		}
		if err := rc.Flush(); err != nil {
			return err
		}
	}
	return nil
}
