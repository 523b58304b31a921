// Package app builds the parts of Gatehouse out of a configuration and joins
// them: [Serve] starts everything, runs until its context ends, drains and
// stops; [OpenData] opens a data directory for commands without a server. It
// holds no logic of its own beyond the order in which things open and close.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/call"
	"gatehouse/internal/chat"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway"
	"gatehouse/internal/gateway/auth"
	"gatehouse/internal/gateway/record"
	"gatehouse/internal/gateway/upstream"
	"gatehouse/internal/journal"
)

// Options are what Serve needs beside the configuration.
type Options struct {
	DataDir string
	Stderr  io.Writer
	Version string

	// Load reads the configuration again; nil: it never changes. File is its file,
	// empty if there is none, and Reload is told when somebody asks for it.
	Load   func() (*config.Config, error)
	File   string
	Reload <-chan os.Signal
}

// drainTime is how long a stop waits for calls under way.
const drainTime = 30 * time.Second

// serverInfo is what the admin API tells about the server.
type serverInfo struct {
	version, endpoint, caFile string
	started                   time.Time
}

// server is a running Gatehouse.
type server struct {
	o        Options
	c        *config.Config
	log      *slog.Logger
	data     *Data
	upstream *upstream.Upstream
	gateway  *gateway.Gateway
	watchers *watchers
	issuers  issuers
	tls      *tls.Config
	info     serverInfo
	ingest   string // URL of the listener for pushes, empty when there is none
	admin    string // URL of the admin API, empty when only the socket serves it
	started  time.Time

	upstreamName string

	servers []*http.Server
	failed  chan error
}

// ballastBytes are allocated and never touched, so they take no memory; they only
// make the garbage collector wait for as much garbage, instead of running a hundred
// times a second over a heap of a few megabytes.
const ballastBytes = 48 << 20

// Serve runs Gatehouse until ctx ends and then drains: no call is cut before
// drainTime has passed. It writes `ready` with its addresses to o.Stderr once it
// accepts calls. An error means that it could not start, or that it had to stop
// because the journal's disk failed.
func Serve(ctx context.Context, c *config.Config, o Options) error {
	s := &server{o: o, c: c, log: slog.New(slog.NewTextHandler(o.Stderr, nil)), started: time.Now(), failed: make(chan error, 4)}
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2) // one may be waiting for the disk
	}
	var err error
	if s.data, err = openData(ctx, o.DataDir, c, s.log); err != nil {
		return err
	}
	defer s.data.Close()
	if err := s.openEvents(ctx); err != nil {
		return err
	}
	defer s.closeEvents()
	background, stop := context.WithCancel(context.Background())
	defer stop()
	if err := s.build(background); err != nil {
		return err
	}
	defer s.upstream.Close()
	if err := s.listen(); err != nil {
		s.close()
		return err
	}
	if err := s.announce(ctx); err != nil {
		s.close()
		return err
	}
	go s.verifyJournal()
	go s.data.recorder.Retain(background)
	go s.watch(background)
	if err := s.startEvents(); err != nil {
		s.close()
		return err
	}
	select {
	case <-ctx.Done():
		return s.drain()
	case <-s.data.calls.Failed():
		s.close()
		return fmt.Errorf("the journal failed and nothing may go unrecorded: %w", s.data.calls.Err())
	case err := <-s.failed:
		s.close()
		return err
	}
}

// build makes the stages and joins them.
func (s *server) build(ctx context.Context) error {
	to, err := openUpstream(ctx, s.c, s.data.models())
	if err != nil {
		return err
	}
	s.upstreamName = to.name
	s.upstream = upstream.New(upstream.Options{
		Region: s.c.Upstream.Regions[0], Runtime: to.runtime, Control: to.control, Credentials: to.credentials,
		FirstContent: time.Duration(s.c.Upstream.FirstContentTimeout), Total: time.Duration(s.c.Upstream.TotalTimeout),
		UserAgent: "gatehouse/" + s.o.Version, Log: s.log,
	})
	authenticator, err := auth.New(auth.Options{
		Keys: s.data.accounts, Tokens: s.data.accounts, Outside: &s.issuers, Regions: []string{s.c.Region},
		Issuer: tokenIssuer, Audience: tokenAudience,
	})
	if err != nil {
		return err
	}
	verifier, err := newVerifier(s.c, nil, s.log)
	if err != nil {
		return err
	}
	s.issuers.replace(ctx, verifier)
	rules, err := newRules(s.c, s.data.models(), guardrail(s.upstream, s.c.Guard.ApplyBedrockGuardrail))
	if err != nil {
		return err
	}
	if s.watchers, err = newWatchers(ctx, s); err != nil {
		return err
	}
	s.data.watchers.Store(s.watchers)
	s.gateway = gateway.New(gateway.Options{
		Auth: authenticator, Rules: rules, Account: s.c.AccountID, Observer: s.watchers.metrics,
		Limits: s.data.limits, Record: s.data.recorder, Upstream: s.upstream,
		Trusted: config.Prefixes(s.c.Network.TrustedProxies), BasePath: s.c.Chat.BasePath, Log: s.log,
	})
	s.data.freezes.inForce(s.gateway.Freeze)
	api := chat.New(chat.Options{
		Accounts: s.data.accounts, Tokens: authenticator, Gateway: s.gateway, Model: s.c.Chat.Model,
		Observe: s.observe, ClientIP: gateway.ClientIP, Refused: s.gateway.Refused, Log: s.log,
	})
	s.gateway.SetChat(gateway.ChatRoutes{Register: api.Register, Login: api.Login, Chat: api.Chat, Prompts: api.Prompts})
	return nil
}

// observe is how the chat API learns of admitted prompts, to keep them for their
// authors. Where bodies are not recorded as they are, nobody keeps them.
func (s *server) observe(ctx context.Context, fn func(*call.Call)) context.Context {
	return gateway.Observe(ctx, func(c *call.Call) {
		if s.data.recorder.Bodies(c.Principal.Team) == record.Full {
			fn(c)
		}
	})
}

// listen opens every listener before any is served, so that a port in use is an
// error of the start.
func (s *server) listen() (err error) {
	if s.tls, s.info.caFile, err = serverTLS(s.c.TLS, s.o.DataDir, s.c.Listen, s.c.AdminListen); err != nil {
		return err
	}
	data, err := net.Listen("tcp", s.c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.c.Listen, err)
	}
	s.info.endpoint = s.url(data.Addr())
	s.info.started, s.info.version = s.started, s.o.Version
	s.data.info = func() serverInfo { return s.info }
	s.serve(gateway.NewServer(s.gateway, s.log), gateway.NewListener(data, s.tls, s.gateway))
	if err := s.listenIngest(); err != nil {
		return err
	}
	return s.listenAdmin()
}

func (s *server) url(addr net.Addr) string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + addr.String()
}

// listenAdmin opens the admin API: the socket always, TCP when configured.
func (s *server) listenAdmin() error {
	token, err := admin.LoadToken(s.o.DataDir)
	if err != nil {
		return err
	}
	o := admin.Options{API: s.data, Ready: s.ready, TokenSHA256: token, Log: s.log}
	socket, err := admin.ListenSocket(s.o.DataDir)
	if err != nil {
		return err
	}
	s.serve(adminServer(s.withIngest(admin.SocketHandler(o)), s.log), socket)
	if s.c.AdminListen == "" {
		return nil
	}
	ln, err := net.Listen("tcp", s.c.AdminListen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.c.AdminListen, err)
	}
	s.admin = s.url(ln.Addr())
	if s.tls != nil {
		ln = tls.NewListener(ln, s.tls)
	}
	s.serve(adminServer(admin.Handler(o), s.log), ln)
	return nil
}

func adminServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// ready is nil while calls are accepted and recorded.
func (s *server) ready() error { return s.data.recorder.Err() }

func (s *server) serve(hs *http.Server, ln net.Listener) {
	s.servers = append(s.servers, hs)
	go func() {
		if err := hs.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", ln.Addr(), err)
		}
	}()
}

// verifyAtStart is how long a journal may be for its chain to be checked at
// every start, beside the calls. Longer ones are for gatehouse journal verify.
const verifyAtStart = 1 << 30

// verifyJournal tells the operator when the journal is not as it was written.
// What was damaged long ago is no reason to refuse calls today.
func (s *server) verifyJournal() {
	if s.data.calls.Stats().Bytes > verifyAtStart {
		return
	}
	report, err := journal.Verify(nil, filepath.Join(s.o.DataDir, callsDir))
	if err != nil || !report.OK() {
		s.log.Error("the journal is damaged: see gatehouse journal verify", "problems", len(report.Damage), "err", err)
	}
}

// drain stops accepting, lets calls under way end, and closes what is left.
func (s *server) drain() error {
	fmt.Fprintf(s.o.Stderr, "draining: %d requests under way; interrupt again to stop at once\n", s.gateway.Live())
	s.gateway.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, hs := range s.servers {
		if err := hs.Shutdown(ctx); err != nil {
			hs.Close()
		}
	}
	s.settle()
	return nil
}

func (s *server) close() {
	for _, hs := range s.servers {
		hs.Close()
	}
	s.settle()
}

// settle waits for handlers whose connections are gone to write their results.
func (s *server) settle() {
	for end := time.Now().Add(5 * time.Second); s.gateway.Live() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}
