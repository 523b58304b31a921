package normalise

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestCLI: the renderings of one call, and what only looks like one.
func TestCLI(t *testing.T) {
	for _, tt := range []struct{ line, service, verb string }{
		// joined by spaces, by commas
		{"aws bedrock list-foundation-models", "bedrock", "list"},
		{"aws,bedrock,list-foundation-models,--region,us-east-1", "bedrock", "list"},
		{"/usr/local/bin/aws,bedrock,delete-guardrail,--guardrail-identifier,abc", "bedrock", "delete"},
		{`aws,bedrock-runtime,invoke-model,--body,{"prompt":"a b, c"},out.json`, "bedrock-runtime", "invoke"},

		// full paths, Windows, quotes
		{"/opt/homebrew/bin/aws bedrock-agent create-agent --agent-name x", "bedrock-agent", "create"},
		{"/usr/local/aws-cli/aws bedrock-agent-runtime invoke-agent", "bedrock-agent-runtime", "invoke"},
		{`"C:\Program Files\Amazon\AWSCLIV2\aws.exe" bedrock list-foundation-models`, "bedrock", "list"},
		{`C:\Program Files\Amazon\AWSCLIV2\aws.exe bedrock put-use-case-for-model-access`, "bedrock", "put"},
		{`AWS.EXE bedrock get-foundation-model`, "bedrock", "get"},
		{`C:\Python312\Scripts\aws.cmd bedrock update-guardrail`, "bedrock", "update"},

		// launched by something
		{"python3 /usr/local/bin/aws bedrock list-guardrails", "bedrock", "list"},
		{"/usr/bin/python3.11 -s -E /usr/bin/aws bedrock-runtime converse-stream", "bedrock-runtime", "converse"},
		{`"C:\Python312\python.exe" "C:\Python312\Scripts\aws" bedrock list-custom-models`, "bedrock", "list"},
		{"python -m awscli bedrock-runtime converse --model-id m", "bedrock-runtime", "converse"},
		{"sudo -u deploy AWS_PROFILE=prod aws bedrock delete-custom-model", "bedrock", "delete"},
		{"env AWS_PROFILE=x AWS_REGION=y aws bedrock list-agents", "bedrock", "list"},
		{"AWS_PROFILE=x aws ec2 describe-instances --filters Name=a,Values=b,c", "ec2", "describe"},
		{"timeout -k 5 30 aws bedrock get-guardrail", "bedrock", "get"},
		{"aws-vault exec prod -- aws bedrock list-imported-models", "bedrock", "list"},
		{"docker run --rm -v ~/.aws:/root/.aws amazon/aws-cli:2.17.0 bedrock list-guardrails", "bedrock", "list"},
		{"xargs -n 1 aws bedrock delete-guardrail --guardrail-identifier", "bedrock", "delete"},

		// options before and after the service
		{"aws --profile x --region y bedrock list-foundation-models", "bedrock", "list"},
		{"aws --region=y --no-verify-ssl --debug bedrock --output json create-guardrail", "bedrock", "create"},
		{"aws --endpoint-url http://127.0.0.1:8080 bedrock-runtime invoke-model", "bedrock-runtime", "invoke"},

		// shells
		{`bash -c "aws bedrock list-foundation-models"`, "bedrock", "list"},
		{"/bin/sh -c aws bedrock list-foundation-models", "bedrock", "list"},
		{"/bin/bash -lc cd /tmp && aws bedrock get-foundation-model --model-identifier m", "bedrock", "get"},
		{"sh,-c,aws bedrock delete-guardrail --guardrail-identifier a,b", "bedrock", "delete"},
		{`cmd.exe /d /s /c "aws bedrock list-guardrails > out.txt"`, "bedrock", "list"},
		{`powershell.exe -NoProfile -Command "& 'C:\Program Files\Amazon\AWSCLIV2\aws.exe' bedrock list-guardrails"`, "bedrock", "list"},
		{"pwsh -NoProfile -enc " + powerShell("aws bedrock delete-guardrail"), "bedrock", "delete"},
		{"powershell -NoProfile aws bedrock list-guardrails", "bedrock", "list"},
		{"powershell -File deploy-aws.ps1", "", ""},
		{`sh -c "for i in 1 2; do aws bedrock get-guardrail; done"`, "bedrock", "get"},
		{`bash -c "ids=$(aws bedrock list-guardrails --query x)"`, "bedrock", "list"},
		{`sh -c 'sh -c "aws s3 ls"'`, "s3", "ls"},
		{"aws bedrock \\\n  list-foundation-models", "bedrock", "list"},

		// other services; several calls
		{"aws s3 cp a s3://b", "s3", "cp"},
		{"aws sts get-caller-identity", "sts", "get"},
		{`bash -c "aws sts get-caller-identity; aws bedrock delete-guardrail; aws bedrock list-guardrails"`, "bedrock", "delete"},
		{`bash -c "aws sts get-caller-identity && aws s3 ls"`, "sts", "get"},
		{"aws bedrock", "bedrock", ""},
		{"aws bedrock help", "bedrock", "help"},

		// none
		{"", "", ""},
		{"aws", "", ""},
		{"aws --version", "", ""},
		{"aws help", "", ""},
		{"grep aws bedrock notes.txt", "", ""},
		{"echo aws,bedrock,list", "", ""},
		{"which aws", "", ""},
		{"vim /usr/local/bin/aws bedrock", "", ""},
		{"ls -l /usr/local/bin/aws", "", ""},
		{"bash -e deploy-aws.sh", "", ""},
		{"aws_completer bedrock list", "", ""},
		{"pwsh -enc not-base64-aws", "", ""},
		{"aws /tmp/file list", "", ""},
	} {
		service, verb, ok := CLI(tt.line, nil)
		if service != tt.service || verb != tt.verb || ok != (tt.service != "") {
			t.Errorf("%s: got %q %q %v, want %q %q", tt.line, service, verb, ok, tt.service, tt.verb)
		}
	}
}

// TestCLIArguments: arguments need no guessing, whatever is in them.
func TestCLIArguments(t *testing.T) {
	for _, tt := range []struct {
		argv          []string
		service, verb string
	}{
		{[]string{"aws", "bedrock", "list-foundation-models"}, "bedrock", "list"},
		{[]string{"/Applications/My Tools/aws", "bedrock", "get-guardrail"}, "bedrock", "get"},
		{[]string{"aws", "--profile", "a b,c", "bedrock", "put-use-case-for-model-access"}, "bedrock", "put"},
		{[]string{"-zsh", "-c", "aws bedrock list-guardrails"}, "bedrock", "list"},
		{[]string{"sudo", "-u", "x", "python3", "/usr/bin/aws", "bedrock", "list-agents"}, "bedrock", "list"},
		{[]string{"node", "x.js", "aws bedrock list"}, "", ""},
		{[]string{"ls"}, "", ""},
	} {
		service, verb, _ := CLI("aws iam list-users", tt.argv)
		if service != tt.service || verb != tt.verb {
			t.Errorf("%q: got %q %q, want %q %q", tt.argv, service, verb, tt.service, tt.verb)
		}
	}
}

// TestCLIBounds: shells within shells, and endless lines, end.
func TestCLIBounds(t *testing.T) {
	deep := strings.Repeat("sh -c ", 1000) + "aws s3 ls"
	if service, _, ok := CLI(deep, nil); ok {
		t.Errorf("a thousand shells: got %q", service)
	}
	long := "aws bedrock list-guardrails " + strings.Repeat("x;", 1<<20)
	if service, verb, _ := CLI(long, nil); service != "bedrock" || verb != "list" {
		t.Errorf("a long line: got %q %q", service, verb)
	}
}

// TestCLITurnsAway: what is no call costs no allocation.
func TestCLITurnsAway(t *testing.T) {
	line := "/usr/lib/systemd/systemd --switched-root --system --deserialize 31"
	if n := testing.AllocsPerRun(100, func() { CLI(line, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCLI(f *testing.F) {
	for _, s := range []string{"aws,bedrock,list", `sh -c "aws s3 ls && x"`, `C:\a b\aws.exe s3 ls`, "pwsh -e YQB3AHMA", `\`, `"\`, "aws $(", "A=b,aws,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		service, verb, ok := CLI(s, nil)
		if ok != (service != "") || !ok && verb != "" || strings.ContainsAny(service+verb, " \n\"") {
			t.Errorf("%q: %q %q %v", s, service, verb, ok)
		}
		CLI("", strings.Split(s, " "))
	})
}

// powerShell encodes a script as PowerShell's -EncodedCommand wants it.
func powerShell(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return base64.StdEncoding.EncodeToString(b)
}
