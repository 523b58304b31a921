package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// Keys implements [store.Store].
func (d *DB) Keys() store.Keys { return keys{d} }

type keys struct{ d *DB }

const keyColumns = `id, api_id, api_sha256, sealed, name, user_id, team, scope, created, expires, revoked, last_used, successor`

func scanKey(s scanner) (k store.Key, err error) {
	var scope string
	var sum []byte
	var created, expires, revoked, used int64
	err = s.Scan((*string)(&k.ID), &k.APIID, &sum, &k.Sealed, &k.Name, &k.UserID, &k.Team, &scope,
		&created, &expires, &revoked, &used, (*string)(&k.Successor))
	if err != nil {
		return store.Key{}, found(err)
	}
	if copy(k.APISHA256[:], sum) != len(k.APISHA256) {
		return store.Key{}, fmt.Errorf("key %s: the hash has %d bytes", k.ID, len(sum))
	}
	if err := json.Unmarshal([]byte(scope), &k.Scope); err != nil {
		return store.Key{}, fmt.Errorf("key %s: scope: %v", k.ID, err)
	}
	k.Created, k.Expires = fromNanos(created), fromNanos(expires)
	k.Revoked, k.LastUsed = fromNanos(revoked), fromNanos(used)
	return k, nil
}

func (s keys) Add(ctx context.Context, k store.Key) error {
	return s.d.do(ctx, func(ctx context.Context, q querier) error { return insertKey(ctx, q, k) })
}

func insertKey(ctx context.Context, q querier, k store.Key) error {
	scope, err := json.Marshal(k.Scope)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO keys (`+keyColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		string(k.ID), k.APIID, k.APISHA256[:], k.Sealed, k.Name, k.UserID, k.Team, string(scope),
		nanos(k.Created), nanos(k.Expires), nanos(k.Revoked), nanos(k.LastUsed), string(k.Successor))
	return found(err)
}

func (s keys) Rotate(ctx context.Context, old call.KeyID, change func(*store.Key) error, next store.Key) (k store.Key, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) (err error) {
		if k, err = updateKey(ctx, q, old, change); err != nil {
			return err
		}
		return insertKey(ctx, q, next)
	})
	if err != nil {
		return store.Key{}, err
	}
	return k, nil
}

func (s keys) Update(ctx context.Context, id call.KeyID, change func(*store.Key) error) (k store.Key, err error) {
	err = s.d.do(ctx, func(ctx context.Context, q querier) (err error) {
		k, err = updateKey(ctx, q, id, change)
		return err
	})
	if err != nil {
		return store.Key{}, err
	}
	return k, nil
}

// updateKey changes what may change: everything else of the row is what other
// records rely on.
func updateKey(ctx context.Context, q querier, id call.KeyID, change func(*store.Key) error) (store.Key, error) {
	old, err := scanKey(q.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM keys WHERE id = ?`, string(id)))
	if err != nil {
		return store.Key{}, err
	}
	k := old
	if err := change(&k); err != nil {
		return store.Key{}, err
	}
	k.ID, k.APIID, k.APISHA256, k.Sealed, k.UserID = old.ID, old.APIID, old.APISHA256, old.Sealed, old.UserID
	k.Created, k.LastUsed = old.Created, old.LastUsed
	scope, err := json.Marshal(k.Scope)
	if err != nil {
		return store.Key{}, err
	}
	_, err = q.ExecContext(ctx, `UPDATE keys SET name=?, team=?, scope=?, expires=?, revoked=?, successor=? WHERE id=?`,
		k.Name, k.Team, string(scope), nanos(k.Expires), nanos(k.Revoked), string(k.Successor), string(id))
	return k, err
}

func (s keys) Touch(ctx context.Context, used map[call.KeyID]time.Time) error {
	return s.d.do(ctx, func(ctx context.Context, q querier) error {
		for id, t := range used {
			if _, err := q.ExecContext(ctx, `UPDATE keys SET last_used=? WHERE id=? AND last_used<?`, nanos(t), string(id), nanos(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s keys) All(ctx context.Context) ([]store.Key, error) {
	rows, err := s.d.read.QueryContext(ctx, `SELECT `+keyColumns+` FROM keys ORDER BY created, id`)
	return collect(rows, err, scanKey)
}
