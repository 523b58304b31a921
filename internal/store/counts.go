package store

import (
	"context"
	"errors"
	"time"
)

// Counting is how a bucket counts.
type Counting uint8

// The ways of counting.
const (
	Sums     Counting = iota // amounts: requests, tokens, nano-USD
	Distinct                 // different items seen in the window: models
	Leases                   // open calls, each until it ends or its lease does: concurrency
)

// The calendar's windows. Every other window is a duration, which slides; that
// of Leases is how long a lease lives unless it is renewed.
const (
	Day   time.Duration = -1
	Month time.Duration = -2
)

// Claim is what one call asks of one bucket. A bucket is named by its limit and
// key; Counting and Window are the same for all claims of a limit.
type Claim struct {
	Limit    string
	Key      string
	Item     string // of Distinct: what is counted once
	Counting Counting
	Window   time.Duration
	Max      int64
	N        int64 // of Sums: how much, at most; otherwise 1
	Force    bool  // taken also beyond Max: the limit flags or observes
}

// Count is how a bucket stands for a claim.
type Count struct {
	Used  int64         // with what this claim took; without it when nothing was taken
	At    int64         // when it was counted, Unix nanoseconds by the store's clock
	Over  bool          // the claim does not fit below Max
	Wait  time.Duration // if Over: until it would, if nothing else is taken
	Reset time.Duration // until Used begins to fall; 0: nothing is used
	Full  bool          // there is no room for another bucket; the claim is Over too
}

// Final is what a call comes to in one bucket in the end. It names all that is
// needed to count it where the claim was never seen.
type Final struct {
	Limit    string
	Key      string
	Item     string
	Counting Counting
	Window   time.Duration
	N        int64 // in all, of claim and extensions; of Distinct 1
	At       int64 // when it was taken, Unix nanoseconds; the store may know better
}

// ErrDown means that the store could not be asked, or did not answer in time.
// What was asked may have been done, or may still be.
var ErrDown = errors.New("store of counts cannot be reached")

// Counts keeps what limits have counted, for one gateway in memory or for
// several in a shared store. It is safe for concurrent use.
//
// The store remembers what each open call took, and for an hour at least that
// it has ended. So everything may be asked twice, and a Take that was given up
// and lands behind its Settle takes nothing. Sliding windows are exact or
// pessimistic: in no stretch of time as long as the window is more than Max
// taken by claims without Force, wherever it starts. Calendars are of UTC. Time
// is the store's own.
type Counts interface {
	// Take looks at all claims and takes all of them or, when any that is not
	// forced is over, none. It fills counts, which is as long as claims. A call
	// that has taken, or has ended, takes nothing more: taken is then true and
	// counts say how the buckets stand.
	Take(ctx context.Context, call string, claims []Claim, counts []Count) (taken bool, err error)
	// Extend takes more of sums of an open call, by the same rules, each time it
	// is asked. Of a call that is not open it takes nothing, and taken is false.
	Extend(ctx context.Context, call string, claims []Claim, counts []Count) (taken bool, err error)
	// Settle ends the call and brings every bucket to the final amount: what was
	// taken beyond it, or of a bucket that is not among finals, goes back to
	// where it was taken; what is more, or was never taken, is counted, also
	// beyond Max. Leases always end. Of a call that has ended it does nothing;
	// of one that is unknown it counts finals and remembers the end.
	Settle(ctx context.Context, call string, finals []Final) error
	// Renew gives the leases of open calls their whole life again. Calls that
	// are not open are skipped.
	Renew(ctx context.Context, calls []string) error
}
