package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/admin"
)

// TestFreeze: a freeze refuses its team's calls, or all, is recorded, and
// outlives a restart.
func TestFreeze(t *testing.T) {
	g := startGate(t)
	ctx := context.Background()
	answers := func(when string, want int) {
		t.Helper()
		if resp, body := g.converse(t, g.apiKey("main"), "converse", "hello "+when); resp.StatusCode != want || want == 403 && strings.Contains(string(body), "leak") {
			t.Errorf("%s: %d %s, want %d", when, resp.StatusCode, body, want)
		}
	}
	freeze := func(team, reason string) {
		t.Helper()
		if f, err := g.server.data.Freeze(ctx, admin.Freeze{Team: team, Reason: reason}); err != nil || f.Since.IsZero() {
			t.Errorf("freeze of %q: %+v, %v", team, f, err)
		}
	}
	thaw := func(team string, left int) {
		t.Helper()
		if rows, err := g.server.data.Unfreeze(ctx, team); err != nil || len(rows) != left {
			t.Errorf("end of the freeze of %q: %+v, %v, want %d left", team, rows, err, left)
		}
	}
	answers("at first", 200)
	freeze("blue", "")
	answers("while another team is frozen", 200)
	freeze("red", "a key has leaked")
	answers("while frozen", 403)
	g.stop()
	g.start(t)
	answers("after a restart", 403)
	if rows, err := g.server.data.ListFreezes(ctx); err != nil || len(rows) != 2 || rows[1].Reason != "a key has leaked" {
		t.Errorf("after a restart: %+v, %v", rows, err)
	}
	freeze("", "everything")
	thaw("red", 2)
	answers("while everything is frozen", 403)
	thaw("", 1)
	answers("in the end", 200)
	if _, err := g.server.data.Freeze(ctx, admin.Freeze{Team: strings.Repeat("x", 257)}); !errors.Is(err, admin.ErrInvalid) {
		t.Errorf("a long name: %v", err)
	}
	if _, err := g.server.data.Unfreeze(ctx, "red"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("end of no freeze: %v", err)
	}
	var export strings.Builder
	if err := g.server.data.ExportJournal(ctx, admin.Export{As: admin.ExportInvocations}, &export); err != nil || strings.Count(export.String(), "AccessDenied") != 3 {
		t.Errorf("the record of refusals: %v %s", err, &export)
	}
}

// TestDamagedFreeze: nobody spends because a file cannot be read.
func TestDamagedFreeze(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenData(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, freezeFile), []byte(`[{"team":"red"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := OpenData(context.Background(), dir); err == nil || !strings.Contains(err.Error(), freezeFile) {
		t.Errorf("opened: %v, %v", d, err)
	}
}

// TestFreezeWithoutADisk: what stops spending holds when it cannot be kept, and
// what lets it begin again does not.
func TestFreezeWithoutADisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	var f freezes
	if err := f.load(dir); err != nil {
		t.Fatal(err)
	}
	if rows, err := f.change(func(teams map[string]admin.Freeze) { teams["red"] = admin.Freeze{Team: "red"} }); err == nil || len(rows) != 1 {
		t.Errorf("freeze: %+v, %v, want it in force, and an error", rows, err)
	}
	if rows, err := f.change(func(teams map[string]admin.Freeze) { delete(teams, "red") }); err == nil || len(rows) != 1 {
		t.Errorf("end: %+v, %v, want it in force, and an error", rows, err)
	}
}
