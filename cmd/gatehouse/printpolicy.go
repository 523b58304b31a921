package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/awspolicy"
	"gatehouse/internal/config"
)

// printsPolicy gives serve the flag --print-policy: the AWS policies that go
// with the configuration are printed, and nothing is served.
func (p *program) printsPolicy(c *cobra.Command, file *string) *cobra.Command {
	var (
		which string
		o     awspolicy.Options
	)
	f := c.Flags()
	f.StringVar(&which, "print-policy", "", "print the AWS policies of this gateway and exit: all, or one of role, scp, iam-deny and endpoint")
	f.Lookup("print-policy").NoOptDefVal = "all"
	f.StringSliceVar(&o.Roles, "role-arn", nil, "with --print-policy: the role of the gateway; further roles may run models too")
	f.StringSliceVar(&o.Models, "role-models", nil, "with --print-policy: models and geo profiles that the role may run (default all)")
	f.StringSliceVar(&o.Endpoints, "role-vpce", nil, "with --print-policy: VPC endpoints that the role is bound to")
	serve := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case f.Changed("print-policy"):
			return p.printPolicy(c, which, *file, o)
		case len(o.Roles)+len(o.Models)+len(o.Endpoints) > 0:
			return usagef("--role-arn, --role-models and --role-vpce are used with --print-policy only")
		}
		return serve(c, args)
	}
	c.RegisterFlagCompletionFunc("print-policy", cobra.FixedCompletions([]string{"all", "role", "scp", "iam-deny", "endpoint"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (p *program) printPolicy(c *cobra.Command, which, file string, o awspolicy.Options) error {
	if err := notEmpty(c); err != nil {
		return err
	}
	cfg, err := p.loadConfig(file, p.overrides(c)...)
	if err != nil {
		return err
	}
	o.Regions, o.Profiles, o.Topics = cfg.Upstream.Regions, cfg.Profiles, topics(cfg)
	docs, err := awspolicy.Documents(o)
	if err != nil {
		return usagef("--print-policy: %v", err)
	}
	if which == "all" {
		for _, d := range docs {
			fmt.Fprintf(p.stdout, "# %s\n%s%s\n\n", d.Name, comment(d.Purpose), d.JSON)
		}
		return nil
	}
	i := slices.IndexFunc(docs, func(d awspolicy.Document) bool { return d.Name == which })
	if i < 0 {
		return usagef("--print-policy: there is no policy %q: write all, role, scp, iam-deny or endpoint, behind =", clean(which))
	}
	fmt.Fprint(p.stderr, comment(docs[i].Purpose))
	fmt.Fprintln(p.stdout, docs[i].JSON)
	return nil
}

// topics are the SNS topics that the configuration sends messages to.
func topics(cfg *config.Config) []string {
	var arns []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Notify)) {
		if n := cfg.Notify[name]; n.Kind == "sns" {
			arns = append(arns, n.Topic)
		}
	}
	return arns
}

// comment breaks a text into lines that begin with #.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
