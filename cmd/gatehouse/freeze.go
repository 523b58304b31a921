package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) freezeVerb() *cobra.Command {
	c := p.uses(p.prints(verb("freeze", "Stop all spending, or a team's, and let it go on",
		`Without on or off it shows what is frozen. A freeze refuses every further call and
ends the streams that are running, within a second. It outlives a restart.

  gatehouse freeze on --reason "a key has leaked"
  gatehouse freeze on --team research
  gatehouse freeze off`,
		noVerb, func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				rows, err := api.ListFreezes(ctx)
				if err != nil {
					return err
				}
				return p.printFreezes(rows)
			})
		})))
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(p.freezeOn(), p.freezeOff())
	return c
}

// noVerb demands nothing behind a verb that has others beneath it.
func noVerb(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownVerb(c, args[0])
	}
	return nil
}

func (p *program) freezeOn() *cobra.Command {
	var f admin.Freeze
	c := p.uses(p.prints(verb("on", "Stop spending", "Stops all spending, or that of one team. Callers are not told why.", exactly(),
		func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				made, err := api.Freeze(ctx, f)
				if err != nil {
					return err
				}
				p.warnOfTeam(ctx, api, f.Team)
				return p.printFreezes([]admin.Freeze{made})
			})
		})))
	c.Flags().StringVar(&f.Team, "team", "", "of one team only")
	c.Flags().StringVar(&f.Reason, "reason", "", "why, for the other operators and the record")
	c.RegisterFlagCompletionFunc("team", complete(p.teamNames()))
	return c
}

// warnOfTeam says when a freeze may stop nobody: a name misspelled in a hurry.
// Users of outside issuers are of teams that are not listed.
func (p *program) warnOfTeam(ctx context.Context, api admin.API, team string) {
	teams, err := api.ListTeams(ctx)
	if err != nil || team == "" || slices.ContainsFunc(teams, func(t admin.Team) bool { return t.Name == team }) {
		return
	}
	fmt.Fprintf(p.stderr, "no user or key is in a team %q now: is the name right? See gatehouse team list\n", team)
}

func (p *program) freezeOff() *cobra.Command {
	var team string
	c := p.uses(p.prints(verb("off", "Let spending go on", "Ends the freeze of everything, or that of one team, and shows what is still frozen.", exactly(),
		func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				rows, err := api.Unfreeze(ctx, team)
				if err != nil {
					return err
				}
				return p.printFreezes(rows)
			})
		})))
	c.Flags().StringVar(&team, "team", "", "of one team only")
	c.RegisterFlagCompletionFunc("team", complete(p.frozenTeams()))
	return c
}

func (p *program) frozenTeams() words {
	return asked(p, admin.API.ListFreezes, func(f admin.Freeze) string { return clean(f.Team) })
}

// printFreezes says everything where a table would have an empty name.
func (p *program) printFreezes(rows []admin.Freeze) error {
	if p.format != formatTable {
		return p.print(rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.stderr, "nothing is frozen")
		return err
	}
	for i := range rows {
		rows[i].Team = cmp.Or(rows[i].Team, "everything")
	}
	return p.print(rows, "team", "since", "reason")
}
