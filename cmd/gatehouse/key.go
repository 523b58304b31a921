package main

import (
	"context"
	"fmt"
	"slices"
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
		exactly(), func(ctx context.Context, _ []string) (err error) {
			if n.ExpiresAt, err = expiry(expires, time.Now()); err != nil {
				return err
			}
			return p.with(ctx, func(api admin.API) error {
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
	required(c, "name")
	c.RegisterFlagCompletionFunc("user", complete(p.userNames()))
	c.RegisterFlagCompletionFunc("team", complete(p.teamNames()))
	c.RegisterFlagCompletionFunc("models", completeList(modelIDs))
	c.RegisterFlagCompletionFunc("operations", completeList(operationNames))
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
	p.guess(&info)
	if err := p.print(k); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "\n# The secrets are not shown again. Paste this to use the key:\n%s", admin.Paste(info, k))
	return err
}

// guess fills in the endpoint when no server is there to tell it, and says so.
func (p *program) guess(info *admin.Info) {
	if info.Endpoint != "" {
		return
	}
	info.Endpoint = "http://" + config.Default().Listen
	fmt.Fprintf(p.stderr, "no server is running on %s: the endpoint %s and the region %s below are a guess, the defaults of `gatehouse serve`\n",
		clean(p.data), info.Endpoint, info.Region)
}

func (p *program) keyList() *cobra.Command {
	var all bool
	c := p.uses(p.prints(verb("list", "List the keys, without secrets",
		"Lists the keys, without secrets. The table leaves out those that have ended; the\nother formats hold all of them, with their state.",
		exactly(), func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				rows, err := api.ListKeys(ctx)
				if err != nil {
					return err
				}
				total := len(rows)
				if p.format == formatTable && !all {
					rows = slices.DeleteFunc(rows, ended)
				}
				if err := p.print(rows, "id", "name", "user", "team", "state", "models", "operations", "networks", "expires_at", "last_used_at"); err != nil {
					return err
				}
				if n := total - len(rows); n > 0 {
					fmt.Fprintf(p.stderr, "%d expired or revoked not shown: --all shows them\n", n)
				}
				return nil
			})
		})))
	c.Flags().BoolVar(&all, "all", false, "show expired and revoked keys in the table too")
	return c
}

// ended tells of a key that will not work again.
func ended(k admin.Key) bool { return k.State == "expired" || k.State == "revoked" }

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
			return p.with(ctx, func(api admin.API) error {
				k, err := api.RotateKey(ctx, args[0], d)
				if err != nil {
					return err
				}
				if err := p.printKey(ctx, api, k); err != nil {
					return err
				}
				return p.tellEnd(ctx, api, args[0])
			})
		})))
	c.ValidArgsFunction = complete(p.keyIDs())
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works; 0: not at all")
	return c
}

// tellEnd says until when a rotated key works.
func (p *program) tellEnd(ctx context.Context, api admin.API, id string) error {
	keys, err := api.ListKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		switch {
		case k.ID != id:
		case ended(k):
			fmt.Fprintf(p.stderr, "the old key %s works no longer\n", k.ID)
		default:
			fmt.Fprintf(p.stderr, "the old key %s works until %s\n", k.ID, k.ExpiresAt.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func (p *program) keyRevoke() *cobra.Command {
	c := p.uses(p.prints(verb("revoke ID", "End a key", "Takes effect within a second and cannot be undone.",
		exactly("ID"), func(ctx context.Context, args []string) error {
			return p.with(ctx, func(api admin.API) error {
				k, err := api.RevokeKey(ctx, args[0])
				if err != nil {
					return err
				}
				return p.print(k)
			})
		})))
	c.ValidArgsFunction = complete(p.keyIDs())
	return c
}
