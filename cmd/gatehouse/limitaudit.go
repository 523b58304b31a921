package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) limitAudit() *cobra.Command {
	return p.uses(p.prints(verb("audit", "Prove that the counters are what the journal says",
		`Recomputes every counter of the limits from what the journal says of each call,
and prints those that differ. Exits with 1 when one does. A running server goes on
serving: its counters and the journal are compared as they stood at one moment.`,
		exactly(), func(ctx context.Context, _ []string) error {
			return p.with(ctx, func(api admin.API) error {
				told, done := p.progress()
				a, err := api.AuditLimits(ctx, told)
				done()
				if err != nil {
					return err
				}
				return p.printAudit(ctx, api, a)
			})
		})))
}

// auditCells is a row of the table.
type auditCells struct {
	Limit      string `json:"limit"`
	Per        string `json:"per"`
	Key        string `json:"key"`
	Unit       string `json:"unit"`
	Used       string `json:"used"`
	Recomputed string `json:"recomputed"`
}

// printAudit prints the differences, of JSON the whole answer, and makes a
// difference the exit code.
func (p *program) printAudit(ctx context.Context, api admin.API, a admin.LimitAudit) error {
	if err := p.printDifferences(ctx, api, a); err != nil {
		return err
	}
	for _, note := range a.Notes {
		fmt.Fprintln(p.stderr, "note: "+clean(note))
	}
	fmt.Fprintf(p.stderr, "%d records read, %d counters recomputed, %d calls under way: ", a.Records, a.Counters, a.Open)
	if a.Equal {
		fmt.Fprintln(p.stderr, "all equal")
		return nil
	}
	fmt.Fprintf(p.stderr, "%d differ\n", len(a.Differences))
	return errFound
}

func (p *program) printDifferences(ctx context.Context, api admin.API, a admin.LimitAudit) error {
	switch p.format {
	case formatJSON:
		return p.print(a)
	case formatJSONL, formatCSV:
		return p.print(a.Differences)
	}
	if a.Equal {
		return nil
	}
	names, err := userReplacer(ctx, api)
	if err != nil {
		return err
	}
	cells := make([]auditCells, len(a.Differences))
	for i, d := range a.Differences {
		cells[i] = auditCells{d.Limit, d.Per, names.Replace(d.Key), unit(d.Measure), amount(d.Measure, d.Used), amount(d.Measure, d.Recomputed)}
	}
	return p.print(cells, "limit", "per", "key", "unit", "used", "recomputed")
}
