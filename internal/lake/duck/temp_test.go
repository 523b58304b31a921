//go:build cgo

package duck_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
)

// A statement must not read what others have in the folder for temporary files,
// which DuckDB holds to be its own, and leaves nothing there.
func TestTempIsPrivate(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.csv")
	if err := os.WriteFile(secret, []byte("a\nhidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := duck.Open(duck.Options{Temp: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got, err := ask(t.Context(), e, lake.Request{SQL: "SELECT * FROM read_text('" + secret + "')"})
	if refused := (*lake.SQLError)(nil); !errors.As(err, &refused) {
		t.Errorf("got %q, %v; want a SQLError", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
