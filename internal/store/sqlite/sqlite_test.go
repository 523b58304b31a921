package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/store"
	"gatehouse/internal/store/storetest"
)

var ctx = context.Background()

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) func() store.Store {
		path := filepath.Join(t.TempDir(), "state.db")
		return func() store.Store { return open(t, path) }
	})
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSettings(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "odd name ?#%.db"))
	defer d.Close()
	read, err := d.read.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	for _, c := range []struct {
		conn        *sql.Conn
		query, want string
	}{
		{d.write, "PRAGMA journal_mode", "wal"}, {d.write, "PRAGMA synchronous", "2"}, {d.write, "PRAGMA mmap_size", "0"}, {d.write, "PRAGMA secure_delete", "1"},
		{d.write, "PRAGMA busy_timeout", "5000"}, {d.write, "PRAGMA foreign_keys", "1"}, {d.write, "PRAGMA query_only", "0"},
		{read, "PRAGMA query_only", "1"}, {read, "PRAGMA mmap_size", "0"}, {read, "PRAGMA busy_timeout", "5000"},
	} {
		var got string
		if err := c.conn.QueryRowContext(ctx, c.query).Scan(&got); err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		if got == "" { // no row: the build has no memory mapping at all
			got = "0"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.query, got, c.want)
		}
	}
	if _, err := read.ExecContext(ctx, "DELETE FROM users"); err == nil {
		t.Error("a reader could write")
	}
}

func TestMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	d := open(t, path)
	if err := d.Users().Add(ctx, store.User{ID: "1", Name: "a"}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("got %v, %v, want the file, its log and its index", entries, err)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), info.Mode())
		}
	}
	d.Close()
	os.Chmod(path, 0o640)
	if _, err := Open(ctx, path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: got %v", err)
	}
}

func TestAtLeast(t *testing.T) {
	for v, want := range map[string]bool{
		"3.51.3": true, "3.51.10": true, "3.54.1": true, "4.0.0": true, "3.51.2": false, "3.7.0": false, "3.50.99": false, "3.51": false, "": false, "x.y.z": false,
	} {
		if got := atLeast(v, 3, 51, 3); got != want {
			t.Errorf("%q: got %v, want %v", v, got, want)
		}
	}
}

// D09: what a newer version wrote, or another program, is left alone.
func TestRefusesOthersFiles(t *testing.T) {
	for name, setup := range map[string]string{
		"newer schema":    fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations)+1),
		"another program": "CREATE TABLE t (x)",
		"another id":      "PRAGMA application_id = 77",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			execFile(t, path, setup)
			before, _ := os.ReadFile(path)
			d, err := Open(ctx, path)
			if err == nil {
				d.Close()
				t.Fatal("opened it")
			}
			if name == "newer schema" && !errors.Is(err, store.ErrNewer) {
				t.Errorf("got %v, want %v", err, store.ErrNewer)
			}
			if after, _ := os.ReadFile(path); tables(after) != tables(before) {
				t.Error("the file's schema changed")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "garbage.db")
	os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600)
	if _, err := Open(ctx, path); err == nil {
		t.Error("opened garbage")
	}
}

func tables(file []byte) int { return strings.Count(string(file), "CREATE TABLE") }

func execFile(t *testing.T, path, script string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o600)
}

// D09: a migration that fails half-way leaves the version before it whole, and
// a later start, with the step mended, goes on from there.
func TestMigrateIsTransactional(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	d := open(t, path)
	defer d.Close()
	if err := d.Users().Add(ctx, store.User{ID: "1", Name: "a"}); err != nil {
		t.Fatal(err)
	}
	half := append(migrations[:len(migrations):len(migrations)],
		"CREATE TABLE more (x) STRICT; DROP TABLE users; this is not SQL")
	if err := migrate(ctx, d.write, half); err == nil {
		t.Fatal("no error")
	}
	var version, more int
	d.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	d.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'").Scan(&more)
	if version != len(migrations) || more != 0 {
		t.Errorf("got version %d and %d new tables, want %d and 0", version, more, len(migrations))
	}
	if _, err := d.Users().ByName(ctx, "a"); err != nil {
		t.Errorf("the old table: %v", err)
	}
	whole := append(migrations[:len(migrations):len(migrations)], "CREATE TABLE more (x INTEGER) STRICT")
	if err := migrate(ctx, d.write, whole); err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, d.write, migrations); !errors.Is(err, store.ErrNewer) {
		t.Errorf("the binary before it: got %v, want %v", err, store.ErrNewer)
	}
}

// C02: adding a name that is taken commits as much as adding a new one.
func TestAddTakenCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	d := open(t, path)
	defer d.Close()
	logSize := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for i, want := range []error{nil, store.ErrExists, store.ErrExists} {
		before := logSize()
		if err := d.Users().Add(ctx, store.User{ID: fmt.Sprint(i), Name: "a"}); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if logSize() <= before {
			t.Errorf("add %d (%v) wrote nothing, so it needed no fsync", i, want)
		}
	}
}

// A full disk refuses the change, and only that: when there is room again the
// next one succeeds.
func TestDiskFull(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state.db"))
	defer d.Close()
	limit := func(pragma string) {
		if err := d.do(ctx, func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, pragma)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	big := store.User{ID: "big", Name: "big", Team: strings.Repeat("x", 1<<20)}
	limit("PRAGMA max_page_count = 1") // SQLite raises it to what the file has
	err := d.Users().Add(ctx, big)
	if err == nil || errors.Is(err, store.ErrFailed) || d.Err() != nil {
		t.Fatalf("got %v and state %v, want a refusal that is not for good", err, d.Err())
	}
	limit("PRAGMA max_page_count = 1000000")
	if err := d.Users().Add(ctx, big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// A change that fails takes no other of its batch with it.
func TestBatch(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state.db"))
	defer d.Close()
	no := errors.New("no")
	add := func(name string, err error) *change {
		return &change{err: make(chan error, 1), run: func(ctx context.Context, q querier) error {
			if _, err := q.ExecContext(ctx, `INSERT INTO lockouts VALUES (?, 1, 1)`, name); err != nil {
				return err
			}
			return err
		}}
	}
	batch := []*change{add("a", nil), add("b", no), add("a", nil), add("c", nil)}
	// The writer is idle, so its connection is free.
	d.commit(batch)
	var got []string
	for _, c := range batch {
		got = append(got, fmt.Sprint((<-c.err) == nil))
	}
	if s := strings.Join(got, " "); s != "true false false true" {
		t.Errorf("got %s, want a and c in, b and the second a not", s)
	}
	var n int
	d.read.QueryRowContext(ctx, `SELECT count(*) FROM lockouts`).Scan(&n)
	if n != 2 {
		t.Errorf("got %d rows, want 2", n)
	}
}

func TestUntrusted(t *testing.T) {
	for code, want := range map[int]bool{10: true, 10 | 4<<8: true, 11: true, 26: true, 13: false, 5: false, 19: false, 2067: false, 787: false} {
		if untrusted(code) != want {
			t.Errorf("code %d: got %v, want %v", code, !want, want)
		}
	}
}

// BenchmarkAdd shows group commit: 64 writers share each fsync.
func BenchmarkAdd(b *testing.B) {
	d, err := Open(ctx, filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			id := fmt.Sprint(n)
			mu.Unlock()
			if err := d.Users().Add(ctx, store.User{ID: id, Name: id}); err != nil {
				b.Error(err)
			}
		}
	})
}

// TestErasedText: what a user asked is in no file of the store once it is erased.
func TestErasedText(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	holds := func() (found bool) {
		for _, name := range []string{"state.db", "state.db-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(b), "very private")
		}
		return found
	}
	for range 200 {
		if err := d.Prompts().Add(t.Context(), store.Prompt{UserID: "a", Text: strings.Repeat("very private ", 50)}, 100); err != nil {
			t.Fatal(err)
		}
	}
	if !holds() {
		t.Fatal("the text is nowhere to begin with")
	}
	if n, err := d.Prompts().Erase(t.Context(), "a"); n != 100 || err != nil {
		t.Fatalf("erased %d, %v", n, err)
	}
	if holds() {
		t.Error("the text is still there")
	}
}
