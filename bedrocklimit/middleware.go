package bedrocklimit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
)

// running is a call that was admitted and has not been settled.
type running struct {
	l *Limiter
	c *call.Call

	mu     sync.Mutex
	meter  measurer // of the last answer that was no error; nil: there was none
	stream bool     // the answer outlives the SDK's call
}

// measurer reads the bytes of an answer.
type measurer interface {
	// usage is what the answer told so far. It is not exact when that was not
	// all, and then only says how much text there was.
	usage() (u bedrock.Usage, exact bool)
}

type runningKey struct{}

// finalize is the step around all attempts to send a call.
func (l *Limiter) finalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, md middleware.Metadata, err error) {
	request, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return out, md, fmt.Errorf("bedrocklimit: request is a %T", in.Request)
	}
	c, err := l.describe(ctx, request)
	if err != nil {
		return out, md, err
	}
	if err := l.admit(ctx, c); err != nil {
		return out, md, err
	}
	k := &running{l: l, c: c}
	defer func() {
		if err != nil || !k.streams() {
			k.settle(err)
		}
	}()
	err = errors.New("bedrocklimit: the call panicked") // unless it returns
	out, md, err = next.HandleFinalize(context.WithValue(ctx, runningKey{}, k), in)
	return out, md, err
}

// admit reserves what c may come to.
func (l *Limiter) admit(ctx context.Context, c *call.Call) error {
	defer l.reader.Release(c)
	if l.money && unpriced(c) {
		return refused(call.ModelDenied.With("no price is known for this call; set Options.Prices"))
	}
	_, ref := l.limits.Reserve(ctx, c, time.Now())
	switch {
	case ref == nil:
		return nil
	case ctx.Err() != nil:
		return &smithy.CanceledError{Err: ctx.Err()}
	}
	return refused(ref)
}

// meter is the step around one attempt that sees the answer's bytes.
func meter(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, md, err := next.HandleDeserialize(ctx, in)
	k, _ := ctx.Value(runningKey{}).(*running)
	r, ok := out.RawResponse.(*smithyhttp.Response)
	if ok && err == nil && k != nil && r.StatusCode/100 == 2 {
		k.answer(r)
	}
	return out, md, err
}

// answer has the bytes of an answer measured as the SDK reads them.
func (k *running) answer(r *smithyhttp.Response) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := bedrock.FamilyOf(k.c.Operation.Body)
	if f == nil && k.c.Model.Model != nil {
		f = bedrock.FamilyOf(k.c.Model.Family)
	}
	if k.stream = k.c.Operation.Stream; k.stream {
		s := newStream(k, r.Body, f)
		k.meter, r.Body = s, s
		return
	}
	if k.l.reading {
		w := &whole{ReadCloser: r.Body, family: f, headers: r.Header}
		k.meter, r.Body = w, w
	}
}

func (k *running) streams() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stream
}

// settle ends the call. err is what the SDK says of it. Again does nothing.
func (k *running) settle(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := &call.Result{Outcome: call.OK, Worked: true}
	switch {
	case k.meter != nil:
		k.bill(r)
	case err == nil: // nothing is measured
	case answered(err):
		r.Outcome, r.Worked = call.Upstream, false
	default:
		r.Outcome = call.Interrupted // which charges what was reserved
	}
	k.l.limits.Settle(k.c, r, time.Now())
}

// bill says what an answer came to.
func (k *running) bill(r *call.Result) {
	u, exact := k.meter.usage()
	if free[k.c.Operation.Name] {
		u, exact = bedrock.Usage{}, true
	}
	if !exact {
		u.Input = k.c.InputEstimate
	}
	r.Usage = call.Usage{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, Write1h: u.Write1h, Images: u.Images, Exact: exact}
	if k.c.Model.Model != nil {
		r.Cost = k.c.Model.Cost(u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Write1h) + k.c.Model.Price.ImageCost(u.Images)
	}
}

// answered reports whether Bedrock answered with an error, or was not reached.
// In both cases it did no work.
func answered(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return response(err) != nil || ok && dial.Op == "dial"
}
