package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is what a loop of calls came to.
type load struct {
	hist    *hdrhistogram.Histogram // nanoseconds
	took    time.Duration
	calls   int
	in, out int64
}

func newHist() *hdrhistogram.Histogram { return hdrhistogram.New(1000, int64(time.Minute), 3) }

// closed runs n calls over a number of connections, each call after the last.
func closed(ctx context.Context, address string, conns, n int, request, want []byte) (load, error) {
	var next atomic.Int64
	return drive(ctx, address, conns, n, func(time.Time) (job, bool) {
		return job{time.Now(), request, want}, next.Add(1) <= int64(n)
	})
}

// open runs calls at a fixed rate for a time. A call is due at its place in the
// schedule and its latency counts from there, so that a peer that stalls is
// charged for all the calls that had to wait (coordinated omission).
func open(ctx context.Context, address string, conns int, rate float64, d time.Duration, request, want []byte) (load, error) {
	n := int(rate * d.Seconds())
	var next atomic.Int64
	return drive(ctx, address, conns, n, func(start time.Time) (job, bool) {
		i := next.Add(1)
		due := start.Add(time.Duration(float64(i-1) / rate * float64(time.Second)))
		if i > int64(n) {
			return job{}, false
		}
		time.Sleep(time.Until(due))
		return job{due, request, want}, true
	})
}

// job is a call to make, and what its answer must have.
type job struct {
	due           time.Time
	request, want []byte
}

// drive runs calls until next says that there are no more.
func drive(ctx context.Context, address string, conns, n int, next func(start time.Time) (j job, more bool)) (load, error) {
	total := load{hist: newHist(), calls: n}
	var (
		mu    sync.Mutex
		first error
		wg    sync.WaitGroup
	)
	workers := make([]*conn, conns)
	for i := range workers {
		c, err := dial(ctx, address)
		if err != nil {
			return total, err
		}
		defer c.close()
		workers[i] = c
	}
	start := time.Now()
	for _, c := range workers {
		wg.Go(func() {
			hist := newHist()
			err := work(ctx, c, hist, func() (job, bool) { return next(start) })
			mu.Lock()
			defer mu.Unlock()
			total.hist.Merge(hist)
			total.in, total.out = total.in+c.in, total.out+c.out
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	total.took = time.Since(start)
	return total, first
}

func work(ctx context.Context, c *conn, hist *hdrhistogram.Histogram, next func() (job, bool)) error {
	for ctx.Err() == nil {
		j, more := next()
		if !more {
			return nil
		}
		if err := c.call(j.request, j.want); err != nil {
			return fmt.Errorf("the peer answers wrongly: %w", err)
		}
		hist.RecordValue(int64(time.Since(j.due)))
	}
	return ctx.Err()
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	return Quantiles{P50: us(50), P99: us(99)}
}
