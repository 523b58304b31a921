package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReadCorpus: other people's corpora come in several forms.
func TestReadCorpus(t *testing.T) {
	for _, c := range []struct{ file, data, label, want string }{
		{"a.jsonl", `{"text":"x","label":"attack"}` + "\n" + `{"prompt":"y","label":0}`, "", "attack x, benign y"},
		{"a.jsonl", `{"text":"x","label":1} {"text":"y"}`, benign, "attack x, benign y"},
		{"a.jsonl", `{"text":"x"}`, "", "error"},
		{"a.jsonl", `{"text":`, attack, "error"},
		{"a.csv", "text,label\n\"x, and\",injection\ny,legit\n", "", "attack x, and, benign y"},
		{"a.csv", "id,prompt\n1,x\n", trigger, "benign_trigger x"},
		{"a.csv", "id\n1\n", attack, "error"},
		{"a.txt", "x\n\n y\n", attack, "attack x, attack y"},
	} {
		path := filepath.Join(t.TempDir(), c.file)
		if err := os.WriteFile(path, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		ps, err := readCorpus(path, c.label)
		if err != nil {
			got = "error"
		}
		for i, p := range ps {
			if i > 0 {
				got += ", "
			}
			got += p.Label + " " + p.Text
		}
		if got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.file, c.data, got, c.want)
		}
	}
}
