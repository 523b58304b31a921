package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/config"
)

func (p *program) modelsVerb() *cobra.Command {
	return group("models", "List the models and what they cost",
		"The table of models is part of the program; prices and ARNs can be added in the\nconfiguration. No server is needed.",
		p.modelsList(), p.modelsShow())
}

func (p *program) modelsList() *cobra.Command {
	var file, provider, family string
	c := configured(&file, p.prints(verb("list", "List the models", "", exactly(), func(context.Context, []string) error {
		t, err := p.modelTable(file)
		if err != nil {
			return err
		}
		rows := admin.ModelRows(t)
		if rows, err = only(rows, "--provider", provider, modelProvider); err != nil {
			return err
		}
		if rows, err = only(rows, "--family", family, modelFamily); err != nil {
			return err
		}
		return p.print(rows, "id", "family", "context", "max_output", "input_usd_per_1k", "output_usd_per_1k", "usd_per_image")
	})))
	c.Flags().StringVar(&provider, "provider", "", "of one provider only, such as amazon")
	c.Flags().StringVar(&family, "family", "", "of one family only, such as nova")
	c.RegisterFlagCompletionFunc("provider", complete(modelWords(modelProvider)))
	c.RegisterFlagCompletionFunc("family", complete(modelWords(modelFamily)))
	return c
}

func modelProvider(m admin.Model) string { return m.Provider }
func modelFamily(m admin.Model) string   { return m.Family }

// only keeps the models of which a flag names the value; empty: all.
func only(rows []admin.Model, flag, value string, of func(admin.Model) string) ([]admin.Model, error) {
	if value == "" {
		return rows, nil
	}
	known := values(rows, of)
	if !slices.Contains(known, value) {
		next := "write one of " + strings.Join(known, ", ")
		if near := config.Nearest(value, known); near != "" {
			next = "did you mean " + near + "?"
		}
		return nil, usagef("%s: no model is of %q: %s", flag, value, next)
	}
	return slices.DeleteFunc(rows, func(m admin.Model) bool { return of(m) != value }), nil
}

// values are the different values of the models, in order.
func values(rows []admin.Model, of func(admin.Model) string) []string {
	var out []string
	for _, m := range rows {
		out = append(out, of(m))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func modelWords(of func(admin.Model) string) words {
	return func(context.Context) []string { return values(admin.ModelRows(model.Default()), of) }
}

func (p *program) modelsShow() *cobra.Command {
	var file string
	c := configured(&file, p.prints(verb("show ID", "Show what a model id, profile id or ARN stands for",
		"Shows the model that an id, the id of a geo profile or an ARN stands for: the row that\nprices it, and base_id, by which scopes, limits and records go.", exactly("ID"),
		func(_ context.Context, args []string) error {
			t, err := p.modelTable(file)
			if err != nil {
				return err
			}
			row, err := admin.ModelRow(t, args[0])
			if err != nil {
				return err
			}
			return p.print(row)
		})))
	c.ValidArgsFunction = complete(modelIDs)
	return c
}

// configured gives a verb the flag that names the configuration.
func configured(file *string, c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(file, "config", "", "configuration file")
	c.MarkFlagFilename("config", "yaml", "yml")
	return c
}

// modelTable is the table with the prices and ARNs of the configuration.
func (p *program) modelTable(file string) (*model.Table, error) {
	cfg, err := p.loadConfig(file)
	if err != nil {
		return nil, err
	}
	return admin.ModelTable(cfg)
}
