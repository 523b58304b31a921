package op

import (
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var timesliceOp = Operator{
	Name: "timeslice", Tier: 0,
	Form: "timeslice [by] WIDTH | timeslice N buckets | timeslice, each with [as NAME]",
	Help: "Puts each record into a slice of time: _timeslice is where its slice starts, _timeslice_end where it ends, in ms. " +
		"Slices stand on the clock of the time zone. N buckets takes the next wider step of the clock that makes at most N; alone, the whole range is one slice.",
	Example: "timeslice 4h | count by _timeslice",
	compile: compileTimeslice,
}

const timesliceName = "_timeslice"

// clockSteps are the widths that a number of buckets is rounded up to.
var clockSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	day, 2 * day, 7 * day, 14 * day, 28 * day,
}

const (
	day        = 24 * time.Hour
	minSlice   = time.Millisecond
	maxBuckets = 10_000
)

func compileTimeslice(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	c.Word("by")
	width, whole, err := b.sliceWidth(c, at)
	if err != nil {
		return err
	}
	b.reads(event.MessageTime.String())
	name := timesliceName
	if _, ok := c.Word("as"); ok {
		if name, err = c.Name(); err != nil {
			return err
		}
	}
	ms, ok := b.lookup(event.MessageTime.String())
	if !ok {
		return b.errorf(at, CodeValue, "groups have no time to slice\nput timeslice before the aggregate, and %s among its by fields", timesliceName)
	}
	var start *core.Expr
	var end *core.Expr
	if whole {
		start, end = core.IntOf(b.env.From.UnixMilli()), core.IntOf(b.env.To.UnixMilli())
	} else {
		start = bucket(toInt(ms.read()), width, b.env.Zone)
		end = sliceEnd(start, width, b.env.Zone)
	}
	b.set(assign{name, start}, assign{name + "_end", end})
	b.timeslice, b.slice = name, width
	return nil
}

// sliceEnd is where a slice ends. A day may be an hour longer or shorter than
// others, so the end of days is where the next slice starts.
func sliceEnd(start *core.Expr, width time.Duration, zone *time.Location) *core.Expr {
	after := func(d time.Duration) *core.Expr {
		return toInt(do(core.Add, toFloat(start), core.Num(float64(d.Milliseconds()))))
	}
	if width%day == 0 {
		return bucket(after(width+day/2), width, zone)
	}
	return after(width)
}

func bucket(ms *core.Expr, width time.Duration, zone *time.Location) *core.Expr {
	e := do(core.TimeBucket, ms)
	e.N, e.Zone = width.Milliseconds(), zone
	return e
}

// sliceWidth reads a width, a number of buckets, or nothing for the whole range.
func (b *builder) sliceWidth(c *syntax.Cursor, at syntax.Span) (width time.Duration, whole bool, err error) {
	next := c.Peek()
	switch {
	case next.Kind == syntax.TokEnd || next.Kind == syntax.TokWord:
		return 0, true, b.needRange(at)
	case next.Kind == syntax.TokNumber && !next.Num.Timed():
		n, err := c.Int()
		if err != nil {
			return 0, false, err
		}
		if err := c.Expect("buckets"); err != nil {
			return 0, false, err
		}
		if n < 1 || n > maxBuckets {
			return 0, false, b.errorf(next.Span, CodeValue, "there can be 1 to %d buckets", maxBuckets)
		}
		return b.step(n), false, b.needRange(next.Span)
	}
	if width, err = c.Duration(); err != nil {
		return 0, false, err
	}
	if width < minSlice {
		return 0, false, b.errorf(next.Span, CodeValue, "a slice is at least a millisecond wide")
	}
	return width, false, nil
}

func (b *builder) needRange(at syntax.Span) error {
	if b.env.From.IsZero() || b.env.To.IsZero() {
		return b.errorf(at, CodeValue, "the range searched has no start or no end to divide\ngive it with --from and --to, or a width such as timeslice 4h")
	}
	return nil
}

// step is the narrowest step of the clock that gives at most n slices.
func (b *builder) step(n int64) time.Duration {
	span := b.env.To.Sub(b.env.From)
	for _, s := range clockSteps {
		if span <= time.Duration(n)*s {
			return s
		}
	}
	return (span/time.Duration(n)/day + 1) * day
}
