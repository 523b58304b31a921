package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
)

// serveFlags are the flags that stand over keys of the configuration.
var serveFlags = []struct{ flag, key, usage string }{
	{"listen", "listen", "address of the data plane"},
	{"admin-listen", "admin_listen", "address of the admin API"},
	{"ingest-listen", "ingest_listen", "address that takes pushed telemetry"},
	{"upstream", "upstream.kind", "emulator, bedrock or a URL"},
	{"tls", "tls.mode", "off, auto or files"},
	{"tls-cert", "tls.cert", "PEM file of the certificate chain"},
	{"tls-key", "tls.key", "PEM file of the private key"},
}

func (p *program) serveVerb() *cobra.Command {
	var file string
	var c *cobra.Command
	c = configured(&file, p.uses(verb("serve", "Run the guarded endpoint",
		`Runs the guarded endpoint on embedded defaults, or on a configuration file. It
writes "ready" to standard error once it accepts calls, and drains on the first
interrupt. A change of the file, or of one that it names, takes effect within two
seconds, and at once on SIGHUP; a mistake leaves the old configuration in force.`,
		exactly(), func(ctx context.Context, _ []string) error {
			load := func() (*config.Config, error) { return p.loadConfig(file, p.overrides(c)...) }
			cfg, err := load()
			if err != nil {
				return err
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			o := app.Options{DataDir: p.data, Stderr: p.stderr, Version: buildInfo().Version, Load: load, File: file, Reload: hangup}
			if file == "-" {
				o.Load = nil
			}
			err = app.Serve(ctx, cfg, o)
			return p.serveError(cfg, err)
		})))
	for _, f := range serveFlags {
		c.Flags().String(f.flag, "", f.usage)
		c.Flags().SetAnnotation(f.flag, mayBeEmpty, nil) // the configuration says what it means
	}
	c.RegisterFlagCompletionFunc("upstream", cobra.FixedCompletions([]string{"emulator", "bedrock"}, cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions([]string{"off", "auto", "files"}, cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagFilename("tls-cert")
	c.MarkFlagFilename("tls-key")
	return p.printsPolicy(c, &file)
}

// serveError tells which flag gets round an address or a directory that
// somebody else has.
func (p *program) serveError(cfg *config.Config, err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" {
		return p.inUse(err, "stop it, or give this server a directory of its own with --data")
	}
	addr, flag := cfg.Listen, "--listen"
	if a, ok := op.Addr.(*net.TCPAddr); ok && !atPort(cfg.Listen, a.Port) && atPort(cfg.AdminListen, a.Port) {
		addr, flag = cfg.AdminListen, "--admin-listen"
	}
	return listenError(err, addr, flag)
}

func atPort(addr string, port int) bool {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	n, err := net.LookupPort("tcp", text)
	return err == nil && n == port
}

// listenError is an address that cannot be listened on.
func listenError(err error, addr, flag string) error {
	var system syscall.Errno
	if !errors.As(err, &system) {
		return err
	}
	return fmt.Errorf("listen on %s: %w: choose another address with %s", addr, system, flag)
}

// overrides are the flags that were given. --tls-cert and --tls-key alone mean
// mode files.
func (p *program) overrides(c *cobra.Command) []config.Flag {
	var out []config.Flag
	files := false
	for _, f := range serveFlags {
		if c.Flags().Changed(f.flag) {
			value, _ := c.Flags().GetString(f.flag)
			out = append(out, config.Flag{Name: "--" + f.flag, Key: f.key, Value: value})
			files = files || f.flag == "tls-cert" || f.flag == "tls-key"
		}
	}
	if files && !c.Flags().Changed("tls") {
		out = append(out, config.Flag{Name: "--tls-cert", Key: "tls.mode", Value: "files"})
	}
	return out
}
