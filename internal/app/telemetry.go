package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/lake"
	"gatehouse/internal/ledger"
	"gatehouse/internal/secretfile"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/telemetry/arrive"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// The folders of telemetry in a data directory.
const (
	lakeDir   = "lake"
	intakeDir = "intake"
	deadDir   = "dead-letters"
)

const (
	freeEvery   = 30 * time.Second // how often the intake gives back what the lake has
	passedSince = 24 * time.Hour   // of the gateway's own calls: AWS's records of them come late
)

// eventPath is the event path of a data directory, open for writing.
type eventPath struct {
	c      *config.Config
	lake   *lake.Lake
	intake *arrive.Intake
	dead   *telemetry.DeadLetters
	path   *telemetry.Path

	options telemetry.Options

	stop   func()
	ended  sync.WaitGroup
	failed error
}

// openEvents opens the lake, the intake and the dead letters of d.
func openEvents(ctx context.Context, d *Data) (_ *eventPath, err error) {
	ev := &eventPath{c: d.config, stop: func() {}}
	defer func() {
		if err != nil {
			ev.close()
		}
	}()
	if err := os.MkdirAll(filepath.Join(d.dir, intakeDir), 0o700); err != nil {
		return nil, err
	}
	if ev.lake, err = lake.Open(ctx, lake.Options{Dir: filepath.Join(d.dir, lakeDir), Log: d.log}); err != nil {
		return nil, err
	}
	if ev.intake, err = arrive.OpenIntake(ctx, arrive.IntakeOptions{
		Dir: filepath.Join(d.dir, intakeDir), MaxBytes: int64(d.config.Telemetry.IntakeGiB) << 30, Log: d.log,
		Gap: func(g arrive.Gap) { d.log.Error("pushed telemetry was given up", "bytes", g.Bytes, "reason", g.Reason) },
	}); err != nil {
		return nil, err
	}
	if ev.dead, err = telemetry.OpenDead(filepath.Join(d.dir, deadDir)); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	bodies, err := bodySource(ctx, d.config)
	if err != nil {
		return nil, err
	}
	places, err := newPlaces(d.config)
	if err != nil {
		return nil, err
	}
	ev.options = telemetry.Options{
		Into: ev.lake, Dead: ev.dead, Bodies: bodies, Log: d.log, Passed: passed(d.dir),
		Normalise: normalise.Options{Places: places},
	}
	guarded := ev.options
	guarded.Guarded = true
	ev.path = telemetry.New(guarded)
	return ev, nil
}

// passed knows the gateway's calls of the last day.
func passed(dir string) *telemetry.Passed {
	p := telemetry.NewPassed()
	for r, err := range ledger.Calls(nil, filepath.Join(dir, callsDir), time.Now().Add(-passedSince), time.Time{}) {
		if err == nil && r.Refusal == nil {
			p.Add(r.Result.RequestID)
		}
	}
	return p
}

// bodySource is where bodies are that records only refer to.
func bodySource(ctx context.Context, c *config.Config) (parse.BodySource, error) {
	switch c.Telemetry.Bodies {
	case "":
		return nil, nil
	}
	return parse.Folder(c.Telemetry.Bodies), nil
}

// openEvents opens the event path of a server, unless it is off.
func (s *server) openEvents(ctx context.Context) (err error) {
	if s.c.Telemetry.Mode != "on" {
		return nil
	}
	if s.data.events, err = openEvents(ctx, s.data); err != nil {
		return err
	}
	s.data.hunts, err = openHunts(s.c)
	return err
}

// closeEvents seals what was taken. What could not be sealed is read again at
// the next start.
func (s *server) closeEvents() {
	if s.data.hunts != nil {
		s.data.hunts.Close()
	}
	if s.data.events == nil {
		return
	}
	if err := s.data.events.close(); err != nil {
		s.log.Error("telemetry did not end well", "err", err)
	}
}

// startEvents runs the event path in the background: the gateway's own calls,
// what is pushed, and the sources of the configuration.
func (s *server) startEvents() error {
	ev := s.data.events
	if ev == nil {
		return nil
	}
	calls, err := s.data.callsOptions()
	if err != nil {
		return err
	}
	more, err := newSources(context.Background(), ev.c)
	if err != nil {
		return err
	}
	sources := append([]arrive.Source{ev.intake, arrive.NewCalls(calls), s.data.strangersSource()}, more...)
	ctx, stop := context.WithCancel(context.Background())
	ev.stop = stop
	ev.ended.Go(func() { ev.failed = ev.path.Run(ctx, false, sources...) })
	keep := lake.Retention{Age: time.Duration(ev.c.Telemetry.Retain), Bytes: int64(ev.c.Telemetry.MaxGiB) << 30}
	ev.ended.Go(func() { ev.lake.Maintain(ctx, keep) })
	ev.ended.Go(func() { ev.free(ctx, s) })
	return nil
}

// read runs a source once, beside those that run, and tells what came of it.
func (ev *eventPath) read(ctx context.Context, bodies string, source arrive.Source) (telemetry.Stats, error) {
	o := ev.options
	if bodies != "" {
		o.Bodies = parse.Folder(bodies)
	}
	path := telemetry.New(o)
	err := path.Run(ctx, true, source)
	for _, s := range path.Stats() {
		return s, err
	}
	return telemetry.Stats{}, err
}

// free gives back the space of what the lake has taken over, until ctx ends.
func (ev *eventPath) free(ctx context.Context, s *server) {
	tick := time.NewTicker(freeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := ev.intake.Retain(ctx, ev.lake.Cursors()[ev.intake.Name()]); err != nil && ctx.Err() == nil {
				s.log.Error("the intake cannot give space back", "err", err)
			}
		}
	}
}

// close ends the path, seals what it took, and closes everything.
func (ev *eventPath) close() error {
	ev.stop()
	ev.ended.Wait()
	errs := []error{ev.failed}
	if ev.intake != nil {
		errs = append(errs, ev.intake.Close())
	}
	if ev.lake != nil {
		errs = append(errs, ev.lake.Close())
	}
	if ev.dead != nil {
		errs = append(errs, ev.dead.Close())
	}
	return errors.Join(errs...)
}

// push is the handler of /ingest/, with the secret of the configuration.
func (ev *eventPath) push() (http.Handler, error) {
	o := arrive.PushOptions{}
	if name := ev.c.Telemetry.SecretFile; name != "" {
		secret, err := secretfile.Line(name)
		if err != nil {
			return nil, fmt.Errorf("telemetry.secret_file: %w", err)
		}
		if o.Secret = secret; len(secret) < minSecret {
			return nil, fmt.Errorf("telemetry.secret_file: %s holds fewer than %d characters", name, minSecret)
		}
	}
	return arrive.NewPush(ev.intake, o), nil
}

const minSecret = 16

// listenIngest opens the listener for pushes, when configured.
func (s *server) listenIngest() error {
	if s.c.IngestListen == "" || s.data.events == nil {
		return nil
	}
	push, err := s.data.events.push()
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.c.IngestListen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.c.IngestListen, err)
	}
	s.ingest = s.url(ln.Addr())
	if s.tls != nil {
		ln = tls.NewListener(ln, s.tls)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /ingest/{strand}", push)
	hs := adminServer(mux, s.log)
	hs.ReadTimeout = 2 * time.Minute
	s.serve(hs, ln)
	return nil
}

// withIngest lets programs that may open the socket push too.
func (s *server) withIngest(h http.Handler) http.Handler {
	if s.data.events == nil {
		return h
	}
	push := arrive.NewPush(s.data.events.intake, arrive.PushOptions{})
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("POST /ingest/{strand}", push)
	return mux
}

// refusals is the source of those who proved nothing, whose refusals have a
// journal of their own.
type refusals struct{ *arrive.Calls }

// Name implements [arrive.Source].
func (refusals) Name() string { return "strangers" }

func newRefusals(o arrive.CallsOptions) arrive.Source { return refusals{arrive.NewCalls(o)} }

func (d *Data) strangersSource() arrive.Source {
	return newRefusals(arrive.CallsOptions{
		Dir: filepath.Join(d.dir, strangersDir), Follow: true,
		Durable: func() uint64 { return d.strangers.Stats().Seq },
	})
}

// callsOptions say how the gateway's journal is read while it is written.
func (d *Data) callsOptions() (arrive.CallsOptions, error) {
	bodies, err := recordPolicy(d.config)
	if err != nil {
		return arrive.CallsOptions{}, err
	}
	return arrive.CallsOptions{
		Dir: filepath.Join(d.dir, callsDir), FS: d.disk, Follow: true, Keys: bodies.Keys,
		Durable: func() uint64 { return d.calls.Stats().Seq },
	}, nil
}
