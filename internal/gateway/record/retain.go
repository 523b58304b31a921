package record

import (
	"context"
	"errors"
	"time"

	"gatehouse/internal/journal"
)

const retainEvery = time.Hour

// Retain erases and deletes, now and then every hour until ctx ends, what the
// retention of the policy in force says. What keeps it from doing so is in
// Warnings until a run succeeds; calls do not wait for it.
func (r *Recorder) Retain(ctx context.Context) {
	t := time.NewTicker(retainEvery)
	defer t.Stop()
	for {
		err := r.retain(ctx)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.retaining = err
		r.mu.Unlock()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recorder) retain(ctx context.Context) error {
	keep := r.policy.Load().Retention
	_, err := r.o.Journal.Retain(ctx, keep)
	if r.o.Strangers == nil {
		return err
	}
	_, err2 := r.o.Strangers.Retain(ctx, journal.Retention{Frames: keep.Frames}) // which have no bodies
	return errors.Join(err, err2)
}
