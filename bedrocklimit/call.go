package bedrocklimit

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

// unbound is how many tokens are reserved for an answer of any length.
const unbound = 4096

// describe tells the limiter about a request that the SDK is about to send.
func (l *Limiter) describe(ctx context.Context, r *smithyhttp.Request) (*call.Call, error) {
	now := time.Now()
	who := l.o.User(ctx)
	if who == "" {
		who = "unknown" // the limiter counts nothing by what is empty
	}
	c := &call.Call{ID: call.NewID(now), Time: now, Principal: &call.Principal{UserID: who, User: who}, Header: r.Header, Answers: 1}
	if c.Operation = bedrock.OperationOf(middleware.GetOperationName(ctx)); c.Operation == nil {
		c.Operation = &bedrock.Operation{}
	}
	c.Target = target(c.Operation, r)
	if l.reading && c.Operation.HasBody && r.IsStreamSeekable() {
		if err := l.readBody(c, r); err != nil {
			return nil, err
		}
	}
	if c.Model.Model == nil && c.Target.Model != "" {
		c.Model = l.model(c.Target.Model)
	}
	return c, nil
}

// target reads the end of the request's path, before which an endpoint may have
// a path of its own.
func target(op *bedrock.Operation, r *smithyhttp.Request) bedrock.Target {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	n := strings.Count(op.Path, "/")
	if n == 0 || len(segments) < n {
		return bedrock.Target{}
	}
	t, err := bedrock.Route(op.Method, "/"+strings.Join(segments[len(segments)-n:], "/"))
	if err != nil {
		return bedrock.Target{}
	}
	return t
}

// model is the model of that id. One that is not known counts by its id, and
// has no price.
func (l *Limiter) model(id string) model.Ref {
	if ref, err := l.models.Resolve(id); err == nil {
		return ref
	}
	return model.Ref{Asked: id, ID: id, Model: &model.Model{ID: id}}
}

// readBody reads what the request says, by the gateway's reader. A body that
// the reader would refuse is Bedrock's to judge: any byte of it may be a token.
func (l *Limiter) readBody(c *call.Call, r *smithyhttp.Request) error {
	body, err := io.ReadAll(r.GetStream())
	if err != nil {
		return fmt.Errorf("bedrocklimit: read the request: %w", err)
	}
	if err := r.RewindStream(); err != nil {
		return fmt.Errorf("bedrocklimit: rewind the request: %w", err)
	}
	c.Body = body
	if c.Operation.Support != bedrock.Full || l.reader.Parse(c) != nil {
		c.InputEstimate, c.MaxTokens, c.Answers = int64(len(body)), unbound, 1
	}
	return nil
}

// free are the operations that cost nothing by the token.
var free = map[string]bool{
	"ApplyGuardrail": true, "CountTokens": true, "GetAsyncInvoke": true, "ListAsyncInvokes": true, "InvokeGuardrailChecks": true,
}

// unpriced reports whether c may cost what nobody can tell.
func unpriced(c *call.Call) bool {
	return !free[c.Operation.Name] && (c.Operation.Support != bedrock.Full || c.Model.Model == nil || !c.Model.Price.Known)
}
