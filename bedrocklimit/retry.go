package bedrocklimit

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// retryer decides about attempts as the SDK's own does; the waits are ours.
func (l *Limiter) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = l.o.Attempts
		o.MaxBackoff = l.o.MaxDelay
		o.Backoff = retry.BackoffDelayerFunc(l.delay)
	})
}

// delay is the wait after an attempt that ended in err. Attempts count from 1,
// or, in the SDK's newer mode, from 0.
func (l *Limiter) delay(attempt int, err error) (time.Duration, error) {
	bound, doublings := l.o.MaxDelay, max(0, attempt-1)
	if doublings < 30 && l.o.BaseDelay < bound>>doublings {
		bound = l.o.BaseDelay << doublings
	}
	return max(rand.N(bound+1), min(retryAfter(err, time.Now()), l.o.MaxDelay)), nil
}

// retryAfter is how long the answer behind err asks to wait: in AWS's own
// header, which has milliseconds, or in HTTP's.
func retryAfter(err error, now time.Time) time.Duration {
	r := response(err)
	if r == nil {
		return 0
	}
	if ms, err := strconv.ParseUint(r.Header.Get("X-Amz-Retry-After"), 10, 31); err == nil {
		return time.Duration(ms) * time.Millisecond
	}
	s := r.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// response is the answer behind err, nil when there was none.
func response(err error) *smithyhttp.Response {
	e, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || e.Response == nil || e.Response.Response == nil || e.Response.StatusCode == 0 {
		return nil
	}
	return e.Response
}
