package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
)

func (p *program) keyVerb() *cobra.Command {
	return group("key", "Create, list, rotate and revoke keys",
		"A key is two credentials in one: a SigV4 key pair and an API key.",
		p.keyCreate(), p.keyList(), p.keyRotate(), p.keyRevoke())
}

func (p *program) keyCreate() *cobra.Command {
	var n admin.NewKey
	var expires string
	c := p.uses(p.prints(verb("create --name NAME", "Create a key and show its secrets once",
		"Shows the secrets of the new key once, with the lines to paste into a shell.\nWithout --user the key belongs to the user admin.",
		cobra.NoArgs, func(ctx context.Context, _ []string) (err error) {
			if n.ExpiresAt, err = expiry(expires, time.Now()); err != nil {
				return err
			}
			return p.with(ctx, true, func(api admin.API) error {
				k, err := api.CreateKey(ctx, n)
				if err != nil {
					return err
				}
				return p.printKey(ctx, api, k)
			})
		})))
	f := c.Flags()
	f.StringVar(&n.Name, "name", "", "what the key is for")
	f.StringVar(&n.User, "user", "", "owner of the key")
	f.StringVar(&n.Team, "team", "", "team of the key, in place of the owner's")
	f.StringVar(&expires, "expires", "", "when the key ends: in 90d, 12h, …, or RFC 3339")
	f.StringSliceVar(&n.Models, "models", nil, "globs over model ids that the key may call, such as anthropic.*,amazon.nova-lite-v1:0")
	f.StringSliceVar(&n.Operations, "operations", nil, "operations that the key may call, such as Converse,ConverseStream")
	f.StringSliceVar(&n.Networks, "networks", nil, "networks (CIDR) or addresses that may use the key")
	c.MarkFlagRequired("name")
	return c
}

// expiry reads a duration from now, or a moment. Empty: never.
func expiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(s); err == nil {
		return now.Add(d).Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--expires: bad time %q: write a duration such as 90d, or RFC 3339 such as 2027-01-31T00:00:00Z", s)
	}
	return t, nil
}

// printKey shows a key with its secrets, and in a table the lines to paste.
func (p *program) printKey(ctx context.Context, api admin.API, k admin.IssuedKey) error {
	if p.format != formatTable {
		return p.print(k)
	}
	info, err := api.Info(ctx)
	if err != nil {
		return err
	}
	if info.Endpoint == "" { // no server is running
		info.Endpoint = "http://" + config.Default().Listen
	}
	if err := p.print(k); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "\n# The secrets are not shown again. Paste this to use the key:\n%s", admin.Paste(info, k))
	return err
}

func (p *program) keyList() *cobra.Command {
	return p.uses(p.prints(verb("list", "List the keys, without secrets", "", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return p.with(ctx, false, func(api admin.API) error {
			rows, err := api.ListKeys(ctx)
			if err != nil {
				return err
			}
			return p.print(rows, "id", "name", "user", "team", "state", "models", "expires_at", "last_used_at")
		})
	})))
}

func (p *program) keyRotate() *cobra.Command {
	var overlap string
	c := p.uses(p.prints(verb("rotate ID", "Create a key in place of another",
		"The new key has the name, owner, expiry and scope of the old one, which works\nfor the overlap longer.",
		exactly("ID"), func(ctx context.Context, args []string) error {
			var d time.Duration
			if overlap != "0" {
				var err error
				if d, err = config.ParseDuration(overlap); err != nil {
					return usagef("--overlap: %v, or 0", err)
				}
			}
			return p.with(ctx, false, func(api admin.API) error {
				k, err := api.RotateKey(ctx, args[0], d)
				if err != nil {
					return err
				}
				return p.printKey(ctx, api, k)
			})
		})))
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works; 0: not at all")
	return c
}

func (p *program) keyRevoke() *cobra.Command {
	return p.uses(p.prints(verb("revoke ID", "End a key", "Takes effect within a second and cannot be undone.",
		exactly("ID"), func(ctx context.Context, args []string) error {
			return p.with(ctx, false, func(api admin.API) error {
				k, err := api.RevokeKey(ctx, args[0])
				if err != nil {
					return err
				}
				return p.print(k)
			})
		})))
}
