package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"gatehouse/test/process"
)

// caddyModule is the peer that is built from source.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"

// The emulator's credentials: the direct calls and Gatehouse sign with them.
var upstream = aws.Credentials{AccessKeyID: "AKIAGATEHOUSEBENCH00", SecretAccessKey: "gatehouse-bench-upstream-secret-00000000"}

// peer is what stands between the load and the emulator.
type peer struct {
	name    string
	version string
	config  string // as it was run
	address string
	pid     int // 0: there is none
	creds   aws.Credentials
	stop    func()
}

// kind is a way to make a peer that forwards to the emulator at an address.
type kind struct {
	name  string
	start func(b *bench, ctx context.Context, upstream string) (*peer, error)
}

var kinds = []kind{
	{"direct", (*bench).direct},
	{"nginx", (*bench).nginx},
	{"caddy", (*bench).caddy},
	{on, (*bench).gatehouse},
	{before, (*bench).gatehouseBefore},
}

// The two that are compared to know what limits and the guard cost.
const (
	on     = "gatehouse"
	before = "gatehouse-before"
)

// errAbsent is a peer that this run goes without.
var errAbsent = errors.New("peer is absent")

// peers starts one of each kind before the same emulator. The caller stops
// them.
func (b *bench) peers(ctx context.Context, upstream string) ([]*peer, error) {
	var all []*peer
	for _, k := range kinds {
		p, err := k.start(b, ctx, upstream)
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			stopAll(all)
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		p.name = k.name
		all = append(all, p)
	}
	return all, nil
}

func stopAll(all []*peer) {
	for _, p := range all {
		p.stop()
	}
}

func (b *bench) environment() []string {
	return append(os.Environ(), "AWS_ACCESS_KEY_ID="+upstream.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+upstream.SecretAccessKey, "AWS_REGION="+region)
}

// emulator starts the upstream, on the load's core, where this process is.
func (b *bench) emulator(ctx context.Context, args ...string) (*process.Process, string, error) {
	p, err := process.Start(ctx, append([]string{b.bin, "emulate", "--listen", "127.0.0.1:0"}, args...), b.environment())
	if err != nil {
		return nil, "", err
	}
	return p, strings.TrimPrefix(p.URL(), "http://"), nil
}

func (b *bench) direct(_ context.Context, to string) (*peer, error) {
	return &peer{version: "none", config: "the emulator itself", address: to, creds: upstream, stop: func() {}}, nil
}

const nginxConfig = `# One worker, as every proxy has one core. Buffers hold a whole body, so that
# nothing goes to disk; answers are not buffered, so that frames pass at once.
worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.error.log warn;
worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[1]s/nginx.body;
	proxy_temp_path %[1]s/nginx.proxy;
	fastcgi_temp_path %[1]s/nginx.fastcgi;
	uwsgi_temp_path %[1]s/nginx.uwsgi;
	scgi_temp_path %[1]s/nginx.scgi;
	keepalive_requests 100000000;
	client_max_body_size 32m;
	client_body_buffer_size 256k;
	upstream emulator {
		server %[2]s;
		keepalive 64;
		keepalive_requests 100000000;
	}
	server {
		listen %[3]s;
		location / {
			proxy_pass http://emulator;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_buffering off;
			proxy_read_timeout 10m;
		}
	}
}
`

func (b *bench) nginx(ctx context.Context, to string) (*peer, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, errors.New("nginx is not installed (Debian: apt-get install nginx-light)")
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(nginxConfig, b.out, to, address)
	file := filepath.Join(b.out, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	version, _ := exec.CommandContext(ctx, bin, "-v").CombinedOutput()
	return b.spawn(ctx, peer{version: strings.TrimSpace(string(version)), config: config, address: address, creds: upstream}, bin, "-c", file, "-p", b.out)
}

const caddyConfig = `{
	admin off
	auto_https off
	persist_config off
	log {
		level ERROR
	}
}

http://%[1]s {
	bind 127.0.0.1
	reverse_proxy %[2]s {
		flush_interval -1
		transport http {
			keepalive_idle_conns_per_host 64
		}
	}
}
`

// caddy is built once. A quick run does without, unless it is built already.
func (b *bench) caddy(ctx context.Context, to string) (*peer, error) {
	bin := filepath.Join(b.out, "caddy")
	if _, err := os.Stat(bin); err != nil {
		if b.quick {
			return nil, errAbsent
		}
		fmt.Fprintln(os.Stderr, "building", caddyModule)
		build := exec.CommandContext(ctx, "go", "install", caddyModule)
		build.Env = append(os.Environ(), "GOBIN="+b.out)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go install %s: %w\n%s", caddyModule, err, out)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	config := fmt.Sprintf(caddyConfig, ":"+port, to)
	file := filepath.Join(b.out, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	_, version, _ := strings.Cut(caddyModule, "@")
	return b.spawn(ctx, peer{version: version, config: config, address: address, creds: upstream}, bin, "run", "--config", file, "--adapter", "caddyfile")
}

// spawn runs a peer that says nothing when it is ready: it is, once it accepts.
func (b *bench) spawn(ctx context.Context, p peer, command ...string) (*peer, error) {
	command = onProxyCore(command...)
	log, err := os.Create(filepath.Join(b.out, filepath.Base(command[len(command)-1])+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "HOME="+b.out), log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	p.stop = func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
	for range 1500 { // half a minute
		if c, err := net.Dial("tcp", p.address); err == nil {
			c.Close()
			return &p, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("it does not listen on %s; see %s", p.address, log.Name())
}

// everythingOn has every limit that is shipped, with room for all calls of a run,
// the guard, policies that are evaluated, and the alarms.
const everythingOn = `listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
upstream: {kind: "%s", first_content_timeout: 10m}
limits:
  - {name: requests, per: [user], measure: requests, max: 1000000000, window: 60s}
  - {name: tokens, per: [user], measure: tokens, max: 9000000000, window: 60s}
  - {name: slots, per: [user], measure: concurrency, max: 1000000}
  - {name: flood, per: [user, similar_prompt], measure: requests, max: 1000000000, window: 60s}
  - {name: spend, per: [user], measure: usd, max: 1000000, window: day}
  - {name: ip, per: [ip], measure: requests, max: 1000000000, window: 60s}
  - {name: everyone, per: [everyone], measure: usd, max: 1000000, window: 1h, action: flag}
network: {deny: [192.0.2.0/24]}
policy: {cedar: [policy.cedar]}
`

const policies = `permit (principal, action, resource);
forbid (principal in Gatehouse::Team::"interns", action in Action::"Invoke", resource)
	when { context.maxTokens > 1000 };
forbid (principal, action in Action::"Invoke", resource)
	unless { context.hour >= 0 && context.ip.isInRange(ip("127.0.0.0/8")) };
`

// switchedOff leaves of all this what there was before: requests by user.
const switchedOff = `listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
upstream: {kind: "%s", first_content_timeout: 10m}
limits:
  - {name: requests, per: [user], measure: requests, max: 1000000000, window: 60s}
  - {name: tokens, per: [user], measure: tokens, max: 1, window: 60s, match: {users: [nobody]}}
  - {name: slots, per: [user], measure: concurrency, max: 1, match: {users: [nobody]}}
  - {name: models, per: [user], measure: models, max: 1, window: 10m, match: {users: [nobody]}}
  - {name: flood, per: [user, similar_prompt], measure: requests, max: 1, window: 60s, match: {users: [nobody]}}
  - {name: spend, per: [user], measure: usd, max: 1, window: day, match: {users: [nobody]}}
  - {name: ip, per: [ip], measure: requests, max: 1, window: 60s, match: {users: [nobody]}}
  - {name: everyone, per: [everyone], measure: usd, max: 1, window: 1h, match: {users: [nobody]}}
guard: {packs: []}
alarms:
  - {name: Bedrock_HighRequestRate, enabled: false}
  - {name: Bedrock_ModelCallRate, enabled: false}
`

func (b *bench) gatehouse(ctx context.Context, to string) (*peer, error) {
	return b.serve(ctx, to, on, everythingOn, policies)
}

func (b *bench) gatehouseBefore(ctx context.Context, to string) (*peer, error) {
	return b.serve(ctx, to, before, switchedOff, "")
}

// serve starts a Gatehouse of its own data directory.
func (b *bench) serve(ctx context.Context, to, name, config, cedar string) (*peer, error) {
	dir, err := os.MkdirTemp(b.out, "data-")
	if err != nil {
		return nil, err
	}
	config = fmt.Sprintf(config, "http://"+to)
	file := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.cedar"), []byte(cedar), 0o600); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	run, err := process.Start(ctx, onProxyCore(b.bin, "serve", "--config", file, "--data", data), b.environment())
	if err != nil {
		return nil, err
	}
	b.said[name] = run.Stderr
	stop := func() { run.Stop(); os.RemoveAll(dir) }
	key, err := process.CreateKey(ctx, b.bin, data, "bench")
	if err != nil {
		stop()
		return nil, err
	}
	version, err := process.Run(ctx, b.bin, "version")
	if err != nil {
		stop()
		return nil, err
	}
	return &peer{
		version: strings.TrimSpace(string(version)), config: config + cedar, address: strings.TrimPrefix(run.URL(), "http://"),
		pid: run.PID(), creds: aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey}, stop: stop,
	}, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
