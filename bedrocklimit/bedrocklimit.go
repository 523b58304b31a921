// Package bedrocklimit limits what a program asks of Amazon Bedrock, in the
// program itself: requests, tokens, money, open calls and models, for each of
// its users. It is the limiter of the Gatehouse gateway as middleware of the AWS
// SDK's client:
//
//	limits, err := bedrocklimit.New(bedrocklimit.Options{User: userOf})
//	client := bedrockruntime.NewFromConfig(cfg, limits.Limit)
//
// With no limits given, each user gets 100 calls a minute. A call that does not
// fit waits for room if its limit says so (Limit.Wait), and is otherwise
// refused, before anything is sent, with a [*RefusedError]. That wraps a
// *types.ThrottlingException, or a *types.ServiceQuotaExceededException for
// limits by day, month and money, so code that knows Bedrock's own throttling
// knows this too. The SDK does not retry it.
//
// # What is counted
//
// A call is one use of the client, however often the SDK sends it. It is counted
// when it begins, in all limits or in none, with the most that it may come to: a
// token for each byte of text in the request, and the bound on the output that
// the request carries (4,096 tokens where it carries none). When the answer
// ends, that becomes what Bedrock says was used; where a stream broke off, an
// estimate from its text. What comes out above the reservation stays as debt,
// which must leave the window before anything fits again. Errors that Bedrock
// answers with cost no tokens; a call whose answer never came is charged in full.
//
// An answer that streams ends when its stream was read to the end or closed.
// Close every stream: until then it holds its reservation and its place among
// the open calls, for an hour at most.
//
// Sliding windows never hold more than Max, wherever they start. Days and months
// are of UTC. Counts are this process's own: programs on several machines each
// have theirs, and one that restarts begins anew. The gateway shares and keeps
// them.
//
// # Throttling
//
// When Bedrock itself throttles or is unavailable, the SDK's own loop sends the
// call again, up to Options.Attempts times. Between attempts it waits a random
// time below an exponentially growing bound, and as long as Retry-After asks,
// but never longer than Options.MaxDelay.
package bedrocklimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go/middleware"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/read"
)

// Limit is one limit: no more than Max of Measure in any Window, for each
// combination of values of Per.
type Limit struct {
	Name    string // lower-case letters, digits, - and _; of its own
	Per     []Per
	Measure Measure
	Max     int64         // of USD in billionths of a dollar
	Window  time.Duration // a second to 31 days, sliding, or Day or Month; means nothing to Open
	Wait    time.Duration // how long a call may wait for room, a minute at most; 0: it is refused
}

// Per is what a limit counts by.
type Per string

// What limits count by.
const (
	PerUser          Per = "user" // as Options.User says
	PerModel         Per = "model"
	PerFamily        Per = "family"         // of models
	PerSimilarPrompt Per = "similar_prompt" // what the user said last, but for small variations
	PerProgram       Per = "everyone"
)

// Measure is what a limit counts.
type Measure string

// The measures.
const (
	Requests     Measure = "requests"
	Tokens       Measure = "tokens" // as Bedrock's quotas count: input, cache and output by its burn rate
	InputTokens  Measure = "input_tokens"
	OutputTokens Measure = "output_tokens"
	USD          Measure = "usd"
	Open         Measure = "concurrency" // calls at one time
	Models       Measure = "models"      // different ones
)

// The windows of the calendar, in UTC.
const (
	Day   = time.Duration(limit.Day)
	Month = time.Duration(limit.Month)
)

// Dollar is a US dollar in the unit of Limit.Max.
const Dollar = limit.USD

// Default are the limits that hold when none are given: 100 calls a minute for
// each user.
var Default = []Limit{{Name: "requests", Per: []Per{PerUser}, Measure: Requests, Max: 100, Window: time.Minute}}

// Price is what a model costs, in USD per 1,000 tokens as decimal text, such as
// "0.0025". Empty members stay as they are known.
type Price struct{ Input, Output, CacheRead, CacheWrite string }

// Options are what a Limiter is made of.
type Options struct {
	Limits []Limit // nil: Default
	// User tells for whom a call is made. Calls for "" share one user's limits,
	// and so do all calls when User is nil.
	User func(context.Context) string
	// Prices adds prices by model id, or replaces them. With a limit on USD, a
	// call that has no known price is refused.
	Prices map[string]Price

	Attempts  int           // to send one call while Bedrock throttles; 0: 5
	BaseDelay time.Duration // the bound on the first wait; 0: a second
	MaxDelay  time.Duration // the highest bound; 0: 20 seconds
}

// Limiter limits the calls of the clients that it is given to. It is safe for
// concurrent use, also by several clients.
type Limiter struct {
	o       Options
	limits  *limit.Limiter
	reader  *read.Reader
	models  *model.Table
	money   bool // some limit counts USD
	reading bool // some limit must know what requests and answers say
}

// New returns a Limiter, or all that is wrong with o.
func New(o Options) (*Limiter, error) {
	if o.Limits == nil {
		o.Limits = Default
	}
	if o.User == nil {
		o.User = func(context.Context) string { return "" }
	}
	o.Attempts, o.BaseDelay, o.MaxDelay = or(o.Attempts, 5), or(o.BaseDelay, time.Second), or(o.MaxDelay, 20*time.Second)
	l := &Limiter{o: o}
	rows, err := l.rows()
	if err != nil {
		return nil, err
	}
	if l.models, err = model.Default().WithPrices(decimals(o.Prices)); err != nil {
		return nil, err
	}
	if l.limits, err = limit.New(limit.Options{Limits: rows}); err != nil {
		return nil, err
	}
	l.reader = read.New(read.Options{Models: l.models})
	return l, nil
}

func or[T int | time.Duration](v, byDefault T) T {
	if v <= 0 {
		return byDefault
	}
	return v
}

func decimals(prices map[string]Price) map[string]model.Decimals {
	d := make(map[string]model.Decimals, len(prices))
	for id, p := range prices {
		d[id] = model.Decimals{Input: p.Input, Output: p.Output, CacheRead: p.CacheRead, CacheWrite: p.CacheWrite}
	}
	return d
}

// rows are the limits as the limiter has them. What the gateway counts by and a
// program does not know would apply to no call, so it is refused here.
func (l *Limiter) rows() ([]limit.Limit, error) {
	var rows []limit.Limit
	var errs []error
	for _, x := range l.o.Limits {
		r := limit.Limit{Name: x.Name, Measure: string(x.Measure), Max: x.Max, Window: limit.Window(x.Window)}
		for _, p := range x.Per {
			if !slices.Contains([]Per{PerUser, PerModel, PerFamily, PerSimilarPrompt, PerProgram}, p) {
				errs = append(errs, fmt.Errorf("limit %q: per %q is not available", x.Name, p))
			}
			r.Per = append(r.Per, string(p))
		}
		if x.Wait != 0 {
			r.Action, r.Wait = limit.Wait, x.Wait
		}
		l.money = l.money || x.Measure == USD
		l.reading = l.reading || slices.Contains(x.Per, PerSimilarPrompt) || !slices.Contains([]Measure{Requests, Open, Models}, x.Measure)
		rows = append(rows, r)
	}
	return rows, errors.Join(errs...)
}

// Limit makes a client's calls count. It is an option of
// bedrockruntime.NewFromConfig and New, and sets the client's retryer.
func (l *Limiter) Limit(o *bedrockruntime.Options) {
	o.Retryer = l.retryer()
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		if err := s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("BedrockLimit", l.finalize), "Retry", middleware.Before); err != nil {
			return err
		}
		return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("BedrockLimitMeter", meter), middleware.After)
	})
}
