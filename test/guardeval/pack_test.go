package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/guards"
	"gatehouse/internal/gateway/guard"
)

const root = "../.."

// elsewhere are the rules that a text alone cannot show.
var elsewhere = map[string]string{
	"system-echo": "needs a call with a system prompt; the guard's own tests have one",
}

// example is a text that a rule finds, or must not find. A ~ keeps scanners of
// repositories from taking it for a real secret, and is taken out.
type example struct {
	Rule   string `json:"rule"`
	Not    bool   `json:"not"`
	Repeat int    `json:"repeat"` // the text up to so many bytes
	Text   string `json:"text"`
}

func (x example) text() []byte {
	s := strings.ReplaceAll(x.Text, "~", "")
	if x.Repeat > 0 {
		s = strings.Repeat(s, x.Repeat/len(s)+1)[:x.Repeat]
	}
	return []byte(s)
}

func readExamples(t *testing.T) []example {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "testdata", "guard", "rules.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	for line := range strings.Lines(string(data)) {
		var x example
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, x)
	}
	return list
}

// TestRules: each shipped rule has a text that it finds and a near one that it
// does not find.
func TestRules(t *testing.T) {
	rules, err := guard.Parse("default.yaml", guards.Default)
	if err != nil {
		t.Fatal(err)
	}
	m, err := guard.ParseModel(guards.Injection)
	if err != nil {
		t.Fatal(err)
	}
	e, err := guard.New(guard.Options{
		Rules:    rules,
		Scorers:  map[string]guard.Scorer{"injection": m},
		Canaries: []string{"canary-7f3k-blue-heron"},
	})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]int{}
	for _, x := range readExamples(t) {
		hits, err := e.Check(x.text(), "user", false)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(hits, func(h guard.Hit) bool { return h.Rule == x.Rule })
		if found == x.Not {
			t.Errorf("rule %s: found %v, want %v, in %.200q", x.Rule, found, !x.Not, x.Text)
		}
		if x.Not {
			shown[x.Rule] |= 2
		} else {
			shown[x.Rule] |= 1
		}
	}
	for _, r := range rules {
		if elsewhere[r.Name] == "" && shown[r.Name] != 3 {
			t.Errorf("rule %s lacks a text that it finds or one that it must not find in testdata/guard/rules.jsonl", r.Name)
		}
		if r.Title == "" || r.Why == "" || len(r.Tags) == 0 {
			t.Errorf("rule %s lacks a title, a why or tags", r.Name)
		}
	}
}

// TestActions: what the pack does by itself is what is promised: secrets and
// invisible text are blocked, numbers of cards and persons are masked, nothing
// else is more than flagged.
func TestActions(t *testing.T) {
	rules, err := guard.Parse("default.yaml", guards.Default)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]guard.Action{
		"aws-key": guard.Block, "private-key": guard.Block, "unicode-tags": guard.Block,
		"card": guard.Mask, "national-id": guard.Mask,
	}
	for _, r := range rules {
		w := want[r.Name]
		if w == "" {
			w = guard.Flag
		}
		if r.Action != w {
			t.Errorf("rule %s: action %s, want %s", r.Name, r.Action, w)
		}
	}
}

// TestModelKnowsTheLists: a list that was changed needs a model that was trained
// again.
func TestModelKnowsTheLists(t *testing.T) {
	l, err := newLab(root)
	if err != nil {
		t.Fatal(err)
	}
	m, err := guard.NewModel(l.words)
	if err != nil {
		t.Fatal(err)
	}
	if len(guards.Injection) > 64<<10 {
		t.Errorf("the model has %d bytes, want at most 64 KiB", len(guards.Injection))
	}
	lists, _, _ := strings.Cut(string(m.Append(nil)), "bias")
	if !strings.HasPrefix(string(guards.Injection), lists) {
		t.Error("guards/injection.model has other lists than guards/default.yaml; run go run ./test/guardeval -train")
	}
}
