package policy

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/rogpeppe/go-internal/txtar"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

const all = "permit (principal, action, resource);\n"

// Every operation that is served is an action of the schema and applies to the
// resource that a call of it has, and every attribute has its field.
func TestSchemaIsComplete(t *testing.T) {
	actions := 0
	for _, op := range bedrock.Operations {
		action, ok := vocabulary().Actions[cedar.NewEntityUID(actionType, cedar.String(op.Name))]
		if ok != (op.Support != bedrock.Refused) {
			t.Errorf("%s: in the schema: %v, support: %v", op.Name, ok, op.Support)
		}
		if !ok {
			continue
		}
		actions++
		for _, f := range contextFields {
			if _, ok := action.AppliesTo.Context[f.name]; !ok {
				t.Errorf("%s: the schema lacks context.%s", op.Name, f.name)
			}
		}
		if got, want := len(action.AppliesTo.Context), len(contextFields); got != want {
			t.Errorf("%s: the context has %d attributes, %d fields are filled in", op.Name, got, want)
		}
	}
	if got := len(vocabulary().Actions); got != actions+2 {
		t.Errorf("the schema has %d actions, want %d and two groups", got, actions)
	}
}

func TestBounds(t *testing.T) {
	many := make([]File, maxFiles+1)
	for i := range many {
		many[i] = File{fmt.Sprintf("%d.cedar", i), all}
	}
	long := `forbid (principal, action, resource) when { context.country == "` + strings.Repeat("x", maxPolicy) + `" };`
	deep := "forbid (principal, action, resource) when { " + strings.Repeat("(", maxPolicy/2-200) + "true" + strings.Repeat(")", maxPolicy/2-200) + " };"
	for name, tt := range map[string]struct {
		files []File
		want  string // in the error; empty: none
	}{
		"files":         {many, "64.cedar: is one of more than 64 files"},
		"file":          {[]File{{"a.cedar", strings.Repeat(" ", maxText+1)}}, "a.cedar: is longer than 256 KiB"},
		"no text":       {[]File{{"a.cedar", all + "// \xff\n"}}, "a.cedar: is no text in UTF-8"},
		"policies":      {[]File{{"a.cedar", strings.Repeat(all, maxPolicies+1)}}, "a.cedar:1001:1: there are more than 1000 policies"},
		"most policies": {[]File{{"a.cedar", strings.Repeat(all, maxPolicies)}}, ""},
		"policy":        {[]File{{"a.cedar", all + long}}, "a.cedar:2:1: the policy is longer than 16 KiB"},
		"depth":         {[]File{{"a.cedar", all + deep}}, ""},
		"errors":        {[]File{{"a.cedar", strings.Repeat("permit;\n", 200)}}, "a.cedar:50:8: syntax"},
		"no policies":   {[]File{{"a.cedar", "// none yet\n"}}, "a.cedar: nothing is permitted"},
	} {
		_, err := New(Options{Files: tt.files})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err != nil && strings.Count(err.Error(), "\n") >= maxErrors {
			t.Errorf("%s: more than %d errors are reported", name, maxErrors)
		}
	}
}

// The shipped policy must not cost a call anything; a set that permits less
// must not be taken for it.
func TestOpen(t *testing.T) {
	for text, want := range map[string]bool{
		shipped: true,
		all:     true,
		"permit (principal, action, resource) when { true };":                                      false,
		"permit (principal is Gatehouse::User, action, resource);":                                 false,
		"permit (principal, action in Action::\"Invoke\", resource);":                              false,
		"permit (principal, action, resource is Gatehouse::Model);":                                false,
		`@mode("observe") ` + all:                                                                  false,
		all + "forbid (principal == Gatehouse::User::\"x\", action, resource);":                    false,
		all + "@mode(\"observe\") forbid (principal in Gatehouse::Team::\"x\", action, resource);": false,
	} {
		p, err := New(Options{Files: []File{{"a.cedar", text}}})
		if err != nil {
			t.Fatal(err)
		}
		if p.open != want {
			t.Errorf("open = %v, want %v:\n%s", p.open, want, text)
		}
	}
}

func haiku(tb testing.TB) *call.Call {
	ref, err := model.Default().Resolve("us.anthropic.claude-3-haiku-20240307-v1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return &call.Call{
		Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), IP: netip.MustParseAddr("192.0.2.7"),
		Operation: bedrock.OperationOf("Converse"), Model: ref, MaxTokens: 100, Answers: 1,
		Principal: &call.Principal{User: "bob", Team: "red", UserID: "u", Key: "GHK1", Scheme: call.SigV4},
	}
}

func TestCheckAllocates(t *testing.T) {
	c := haiku(t)
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { p.Check(c, c.Time) }); n != 0 {
		t.Errorf("under the shipped policy a check allocates %v times", n)
	}
}

var benchmarks = []struct{ name, text string }{
	{"shipped", shipped},
	{"scopes", all + strings.Repeat("forbid (principal in Gatehouse::Team::\"blue\", action in Action::\"Invoke\", resource in Gatehouse::Family::\"claude\");\n", 20)},
	{"context", all + strings.Repeat("forbid (principal, action in Action::\"Invoke\", resource) when { context.country == \"XX\" || context.hour > 23 || context.maxTokens > 100000 };\n", 20)},
}

func BenchmarkCheck(b *testing.B) {
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			c := haiku(b)
			p, err := New(Options{Files: []File{{"a.cedar", bb.text}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if ref := p.Check(c, c.Time); ref != nil {
					b.Fatal(ref)
				}
			}
		})
	}
}

// Whatever is loaded, the errors stand inside the file; a text is divided as
// Cedar's own parser divides it; and a call gets the same answer twice.
func FuzzLoad(f *testing.F) {
	f.Add(shipped)
	paths, _ := filepath.Glob("testdata/script/*.txtar")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(b).Files {
			f.Add(string(file.Data))
		}
	}
	models := model.Default()
	c := haiku(f)
	f.Fuzz(func(t *testing.T, text string) {
		whole, wholeErr := cedar.NewPolicyListFromBytes("a.cedar", []byte(text))
		rules, err := load([]File{{"a.cedar", text}}, models)
		if err != nil {
			for _, e := range err.(Errors) {
				if e.Line > 1+strings.Count(text, "\n") || e.Line > 0 && e.Col < 1 {
					t.Errorf("%v is outside the file", e)
				}
				if strings.Contains(e.Message, "syntax") && wholeErr == nil {
					t.Errorf("%v, and Cedar takes it", e)
				}
			}
			return
		}
		if wholeErr != nil || len(whole) != len(rules) {
			t.Fatalf("%d policies, Cedar: %d, %v", len(rules), len(whole), wholeErr)
		}
		p := &Policy{models: models}
		p.use(rules, false)
		first, second := *c, *c
		if a, b := p.Check(&first, c.Time), p.Check(&second, c.Time); (a == nil) != (b == nil) || a != nil && a.Detail != b.Detail {
			t.Errorf("%v, then %v", a, b)
		}
	})
}
