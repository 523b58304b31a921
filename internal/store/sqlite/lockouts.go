package sqlite

import (
	"context"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// Lockouts implements [store.Store].
func (d *DB) Lockouts() store.Lockouts { return lockouts{d} }

type lockouts struct{ d *DB }

func (s lockouts) Update(ctx context.Context, subject string, change func(*store.Lockout) error) error {
	return s.d.do(ctx, func(ctx context.Context, q querier) error {
		var l store.Lockout
		var until int64
		err := found(q.QueryRowContext(ctx, `SELECT failures, until FROM lockouts WHERE subject = ?`, subject).Scan(&l.Failures, &until))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		l.Until = fromNanos(until)
		if err := change(&l); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO lockouts (subject, failures, until) VALUES (?1, ?2, ?3)
			ON CONFLICT (subject) DO UPDATE SET failures = ?2, until = ?3`, subject, l.Failures, nanos(l.Until))
		return err
	})
}

func (s lockouts) Clear(ctx context.Context, subject string) error {
	return s.d.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM lockouts WHERE subject = ?`, subject)
		return err
	})
}

func (s lockouts) Expire(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM lockouts WHERE until < ?`, nanos(before))
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	return n, err
}
