// Package redis keeps the counts of limits in Redis or Valkey, so that several
// gateways share them: [Counts] is a store.Counts.
//
// One admission is one script, run by the server at one moment of its own
// clock, over all the buckets of a call; so nothing depends on the clocks of
// gateways, and a thousand calls at once take no more than there is. Every key
// begins with the prefix in braces, its hash tag, so that all of them live in
// one slot of a cluster:
//
//	{gatehouse}:sums:60s:requests:USER   hash: slot → amount
//	{gatehouse}:distinct:10m0s:models:U  hash: item → "slot call"
//	{gatehouse}:leases:1m0s:slots:USER   sorted set: call → when it lapses
//	{gatehouse}:call:ID                  hash: what the call has taken, or that it ended
//	{gatehouse}:nodes                    sorted set: gateway → when it counts as gone
//
// Windows are counted as in internal/gateway/limit: in sixtieths and the one
// begun, or by UTC day and month. A limit whose window changes begins anew.
// Every key expires once it can no longer matter. A call's record stays for
// a day while it is open and for an hour after it ended, which takes about 180
// bytes; it makes Take and Settle safe to repeat, and a Take that arrives behind
// its Settle takes nothing.
//
// What is promised when the server is not well:
//
//   - Every answer comes within Options.Timeout. After an error that is not the
//     server's word on one request, nothing more is asked (store.ErrDown)
//     until a probe, sent in the background at most a second apart, was answered.
//   - An answer that is not of the right shape, or is that to another call, is
//     an error and never an admission.
//   - Counts are as durable as the server keeps them: run it with appendonly yes
//     and maxmemory-policy noeviction. What it forgets, nobody adds again.
//
// Amounts are exact up to 4e15 a slot, four times the highest limit; beyond
// that a slot stops counting.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options are where the server is and how long it may take.
type Options struct {
	URL      string // redis://HOST:PORT/DB, or rediss:// for TLS; no password
	Username string
	Password Password
	Prefix   string        // begins every key; empty: gatehouse
	Timeout  time.Duration // of one answer, at most; 0: 100 ms
	TLS      *tls.Config   // with rediss://; nil: the system's roots, TLS 1.2 at least
}

// Password is what the server asks for. It prints as [redacted].
type Password string

const redacted = "[redacted]"

func (Password) String() string               { return redacted }
func (Password) GoString() string             { return redacted }
func (Password) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Counts are the counts on one server. It is safe for concurrent use.
type Counts struct {
	client  *redis.Client // of callers
	probe   *redis.Client // of the background, which must not queue behind them
	base    string        // {prefix}:
	node    string
	timeout time.Duration
	health  health
	stop    context.CancelFunc
	stopped chan struct{}
}

// connections is how many are open at most; a script takes some tens of
// microseconds of the one thread that runs them all.
const connections = 64

// New returns the counts on a server, which need not be up yet. Close ends what
// it keeps doing in the background.
func New(o Options) (*Counts, error) {
	client, err := options(o)
	if err != nil {
		return nil, err
	}
	probe := *client
	probe.PoolSize = 1
	logging.Disable() // it writes to stderr; what went wrong is in State
	ctx, stop := context.WithCancel(context.Background())
	c := &Counts{
		client: redis.NewClient(client), probe: redis.NewClient(&probe),
		base: "{" + prefix(o) + "}:", node: rand.Text(), timeout: client.ReadTimeout,
		stop: stop, stopped: make(chan struct{}),
	}
	c.health.begin(time.Now())
	go c.beats(ctx)
	return c, nil
}

func prefix(o Options) string {
	if o.Prefix == "" {
		return "gatehouse"
	}
	return o.Prefix
}

const prefixBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-"

// options says to the client what o says. Nothing is retried there: what may be
// repeated is known to our callers, and each attempt would cost the timeout.
func options(o Options) (*redis.Options, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 100 * time.Millisecond
	}
	if p := prefix(o); len(p) > 64 || strings.Trim(p, prefixBytes) != "" {
		return nil, fmt.Errorf("limit store: prefix %q is not up to 64 letters, digits and .:_-", p)
	}
	if timeout < 0 {
		return nil, errors.New("limit store: timeout is negative")
	}
	addr, db, secure, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("limit store: %w", err)
	}
	r := &redis.Options{
		Addr: addr, DB: db, Username: o.Username, Password: string(o.Password), Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true, PoolSize: connections,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if secure {
		r.TLSConfig = tlsConfig(o.TLS, addr)
	}
	return r, nil
}

func tlsConfig(c *tls.Config, addr string) *tls.Config {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(addr)
	}
	return c
}

// parseURL reads an address strictly: a library's own parser takes passwords,
// which belong in a file, and options that turn off the checking of certificates.
func parseURL(s string) (addr string, db int, secure bool, err error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", 0, false, errors.New("url is not redis://HOST:PORT/DB") // the cause would quote what may be a password
	case u.User != nil:
		return "", 0, false, errors.New("url holds a user or password, which have keys of their own")
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return "", 0, false, fmt.Errorf("url scheme %q is not redis or rediss", u.Scheme)
	case u.Hostname() == "":
		return "", 0, false, errors.New("url has no host")
	case u.RawQuery != "" || u.Fragment != "":
		return "", 0, false, errors.New("url takes no options")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	if name := strings.Trim(u.Path, "/"); name != "" {
		if db, err = strconv.Atoi(name); err != nil || db < 0 {
			return "", 0, false, fmt.Errorf("url path %q is not the number of a database", u.Path)
		}
	}
	return net.JoinHostPort(u.Hostname(), port), db, u.Scheme == "rediss", nil
}

// Close tells the other gateways that this one leaves, if the server answers in
// time, and closes the connections.
func (c *Counts) Close() error {
	c.stop()
	<-c.stopped
	return errors.Join(c.client.Close(), c.probe.Close())
}
