package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/gateway/record"
	"gatehouse/internal/journal"
	"gatehouse/internal/lake"
	"gatehouse/internal/ledger"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/store/sqlite"
)

// The data directory. Everything in it is for its owner alone.
const (
	stateFile      = "state.db"
	callsDir       = admin.CallsDir
	strangersDir   = admin.StrangersDir
	strangersBytes = 64 << 20 // what the journal of strangers may take in all

	callerPerSecond = 5 // refusals of one user written one by one; about 1 GB a day at worst

	tokenIssuer   = "gatehouse"
	tokenAudience = "gatehouse-chat"
)

// Data is an open data directory: accounts, journals, counters. One process
// has it open at a time.
type Data struct {
	dir    string
	config *config.Config // at the start; settings has the one in force
	log    *slog.Logger
	info   func() serverInfo // nil without a server

	lock      io.Closer
	db        *sqlite.DB
	settings  atomic.Pointer[settings]
	limits    *limit.Limiter
	shared    *redis.Counts            // of limits; nil: they are this process's own
	watchers  atomic.Pointer[watchers] // of a running server
	calls     *journal.Journal
	strangers *journal.Journal
	recorder  *record.Recorder
	events    *eventPath  // the event path; nil: telemetry is off, or nobody opened it
	hunts     lake.Engine // of a running server
	accounts  *account.Service
	recovery  journal.Recovery
	cut       int // calls that a crash had left open
	freezes   freezes

	reloadError atomic.Pointer[string] // of the last reload; empty: it went well

	// offline: opened for a command, without the server's configuration. What the
	// limits count is then not the whole, and must not become a snapshot.
	offline bool

	strangersPerSecond int        // written one by one; 0: record's default
	disk               journal.FS // of the main journal; nil: the operating system's
}

// settings are what a reload replaces, beside the gateway's rules.
type settings struct {
	config *config.Config
	models *model.Table
}

// models is the table of models in force.
func (d *Data) models() *model.Table { return d.settings.Load().models }

// ErrInUse means that another process has the data directory open and does not
// answer on its socket.
var ErrInUse = errors.New("the data directory is in use by another process")

// OpenData opens dir without a server, making it when it is new.
func OpenData(ctx context.Context, dir string) (*Data, error) {
	d := &Data{dir: dir, config: config.Default(), log: slog.New(slog.DiscardHandler), offline: true}
	return d, d.open(ctx)
}

func openData(ctx context.Context, dir string, c *config.Config, log *slog.Logger) (*Data, error) {
	d := &Data{dir: dir, config: c, log: log}
	return d, d.open(ctx)
}

func (d *Data) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.openDir, d.openTables, d.openLimits, d.openFreezes, d.openState, d.openJournals, d.openAccounts} {
		if err := step(ctx); err != nil {
			d.Close()
			return err
		}
	}
	return nil
}

func (d *Data) openDir(context.Context) (err error) {
	for _, sub := range []string{"", callsDir, strangersDir} {
		if err := os.MkdirAll(filepath.Join(d.dir, sub), 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	d.lock, err = (journal.OSFS{}).Lock(d.dir)
	switch {
	case errors.Is(err, journal.ErrInUse):
		return fmt.Errorf("%w: %s", ErrInUse, d.dir)
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

func (d *Data) openTables(context.Context) (err error) {
	models, err := modelTable(d.config)
	if err != nil {
		return err
	}
	d.settings.Store(&settings{d.config, models})
	return nil
}

func (d *Data) openFreezes(context.Context) error { return d.freezes.load(d.dir) }

func (d *Data) openState(ctx context.Context) (err error) {
	d.db, err = sqlite.Open(ctx, filepath.Join(d.dir, stateFile))
	return err
}

// openJournals replays the main journal into the limiter and closes what a crash
// left open: such a call may have been made, so its reservation is charged.
func (d *Data) openJournals(ctx context.Context) (err error) {
	r := replay{limits: d.limits}
	d.calls, d.recovery, err = journal.Open(ctx, journal.Options{
		Dir: filepath.Join(d.dir, callsDir), FS: d.disk, Snapshot: d.snapshot(), Log: d.log,
	}, r.entry)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	now := time.Now()
	for _, a := range r.open.Interrupted() {
		res := a.Interrupted(now)
		res.Cost = callOf(&a.Asked, d.models()).Worst()
		if err := d.calls.Write(ledger.KindResult, res.AppendMeta(nil), nil, nil); err != nil {
			return fmt.Errorf("journal: close interrupted call %s: %w", a.ID, err)
		}
		d.limits.ReplayResult(a.ID, res.Settled)
		d.cut++
	}
	if d.strangers, _, err = journal.Open(ctx, journal.Options{
		Dir: filepath.Join(d.dir, strangersDir), SegmentBytes: strangersBytes / 16, MaxBytes: strangersBytes,
		QueueBytes: 4 << 20, BallastBytes: -1, Log: d.log,
	}, nil); err != nil {
		return fmt.Errorf("journal of strangers: %w", err)
	}
	bodies, err := recordPolicy(d.config)
	if err != nil {
		return err
	}
	d.recorder, err = record.New(record.Options{
		Journal: d.calls, Strangers: d.strangers, Account: d.config.AccountID, Region: d.config.Region,
		Bodies: bodies.Bodies, StrangersPerSecond: d.strangersPerSecond, CallerPerSecond: cmp.Or(d.strangersPerSecond, callerPerSecond),
	})
	if err != nil {
		return err
	}
	return d.recorder.SetPolicy(bodies)
}

// snapshot is what begins each segment of the main journal.
func (d *Data) snapshot() func() []byte {
	if d.offline {
		return nil // a start reads on from the snapshot before
	}
	return d.limits.Snapshot
}

// replay rebuilds the limiter's counters from what the journal says.
type replay struct {
	limits *limit.Limiter
	open   ledger.Open
}

func (r *replay) entry(e journal.Entry) error {
	switch e.Kind {
	case journal.KindSnapshot:
		if err := r.limits.Restore(e.Meta); err != nil {
			return err
		}
		r.open = ledger.Open{}
		for id, amounts := range r.limits.Open() {
			r.open.Hold(id, amounts)
		}
		return nil
	case ledger.KindAdmit, ledger.KindResult, ledger.KindRefused:
	default:
		return nil
	}
	m, err := ledger.Decode(e.Kind, e.Meta)
	if err != nil {
		return err
	}
	r.open.Apply(m)
	switch m := m.(type) {
	case *ledger.Admit:
		r.limits.ReplayAdmit(m.ID, m.Amounts)
	case *ledger.Result:
		r.limits.ReplayResult(m.ID, m.Settled)
	case *ledger.Refused:
		r.limits.ReplayResult(m.ID, nil)
	}
	return nil
}

func (d *Data) openAccounts(ctx context.Context) (err error) {
	reg := d.config.Registration
	bodies, err := recordPolicy(d.config)
	if err != nil {
		return err
	}
	d.accounts, err = account.Open(ctx, account.Options{
		Store: d.db, Dir: d.dir, Issuer: tokenIssuer, Audience: tokenAudience, Log: d.log,
		Registration: account.Registration{
			Mode: account.Mode(reg.Mode), Domains: reg.Domains, PerIPPerHour: reg.PerIPPerHour,
			LoopbackOnly: reg.Mode == "open" && !reg.BeyondLoopback,
		},
		PromptAge: time.Duration(d.config.Record.RetainBodies), Keys: bodies.Keys, Event: d.accountEvent,
	})
	return err
}

// accountEvent records what happened to an account. A change that cannot be
// recorded has happened all the same: it is logged, and the journal's failure
// stops calls.
func (d *Data) accountEvent(e account.Event) {
	outcome := record.OutcomeOK
	if e.Stranger {
		outcome = "refused"
	}
	err := d.recorder.Event(ledger.Account{
		Event: e.Kind, Subject: e.User + string(e.Key), IP: e.IP, Outcome: outcome, Detail: e.Detail,
	})
	if err != nil {
		d.log.Error("account event not recorded", "event", e.Kind, "err", err)
	}
}

// Close writes what is in memory and gives the directory free. It closes what
// was opened, also of a Data that did not open in full.
func (d *Data) Close() error {
	var errs []error
	if d.accounts != nil {
		errs = append(errs, d.accounts.Close())
	}
	if d.recorder != nil {
		errs = append(errs, d.recorder.Close())
	}
	for _, j := range []*journal.Journal{d.calls, d.strangers} {
		if j != nil {
			errs = append(errs, j.Close())
		}
	}
	errs = append(errs, d.closeLimits())
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}
