package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) limitVerb() *cobra.Command {
	return group("limit", "Show what is used of the limits", "Counters live in the running server.", p.limitStatus())
}

func (p *program) limitStatus() *cobra.Command {
	return p.uses(p.prints(verb("status", "Show what is used of the limits",
		"Shows what is used of the limits. The table names users; the other formats hold\ntheir ids, which never change hands.", exactly(), func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				rows, err := api.ListLimits(ctx)
				if err == nil && p.format == formatTable {
					err = nameUsers(ctx, api, rows)
				}
				if err != nil {
					return err
				}
				return p.print(rows, "limit", "per", "key", "max", "used", "reserved", "debt", "resets_at")
			})
		})))
}

// nameUsers puts users' names in the place of their ids, wherever one stands in
// the key of a count.
func nameUsers(ctx context.Context, api admin.API, rows []admin.Limit) error {
	users, err := api.ListUsers(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, u := range users {
		names = append(names, u.ID, u.Name)
	}
	r := strings.NewReplacer(names...)
	for i := range rows {
		rows[i].Key = r.Replace(rows[i].Key)
	}
	return nil
}
