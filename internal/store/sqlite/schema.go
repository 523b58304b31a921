package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/internal/store"
)

// applicationID marks the file as Gatehouse's: "gths".
const applicationID = 0x67746873

// migrations take the schema from version i to i+1. A released one is never
// edited: the next change is a new entry.
var migrations = []string{
	`
CREATE TABLE users (
	id             TEXT PRIMARY KEY,
	name           TEXT NOT NULL UNIQUE,
	team           TEXT NOT NULL,
	password       TEXT NOT NULL,
	epoch          INTEGER NOT NULL,
	disabled       INTEGER NOT NULL,
	created        INTEGER NOT NULL,
	invite_sha256  BLOB,
	invite_expires INTEGER NOT NULL
) STRICT;
CREATE TABLE keys (
	id         TEXT PRIMARY KEY,
	api_id     TEXT NOT NULL UNIQUE,
	api_sha256 BLOB NOT NULL,
	sealed     BLOB NOT NULL,
	name       TEXT NOT NULL,
	user_id    TEXT NOT NULL REFERENCES users(id),
	team       TEXT NOT NULL,
	scope      TEXT NOT NULL,
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	revoked    INTEGER NOT NULL,
	last_used  INTEGER NOT NULL,
	successor  TEXT NOT NULL
) STRICT;
CREATE INDEX keys_user ON keys(user_id);
CREATE TABLE prompts (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id TEXT NOT NULL,
	call_id TEXT NOT NULL,
	time    INTEGER NOT NULL,
	text    TEXT NOT NULL
) STRICT;
CREATE INDEX prompts_user ON prompts(user_id, id);
CREATE INDEX prompts_time ON prompts(time);
CREATE TABLE lockouts (
	subject  TEXT PRIMARY KEY,
	failures INTEGER NOT NULL,
	until    INTEGER NOT NULL
) STRICT;
CREATE INDEX lockouts_until ON lockouts(until);
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	n    INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES ('adds', 0);
`,
}

// migrate brings the schema up to date, one transaction a step, so that a
// crash leaves the version and the tables of a step that ended.
func migrate(ctx context.Context, q querier, steps []string) error {
	var version, app int
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	var tables int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if app != applicationID && (app != 0 || version != 0 || tables != 0) {
		return errors.New("not a Gatehouse database")
	}
	if version > len(steps) {
		return fmt.Errorf("%w: schema %d, this version knows %d", store.ErrNewer, version, len(steps))
	}
	for ; version < len(steps); version++ {
		// Pragmas take no bound parameters; both values are our own integers.
		step := fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", steps[version], applicationID, version+1)
		err := inTransaction(ctx, q, func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, step)
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate schema %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}
