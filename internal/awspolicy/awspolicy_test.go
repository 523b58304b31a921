package awspolicy

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
)

var update = flag.Bool("update", false, "rewrite testdata")

const role = "arn:aws:iam::123456789012:role/service/gatehouse"

var samples = map[string]Options{
	"all": {Roles: []string{role}, Regions: []string{"us-east-1"}},
	"narrow": {
		Roles: []string{role, "arn:aws:iam::123456789012:role/agents"}, Regions: []string{"us-east-1", "eu-west-1"},
		Models:   []string{"amazon.nova-lite-v1:0", "us.anthropic.claude-3-haiku-20240307-v1:0", "global.amazon.nova-2-lite-v1:0"},
		Profiles: map[string]string{"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456": "meta.llama3-8b-instruct-v1:0"},
		Topics:   []string{"arn:aws:sns:us-east-1:123456789012:alarms"}, Endpoints: []string{"vpce-0123456789abcdef0"},
	},
	"gov": {Roles: []string{"arn:aws-us-gov:iam::123456789012:role/gatehouse"}, Regions: []string{"us-gov-west-1"}, Models: []string{"amazon.titan-text-lite-v1"}},
}

func TestDocuments(t *testing.T) {
	for name, o := range samples {
		docs, err := Documents(o)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, d := range docs {
			if !json.Valid([]byte(d.JSON)) {
				t.Errorf("%s: %s is not JSON", name, d.Name)
			}
			b.WriteString("# " + d.Name + "\n" + d.JSON + "\n")
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), b.String()); d != "" {
			t.Errorf("%s: got (+), want (-):\n%s", name, d)
		}
	}
}

// request is what AWS would ask a policy.
type request struct {
	action, resource string
	context          map[string]string
}

// allows is IAM's logic, as far as our documents go: a deny wins, what nothing
// allows is denied. A condition whose key is absent holds only when negated.
func allows(t *testing.T, d Document, r request) bool {
	t.Helper()
	var p policy
	if err := json.Unmarshal([]byte(d.JSON), &p); err != nil {
		t.Fatal(err)
	}
	allowed := false
	for _, s := range p.Statement {
		if !like(s.Action, r.action) || !like(s.Resource, r.resource) || !holds(t, s.Condition, r.context) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func holds(t *testing.T, condition map[string]map[string][]string, context map[string]string) bool {
	t.Helper()
	for operator, keys := range condition {
		for key, values := range keys {
			value, present := context[key]
			switch operator {
			case "ArnLike", "StringEquals":
				if !present || !like(values, value) {
					return false
				}
			case "ArnNotLike", "StringNotEquals":
				if present && like(values, value) {
					return false
				}
			default:
				t.Fatalf("operator %s", operator)
			}
		}
	}
	return true
}

func like(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		parts := strings.Split(g, "*")
		rest, ok := strings.CutPrefix(s, parts[0])
		for _, p := range parts[1:] {
			i := strings.Index(rest, p)
			if p == "" {
				i = len(rest)
			}
			if i < 0 {
				return false
			}
			rest = rest[i+len(p):]
		}
		return ok && rest == ""
	})
}

const invoke = "bedrock:InvokeModel"

// What the role may do is what the gateway does, and no more.
func TestRole(t *testing.T) {
	const (
		nova    = "foundation-model/amazon.nova-lite-v1:0"
		claude  = "foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
		profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0"
		global  = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/global.amazon.nova-2-lite-v1:0"
	)
	through := func(arn string) map[string]string {
		return map[string]string{"bedrock:InferenceProfileArn": arn, "aws:SourceVpce": "vpce-0123456789abcdef0"}
	}
	inside := map[string]string{"aws:SourceVpce": "vpce-0123456789abcdef0", "aws:RequestedRegion": "us-east-1"}
	for _, tt := range []struct {
		what string
		request
		narrow, all bool
	}{
		{"a model", request{invoke, "arn:aws:bedrock:us-east-1::" + nova, inside}, true, true},
		{"its tokens", request{"bedrock:CountTokens", "arn:aws:bedrock:us-east-1::" + nova, inside}, true, true},
		{"in a region not called", request{invoke, "arn:aws:bedrock:ap-south-1::" + nova, inside}, false, false},
		{"a model not called by itself", request{invoke, "arn:aws:bedrock:us-east-1::" + claude, inside}, false, true},
		{"a profile", request{invoke, profile, inside}, true, true},
		{"the model behind it", request{invoke, "arn:aws:bedrock:us-west-2::" + claude, through(profile)}, true, true},
		{"a profile of ours", request{invoke, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456", inside}, true, false},
		{"the model behind that", request{invoke, "arn:aws:bedrock:us-east-2::foundation-model/meta.llama3-8b-instruct-v1:0", through("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456")}, true, false},
		{"another model behind it", request{invoke, "arn:aws:bedrock:us-west-2::" + nova, through("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0")}, false, true},
		{"behind a global profile", request{invoke, "arn:aws:bedrock:::foundation-model/amazon.nova-2-lite-v1:0", through(global)}, true, false},
		{"a profile of another account", request{invoke, strings.Replace(profile, "123456789012", "999999999999", 1), inside}, false, false},
		{"from outside the endpoint", request{invoke, "arn:aws:bedrock:us-east-1::" + nova, nil}, false, true},
		{"a guardrail", request{"bedrock:ApplyGuardrail", "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc", inside}, true, true},
		{"a list", request{"bedrock:ListFoundationModels", "*", inside}, true, true},
		{"a message", request{"sns:Publish", "arn:aws:sns:us-east-1:123456789012:alarms", inside}, true, false},
		{"delete a guardrail", request{"bedrock:DeleteGuardrail", "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc", inside}, false, false},
		{"turn logging off", request{"bedrock:DeleteModelInvocationLoggingConfiguration", "*", inside}, false, false},
	} {
		for name, want := range map[string]bool{"narrow": tt.narrow, "all": tt.all} {
			docs, err := Documents(samples[name])
			if err != nil {
				t.Fatal(err)
			}
			if got := allows(t, docs[0], tt.request); got != want {
				t.Errorf("%s: %s: allowed %v, want %v", name, tt.what, got, want)
			}
		}
	}
}

// Every operation that we forward has its action in the policy.
func TestRoleHasEveryAction(t *testing.T) {
	docs, err := Documents(samples["all"])
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range bedrock.Operations {
		if op.Support != bedrock.Refused && !strings.Contains(docs[0].JSON, `"bedrock:`+op.Action+`"`) {
			t.Errorf("%s needs bedrock:%s", op.Name, op.Action)
		}
	}
}

// Nobody but the roles runs a model, by any way, whatever else allows it.
func TestDeny(t *testing.T) {
	docs, err := Documents(samples["narrow"])
	if err != nil {
		t.Fatal(err)
	}
	for principal, want := range map[string]bool{
		role:                                                true, // all sessions of a role have its ARN here
		"arn:aws:iam::123456789012:role/agents":             true,
		"arn:aws:iam::123456789012:user/mallory":            false,
		"arn:aws:iam::123456789012:root":                    false,
		"arn:aws:iam::999999999999:role/service/gatehouse":  false,
		"arn:aws:iam::123456789012:role/service/gatehouse2": false,
		"": false,
	} {
		context := map[string]string{"aws:PrincipalArn": principal}
		if principal == "" {
			context = nil
		}
		for _, action := range []string{
			invoke, "bedrock:InvokeModelWithResponseStream", "bedrock:InvokeAgent", "bedrock:CreateModelInvocationJob",
			"bedrock:RetrieveAndGenerate", "bedrock:CallWithBearerToken", "bedrock-mantle:CreateInference",
		} {
			for _, d := range docs[1:] {
				full := d
				if d.Name != "endpoint" { // these deny only; elsewhere everything is allowed
					full.JSON = strings.Replace(d.JSON, `"Statement": [`, `"Statement": [{"Effect":"Allow","Action":["*"],"Resource":["*"]},`, 1)
				}
				if got := allows(t, full, request{action, "arn:aws:bedrock:us-east-1::foundation-model/x", context}); got != want && (want == false || strings.HasPrefix(action, "bedrock:")) {
					t.Errorf("%s: %s by %q: allowed %v, want %v", d.Name, action, principal, got, want)
				}
			}
		}
	}
}

func TestBadOptions(t *testing.T) {
	regions := []string{"us-east-1"}
	var every []string
	for _, m := range model.Default().All() {
		every = append(every, m.ID)
	}
	for name, o := range map[string]struct {
		Options
		want string
	}{
		"no role":      {Options{Regions: regions}, "name the ARN"},
		"a session":    {Options{Roles: []string{"arn:aws:sts::123456789012:assumed-role/gatehouse/i-1"}, Regions: regions}, "not the ARN of a role"},
		"a glob":       {Options{Roles: []string{"arn:aws:iam::123456789012:role/*"}, Regions: regions}, "not the ARN of a role"},
		"a second one": {Options{Roles: []string{role, "x"}, Regions: regions}, "not the ARN of a role"},
		"no region":    {Options{Roles: []string{role}}, "name a region"},
		"a model":      {Options{Roles: []string{role}, Regions: regions, Models: []string{"gpt"}}, "unknown model"},
		"an ARN":       {Options{Roles: []string{role}, Regions: regions, Models: []string{"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"}}, "unknown model"},
		"too many":     {Options{Roles: []string{role}, Regions: regions, Models: every}, "name fewer models"},
		"a profile":    {Options{Roles: []string{role}, Regions: regions, Models: []string{"amazon.nova-lite-v1:0"}, Profiles: map[string]string{"arn:x": "gpt"}}, "unknown model"},
		"endpoint":     {Options{Roles: []string{role}, Regions: regions, Endpoints: []string{"vpc-1"}}, "VPC endpoint"},
	} {
		if _, err := Documents(o.Options); err == nil || !strings.Contains(err.Error(), o.want) {
			t.Errorf("%s: %v, want %q", name, err, o.want)
		}
	}
}
