package telemetry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/arrive"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// taker runs the stages over the deliveries of one source. One goroutine has it.
type taker struct {
	p      *Path
	source string
	normal *normalise.Normaliser

	pool  []*event.Event // reused: the lake copies what it keeps
	batch []*event.Event
	bytes int // of records in batch
}

// take runs the stages, in their order, over one delivery. When it returns nil
// the lake has all of it, and the cursor is durable with the next seal.
func (t *taker) take(ctx context.Context, d *arrive.Delivery) error {
	body := &counter{r: d.Body, all: t.p.o.Read}
	stats, err := parse.Scan(body, parse.Options{
		Origin: d.Origin, Received: d.Received, Strand: d.Strand, Bodies: t.p.o.Bodies, Context: ctx,
	}, func(r *event.Raw) error { return t.record(ctx, d, r) }, func(p event.Problem) { t.problem(d, p) })
	if err == nil {
		err = t.flush(d.Cursor)
	}
	t.batch, t.bytes = t.batch[:0], 0
	t.p.note(t.source, func(s *Stats) {
		s.Deliveries++
		s.Bytes += body.n
		s.Records += stats.Records
		s.Skipped += stats.Skipped
		for strand, n := range stats.Strands {
			s.Strands[strand] += n
		}
		s.Last, s.Failure = time.Now(), ""
	})
	if err == nil && d.Taken != nil {
		t.p.mu.Lock()
		t.p.waiting = append(t.p.waiting, d.Taken)
		t.p.mu.Unlock()
	}
	return err
}

// record normalises one record into the batch.
func (t *taker) record(ctx context.Context, d *arrive.Delivery, r *event.Raw) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &t.p.o
	if o.Guarded && r.Strand == event.Gateway && d.How != arrive.ByJournal {
		t.problem(d, event.Problem{Origin: r.Origin, Code: "not_ours", Reason: "claims to be a record of this gateway", Bytes: r.JSON[:min(len(r.JSON), event.MaxProblemBytes)]})
		return nil
	}
	e := t.event()
	if err := t.normal.Event(r, e); err != nil {
		t.problem(d, normalise.ProblemOf(r, err))
		if flaw := (*normalise.Problem)(nil); !errors.As(err, &flaw) || !flaw.Kept {
			return nil
		}
	}
	if e.Strand == event.Gateway && o.Passed != nil {
		o.Passed.Add(e.Text(event.RequestID))
	}
	e.SetText(event.Source, d.How)
	t.batch, t.bytes = append(t.batch, e), t.bytes+len(e.Raw)
	if len(t.batch) < o.Batch && t.bytes < o.BatchBytes {
		return nil
	}
	return t.flush("")
}

// event is the next one of the pool.
func (t *taker) event() *event.Event {
	if len(t.batch) == len(t.pool) {
		t.pool = append(t.pool, new(event.Event))
	}
	return t.pool[len(t.batch)]
}

// flush hands the batch to the lake, and with the last of a delivery its cursor.
func (t *taker) flush(cursor string) error {
	var cursors map[string]string
	if cursor != "" {
		cursors = map[string]string{t.source: cursor}
	}
	if len(t.batch) == 0 && cursors == nil {
		return nil
	}
	added, duplicates, err := t.p.o.Into.Append(t.batch, cursors)
	t.batch, t.bytes = t.batch[:0], 0
	if err != nil {
		return &lakeError{err}
	}
	t.p.note(t.source, func(s *Stats) {
		s.Added += int64(added)
		s.Duplicates += int64(duplicates)
	})
	return nil
}

func (t *taker) problem(d *arrive.Delivery, p event.Problem) {
	if p.Origin.Name == "" {
		p.Origin = d.Origin
	}
	t.p.note(t.source, func(s *Stats) { s.Problems++ })
	if t.p.o.Problem != nil {
		t.p.o.Problem(p)
	}
	if t.p.o.Dead != nil {
		t.p.o.Dead.Add(t.source, p)
	}
}

// Stats lists the sources by name.
func (p *Path) Stats() []Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Stats, 0, len(p.stats))
	for _, name := range slices.Sorted(maps.Keys(p.stats)) {
		s := *p.stats[name]
		s.Strands = maps.Clone(s.Strands)
		out = append(out, s)
	}
	return out
}
