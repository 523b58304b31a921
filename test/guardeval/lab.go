package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"gatehouse/guards"
	"gatehouse/internal/gateway/guard"

	"github.com/goccy/go-yaml"
)

// lab is what measurements are made with.
type lab struct {
	root       string
	rules      []guard.Rule
	words      map[string][]string
	seen, held []Prompt
	rulesOnly  bool
}

func newLab(root string) (*lab, error) {
	l := &lab{root: root}
	pack, err := os.ReadFile(filepath.Join(root, "guards", "default.yaml"))
	if err != nil {
		return nil, err
	}
	if l.rules, err = guard.Parse("guards/default.yaml", pack); err != nil {
		return nil, err
	}
	var file struct {
		Words map[string][]string `yaml:"words"`
	}
	if err := yaml.Unmarshal(pack, &file); err != nil {
		return nil, err
	}
	l.words = file.Words
	dir := filepath.Join(root, "testdata", "guard")
	if l.seen, err = readOwn(dir, "attacks.jsonl", "benign.jsonl", "documents.jsonl"); err != nil {
		return nil, err
	}
	l.held, err = readOwn(dir, "holdout.jsonl")
	return l, err
}

// shipped is the guard with the pack and the model as they are shipped.
func (l *lab) shipped() (*guard.Engine, error) {
	m, err := guard.ParseModel(guards.Injection)
	if err != nil {
		return nil, err
	}
	return l.engine(m)
}

func (l *lab) engine(m *guard.Model) (*guard.Engine, error) {
	rules := l.rules
	if l.rulesOnly {
		rules = slices.DeleteFunc(slices.Clone(rules), func(r guard.Rule) bool { return r.Name == "score" })
	}
	return guard.New(guard.Options{Rules: rules, Scorers: map[string]guard.Scorer{"injection": m}})
}

// counts are the rules whose finding counts as a detection.
func (l *lab) counts() map[string]bool {
	names := map[string]bool{}
	for _, r := range l.rules {
		if slices.Contains(r.Tags, "injection") {
			names[r.Name] = true
		}
	}
	return names
}

// verdict is a prompt and the rules that found it.
type verdict struct {
	Prompt
	by []string
}

func (v verdict) found() bool { return len(v.by) > 0 }

func (l *lab) judge(e *guard.Engine, ps []Prompt) ([]verdict, error) {
	counts := l.counts()
	out := make([]verdict, len(ps))
	for i, p := range ps {
		hits, err := e.Check([]byte(p.Text), "user", false)
		if err != nil {
			return nil, fmt.Errorf("judge %s: %w", p.ID, err)
		}
		out[i].Prompt = p
		for _, h := range hits {
			if counts[h.Rule] && !slices.Contains(out[i].by, h.Rule) {
				out[i].by = append(out[i].by, h.Rule)
			}
		}
	}
	return out, nil
}

// folds is in how many parts benign prompts are left out.
const folds = 10

// leaveOut judges each style of attacks with a model that never saw the style,
// and each part of the benign prompts with one that never saw the part.
func (l *lab) leaveOut() ([]verdict, error) {
	var groups []func(Prompt) bool
	for _, s := range styles(l.seen) {
		groups = append(groups, func(p Prompt) bool { return p.Label == attack && p.Style == s })
	}
	part := map[string]int{}
	for i, p := range l.seen {
		part[p.ID] = i % folds
	}
	for k := range folds {
		groups = append(groups, func(p Prompt) bool { return p.Label != attack && part[p.ID] == k })
	}
	var all []verdict
	for _, out := range groups {
		vs, err := l.without(out)
		if err != nil {
			return nil, err
		}
		all = append(all, vs...)
	}
	return all, nil
}

// without judges some prompts with a model trained on all others.
func (l *lab) without(out func(Prompt) bool) ([]verdict, error) {
	var rest, these []Prompt
	for _, p := range l.seen {
		if out(p) {
			these = append(these, p)
		} else {
			rest = append(rest, p)
		}
	}
	m, err := train(l.words, rest)
	if err != nil {
		return nil, err
	}
	e, err := l.engine(m)
	if err != nil {
		return nil, err
	}
	return l.judge(e, these)
}

func styles(ps []Prompt) []string {
	var out []string
	for _, p := range ps {
		if p.Label == attack && !slices.Contains(out, p.Style) {
			out = append(out, p.Style)
		}
	}
	return out
}

// writeModel trains on all prompts but the holdout.
func (l *lab) writeModel(path string) error {
	m, err := train(l.words, l.seen)
	if err != nil {
		return err
	}
	return os.WriteFile(path, m.Append(nil), 0o644)
}

// explain prints which rules find a text, and what it scores.
func (l *lab) explain(out io.Writer, text string) error {
	m, err := guard.ParseModel(guards.Injection)
	if err != nil {
		return err
	}
	e, err := l.engine(m)
	if err != nil {
		return err
	}
	hits, err := e.Check([]byte(text), "user", false)
	if err != nil {
		return err
	}
	for _, h := range hits {
		fmt.Fprintf(out, "%s (%s)\t%q\n", h.Rule, h.Action, text[h.Start:h.End])
	}
	folded := guard.Fold(nil, []byte(text))
	fmt.Fprintf(out, "score %.3f\n", m.Score(folded))
	for _, w := range m.Why(folded) {
		fmt.Fprintln(out, " ", w)
	}
	return nil
}
