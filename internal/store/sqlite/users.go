package sqlite

import (
	"context"

	"gatehouse/internal/store"
)

// Users implements [store.Store].
func (d *DB) Users() store.Users { return users{d} }

type users struct{ d *DB }

const userColumns = `id, name, team, password, epoch, disabled, created, invite_sha256, invite_expires`

func scanUser(s scanner) (u store.User, err error) {
	var created, expires int64
	err = s.Scan(&u.ID, &u.Name, &u.Team, (*string)(&u.Password), &u.Epoch, &u.Disabled, &created, &u.InviteSHA256, &expires)
	u.Created, u.InviteExpires = fromNanos(created), fromNanos(expires)
	return u, found(err)
}

// Add counts in both cases, so that both commit a changed page: SQLite skips
// the fsync of a transaction that changed nothing.
func (s users) Add(ctx context.Context, u store.User) error {
	var n int64
	err := s.d.do(ctx, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `INSERT INTO users (`+userColumns+`) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`,
			u.ID, u.Name, u.Team, string(u.Password), u.Epoch, u.Disabled, nanos(u.Created), u.InviteSHA256, nanos(u.InviteExpires))
		if err != nil {
			return err
		}
		if n, err = r.RowsAffected(); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE counters SET n = n + 1 WHERE name = 'adds'`)
		return err
	})
	if err == nil && n == 0 {
		return store.ErrExists
	}
	return err
}

func (s users) ByName(ctx context.Context, name string) (store.User, error) {
	return scanUser(s.d.read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE name = ?`, name))
}

func (s users) Update(ctx context.Context, id string, change func(*store.User) error) (u store.User, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) (err error) {
		if u, err = scanUser(q.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id = ?`, id)); err != nil {
			return err
		}
		name := u.Name
		if err := change(&u); err != nil {
			return err
		}
		u.ID, u.Name = id, name
		_, err = q.ExecContext(ctx, `UPDATE users SET team=?, password=?, epoch=?, disabled=?, invite_sha256=?, invite_expires=? WHERE id=?`,
			u.Team, string(u.Password), u.Epoch, u.Disabled, u.InviteSHA256, nanos(u.InviteExpires), id)
		return err
	})
	if err != nil {
		return store.User{}, err
	}
	return u, nil
}

func (s users) All(ctx context.Context) ([]store.User, error) {
	rows, err := s.d.read.QueryContext(ctx, `SELECT `+userColumns+` FROM users ORDER BY name`)
	return collect(rows, err, scanUser)
}
