package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/hunts"
	"gatehouse/internal/query"
	"gatehouse/internal/query/syntax"
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
		saved, err := allHunts(*dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, s := range saved.list {
			ids = append(ids, cobra.CompletionWithDesc(s.ID, clean(s.Title)))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSet completes the parameters of the hunt that is named already.
func completeSet(dir *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		saved, err := allHunts(*dir)
		if err != nil || len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, err := saved.find(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, q := range s.Parameters {
			names = append(names, cobra.CompletionWithDesc(q.Name+"=", clean(q.Help+", "+q.Default)))
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
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
		saved, err := allHunts(dir)
		if err != nil {
			return err
		}
		saved.tell(p.stderr)
		list := make([]huntRow, len(saved.list))
		for i, s := range saved.list {
			list[i] = huntRow{ID: s.ID, Title: s.Title, Severity: s.Severity, Tags: s.Tags, Seed: s.Seed}
			for _, strand := range s.Strands {
				list[i].Strands = append(list[i].Strands, string(strand))
			}
		}
		return p.print(list, "id", "title", "severity", "strands")
	})), &dir)
}

func (p *program) huntsShow() *cobra.Command {
	var dir string
	c := content(p.prints(verb("show ID", "Show a hunt", "Shows the question, what it finds and misses, and where to go on. ID may be the\nnumber of a seed's query too: H8 is its better twin.", exactly("ID"), func(_ context.Context, args []string) error {
		s, err := p.savedHunt(dir, args[0])
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
	if s.Seed != "" {
		fmt.Fprintf(w, "\nThe better twin of the seed's query %s, which runs as it stands too.\n", s.Seed)
	}
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
			s, err := p.savedHunt(dir, args[0])
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
			h.quiet = true
			return p.hunt(ctx, h, text, args[1:])
		})), &dir)
	c.Flags().StringArrayVar(&set, "set", nil, "value of a parameter of the hunt, NAME=VALUE; may be repeated")
	c.ValidArgsFunction = completeHunts(&dir)
	c.RegisterFlagCompletionFunc("set", completeSet(&dir))
	return c
}

// savedHunt finds a hunt by its id, and says what is wrong with others.
func (p *program) savedHunt(dir, id string) (*query.Saved, error) {
	saved, err := allHunts(dir)
	if err != nil {
		return nil, err
	}
	s, err := saved.find(id)
	if err == nil {
		saved.tell(p.stderr)
	}
	return s, err
}

// savedHunts are the hunts by id, and what is wrong with files of own content.
type savedHunts struct {
	list []*query.Saved
	bad  query.SavedErrors
}

// allHunts are the shipped hunts, with those of a folder of own content added, or
// in the place of shipped ones of the same id. No folder: "".
func allHunts(content string) (*savedHunts, error) {
	shipped, bad, err := query.ReadSaved(hunts.Files)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, bad
	}
	all := &savedHunts{list: shipped}
	if content == "" {
		return all, nil
	}
	if _, err := os.Stat(content); err != nil {
		return nil, usagef("--content: %v", err)
	}
	own, bad, err := query.ReadSaved(os.DirFS(filepath.Join(content, "hunts")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // own content need not have hunts
		return nil, usagef("--content: %v", err)
	}
	all.bad = bad
	for _, s := range own {
		all.list = slices.DeleteFunc(all.list, func(old *query.Saved) bool { return old.ID == s.ID })
	}
	all.list = append(all.list, own...)
	slices.SortFunc(all.list, func(a, b *query.Saved) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// tell lists the mistakes of files that are left out.
func (h *savedHunts) tell(w io.Writer) {
	for _, e := range h.bad {
		fmt.Fprintln(w, "gatehouse: "+clean(e.Error()))
	}
}

// find finds a hunt by its id, or by the number of the query that it is the twin
// of. One whose file has mistakes is not replaced by a shipped one.
func (h *savedHunts) find(id string) (*query.Saved, error) {
	var wrong query.SavedErrors
	for _, e := range h.bad {
		if e.File == id+".yaml" {
			wrong = append(wrong, e)
		}
	}
	if len(wrong) > 0 {
		return nil, usagef("%v", wrong)
	}
	var ids []string
	for _, s := range h.list {
		if s.ID == id || s.Seed != "" && strings.EqualFold(s.Seed, id) {
			return s, nil
		}
		ids = append(ids, s.ID)
	}
	if near := syntax.Suggest(id, ids); near != "" {
		return nil, usagef("there is no hunt %q: did you mean %s?", clean(id), near)
	}
	return nil, usagef("there is no hunt %q: see `gatehouse hunts list`", clean(id))
}
