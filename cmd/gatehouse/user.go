package main

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) userVerb() *cobra.Command {
	return group("user", "Add, list, disable, reset and erase users",
		"Users own keys, and with a password they can log in to the chat API.",
		p.userAdd(), p.userList(), p.userDisable(), p.userReset(), p.userErase())
}

func (p *program) userAdd() *cobra.Command {
	var n admin.NewUser
	c := p.uses(p.prints(verb("add NAME", "Add a user",
		"Adds a user: an e-mail address, or a plain name for a program. With neither\n--password nor --invite the user can use keys only. What is made is shown once. An\ninvitation is shown with the request that redeems it.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			n.Name = args[0]
			return p.with(ctx, func(api admin.API) error {
				u, err := api.AddUser(ctx, n)
				if err != nil {
					return err
				}
				return p.printUser(ctx, api, u)
			})
		})))
	c.Flags().StringVar(&n.Team, "team", "", "team of the user")
	c.Flags().BoolVar(&n.Password, "password", false, "make a random password")
	c.Flags().BoolVar(&n.Invite, "invite", false, "make an invitation with which the user sets a password")
	exclusive(c, "password", "invite")
	c.RegisterFlagCompletionFunc("team", complete(p.teamNames()))
	return c
}

// printUser shows a user with the secret that was made, and in a table how an
// invitation is redeemed.
func (p *program) printUser(ctx context.Context, api admin.API, u admin.IssuedUser) error {
	if err := p.print(u); err != nil || u.Invitation == "" || p.format != formatTable {
		return err
	}
	info, err := api.Info(ctx)
	if err != nil {
		return err
	}
	base, err := chatBase(ctx, api)
	if err != nil {
		return err
	}
	p.guess(&info)
	_, err = fmt.Fprintf(p.stdout, "\n# Within seven days, with a password of the user's own:\n%s", admin.Redeem(info, base, u))
	return err
}

// chatBase is the prefix of the chat routes.
func chatBase(ctx context.Context, api admin.API) (string, error) {
	data, err := api.Config(ctx)
	if err != nil {
		return "", err
	}
	var c struct {
		Chat struct {
			BasePath string `json:"base_path"`
		} `json:"chat"`
	}
	err = json.Unmarshal(data, &c)
	return c.Chat.BasePath, err
}

func (p *program) userList() *cobra.Command {
	return p.uses(p.prints(verb("list", "List the users", "", exactly(), func(ctx context.Context, _ []string) error {
		return p.with(ctx, func(api admin.API) error {
			rows, err := api.ListUsers(ctx)
			if err != nil {
				return err
			}
			return p.print(rows, "name", "team", "disabled", "has_password", "invited", "created_at", "id")
		})
	})))
}

func (p *program) userDisable() *cobra.Command {
	var undo bool
	c := p.uses(p.prints(verb("disable NAME", "Make a user's keys and tokens useless",
		"Takes effect within a second. --undo makes the keys work again; login tokens\nfrom before stay void.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			return p.with(ctx, func(api admin.API) error {
				u, err := api.SetDisabled(ctx, args[0], !undo)
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.ValidArgsFunction = complete(p.userNames())
	c.Flags().BoolVar(&undo, "undo", false, "let the user in again")
	return c
}

func (p *program) userReset() *cobra.Command {
	var keep bool
	c := p.uses(p.prints(verb("reset NAME", "Replace a user's password and void the tokens",
		"Voids the user's login tokens, ends a lockout and replaces the password by a\nrandom one, which is shown once.",
		exactly("NAME"), func(ctx context.Context, args []string) error {
			return p.with(ctx, func(api admin.API) error {
				u, err := api.ResetUser(ctx, args[0], !keep)
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.ValidArgsFunction = complete(p.userNames())
	c.Flags().BoolVar(&keep, "keep-password", false, "leave the password as it is")
	return c
}
