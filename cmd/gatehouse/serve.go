package main

import (
	"context"

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
interrupt.`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			cfg, err := loadConfig(file, p.overrides(c)...)
			if err != nil {
				return err
			}
			return app.Serve(ctx, cfg, app.Options{DataDir: p.data, Stderr: p.stderr, Version: buildInfo().Version})
		})))
	for _, f := range serveFlags {
		c.Flags().String(f.flag, "", f.usage)
	}
	return c
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
