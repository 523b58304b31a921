package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/query"
)

func (p *program) huntsVerb() *cobra.Command {
	return group("hunts", "Hunts that are ready to run",
		`Hunts are kept questions: what each finds, what it misses, and how to go on. Those
that are shipped can be replaced and added to by a folder of own content.`,
		p.huntsList(), p.huntsShow(), p.huntsRun())
}

// content gives a verb the flag that names own content.
func content(c *cobra.Command, dir *string) *cobra.Command {
	c.Flags().StringVar(dir, "content", "", "folder of own content: its hunts/*.yaml are added, or replace shipped ones")
	c.MarkFlagDirname("content")
	return c
}

func completeHunts(dir *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		saved, err := app.Hunts(*dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, s := range saved {
			ids = append(ids, s.ID+"\t"+s.Title)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// huntRow is a hunt in the list.
type huntRow struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Strands  []string `json:"strands"`
	Severity int      `json:"severity"`
	Tags     []string `json:"tags"`
	Seed     string   `json:"seed,omitempty"`
}

func (p *program) huntsList() *cobra.Command {
	var dir string
	return content(p.prints(verb("list", "List the hunts", "Lists the hunts by their ids.", exactly(), func(context.Context, []string) error {
		saved, err := app.Hunts(dir)
		if err != nil {
			return err
		}
		list := make([]huntRow, len(saved))
		for i, s := range saved {
			list[i] = huntRow{ID: s.ID, Title: s.Title, Severity: s.Severity, Tags: s.Tags, Seed: s.Seed}
			for _, strand := range s.Strands {
				list[i].Strands = append(list[i].Strands, string(strand))
			}
		}
		return p.print(list, "id", "title", "strands")
	})), &dir)
}

func (p *program) huntsShow() *cobra.Command {
	var dir string
	c := content(p.prints(verb("show ID", "Show a hunt", "Shows the question, what it finds and misses, and where to go on.", exactly("ID"), func(_ context.Context, args []string) error {
		s, err := savedHunt(dir, args[0])
		if err != nil {
			return err
		}
		if p.format != formatTable {
			return p.print(*s)
		}
		p.showHunt(s)
		return nil
	})), &dir)
	c.ValidArgsFunction = completeHunts(&dir)
	return c
}

func (p *program) showHunt(s *query.Saved) {
	w := p.stdout
	fmt.Fprintf(w, "%s\n\n%s\n\n", stripped(s.Title), stripped(strings.TrimSpace(s.Description)))
	fmt.Fprintf(w, "%s\n", stripped(strings.TrimSpace(s.Query)))
	for _, part := range []struct {
		word string
		list []string
	}{{"False positives", s.FalsePositives}, {"Go on with", s.Pivot}, {"Tags", s.Tags}} {
		if len(part.list) > 0 {
			fmt.Fprintf(w, "\n%s:\n", part.word)
			for _, line := range part.list {
				fmt.Fprintf(w, "  %s\n", clean(line))
			}
		}
	}
	if len(s.Parameters) > 0 {
		fmt.Fprintln(w, "\nParameters, for hunts run --set NAME=VALUE:")
		for _, q := range s.Parameters {
			fmt.Fprintf(w, "  %s=%s  %s\n", q.Name, clean(q.Default), clean(q.Help))
		}
	}
}

func (p *program) huntsRun() *cobra.Command {
	var h huntFlags
	var dir string
	var set []string
	c := content(h.flags(p, verb("run ID [PATH…]", "Run a hunt",
		`Runs a hunt over files, or without PATH over the events of the data directory, as
"gatehouse hunt" does.

  gatehouse hunts run long-prompts --last 7d
  gatehouse hunts run cli-profile logs/ --json`,
		atLeast("ID"), func(ctx context.Context, args []string) error {
			s, err := savedHunt(dir, args[0])
			if err != nil {
				return err
			}
			values := map[string]string{}
			for _, pair := range set {
				name, value, ok := strings.Cut(pair, "=")
				if !ok {
					return usagef("--set: write NAME=VALUE")
				}
				values[name] = value
			}
			text, err := s.Text(values)
			if err != nil {
				return usagef("--set: %v", err)
			}
			return p.hunt(ctx, h, text, args[1:])
		})), &dir)
	c.Flags().StringArrayVar(&set, "set", nil, "value of a parameter of the hunt, NAME=VALUE; may be repeated")
	c.ValidArgsFunction = completeHunts(&dir)
	return c
}

// savedHunt finds a hunt by its id.
func savedHunt(dir, id string) (*query.Saved, error) {
	saved, err := app.Hunts(dir)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(saved, func(s *query.Saved) bool { return s.ID == id })
	if i < 0 {
		return nil, usagef("there is no hunt %q: see `gatehouse hunts list`", clean(id))
	}
	return saved[i], nil
}
