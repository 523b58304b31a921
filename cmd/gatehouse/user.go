package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) userVerb() *cobra.Command {
	return group("user", "Add, list, disable and reset users",
		"Users own keys, and with a password they can log in to the chat API.",
		p.userAdd(), p.userList(), p.userDisable(), p.userReset())
}

func (p *program) userAdd() *cobra.Command {
	var n admin.NewUser
	c := p.uses(p.prints(verb("add NAME", "Add a user",
		"Adds a user: an e-mail address, or a plain name for a program. With neither\n--password nor --invite the user can use keys only. What is made is shown once.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			n.Name = args[0]
			return p.with(ctx, true, func(api admin.API) error {
				u, err := api.AddUser(ctx, n)
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.Flags().StringVar(&n.Team, "team", "", "team of the user")
	c.Flags().BoolVar(&n.Password, "password", false, "make a random password")
	c.Flags().BoolVar(&n.Invite, "invite", false, "make an invitation with which the user sets a password")
	c.MarkFlagsMutuallyExclusive("password", "invite")
	return c
}

func (p *program) userList() *cobra.Command {
	return p.uses(p.prints(verb("list", "List the users", "", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return p.with(ctx, false, func(api admin.API) error {
			rows, err := api.ListUsers(ctx)
			if err != nil {
				return err
			}
			return p.print(rows, "name", "team", "disabled", "has_password", "invited", "created_at")
		})
	})))
}

func (p *program) userDisable() *cobra.Command {
	var undo bool
	c := p.uses(p.prints(verb("disable NAME", "Make a user's keys and tokens useless",
		"Takes effect within a second. --undo makes the keys work again; login tokens\nfrom before stay void.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			return p.with(ctx, false, func(api admin.API) error {
				u, err := api.SetDisabled(ctx, args[0], !undo)
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.Flags().BoolVar(&undo, "undo", false, "let the user in again")
	return c
}

func (p *program) userReset() *cobra.Command {
	var keep bool
	c := p.uses(p.prints(verb("reset NAME", "Replace a user's password and void the tokens",
		"Voids the user's login tokens, ends a lockout and replaces the password by a\nrandom one, which is shown once.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			return p.with(ctx, false, func(api admin.API) error {
				u, err := api.ResetUser(ctx, args[0], !keep)
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.Flags().BoolVar(&keep, "keep-password", false, "leave the password as it is")
	return c
}
