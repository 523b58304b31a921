package sqlite

import (
	"context"
	"errors"
	"math"
	"time"

	"gatehouse/internal/store"
)

// Prompts implements [store.Store].
func (d *DB) Prompts() store.Prompts { return prompts{d} }

type prompts struct{ d *DB }

func (s prompts) Add(ctx context.Context, p store.Prompt, keep int) error {
	return s.d.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `INSERT INTO prompts (user_id, call_id, time, text) VALUES (?,?,?,?)`,
			p.UserID, p.CallID, nanos(p.Time), p.Text)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `DELETE FROM prompts WHERE user_id = ?1 AND id <=
			(SELECT id FROM prompts WHERE user_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, p.UserID, keep)
		return err
	})
}

func (s prompts) List(ctx context.Context, userID string, before int64, limit int) ([]store.Prompt, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := s.d.read.QueryContext(ctx,
		`SELECT id, user_id, call_id, time, text FROM prompts WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?`,
		userID, before, max(limit, 0))
	return collect(rows, err, func(s scanner) (p store.Prompt, err error) {
		var t int64
		err = s.Scan(&p.ID, &p.UserID, &p.CallID, &t, &p.Text)
		p.Time = fromNanos(t)
		return p, err
	})
}

func (s prompts) Expire(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM prompts WHERE time < ?`, nanos(before))
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	return n, err
}

// Erase overwrites the rows, since secure_delete is on, and then empties the
// write-ahead log, which holds them still.
func (s prompts) Erase(ctx context.Context, userID string) (n int64, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM prompts WHERE user_id = ?`, userID)
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	if err != nil {
		return n, err
	}
	var busy, pages, moved int
	if err = s.d.read.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err == nil && busy != 0 {
		err = errors.New("prompts are deleted, but the log that holds them is being read: try again")
	}
	return n, err
}
