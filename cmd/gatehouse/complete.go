package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
)

func (p *program) completionVerb() *cobra.Command {
	shell := func(name, load string, write func(root *cobra.Command) error) *cobra.Command {
		var c *cobra.Command
		c = verb(name, "Print the completion script for "+name, "Prints the completion script for "+name+". To load it:\n\n  "+load, exactly(),
			func(context.Context, []string) error { return write(c.Root()) })
		return c
	}
	c := group("completion", "Print the completion script of a shell",
		"Completes verbs, flags, and, of a running server, the ids of keys and the names of\nusers and teams.",
		shell("bash", "source <(gatehouse completion bash)", func(r *cobra.Command) error { return r.GenBashCompletionV2(p.stdout, true) }),
		shell("zsh", "source <(gatehouse completion zsh)", func(r *cobra.Command) error { return r.GenZshCompletion(p.stdout) }),
		shell("fish", "gatehouse completion fish | source", func(r *cobra.Command) error { return r.GenFishCompletion(p.stdout, true) }),
		shell("powershell", "gatehouse completion powershell | Out-String | Invoke-Expression",
			func(r *cobra.Command) error { return r.GenPowerShellCompletionWithDesc(p.stdout) }))
	c.SuggestionsMinimumDistance = 1 // tcsh is no mistyped bash
	return c
}

// words are what an argument or a flag may be.
type words func(ctx context.Context) []string

// completeWait is how long a person may wait for a completion.
const completeWait = time.Second

// complete makes words the completion of the first argument, or of a flag.
func complete(of words) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return matching(c, of, "", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeList is complete for the last of several words with commas between.
func completeList(of words) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		n := strings.LastIndexByte(typed, ',') + 1
		return matching(c, of, typed[:n], typed[n:]), cobra.ShellCompDirectiveNoFileComp
	}
}

// matching returns the words that begin as typed, behind what stands before.
func matching(c *cobra.Command, of words, before, typed string) []string {
	ctx, cancel := context.WithTimeout(c.Context(), completeWait)
	defer cancel()
	var out []string
	for _, w := range of(ctx) {
		if strings.HasPrefix(w, typed) {
			out = append(out, before+w)
		}
	}
	return out
}

// asked returns words of the running server. Without one, or when it does not
// answer, there are none: a data directory is not opened for a completion.
func asked[T any](p *program, list func(admin.API, context.Context) ([]T, error), word func(T) string) words {
	return func(ctx context.Context) []string {
		api, err := admin.Dial(ctx, p.data)
		if err != nil {
			return nil
		}
		rows, err := list(api, ctx)
		if err != nil {
			return nil
		}
		out := make([]string, 0, len(rows))
		for _, row := range rows {
			if w := word(row); w != "" {
				out = append(out, w)
			}
		}
		return out
	}
}

func (p *program) userNames() words {
	return asked(p, admin.API.ListUsers, func(u admin.User) string { return clean(u.Name) })
}

func (p *program) teamNames() words {
	return asked(p, admin.API.ListTeams, func(t admin.Team) string { return clean(t.Name) })
}

// keyIDs are the ids of the keys that can be rotated or revoked, with their names.
func (p *program) keyIDs() words {
	return asked(p, admin.API.ListKeys, func(k admin.Key) string {
		if k.State == "revoked" {
			return ""
		}
		return cobra.CompletionWithDesc(clean(k.ID), clean(k.Name+" of "+k.User))
	})
}

func modelIDs(context.Context) []string {
	var ids []string
	for _, m := range model.Default().All() {
		ids = append(ids, m.ID)
	}
	return ids
}

func operationNames(context.Context) []string {
	var names []string
	for i := range bedrock.Operations {
		if op := &bedrock.Operations[i]; op.Support != bedrock.Refused {
			names = append(names, op.Name)
		}
	}
	return names
}
