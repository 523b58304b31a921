package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The labels of a corpus. Benign prompts with trigger words are counted apart.
const (
	attack  = "attack"
	benign  = "benign"
	trigger = "benign_trigger"
)

// Prompt is a line of a corpus.
type Prompt struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Style string `json:"style"`
	Lang  string `json:"lang"`
	Text  string `json:"text"`
}

// maxLine is the longest line of a corpus.
const maxLine = 16 << 20

// readOwn reads the corpora of the house from dir.
func readOwn(dir string, names ...string) ([]Prompt, error) {
	var all []Prompt
	for _, name := range names {
		ps, err := readCorpus(filepath.Join(dir, name), "")
		if err != nil {
			return nil, err
		}
		all = append(all, ps...)
	}
	return all, nil
}

// readCorpus reads a corpus: JSON lines, CSV with a header, or a prompt a line,
// as the name of the file ends. label is that of prompts which have none, and of
// all that are not called attack or benign.
func readCorpus(path, label string) ([]Prompt, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read := readLines
	switch filepath.Ext(path) {
	case ".jsonl", ".json":
		read = readJSON
	case ".csv":
		read = readCSV
	}
	ps, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return labelled(path, label, ps)
}

func labelled(path, label string, ps []Prompt) ([]Prompt, error) {
	for i := range ps {
		p := &ps[i]
		p.Label = known(p.Label, label)
		if p.Label == "" {
			return nil, fmt.Errorf("%s: prompt %d has no label; give -label attack, benign or benign_trigger", path, i+1)
		}
		if p.Style == "" {
			p.Style = filepath.Base(path)
		}
		if p.Lang == "" {
			p.Lang = "?"
		}
	}
	return ps, nil
}

// known puts a label of other corpora into our words.
func known(label, otherwise string) string {
	switch strings.ToLower(label) {
	case attack, "1", "injection", "jailbreak", "malicious", "unsafe":
		return attack
	case benign, "0", "legit", "safe", "normal":
		return benign
	case trigger:
		return trigger
	}
	return otherwise
}

func readJSON(r io.Reader) ([]Prompt, error) {
	var ps []Prompt
	d := json.NewDecoder(r)
	for {
		var p struct {
			Prompt
			Label   any    `json:"label"`
			Prompt2 string `json:"prompt"`
		}
		switch err := d.Decode(&p); err {
		case nil:
		case io.EOF:
			return ps, nil
		default:
			return nil, fmt.Errorf("prompt %d: %w", len(ps)+1, err)
		}
		if p.Prompt.Label = fmt.Sprint(p.Label); p.Label == nil {
			p.Prompt.Label = ""
		}
		if p.Text == "" {
			p.Text = p.Prompt2
		}
		ps = append(ps, p.Prompt)
	}
}

func readCSV(r io.Reader) ([]Prompt, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	column := func(names ...string) int {
		return slices.IndexFunc(rows[0], func(s string) bool { return slices.Contains(names, strings.ToLower(s)) })
	}
	text, label := column("text", "prompt", "instruction"), column("label")
	if text < 0 {
		return nil, fmt.Errorf("no column is called text or prompt")
	}
	var ps []Prompt
	for _, row := range rows[1:] {
		p := Prompt{Text: row[text]}
		if label >= 0 {
			p.Label = row[label]
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func readLines(r io.Reader) ([]Prompt, error) {
	var ps []Prompt
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if t := strings.TrimSpace(s.Text()); t != "" {
			ps = append(ps, Prompt{Text: t})
		}
	}
	return ps, s.Err()
}
