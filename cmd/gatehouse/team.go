package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) teamVerb() *cobra.Command {
	return group("team", "List teams and put users into them",
		"A team is a label of users and keys, the second last part of the caller's ARN.",
		p.teamList(), p.teamSet())
}

func (p *program) teamList() *cobra.Command {
	return p.uses(p.prints(verb("list", "List the teams", "", exactly(), func(ctx context.Context, _ []string) error {
		return p.with(ctx, func(api admin.API) error {
			rows, err := api.ListTeams(ctx)
			if err != nil {
				return err
			}
			return p.print(rows, "name", "users", "keys")
		})
	})))
}

func (p *program) teamSet() *cobra.Command {
	c := p.uses(p.prints(verb("set USER TEAM", "Put a user into a team",
		"Keys that have no team of their own move with the user. An empty TEAM takes\nthe user out of every team.",
		exactly("USER", "TEAM"), func(ctx context.Context, args []string) error {
			return p.with(ctx, func(api admin.API) error {
				u, err := api.SetTeam(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return p.print(u)
			})
		})))
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return complete(p.teamNames())(c, nil, typed)
		}
		return complete(p.userNames())(c, args, typed)
	}
	return c
}
