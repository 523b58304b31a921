package bedrocklimit

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"gatehouse/internal/call"
)

// RefusedError is the error of a call that was not sent, because of a limit. It
// wraps the error with which Bedrock would refuse it: a
// *types.ThrottlingException, a *types.ServiceQuotaExceededException, or, of a
// call without a known price, a *types.AccessDeniedException.
type RefusedError struct {
	Limit      string        // the limit's name; empty where a price is missing
	Detail     string        // how full it is, for whoever runs the program
	RetryAfter time.Duration // until the call would fit, if nothing else is sent; 0: not known

	as error
}

func (e *RefusedError) Error() string {
	return "bedrocklimit: " + e.as.Error() + " (" + e.Detail + ")"
}

// Unwrap returns the error in Bedrock's words.
func (e *RefusedError) Unwrap() error { return e.as }

func refused(r *call.Refusal) *RefusedError {
	e := &RefusedError{Limit: r.Limit, Detail: r.Detail, RetryAfter: r.RetryAfter}
	switch r.Type {
	case call.QuotaExceeded.Type:
		e.as = &types.ServiceQuotaExceededException{Message: aws.String(r.Message)}
	case call.ModelDenied.Type:
		e.as = &types.AccessDeniedException{Message: aws.String(r.Message)}
	default:
		e.as = &types.ThrottlingException{Message: aws.String(r.Message)}
	}
	return e
}
