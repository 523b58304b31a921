package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) userErase() *cobra.Command {
	c := p.uses(p.prints(verb("erase NAME", "Erase what a user said and was answered",
		`Overwrites the bodies of all of the user's calls in the journal and drops the
prompts that the chat API keeps. It cannot be undone. Who called what, when and at
what cost stays, with the hashes of the texts, and the journal still verifies. That
it was asked for is recorded. Calls under way write their answers later: disable the
user first, and erase again when in doubt.`,
		exactly("NAME"), func(ctx context.Context, args []string) error {
			return p.with(ctx, func(api admin.API) error {
				done, err := api.EraseUser(ctx, args[0])
				if err != nil {
					return err
				}
				return p.print(done)
			})
		})))
	c.ValidArgsFunction = complete(p.userNames())
	return c
}
