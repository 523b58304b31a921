package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/seal"
)

func (p *program) journalVerb() *cobra.Command {
	return group("journal", "Verify and export the record of calls",
		"The journal is read from the data directory, whether or not a server runs on\nit; nothing is written.",
		p.journalVerify(), p.journalExport())
}

func (p *program) journalVerify() *cobra.Command {
	return p.uses(p.prints(verb("verify", "Check that no record was changed",
		"Checks every record against the chain of hashes. Exits with 1 when something is\ndamaged. Keep the printed head elsewhere to prove later that nothing was cut off.",
		exactly(), func(ctx context.Context, _ []string) error {
			if err := p.exists(); err != nil {
				return err
			}
			p.settle(ctx)
			rows, err := admin.VerifyJournals(p.data)
			if err != nil {
				return err
			}
			if err := p.print(rows, "journal", "ok", "records", "segments", "bytes", "erased", "open", "head"); err != nil {
				return err
			}
			return p.judge(rows)
		})))
}

// settle asks a running server to put on disk what it still holds in memory,
// since these verbs read the files themselves. Without a server there is nothing.
func (p *program) settle(ctx context.Context) {
	if c, err := admin.Dial(ctx, p.data); err == nil {
		c.JournalHead(ctx) // its answer is not needed
	}
}

// judge tells what was found, and makes damage the exit code.
func (p *program) judge(rows []admin.Verification) (err error) {
	for _, v := range rows {
		if p.format == formatTable {
			for _, problem := range v.Problems {
				fmt.Fprintf(p.stdout, "%s: %s\n", v.Journal, clean(problem))
			}
		}
		if !v.OK {
			err = errFound
		}
	}
	return err
}

func (p *program) journalExport() *cobra.Command {
	var as, keyFile string
	var when timeRange
	c := when.flags(p.uses(verb("export", "Print calls as AWS would have logged them",
		"Prints one JSON record a line: AWS's model invocation log, CloudTrail, or telemetry,\nwhich is both and what only the gateway knows, as hunts read it. Refused\ncalls are included. A body that was not recorded, or is erased, is left out; one\nwhose secrets were masked is shown as it was kept; encrypted ones want the key file.",
		exactly(), func(ctx context.Context, _ []string) error {
			from, to, err := when.span(time.Now())
			if err != nil {
				return err
			}
			if !slices.Contains(admin.ExportForms, as) {
				return usagef("--as: write %s", strings.Join(admin.ExportForms, " or "))
			}
			if err := p.exists(); err != nil {
				return err
			}
			e := admin.Export{As: as, From: from, To: to}
			if keyFile != "" {
				if e.Keys, err = seal.ReadKeys(keyFile); err != nil {
					return err
				}
			}
			p.settle(ctx)
			out := bufio.NewWriterSize(p.stdout, 64<<10)
			err = admin.ExportJournals(p.data, e, out)
			if errors.Is(err, seal.ErrNoKey) {
				err = usagef("%v: name the file that holds it with --key-file", err)
			}
			return errors.Join(err, out.Flush())
		})))
	c.Flags().StringVar(&keyFile, "key-file", "", "key file of the bodies, as record.key_file of the configuration")
	c.MarkFlagFilename("key-file")
	c.Flags().StringVar(&as, "as", admin.ExportForms[0], "form of the records: "+strings.Join(admin.ExportForms, " or "))
	c.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(admin.ExportForms, cobra.ShellCompDirectiveNoFileComp))
	return c
}
