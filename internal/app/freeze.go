package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"gatehouse/internal/admin"
	"gatehouse/internal/gateway"
	"gatehouse/internal/gateway/record"
	"gatehouse/internal/ledger"
	"gatehouse/internal/secretfile"
)

// freezeFile holds what is frozen, so that a restart does not let anyone
// spend again.
const freezeFile = "freeze.json"

// freezes is what is frozen, by team; "" is everything. A file that cannot be
// read is an error: it may have frozen something.
type freezes struct {
	mu    sync.Mutex
	path  string
	teams map[string]admin.Freeze
	force func(gateway.Frozen) // nil: no gateway
}

// load reads what is frozen from the data directory.
func (f *freezes) load(dir string) error {
	f.path, f.teams = filepath.Join(dir, freezeFile), map[string]admin.Freeze{}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var rows []admin.Freeze
	if err == nil {
		err = json.Unmarshal(text, &rows, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return fmt.Errorf("what is frozen: %s: %w", f.path, err)
	}
	for _, r := range rows {
		f.teams[r.Team] = r
	}
	return nil
}

// inForce has force told what is frozen, now and whenever that changes.
func (f *freezes) inForce(force func(gateway.Frozen)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.force = force
	force(frozen(f.teams))
}

func frozen(teams map[string]admin.Freeze) gateway.Frozen {
	all := gateway.Frozen{Teams: map[string]bool{}}
	for team := range teams {
		if team == "" {
			all.All = true
		} else {
			all.Teams[team] = true
		}
	}
	return all
}

func (f *freezes) list() []admin.Freeze {
	f.mu.Lock()
	defer f.mu.Unlock()
	return byTeam(f.teams)
}

func byTeam(teams map[string]admin.Freeze) []admin.Freeze {
	return slices.SortedFunc(maps.Values(teams), func(a, b admin.Freeze) int { return strings.Compare(a.Team, b.Team) })
}

// change puts edited teams on disk and in force. What stops spending is in
// force even when the disk fails, and what lets it begin again only when it does not.
func (f *freezes) change(edit func(teams map[string]admin.Freeze)) ([]admin.Freeze, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	teams := maps.Clone(f.teams)
	edit(teams)
	err := f.save(byTeam(teams))
	if err == nil || len(teams) >= len(f.teams) {
		f.teams = teams
		if f.force != nil {
			f.force(frozen(teams))
		}
	}
	return byTeam(f.teams), err
}

// save replaces the file whole or not at all.
func (f *freezes) save(rows []admin.Freeze) error {
	data, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return secretfile.Write(f.path, append(data, '\n'))
}

// ListFreezes implements [admin.Freezes], as the next two do.
func (d *Data) ListFreezes(context.Context) ([]admin.Freeze, error) { return d.freezes.list(), nil }

func (d *Data) Freeze(_ context.Context, f admin.Freeze) (admin.Freeze, error) {
	if err := f.Check(); err != nil {
		return f, err
	}
	f.Since = time.Now().UTC()
	_, err := d.freezes.change(func(teams map[string]admin.Freeze) {
		if was, ok := teams[f.Team]; ok {
			f.Since = was.Since
		}
		teams[f.Team] = f
	})
	return f, errors.Join(err, d.frozen("freeze.on", f.Team, f.Reason))
}

func (d *Data) Unfreeze(_ context.Context, team string) ([]admin.Freeze, error) {
	if !slices.ContainsFunc(d.freezes.list(), func(f admin.Freeze) bool { return f.Team == team }) {
		if team == "" {
			return nil, admin.ErrNotFound.Say("there is no freeze of everything: see `gatehouse freeze`")
		}
		return nil, admin.ErrNotFound.Say("team %q is not frozen: see `gatehouse freeze`", team)
	}
	rows, err := d.freezes.change(func(teams map[string]admin.Freeze) { delete(teams, team) })
	return rows, errors.Join(err, d.frozen("freeze.off", team, ""))
}

// frozen records that a freeze began or ended.
func (d *Data) frozen(event, team, reason string) error {
	return d.recorder.Event(ledger.Account{
		Event: event, Subject: cmp.Or(team, "everyone"), Actor: "admin", Outcome: record.OutcomeOK, Detail: reason,
	})
}
