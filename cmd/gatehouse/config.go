package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
)

func (p *program) configVerb() *cobra.Command {
	return group("config", "Check and show the configuration",
		"One YAML file configures Gatehouse. Without one, every key has its default.",
		p.configCheck(), p.configShow())
}

func (p *program) configCheck() *cobra.Command {
	return p.prints(verb("check FILE", "Report every mistake of a configuration file",
		"Reports every mistake of a configuration file, and of the files of rules that it\nnames, at once, with its line and column. Exits with 2 when there is one.",
		exactly("FILE"), func(_ context.Context, args []string) error {
			_, err := p.loadConfig(args[0])
			var mistakes config.Errors
			if err != nil && !errors.As(err, &mistakes) {
				return err
			}
			if p.format != formatTable {
				rows := make([]mistake, len(mistakes))
				for i, e := range mistakes {
					rows[i] = mistake{e.File, e.Line, e.Col, e.What, e.Next}
				}
				if err := p.print(rows); err != nil {
					return err
				}
			}
			if err == nil {
				fmt.Fprintln(p.stderr, clean(args[0])+": no mistakes")
			}
			return err
		}))
}

// placed reads `file:line:column: what`, the form that every checker of a file
// reports in.
func placed(text string) *config.Error {
	if m := placeRE.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[2])
		col, _ := strconv.Atoi(m[3])
		return &config.Error{File: m[1], Line: line, Col: col, What: m[4]}
	}
	return &config.Error{What: text}
}

var placeRE = regexp.MustCompile(`^(.+?):([0-9]+):([0-9]+): (.*)$`)

// mistake is a row of `config check`.
type mistake struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // 0: the key is not in the file
	Column int    `json:"column"`
	What   string `json:"what"`
	Next   string `json:"next"`
}

func (p *program) configShow() *cobra.Command {
	c := p.prints(verb("show [FILE]", "Print the effective configuration",
		"Prints the effective configuration, defaults included, as YAML that explains\nevery key, or as JSON. It holds no secrets.",
		atMost("FILE"), func(_ context.Context, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			cfg, err := p.loadConfig(file)
			if err != nil {
				return err
			}
			switch p.format {
			case formatJSON, formatJSONL:
				return p.print(cfg)
			case formatCSV:
				return usagef("a configuration is no table: use --format json, or none for YAML")
			}
			_, err = p.stdout.Write(cfg.Document())
			return err
		}))
	return c
}

// readConfig takes - for standard input, which is read once: a server that has
// its configuration from there does not reload it.
func (p *program) readConfig(file string, flags ...config.Flag) (*config.Config, error) {
	if file == "-" {
		return config.Read("standard-input", p.stdin, flags...)
	}
	return config.Load(file, flags...)
}

// loadConfig reads a configuration file and the files that it names. What is
// wrong with any of them is a mistake of the caller.
func (p *program) loadConfig(file string, flags ...config.Flag) (*config.Config, error) {
	cfg, err := p.readConfig(file, flags...)
	var mistakes config.Errors
	switch {
	case err == nil:
		err = app.Check(cfg)
	case errors.As(err, &mistakes):
		err = app.CheckParts(cfg)
	default:
		return nil, unreadable(file, err)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			mistakes = append(mistakes, placed(strings.TrimSuffix(line, "\n")))
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// unreadable is a configuration file that cannot be read.
func unreadable(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no file %s: make one with `gatehouse config show > %s`", file, file)
	}
	return usagef("%v: name a file that can be read", err)
}
