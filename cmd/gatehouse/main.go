// Command gatehouse guards AWS Bedrock: `gatehouse serve` is the guarded
// endpoint, the other verbs administer it and read what it recorded.
//
// main calls run, which is the whole program as a function of its arguments,
// environment and streams. Each verb is one file that turns flags into calls
// of other packages and results into rows; it decides nothing. Data goes to
// standard output in the format asked for, all else to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
)

// The exit codes.
const (
	exitFine       = 0
	exitFound      = 1 // something was looked for and found
	exitUsage      = 2 // usage or bad input
	exitIncomplete = 3 // the work was not done, or not all of it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second signal ends the process at once
	signal.Ignore(syscall.SIGPIPE) // a reader that is gone is an error of a write, so that we clean up
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		report(stderr, err)
	}
	return exitCode(err)
}

// program is what the verbs share.
type program struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer

	format   format // of the data on standard output
	watching bool   // the data is printed again and again: JSON on one line each time
	data     string // the data directory
}

func (p *program) root() *cobra.Command {
	root := group("gatehouse", "Guard AWS Bedrock",
		`Gatehouse is a guarded, drop-in Bedrock endpoint. Start it with
"gatehouse serve" and paste what it prints.`,
		p.serveVerb(), p.emulateVerb(), p.userVerb(), p.teamVerb(), p.keyVerb(), p.modelsVerb(),
		p.limitVerb(), p.usageVerb(), p.freezeVerb(), p.ingestVerb(), p.huntVerb(), p.huntsVerb(), p.queryEngineVerb(), p.journalVerb(), p.configVerb(), p.versionVerb(), p.completionVerb())
	root.Version = buildInfo().Version
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpVerb())
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	return root
}

// helpVerb is `help VERB…`, which is `VERB… --help`.
func helpVerb() *cobra.Command {
	return &cobra.Command{Use: "help [VERB…]", Short: "Explain a verb", Long: "Prints what `VERB… --help` prints.", DisableFlagsInUseLine: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return unknownVerb(of, rest[0])
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		}}
}

// group is a verb whose children do the work.
func group(use, short, long string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("say what to do: see `" + c.CommandPath() + " --help`")
		}
		return unknownVerb(c, args[0])
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(children...)
	return c
}

func unknownVerb(c *cobra.Command, name string) error {
	next := "see `" + c.CommandPath() + " --help`"
	if near := c.SuggestionsFor(name); len(near) > 0 {
		next = "did you mean `" + c.CommandPath() + " " + near[0] + "`?"
	}
	return fmt.Errorf("unknown verb %q: %s", clean(name), next)
}

// verb is a command that takes exactly the arguments named in use. What do
// returns is about the work; all other errors are about usage.
func verb(use, short, long string, args cobra.PositionalArgs, do func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Args: args, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if err := notEmpty(c); err != nil {
				return err
			}
			if err := do(c.Context(), args); err != nil {
				return &workError{err}
			}
			return nil
		}}
}

// workError is an error of the work that a verb does.
type workError struct{ error }

func (e *workError) Unwrap() error { return e.error }

// usagef makes an error about what the caller wrote.
func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// errFound says that something was found; it has been printed already.
var errFound = errors.New("found")

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var (
		work   *workError
		usage  *usageError
		config config.Errors
		refuse *admin.Error
		query  *mistakes
	)
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return exitFine
	case errors.Is(err, errFound):
		return exitFound
	case !errors.As(err, &work), errors.As(err, &usage), errors.As(err, &config), errors.As(err, &query):
		return exitUsage
	case errors.As(err, &refuse) && refuse.Status < 500:
		return exitUsage
	}
	return exitIncomplete
}

// report writes an error for people. Mistakes of a configuration already begin
// with their file and stand one a line.
func report(w io.Writer, err error) {
	var list config.Errors
	var query *mistakes
	switch {
	case errors.Is(err, errFound), errors.Is(err, syscall.EPIPE): // nothing was wrong with the work
	case errors.As(err, &query):
		fmt.Fprintln(w, stripped(strings.TrimRight(query.Error(), "\n")))
	case errors.As(err, &list):
		for _, e := range list {
			fmt.Fprintln(w, clean(e.Error()))
		}
		s := "s"
		if len(list) == 1 {
			s = ""
		}
		fmt.Fprintf(w, "%d mistake%s\n", len(list), s)
	default:
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(w, "gatehouse: "+clean(strings.TrimSuffix(line, "\n")))
		}
	}
}
