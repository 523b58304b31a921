package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) limitVerb() *cobra.Command {
	return group("limit", "Show what is used of the limits", "Counters live in the running server.", p.limitStatus())
}

func (p *program) limitStatus() *cobra.Command {
	return p.uses(p.prints(verb("status", "Show what is used of the limits", "", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return p.with(ctx, false, func(api admin.API) error {
			rows, err := api.ListLimits(ctx)
			if err != nil {
				return err
			}
			return p.print(rows, "limit", "per", "key", "max", "used", "reserved", "debt", "resets_at")
		})
	})))
}
