package policy

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/script")

// A script is policy files and what follows from them: either the file
// `errors`, which New must report, or the file `calls`. There, a line that
// begins with a letter is a call,
//
//	user/team Operation model-or-guardrail key=value …
//
// and the indented lines below it are the answer. The keys are those of
// setField. A line `observe` puts all policies into observe mode.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before := string(txtar.Format(archive))
			runScript(t, archive)
			after := string(txtar.Format(archive))
			if *update && after != before {
				if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(before, after); d != "" && !*update {
				t.Errorf("got (+), want (-):\n%s", d)
			}
		})
	}
}

// runScript fills in what the policies answer.
func runScript(t *testing.T, a *txtar.Archive) {
	o := Options{Region: "us-east-1"}
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".cedar") {
			o.Files = append(o.Files, File{f.Name, string(f.Data)})
		}
	}
	last := &a.Files[len(a.Files)-1]
	p, err := New(o)
	if last.Name == "errors" {
		var all Errors
		if !errors.As(err, &all) {
			t.Fatalf("New: %v, want Errors", err)
		}
		last.Data = []byte(all.Error() + "\n")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(last.Data)) {
		switch {
		case strings.HasPrefix(line, "\t"):
			continue
		case line == "observe\n":
			o.Observe = true
			p, _ = New(o)
		}
		out.WriteString(line)
		if line = strings.TrimSpace(line); strings.Contains(line, " ") && line[0] != '#' {
			out.WriteString(answer(p, parseCall(t, line)))
		}
	}
	last.Data = []byte(out.String())
}

func answer(p *Policy, c *call.Call) string {
	var b strings.Builder
	if ref := p.Check(c, c.Time); ref != nil {
		fmt.Fprintf(&b, "\t%s: %s\n", ref.Reason, ref.Detail)
	} else {
		b.WriteString("\tallow\n")
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "\t%s %s would %s: %s\n", n.Stage, n.Name, n.Action, n.Detail)
	}
	return b.String()
}

func parseCall(t *testing.T, line string) *call.Call {
	t.Helper()
	words := strings.Fields(line)
	user, team, _ := strings.Cut(words[0], "/")
	c := &call.Call{
		Time: time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC), // a Sunday
		IP:   netip.MustParseAddr("192.0.2.7"), Operation: bedrock.OperationOf(words[1]), Answers: 1,
		Principal: &call.Principal{UserID: "11111111-2222-4333-8444-555555555555", User: user, Team: team, Scheme: call.SigV4, Key: "GHK1"},
	}
	if c.Operation == nil {
		t.Fatalf("%s: no such operation", line)
	}
	if words[2] != "-" {
		c.Target.Model = words[2]
		c.Model, _ = model.Default().Resolve(words[2])
	}
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		if err := setField(c, key, value); err != nil {
			t.Fatalf("%s: %s: %v", line, w, err)
		}
	}
	return c
}

func setField(c *call.Call, key, value string) (err error) {
	switch key {
	case "ip":
		c.IP, err = netip.ParseAddr(value)
	case "country":
		c.Country = value
	case "time":
		c.Time, err = time.Parse(time.RFC3339, value)
	case "header": // that names a guardrail, with its version
		c.Guardrail = value
	case "guardrail": // of ApplyGuardrail
		c.Target.Guardrail, c.Guardrail = value, value+":1"
	case "body":
		c.Doc = new(strictjson.Document)
		err = c.Doc.Parse([]byte(value), strictjson.Options{})
	case "max":
		c.MaxTokens, err = strconv.ParseInt(value, 10, 64)
	case "answers":
		c.Answers, err = strconv.ParseInt(value, 10, 64)
	case "input":
		c.InputEstimate, err = strconv.ParseInt(value, 10, 64)
	case "tls":
		c.TLS = value
	case "key":
		c.Principal.Key = call.KeyID(value)
	case "models":
		c.Principal.Scope.Models = []string{value}
	case "token":
		c.Principal.Key, c.Principal.Scheme = "", call.Token
	default:
		err = errors.New("no such key")
	}
	return err
}
