package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// tally counts the prompts of one group and those that were found.
type tally struct{ n, found int }

func (t tally) String() string {
	if t.n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d (%.1f %%)", t.found, t.n, t.rate())
}

func (t tally) rate() float64 { return 100 * float64(t.found) / float64(max(t.n, 1)) }

// count tallies verdicts by what key says of their prompts; prompts whose key
// is empty do not count.
func count(vs []verdict, key func(Prompt) string) map[string]tally {
	out := map[string]tally{}
	for _, v := range vs {
		k := key(v.Prompt)
		if k == "" {
			continue
		}
		t := out[k]
		t.n++
		if v.found() {
			t.found++
		}
		out[k] = t
	}
	return out
}

func byLabel(p Prompt) string { return p.Label }

// of returns a key for the prompts of the label (benign: both kinds).
func of(label string, field func(Prompt) string) func(Prompt) string {
	return func(p Prompt) string {
		if p.Label != label {
			return ""
		}
		return field(p)
	}
}

func style(p Prompt) string { return p.Style }
func lang(p Prompt) string  { return p.Lang }

// column is one way of measuring.
type column struct {
	name string
	vs   []verdict
}

// table prints a line for each key, with what each column says of it.
func table(out io.Writer, title string, key func(Prompt) string, columns ...column) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	head, keys := []string{title}, map[string]bool{}
	var counts []map[string]tally
	for _, c := range columns {
		head = append(head, c.name)
		t := count(c.vs, key)
		counts = append(counts, t)
		for k := range t {
			keys[k] = true
		}
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		row := []string{"  " + k}
		for _, t := range counts {
			row = append(row, t[k].String())
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	fmt.Fprintln(w)
	w.Flush()
}

// wrong prints the attacks that were missed and the benign prompts that were
// found.
func wrong(out io.Writer, vs []verdict) {
	vs = slices.Clone(vs)
	slices.SortStableFunc(vs, func(a, b verdict) int { return cmp.Compare(a.Label, b.Label) })
	for _, v := range vs {
		if v.found() == (v.Label == attack) {
			continue
		}
		fmt.Fprintf(out, "%s\t%s\t%v\t%.200q\n", v.Label, v.ID, v.by, v.Text)
	}
}
