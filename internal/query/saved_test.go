package query

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"gatehouse/internal/query/syntax"
)

// savedHunt is a hunt in which nothing is wrong.
const savedHunt = `id: many-calls
title: Many calls
description: Who calls a lot.
strands: [management]
tags: [attack.t1526]
severity: 3
parameters:
  least: {default: 5, help: calls from which a caller is shown}
  who: {default: "arn:*", help: pattern of callers}
  slice: {default: 4h, help: width of a slice}
query: |
  _sourceCategory=cloudtrail
  | where user_username matches {{who}}
  | timeslice {{ slice }}
  | count as calls by user_username, _timeslice
  | where calls >= {{least}}
false_positives: [Batch jobs.]
pivot: [denied-invocations]
sample: [many-calls/trail.json.gz]
finds:
  - {user_username: "arn:x", calls: 7, names: [a, b]}
quiet: [many-calls/quiet.json.gz]
`

func TestParseSaved(t *testing.T) {
	s, err := ParseSaved("hunts/many-calls.yaml", []byte(savedHunt))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Finds[0]; got["calls"] != "7" || got["names"] != "a\nb" {
		t.Errorf("finds %v", got)
	}
	kinds := map[string]ParameterKind{"least": NumberParameter, "who": TextParameter, "slice": TimeParameter}
	for _, p := range s.Parameters {
		if p.Kind != kinds[p.Name] {
			t.Errorf("parameter %s is a %s, want a %s", p.Name, p.Kind, kinds[p.Name])
		}
	}
	if s.Severity != 3 || len(s.Sample) != 1 || len(s.Quiet) != 1 || s.Strands[0] != "management" {
		t.Errorf("got %+v", s)
	}
}

func TestParseSavedRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "title:", "titel:", `many-calls.yaml:2:1: unknown key "titel"; known are`},
		{"missing key", "title: Many calls\n", "", "many-calls.yaml:1:3: the hunt has no title"},
		{"key twice", "severity: 3", "severity: 3\ntitle: Again", `many-calls.yaml:7:1: key "title" stands twice`},
		{"no value", "severity: 3", "severity:", `many-calls.yaml:6:1: key "severity" has no value`},
		{"another id", "id: many-calls", "id: few-calls", "many-calls.yaml:1:5: id few-calls: the file is called many-calls"},
		{"strand", "[management]", "[managment]", `many-calls.yaml:4:11: there is no strand "managment"`},
		{"severity", "severity: 3", "severity: 11", "many-calls.yaml:6:11: write a number from 0 to 10"},
		{"list", "tags: [attack.t1526]", "tags: attack.t1526", "many-calls.yaml:5:7: write a list"},
		{"path", "[many-calls/trail.json.gz]", "[../secret]", `"../secret": write a file below testdata/hunts`},
		{"anchor", "severity: 3", "severity: &a 3", "many-calls.yaml:6:11: anchors, aliases"},
		{"not YAML", "severity: 3", "severity: [3", "many-calls.yaml:"},
		{"two documents", "id: many-calls", "---\nid: a\n---\nid: many-calls", "has to hold one hunt"},
		{"pivot to itself", "[denied-invocations]", "[many-calls]", "many-calls.yaml:18:8: the hunt pivots to itself"},
		{"seed_finds alone", "quiet:", "seed_finds: []\nquiet:", "seed_finds without seed"},
		{"operator", "| timeslice {{ slice }}", "| timeslcie 4h", "many-calls.yaml:14:5: stage 2: there is no operator timeslcie"},
		{"behind a parameter", "{{who}}", "{{who}} and nosuch(1)", "many-calls.yaml:13:45: stage 1: there is no function nosuch"},
		{"no such parameter", "{{least}}", "{{most}}", "the query has {{most}}, which is no parameter"},
		{"unused parameter", "{{least}}", "5", "the query has no {{least}}"},
		{"in a string", "{{who}}", `"arn:{{who}}"`, "many-calls.yaml:13:38: {{who}} stands where no literal may"},
		{"in a regex", "{{who}}", `/{{who}}/`, "many-calls.yaml:13:34: {{who}} stands where no literal may"},
		{"in a comment", "| count", "// {{who}}\n  | count", "many-calls.yaml:15:6: {{who}} stands where no literal may"},
		{"in the scope", "_sourceCategory=cloudtrail", "_sourceCategory={{who}}", "many-calls.yaml:12:19: {{who}} stands where no literal may"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSaved("many-calls.yaml", []byte(strings.Replace(savedHunt, c.old, c.new, 1)))
			var all SavedErrors
			if !errors.As(err, &all) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestParseSavedReportsEveryMistake(t *testing.T) {
	text := strings.NewReplacer("severity: 3", "severity: x", "[management]", "[moon]", "calls >=", "callz >=").Replace(savedHunt)
	_, err := ParseSaved("many-calls.yaml", []byte(text))
	var all SavedErrors
	if !errors.As(err, &all) || len(all) != 3 || all[0].Line != 4 || all[1].Line != 6 || all[2].Line != 16 || all[2].Col != 11 {
		t.Errorf("got %v", err)
	}
}

func TestSavedText(t *testing.T) {
	s, err := ParseSaved("many-calls.yaml", []byte(savedHunt))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"least", "12", "where calls >= 12"},
		{"least", "1.5", "where calls >= 1.5"},
		{"least", "5 or true", "error: parameter least"},
		{"least", "-1", "error: parameter least"},
		{"slice", "1h", "timeslice 1h"},
		{"slice", "1h | count", "error: parameter slice"},
		{"who", `a" or "1" = "1`, `matches "a\" or \"1\" = \"1"`},
		{"who", "a\n| save path://\"x\"", `matches "a` + "\n" + `| save path://\"x\""`},
		{"who", "{{least}} // x", `matches "{{least}} // x"`},
		{"who", `CORP\ann`, `matches "CORP\ann"`},
		{"who", `ends in \`, "error: hunt many-calls: the value of who cannot be written"},
		{"who", "\xff", "error: parameter who: the value is not UTF-8"},
		{"who", strings.Repeat("x", maxParameter+1), "error: parameter who: the value is longer"},
		{"nobody", "1", "error: hunt many-calls has no parameter nobody; there are: least, who, slice"},
	} {
		got, err := s.Text(map[string]string{c.name: c.value})
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s = %q: got\n%s\nwant %s", c.name, c.value, got, c.want)
		}
	}
}

// TestReadSaved: a file with mistakes stops no other hunt.
func TestReadSaved(t *testing.T) {
	list, bad, err := ReadSaved(fstest.MapFS{
		"many-calls.yaml": {Data: []byte(savedHunt)},
		"a-slip.yaml":     {Data: []byte(strings.Replace(savedHunt, "id: many-calls", "id: a-slip\nmoon: 1", 1))},
		"large.yaml":      {Data: make([]byte, maxSavedFile+1)},
		"notes.txt":       {Data: []byte("no hunt")},
		"old/gone.yaml":   {Data: []byte("no hunt either")},
	})
	if err != nil || len(list) != 1 || list[0].ID != "many-calls" {
		t.Errorf("got %v, %v", list, err)
	}
	want := "a-slip.yaml:2:1: unknown key \"moon\""
	if len(bad) != 2 || !strings.HasPrefix(bad[0].Error(), want) || bad[1].Error() != "large.yaml:1:1: the file is larger than 64 KiB" {
		t.Errorf("got %v", bad)
	}
	if _, _, err := ReadSaved(os.DirFS(t.TempDir() + "/none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func FuzzParseSaved(f *testing.F) {
	f.Add([]byte(savedHunt))
	f.Add([]byte("id: a\nquery: >\n  * | x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ParseSaved("many-calls.yaml", data); err == nil {
			if _, err := s.Text(nil); err != nil {
				t.Error(err)
			}
		} else if !errors.As(err, new(SavedErrors)) {
			t.Errorf("an error of type %T", err)
		}
	})
}

// FuzzSavedText looks for a value that is more than one literal.
func FuzzSavedText(f *testing.F) {
	s, err := ParseSaved("many-calls.yaml", []byte(savedHunt))
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range []string{"a", `"`, `\"`, `\\`, "“", "/", "*/", "|", "//", "\n", "{{who}}"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := s.Text(map[string]string{"who": value})
		if err != nil {
			return
		}
		q, err := syntax.Parse(text)
		if err != nil || len(q.Stages) != 4 || len(q.Stages[0].Tokens) != 4 {
			t.Errorf("%q changed the query: %v\n%s", value, err, text)
		}
	})
}
