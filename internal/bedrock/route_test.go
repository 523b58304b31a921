package bedrock

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestRoutePaths walks the path rows of the attack catalogue.
func TestRoutePaths(t *testing.T) {
	const haiku = "anthropic.claude-3-haiku-20240307-v1:0"
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
	for _, c := range []struct {
		name, method, path string
		op, model          string
		err                error
	}{
		// How clients write it: %3A (boto, Go, JS), raw colon (Anthropic), ARNs either way.
		{"boto", "POST", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", "Converse", haiku, nil},
		{"lower-case hex", "POST", "/model/anthropic.claude-3-haiku-20240307-v1%3a0/converse-stream", "ConverseStream", haiku, nil},
		{"raw colon", "POST", "/model/" + haiku + "/invoke", "InvokeModel", haiku, nil},
		{"ARN", "POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123def456/invoke-with-response-stream", "InvokeModelWithResponseStream", arn, nil},
		{"ARN, raw colons", "POST", "/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fabc123def456/count-tokens", "CountTokens", arn, nil},
		{"needless escapes in a label", "POST", "/model/%61/invoke", "InvokeModel", "a", nil},

		{"P01 dot dot", "POST", "/model/../admin", "", "", ErrUnknown},
		{"P01 dot dot escaped", "POST", "/model/%2e%2e/admin", "", "", ErrUnknown},
		{"P01 dot dot half escaped", "POST", "/model/.%2E/converse", "", "", ErrUnknown},
		{"P01 dot as a label", "POST", "/model/./converse", "", "", ErrUnknown},
		{"P01 dot dot as a label", "POST", "/model/../converse", "", "", ErrUnknown},
		{"P01 two slashes", "POST", "//model/a/converse", "", "", ErrUnknown},
		{"P01 empty label", "POST", "/model//converse", "", "", ErrUnknown},
		{"P02 slash in a label", "POST", "/model/a%2Fb/converse", "Converse", "a/b", nil},
		{"P03 escaped twice", "POST", "/model/a%253A0/converse", "", "", ErrNoSuchModel},
		{"P03 escaped percent", "POST", "/model/a%25/converse", "", "", ErrNoSuchModel},
		{"P04 NUL", "POST", "/model/a%00b/invoke", "", "", ErrBadPath},
		{"P04 CRLF", "POST", "/model/a%0d%0ab/invoke", "", "", ErrBadPath},
		{"P04 overlong", "POST", "/model/a%c0%afb/invoke", "", "", ErrBadPath},
		{"P04 DEL", "POST", "/model/a%7f/invoke", "", "", ErrBadPath},
		{"P04 C1 control", "POST", "/model/a%c2%85/invoke", "", "", ErrBadPath},
		{"P05 backslash", "POST", `/a\..\b`, "", "", ErrBadPath},
		{"P05 hash", "POST", "/a#/b", "", "", ErrBadPath},
		{"P05 raw UTF-8", "POST", "/model/é/invoke", "", "", ErrBadPath},
		{"P05 raw control", "POST", "/model/a\x01/invoke", "", "", ErrBadPath},
		{"P05 space", "POST", "/model/a b/invoke", "", "", ErrBadPath},
		{"P05 query", "POST", "/model/a/invoke?x=1", "", "", ErrBadPath},
		{"P06 semicolon", "GET", "/admin;/x", "", "", ErrUnknown},
		{"P06 semicolon in a label", "POST", "/model/a;b/invoke", "", "", ErrUnknown},
		{"P06 case", "POST", "/MODEL/a/converse", "", "", ErrUnknown},
		{"P06 trailing slash", "POST", "/model/a/converse/", "", "", ErrUnknown},
		{"P06 escaped literal", "POST", "/%6dodel/a/converse", "", "", ErrUnknown},
		{"P20 long model", "POST", "/model/" + strings.Repeat("a", 65<<10) + "/invoke", "", "", ErrBadPath},
		{"P20 star", "POST", "/model/*/invoke", "InvokeModel", "*", nil}, // no such model, says the table of models

		{"bad escape", "POST", "/model/a%zz/invoke", "", "", ErrBadPath},
		{"cut escape", "POST", "/model/a/invoke%2", "", "", ErrBadPath},
		{"no path", "POST", "", "", "", ErrBadPath},
		{"star form", "OPTIONS", "*", "", "", ErrBadPath},
		{"absolute form", "GET", "http://evil/", "", "", ErrBadPath},
		{"root", "GET", "/", "", "", ErrUnknown},
		{"many segments", "GET", strings.Repeat("/a", 1000), "", "", ErrUnknown},
		{"method", "GET", "/model/a/converse", "", "", ErrMethod},
		{"method, lower case", "post", "/model/a/converse", "", "", ErrMethod},
		{"two methods on one path", "DELETE", "/logging/modelinvocations", "DeleteModelInvocationLoggingConfiguration", "", nil},
		{"read-only control plane", "GET", "/inference-profiles/us.amazon.nova-lite-v1%3A0", "GetInferenceProfile", "us.amazon.nova-lite-v1:0", nil},
	} {
		got, err := Route(c.method, c.path)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %s %.80s: got error %v, want %v", c.name, c.method, c.path, err, c.err)
			continue
		}
		if err != nil {
			if got.Operation != nil {
				t.Errorf("%s: an operation beside the error", c.name)
			}
			continue
		}
		if got.Operation.Name != c.op || got.Model != c.model {
			t.Errorf("%s: got %s of %q, want %s of %q", c.name, got.Operation.Name, got.Model, c.op, c.model)
		}
	}
}

func TestRouteLabels(t *testing.T) {
	got, err := Route("POST", "/guardrail/arn%3Aaws%3Abedrock%3Ar%3A123456789012%3Aguardrail%2Fab/version/DRAFT/apply")
	want := Target{Operation: OperationOf("ApplyGuardrail"), Guardrail: "arn:aws:bedrock:r:123456789012:guardrail/ab", Version: "DRAFT"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if p := string(AppendPath(nil, Target{Operation: OperationOf("Converse"), Model: "x y~!*()é/."})); p != "/model/x%20y~%21%2A%28%29%C3%A9%2F./converse" {
		t.Errorf("escaped path: %s", p)
	}
}

// TestOperations checks that each row can be reached, and by one request only.
func TestOperations(t *testing.T) {
	names := map[string]bool{}
	for i := range Operations {
		op := &Operations[i]
		if names[op.Name] {
			t.Errorf("%s: listed twice", op.Name)
		}
		names[op.Name] = true
		want := Target{Operation: op}
		for _, s := range op.segments {
			if l := want.label(s); l != nil {
				*l = "a:b/c"
			}
		}
		got, err := Route(op.Method, string(AppendPath(nil, want)))
		if err != nil || got != want {
			t.Errorf("%s: routes to %+v, %v", op.Name, got, err)
		}
		if op.Action == "" || op.Body != "" && FamilyOf(op.Body) == nil {
			t.Errorf("%s: incomplete row", op.Name)
		}
		if op.Support == Pass && (op.Method != "GET" || op.Plane != Control) {
			t.Errorf("%s: only reading the control plane may pass", op.Name)
		}
		if op.Support == Full && (op.Method != "POST" || op.Plane != Runtime || !op.HasBody) {
			t.Errorf("%s: an operation served in full has a body on the runtime plane", op.Name)
		}
	}
	if OperationOf("Nothing") != nil {
		t.Error("found an operation that is not there")
	}
}

func FuzzRoute(f *testing.F) {
	for i := range Operations {
		f.Add(Operations[i].Method, Operations[i].Path)
	}
	for _, p := range []string{"/model/a%3A0/converse", "/model/a%2F..%2Fb/invoke", "//", "/%", "/model/%c3%a9/invoke", "*"} {
		f.Add(http.MethodPost, p)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		got, err := Route(method, path)
		if err != nil {
			if err != ErrBadPath && err != ErrNoSuchModel && err != ErrUnknown && err != ErrMethod {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		canonical := string(AppendPath(nil, got))
		again, err := Route(method, canonical)
		if err != nil || again != got {
			t.Errorf("%q → %+v → %q → %+v, %v", path, got, canonical, again, err)
		}
		if strings.Trim(canonical, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/") != "" {
			t.Errorf("%q: canonical path %q", path, canonical)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Route("POST", "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream"); err != nil {
			b.Fatal(err)
		}
	}
}
