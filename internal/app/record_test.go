package app

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
	"gatehouse/internal/journal"
)

// What stands in the journal's files, by what is to be recorded of the team.
// Bedrock gets the prompt as it was in every mode.
func TestRecordPolicy(t *testing.T) {
	const mail = "ana.smith@example.com"
	for mode, tt := range map[string]struct{ words, secret bool }{
		"full": {true, true}, "redacted": {true, false}, "hash": {false, false}, "off": {false, false},
	} {
		arrived := false
		g := startGate(t, func(g *gate) {
			g.config.Record.Bodies, g.config.Record.Teams = "off", map[string]config.TeamRecord{"red": {Bodies: mode}}
			g.arrive = func(body []byte) { arrived = arrived || bytes.Contains(body, []byte(mail)) }
			g.script = "rules: [{text: 'Write to " + mail + " about the regatta.'}]"
		})
		for _, operation := range []string{"converse", "converse-stream"} {
			if resp, body := g.answer(t, lite, operation, said("Who sails? Is it "+mail+"?")); resp.StatusCode != 200 || !strings.Contains(visible(t, operation, body), "regatta") {
				t.Errorf("%s, %s: %d %s", mode, operation, resp.StatusCode, body)
			}
		}
		g.stop()
		var bodies []byte
		for e, err := range journal.Read(nil, filepath.Join(g.dir, callsDir), 0) {
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, e.Body...)
		}
		if !arrived {
			t.Errorf("%s: Bedrock did not get the address", mode)
		}
		if got := bytes.Contains(bodies, []byte("Who sails")) && bytes.Contains(bodies, []byte("regatta")); got != tt.words {
			t.Errorf("%s: the words are recorded: %v, want %v: %q", mode, got, tt.words, bodies)
		}
		if got := bytes.Contains(bodies, []byte(mail)); got != tt.secret {
			t.Errorf("%s: the address is recorded: %v, want %v", mode, got, tt.secret)
		}
		if report, err := journal.Verify(nil, filepath.Join(g.dir, callsDir)); err != nil || !report.OK() {
			t.Errorf("%s: %v, %+v", mode, err, report)
		}
	}
}

// Erasing a user's texts leaves those of others and a journal that verifies.
func TestEraseUser(t *testing.T) {
	g := startGate(t)
	ctx := context.Background()
	g.answer(t, lite, "converse", said("ana's own words"))
	done, err := g.server.data.EraseUser(ctx, "ana")
	if err != nil || done.Calls != 1 || done.Bodies != 2 {
		t.Errorf("erased %+v, %v; want a call with two bodies", done, err)
	}
	if again, err := g.server.data.EraseUser(ctx, "ana"); err != nil || again.Bodies != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := g.server.data.EraseUser(ctx, "nobody"); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a user that is not there: %v", err)
	}
	var _ admin.Erasures = g.server.data
	g.stop()
	for e, err := range journal.Read(nil, filepath.Join(g.dir, callsDir), 0) {
		if err != nil || bytes.Contains(e.Body, []byte("own words")) {
			t.Errorf("after erasure the journal holds %q, %v", e.Body, err)
		}
	}
	if report, err := journal.Verify(nil, filepath.Join(g.dir, callsDir)); err != nil || !report.OK() {
		t.Errorf("%v, %+v", err, report)
	}
}
