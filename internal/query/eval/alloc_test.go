//go:build !race

package eval_test

import (
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
)

// event is an event as the detector sees one: columns, and the record.
var event = []core.Col{
	{Name: "eventSource", Type: core.Text}, {Name: "eventName", Type: core.Text}, {Name: "arn", Type: core.Text}, {Name: "userAgent", Type: core.Text},
	{Name: "tokens", Type: core.Int}, {Name: "readOnly", Type: core.Bool}, {Name: "_raw", Type: core.Text},
}

var raw = `{"eventName":"InvokeModel","requestParameters":{"modelId":"anthropic.claude","tags":["a","b"]},"padding":"` + strings.Repeat("x", 2000) + `","userIdentity":{"type":"AssumedRole","sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}}`

func happening() []eval.Value {
	return []eval.Value{
		eval.TextValue("bedrock.amazonaws.com"), eval.TextValue("InvokeModel"), eval.TextValue("arn:aws:iam::123456789012:user/ann"),
		eval.TextValue("aws-cli/2.15.30 Python/3.11.8 Linux/5.10 botocore/2.4.5"), eval.IntValue(12_000), eval.BoolValue(true), eval.TextValue(raw),
	}
}

func column(i int) *core.Expr { return core.C(event[i].Name, event[i].Type) }

func path(keys ...string) *core.Expr {
	e := &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{column(6)}}
	for _, k := range keys {
		e.Path = append(e.Path, core.Step{Key: k, Index: -1})
	}
	return e
}

// predicates are what rules ask, and how often asking may allocate.
var predicates = map[string]*core.Expr{
	"column": core.Do(core.EqText, column(1), core.Str("InvokeModel")),
	"rule": core.Do(core.And,
		core.Do(core.EqText, column(0), core.Str("bedrock.amazonaws.com")),
		&core.Expr{Op: core.InText, Type: core.Bool, Args: []*core.Expr{column(1)}, Set: []string{"InvokeModel", "Converse", "InvokeModelWithResponseStream", "ConverseStream"}},
		core.Do(core.Not, core.Do(core.HasPrefix, column(2), core.Str("arn:aws:iam::000000000000:"))),
		core.Do(core.LeNum, core.Num(10_000.5), column(4)),
		core.Do(core.IsTrue, column(5)),
		core.Do(core.Not, core.Do(core.Contains, core.Do(core.Coalesce, column(3), core.Str("")), core.Str("Boto3")))),
	"regex": &core.Expr{Op: core.MatchRe, Type: core.Bool, Args: []*core.Expr{column(3)},
		Re: &core.Regex{Source: `aws-cli/\d+\.\d+.*botocore`, Go: regexp.MustCompile(`aws-cli/\d+\.\d+.*botocore`), All: []string{"aws-cli/", "botocore"}}},
	"regex ruled out": core.Do(core.Not, &core.Expr{Op: core.MatchRe, Type: core.Bool, Args: []*core.Expr{column(6)},
		Re: &core.Regex{Source: `(?:rm|del) -rf /\w+`, Go: regexp.MustCompile(`(?:rm|del) -rf /\w+`), All: []string{" -rf /"}}}),
	"paths": core.Do(core.And,
		core.Do(core.EqText, path("userIdentity", "type"), core.Str("AssumedRole")),
		core.Do(core.EqText, path("userIdentity", "sessionContext", "attributes", "mfaAuthenticated"), core.Str("false")),
		core.Do(core.IsNull, path("errorCode")),
		core.Do(core.EqText, &core.Expr{Op: core.JSONFold, Type: core.Text, Args: []*core.Expr{column(6)}, S: "requestparameters.modelid"}, core.Str("anthropic.claude"))),
}

// TestAllocations: none for a predicate over columns, and over values of the
// record's own text; the row keeps its memory from event to event.
func TestAllocations(t *testing.T) {
	values := happening()
	for name, e := range predicates {
		f, err := eval.Compile(e, event)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var r eval.Row
		ask := func() {
			if r.Set(values); !f.True(&r) {
				t.Fatalf("%s is not true", name)
			}
		}
		ask()
		if n := testing.AllocsPerRun(100, ask); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkPredicate(b *testing.B) {
	values := happening()
	for name, e := range predicates {
		f, err := eval.Compile(e, event)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r eval.Row
			for b.Loop() {
				r.Set(values)
				f.True(&r)
			}
		})
	}
}
