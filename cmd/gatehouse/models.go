package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/bedrock/model"
)

func (p *program) modelsVerb() *cobra.Command {
	return group("models", "List the models and what they cost",
		"The table of models is part of the program; prices and ARNs can be added in the\nconfiguration. No server is needed.",
		p.modelsList(), p.modelsShow())
}

func (p *program) modelsList() *cobra.Command {
	var file string
	return configured(&file, p.prints(verb("list", "List the models", "", cobra.NoArgs, func(context.Context, []string) error {
		t, err := modelTable(file)
		if err != nil {
			return err
		}
		return p.print(admin.ModelRows(t), "id", "family", "context", "max_output", "input_usd_per_1k", "output_usd_per_1k")
	})))
}

func (p *program) modelsShow() *cobra.Command {
	var file string
	return configured(&file, p.prints(verb("show ID", "Show what a model id, profile id or ARN stands for", "", exactly("ID"),
		func(_ context.Context, args []string) error {
			t, err := modelTable(file)
			if err != nil {
				return err
			}
			row, err := admin.ModelRow(t, args[0])
			if err != nil {
				return err
			}
			return p.print(row)
		})))
}

// configured gives a verb the flag that names the configuration.
func configured(file *string, c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(file, "config", "", "configuration file")
	c.MarkFlagFilename("config", "yaml", "yml")
	return c
}

// modelTable is the table with the prices and ARNs of the configuration.
func modelTable(file string) (*model.Table, error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	return admin.ModelTable(cfg)
}
