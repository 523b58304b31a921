package lake

import (
	"context"
	"time"
)

// How often Maintain does what.
const (
	tickEvery   = time.Second
	mergeEvery  = 30 * time.Second
	retainEvery = 10 * time.Minute
	mergeBudget = 1 << 30 // bytes a time, so that the others get their turn
)

// Maintain seals, merges, retires and removes as it becomes due, until ctx is
// done. Sealing does not wait for a merge. What fails is logged and tried again
// at its next turn.
func (l *Lake) Maintain(ctx context.Context, keep Retention) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.every(ctx, tickEvery, "seal", func() error { return l.Tick(ctx) })
	}()
	merges := 0
	l.every(ctx, mergeEvery, "maintain", func() error {
		if merges++; merges%int(retainEvery/mergeEvery) == 0 {
			if _, err := l.Retain(ctx, keep); err != nil {
				return err
			}
		}
		_, err := l.Merge(ctx, mergeBudget)
		return err
	})
	<-done
}

func (l *Lake) every(ctx context.Context, d time.Duration, what string, f func() error) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := f(); err != nil && ctx.Err() == nil {
				l.o.Log.Error("lake: "+what, "error", err)
			}
		}
	}
}
