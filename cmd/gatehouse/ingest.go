package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/app"
)

func (p *program) ingestVerb() *cobra.Command {
	var job admin.IngestJob
	var to string
	c := p.uses(p.prints(verb("ingest PATH…", "Put telemetry into the lake",
		`Reads files and folders of telemetry, or standard input for PATH -, into the lake
of the data directory: through the running server when there is one. CloudTrail,
model invocation logs, endpoint sensors and CloudWatch metrics are told apart by
themselves, compressed or not, in every envelope that AWS delivers them in. What is
in the lake already counts once; what cannot be read is kept as dead letters.

With --to ocsf nothing is stored: each event is printed as one line of the Open
Cybersecurity Schema Framework, and no data directory is needed.

  gatehouse ingest /var/log/cloudtrail
  aws s3 cp s3://logs/trail.json.gz - | gatehouse ingest -
  gatehouse ingest --to ocsf trail.json.gz > events.ocsf.jsonl`,
		atLeast("PATH"), func(ctx context.Context, args []string) error {
			job.Paths = args
			if err := named(args); err != nil {
				return err
			}
			switch to {
			case "lake":
				return p.ingest(ctx, job)
			case "ocsf":
				return p.toOCSF(ctx, job)
			}
			return usagef("--to: write lake or ocsf")
		})))
	c.Flags().StringVar(&to, "to", "lake", "where events go: lake, or ocsf, to standard output")
	c.Flags().StringVar(&job.Strand, "strand", "", "what the records are, where it cannot be told")
	c.Flags().StringVar(&job.Bodies, "bodies", "", "folder of the bodies that invocation records refer to, a folder a bucket")
	c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"lake", "ocsf"}, cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("strand", cobra.FixedCompletions(strands(), cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagDirname("bodies")
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return c
}

// ingest reads the paths here or in the server, and says what came of it. What
// could not be read makes the work incomplete.
func (p *program) ingest(ctx context.Context, job admin.IngestJob) error {
	if _, err := app.ParseStrand(job.Strand); err != nil {
		return usagef("--strand: %v", err)
	}
	paths, cleanUp, err := p.absolute(job.Paths)
	if err != nil {
		return err
	}
	defer cleanUp()
	job.Paths = paths
	if job.Bodies != "" {
		if job.Bodies, err = filepath.Abs(job.Bodies); err != nil {
			return err
		}
	}
	if err := p.exists(); err != nil {
		return err
	}
	done, err := p.ingestThere(ctx, job)
	if err != nil {
		return err
	}
	if err := p.print(done); err != nil {
		return err
	}
	if done.Problems > 0 {
		return fmt.Errorf("%d records could not be read: see %s", done.Problems, done.DeadLetters)
	}
	return nil
}

// ingestThere prefers the running server, which has the lake open.
func (p *program) ingestThere(ctx context.Context, job admin.IngestJob) (admin.Ingested, error) {
	var read atomic.Int64
	stop := p.spin("reading", func() string {
		if n := read.Load(); n > 0 {
			return fmt.Sprintf("%d MB", n>>20)
		}
		return "in the server"
	})
	defer stop()
	c, err := admin.Dial(ctx, p.data)
	switch {
	case err == nil:
		return c.Ingest(ctx, job)
	case !errors.Is(err, admin.ErrNoServer):
		return admin.Ingested{}, fmt.Errorf("%w: is this the directory of another user's server?", err)
	}
	done, err := app.Ingest(ctx, p.data, job, &read)
	return done, p.inUse(err, "wait for it, or stop it")
}

// absolute makes the paths full, and puts standard input into a file that
// cleanUp removes.
func (p *program) absolute(paths []string) (full []string, cleanUp func(), err error) {
	cleanUp = func() {}
	for _, path := range paths {
		if path == "-" {
			name, err := p.spool()
			if err != nil {
				return nil, cleanUp, err
			}
			before := cleanUp
			cleanUp = func() { os.Remove(name); before() }
			path = name
		}
		path, err = filepath.Abs(path)
		if err != nil {
			return nil, cleanUp, err
		}
		full = append(full, path)
	}
	return full, cleanUp, nil
}

func (p *program) spool() (name string, err error) {
	f, err := os.CreateTemp("", "gatehouse-stdin-") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, p.stdin)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("standard input: %w", err)
	}
	return f.Name(), nil
}

func (p *program) toOCSF(ctx context.Context, job admin.IngestJob) error {
	s, err := app.ParseStrand(job.Strand)
	if err != nil {
		return usagef("--strand: %v", err)
	}
	var read atomic.Int64
	stop := p.spin("reading", func() string { return fmt.Sprintf("%d MB", read.Load()>>20) })
	defer stop()
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	problems, err := app.OCSF(ctx, app.FieldOptions{
		Paths: job.Paths, Stdin: p.stdin, Strand: s, Bodies: job.Bodies, Problem: p.tellProblem(), Read: &read,
	}, out)
	if err = errors.Join(err, out.Flush()); err == nil && problems > 0 {
		err = fmt.Errorf("%d records could not be read", problems)
	}
	return err
}

// queryEngineVerb is the child that a server starts for its queries.
func (p *program) queryEngineVerb() *cobra.Command {
	c := verb(app.ChildArg, "Run queries for a server", "Started by serve; of no use by hand.", exactly(), func(ctx context.Context, _ []string) error {
		return app.ServeQueries(ctx, p.stdin, p.stdout)
	})
	c.Hidden = true
	return c
}
