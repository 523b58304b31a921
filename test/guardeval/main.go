// Command guardeval measures the prompt guard's shipped pack on labelled prompts
// and trains its scorer.
//
//	go run ./test/guardeval                 # the corpora in testdata/guard
//	go run ./test/guardeval -corpus F.jsonl # another one: JSONL, CSV or plain lines
//	go run ./test/guardeval -train          # write guards/injection.model
//	go run ./test/guardeval -why "TEXT"     # which rules find TEXT, and why it scores
//
// A prompt counts as detected when any rule with the tag "injection" finds it,
// whatever that rule's action; secrets, personal data and notes do not count.
//
// Three numbers are printed, from the kindest to the most honest. "shipped" is the
// pack as it is, whose model has seen these prompts. "style left out" judges each
// style with a model trained without that style, and each benign prompt with a
// model trained without it. "holdout" are prompts for which nothing was changed;
// keep it so, and write new ones when you have looked at what is missed there.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "guardeval:", err)
		os.Exit(1)
	}
}

type options struct {
	root, label, why string
	train, misses    bool
	rulesOnly        bool
	corpora          []string
}

func run(args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("guardeval", flag.ContinueOnError)
	f.StringVar(&o.root, "root", ".", "root of the repository")
	f.StringVar(&o.label, "label", "", "label of prompts in -corpus that have none: attack, benign, benign_trigger")
	f.StringVar(&o.why, "why", "", "judge this text and say why")
	f.BoolVar(&o.train, "train", false, "train the scorer and write guards/injection.model")
	f.BoolVar(&o.misses, "misses", false, "print what is wrongly judged (never of the holdout)")
	f.BoolVar(&o.rulesOnly, "rules", false, "without the scorer")
	corpus := f.Bool("corpus", false, "measure the files that follow")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.corpora = f.Args(); *corpus != (len(o.corpora) > 0) {
		return fmt.Errorf("give files behind -corpus, and only there")
	}
	l, err := newLab(o.root)
	if err != nil {
		return err
	}
	l.rulesOnly = o.rulesOnly
	switch {
	case o.train:
		return l.writeModel(filepath.Join(o.root, "guards", "injection.model"))
	case o.why != "":
		return l.explain(out, o.why)
	case len(o.corpora) > 0:
		return l.others(out, o)
	}
	return l.own(out, o.misses)
}

// own reports on the corpora of the house.
func (l *lab) own(out io.Writer, misses bool) error {
	e, err := l.shipped()
	if err != nil {
		return err
	}
	shipped, err := l.judge(e, l.seen)
	if err != nil {
		return err
	}
	left, err := l.leaveOut()
	if err != nil {
		return err
	}
	held, err := l.judge(e, l.held)
	if err != nil {
		return err
	}
	columns := []column{{"shipped", shipped}, {"style left out", left}, {"holdout", held}}
	table(out, "attacks found, by style", of(attack, style), columns...)
	table(out, "attacks found, by language", of(attack, lang), columns...)
	table(out, "benign found, by language", of(benign, lang), columns...)
	table(out, "benign with trigger words found, by language", of(trigger, lang), columns...)
	table(out, "found in all", byLabel, columns...)
	if misses {
		wrong(out, left)
	}
	return nil
}

// others reports on corpora from elsewhere, judged by the shipped pack.
func (l *lab) others(out io.Writer, o options) error {
	e, err := l.shipped()
	if err != nil {
		return err
	}
	var all []verdict
	for _, path := range o.corpora {
		ps, err := readCorpus(path, o.label)
		if err != nil {
			return err
		}
		vs, err := l.judge(e, ps)
		if err != nil {
			return err
		}
		all = append(all, vs...)
	}
	shipped := column{"shipped", all}
	table(out, "attacks found, by style", of(attack, style), shipped)
	table(out, "found in all", byLabel, shipped)
	if o.misses {
		wrong(out, all)
	}
	return nil
}
