package store

import (
	"context"
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

// Change brings what a call took of one bucket to its final amount.
type Change struct {
	Limit    string
	Key      string
	Item     string
	Counting Counting
	Window   time.Duration
	N        int64 // to add, or, negative, to give back; of Leases and Distinct -1 gives back
	At       int64 // the Count.At of the claim, or of the recorded amount
}

// Counts keeps what limits have counted, for one gateway in memory or for
// several in a shared store. It is safe for concurrent use.
//
// Nothing that is asked may be lost between two answers: a Take that returned
// an error may or may not have counted, so its caller settles it too. Sliding
// windows are exact or pessimistic: in no stretch of time as long as the
// window is more than Max taken by claims without Force, wherever it starts.
type Counts interface {
	// Take looks at all claims and takes all of them or, when any that is not
	// forced is over, none. It fills counts, which is as long as claims. A call
	// that has taken takes nothing more: counts then say how the buckets stand.
	Take(ctx context.Context, call string, claims []Claim, counts []Count) (taken bool, err error)
	// Extend takes more of buckets that an open call has taken of, by the same rules.
	Extend(ctx context.Context, call string, claims []Claim, counts []Count) (taken bool, err error)
	// Settle applies changes and ends the call; of a call that has ended it does
	// nothing. It always lands: a count may go beyond Max, which is debt, and
	// never falls below zero.
	Settle(ctx context.Context, call string, changes []Change) error
	// Renew gives the leases of open calls their whole life again.
	Renew(ctx context.Context, calls []string) error
}
