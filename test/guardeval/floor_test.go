package main

import (
	"slices"
	"testing"
)

// The floors stand a little below what was measured when they were set, so that
// a change that makes the guard worse is seen, and one that moves a prompt or two
// is not. Raise them when it gets better.
var floors = []struct {
	measured string
	label    string
	least    float64 // percent found, of attacks
	most     float64 // percent found, of benign prompts
}{
	{"left out", attack, 90, 0},
	{"left out", benign, 0, 1},
	{"left out", trigger, 0, 5},
	{"holdout", attack, 71, 0},
	{"holdout", benign, 0, 1},
	{"holdout", trigger, 0, 5},
}

// TestFloors: of styles that the model never saw, and of prompts that nobody
// tuned for, the shipped pack finds what it should and little else.
func TestFloors(t *testing.T) {
	l, err := newLab(root)
	if err != nil {
		t.Fatal(err)
	}
	left, err := l.leaveOut()
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.shipped()
	if err != nil {
		t.Fatal(err)
	}
	held, err := l.judge(e, l.held)
	if err != nil {
		t.Fatal(err)
	}
	rates := map[string]map[string]tally{"left out": count(left, byLabel), "holdout": count(held, byLabel)}
	for _, f := range floors {
		got := rates[f.measured][f.label]
		if f.label == attack && got.rate() < f.least {
			t.Errorf("%s: found %s of attacks, want at least %.0f %%", f.measured, got, f.least)
		}
		if f.label != attack && (got.rate() > f.most || got.n == 0) {
			t.Errorf("%s: found %s of %s prompts, want at most %.0f %%", f.measured, got, f.label, f.most)
		}
	}
}

// TestToolDefinitions: what tools are said to do is full of orders to the model,
// and is not an attack.
func TestToolDefinitions(t *testing.T) {
	l, err := newLab(root)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.shipped()
	if err != nil {
		t.Fatal(err)
	}
	counts, n := l.counts(), 0
	for _, p := range l.seen {
		if p.Style != "tool" {
			continue
		}
		n++
		hits, err := e.Check([]byte(p.Text), "tool", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			if counts[h.Rule] {
				t.Errorf("%s: found by %s: %s", p.ID, h.Rule, p.Text)
			}
		}
	}
	if n == 0 {
		t.Error("the corpus has no definitions of tools")
	}
}

// TestCorpus: the corpora are what they are said to be: enough of each kind, in
// enough styles and languages, each prompt once, none of the holdout among those
// that are learnt from.
func TestCorpus(t *testing.T) {
	l, err := newLab(root)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	var langs []string
	ids, texts := map[string]bool{}, map[string]bool{}
	for _, p := range slices.Concat(l.seen, l.held) {
		if ids[p.ID] || texts[p.Text] || p.Text == "" || p.Lang == "?" {
			t.Errorf("prompt %s stands twice, or lacks its text or language", p.ID)
		}
		ids[p.ID], texts[p.Text] = true, true
		if p.Label == attack && !slices.Contains(langs, p.Lang) {
			langs = append(langs, p.Lang)
		}
	}
	for _, p := range l.seen {
		n[p.Label]++
	}
	if n[attack] < 300 || n[benign]+n[trigger] < 600 || n[trigger] < 150 {
		t.Errorf("the corpus has %v; want at least 300 attacks and 600 benign prompts, 150 of them with trigger words", n)
	}
	if s := styles(l.seen); len(s) < 14 || len(langs) < 10 {
		t.Errorf("attacks come in %d styles and %d languages; want 14 and 10", len(s), len(langs))
	}
}
