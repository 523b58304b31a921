// Package telemetry is the event path. Its stages, in order:
//
//	arrive     bytes, with the place that they came from
//	parse      bytes into records, whatever their format and envelope
//	normalise  records into events, whose columns have one name for one thing
//	lake       events into Parquet segments, each happening once
//
// [Path.take] runs them over one delivery and is the place to begin reading.
// Each source has a goroutine and a normaliser of its own; they meet in the lake.
//
// Nothing is lost and nothing counts twice: a source's cursor becomes durable
// with the events behind it, in one rename of the lake's manifest, and what was
// read again after a crash is known by its id. A record that cannot be read is
// written to the dead letters with its place and the reason, and stops nothing.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/arrive"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// Sink is where a path ends: the lake, or a [Scratch] of one question.
type Sink interface {
	// Append takes copies of the events that are new, and remembers the cursors.
	Append(events []*event.Event, cursors map[string]string) (added, duplicates int, err error)
	// Seal makes durable what was appended, with the cursors.
	Seal(ctx context.Context) error
	// Cursors are where the sources stood at the last seal.
	Cursors() map[string]string
}

// Options are what a path is made of.
type Options struct {
	Into      Sink
	Normalise normalise.Options
	Bodies    parse.BodySource    // of invocation records that refer to S3; may be nil
	Dead      *DeadLetters        // nil: problems are only counted
	Passed    *Passed             // learns the gateway's calls, marks AWS's records of them; may be nil
	Problem   func(event.Problem) // is told of each, beside Dead; may be nil
	Read      *atomic.Int64       // bytes read so far, of all sources; may be nil
	Log       *slog.Logger
	// Guarded refuses records that claim to be the gateway's own, but from the
	// gateway's own journal: whoever may push must not speak for it.
	Guarded bool
	// Batch is how many events are handed to the lake at once, at most, and
	// BatchBytes how many bytes of records; 0: 512, and 8 MiB.
	Batch, BatchBytes int
	// Pause is the longest wait before a source that failed is run again, and
	// Every how often what arrived is sealed; 0: a minute, and ten seconds.
	Pause, Every time.Duration
}

// Path is a running event path. Its methods may be called by any goroutine.
type Path struct {
	o Options

	mu      sync.Mutex
	stats   map[string]*Stats // by source
	waiting []func()          // what to call when all that is appended now is sealed
}

// Stats tell what came of a source.
type Stats struct {
	Source     string                 `json:"source"`
	Deliveries int64                  `json:"deliveries"`
	Bytes      int64                  `json:"bytes"`
	Records    int64                  `json:"records"`
	Added      int64                  `json:"added"`
	Duplicates int64                  `json:"duplicates"`
	Problems   int64                  `json:"problems"`
	Skipped    int64                  `json:"skipped"`
	Strands    map[event.Strand]int64 `json:"strands"`
	Failure    string                 `json:"failure"` // why the source does not run; empty when it does
	Last       time.Time              `json:"last"`    // when something was last taken
}

// New returns a path. Run starts it.
func New(o Options) *Path {
	if o.Batch == 0 {
		o.Batch = 512
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = 8 << 20
	}
	if o.Pause == 0 {
		o.Pause = time.Minute
	}
	if o.Every == 0 {
		o.Every = 10 * time.Second
	}
	if o.Passed != nil {
		o.Normalise.ViaGateway = o.Passed.Has
	}
	return &Path{o: o, stats: map[string]*Stats{}}
}

// Run takes what the sources deliver until they are exhausted or ctx ends, and
// seals the rest. With once, each source runs once and the error joins those of
// the sources; else one that fails is run again, later each time, and all is
// sealed every so often. An error of the sink, without which nothing can go on,
// ends everything.
func (p *Path) Run(ctx context.Context, once bool, sources ...arrive.Source) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	failed := make([]error, len(sources))
	for i, s := range sources {
		running.Go(func() {
			if once {
				failed[i] = p.read(ctx, s)
				return
			}
			p.keep(ctx, s, stop)
		})
	}
	sealed := make(chan struct{})
	go func() {
		defer close(sealed)
		if !once { // what is read once is sealed at its end, and by the sink itself
			p.sealOften(ctx, stop)
		}
	}()
	running.Wait()
	fatal := context.Cause(ctx)
	stop(nil)
	<-sealed
	if broken := (*lakeError)(nil); errors.As(fatal, &broken) {
		return broken.err
	}
	if err := p.seal(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// lakeError ends everything.
type lakeError struct{ err error }

func (e *lakeError) Error() string { return e.err.Error() }

// keep runs a source again whenever it fails, after a pause that doubles.
func (p *Path) keep(ctx context.Context, s arrive.Source, stop context.CancelCauseFunc) {
	pause := time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := p.read(ctx, s)
		broken := (*lakeError)(nil)
		switch {
		case errors.As(err, &broken):
			stop(broken)
			return
		case err == nil || ctx.Err() != nil:
			return
		case time.Since(began) > p.o.Pause:
			pause = time.Second
		}
		p.o.Log.Warn("telemetry source failed, trying again", "source", s.Name(), "after", pause, "err", err)
		p.note(s.Name(), func(st *Stats) { st.Failure = err.Error() })
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, p.o.Pause)
	}
}

// read runs a source once, from where the lake has it.
func (p *Path) read(ctx context.Context, s arrive.Source) error {
	t := taker{p: p, source: s.Name(), normal: normalise.New(p.o.Normalise)}
	p.note(t.source, func(*Stats) {})
	err := s.Run(ctx, p.o.Into.Cursors()[t.source], func(d *arrive.Delivery) error { return t.take(ctx, d) })
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("source %s: %w", t.source, err)
	}
	return nil
}

func (p *Path) sealOften(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(p.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := p.seal(ctx); err != nil && ctx.Err() == nil {
				stop(&lakeError{err})
				return
			}
		}
	}
}

// seal makes all that was appended so far durable, and tells the sources.
func (p *Path) seal(ctx context.Context) error {
	p.mu.Lock()
	told := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	if err := p.o.Into.Seal(ctx); err != nil {
		return fmt.Errorf("seal the lake: %w", err)
	}
	for _, taken := range told {
		taken()
	}
	return nil
}

func (p *Path) note(source string, f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats[source]
	if s == nil {
		s = &Stats{Source: source, Strands: map[event.Strand]int64{}}
		p.stats[source] = s
	}
	f(s)
}
