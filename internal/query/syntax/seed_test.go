package syntax

import (
	"os"
	"path/filepath"
	"testing"
)

// seedStages is how many stages each hunt of the seed has.
var seedStages = map[string]int{
	"H1": 5, "H2": 7, "H3": 5, "H4": 6, "H5": 6, "H6": 7, "H7": 3, "H8": 4, "H9": 4, "H10": 5, "H11": 7,
}

func seed(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "seed", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSeeds reads the eleven hunts as they were published.
func TestSeeds(t *testing.T) {
	for name, want := range seedStages {
		src := seed(t, name)
		q, err := Parse(src)
		if err != nil {
			t.Errorf("%s:\n%s", name, err.(Errors).Render(src))
			continue
		}
		if len(q.Stages) != want {
			t.Errorf("%s: %d stages, want %d", name, len(q.Stages), want)
		}
	}
}

// seedReads reads a stage of a hunt step by step, see TestCursor. Each is there
// for what trips a simpler reader, named beside it.
var seedReads = []struct {
	hunt  string
	stage int
	steps string
	trap  string
}{
	{"H1", 1, `field =%input.inputBodyJson.prompt;as;name =prompt`, "a stage that is only an alias"},
	{"H1", 3, `parse;regex;field;=;field =prompt;string =<input>(?<user_prompt>.*)<\/input>;nodrop`, "backslashes stay"},
	{"H2", 5, `expr =(if (matches user_prompt /(training data|model|prompts)/) 1i 0i);as;name =sensitive_user_prompt`, "pipes in a regular expression"},
	{"H2", 6, `where;expr =(= sensitive_user_prompt "1")`, "a string that will equal a number"},
	{"H3", 5, `expr =(values S3Location);as;name =S3Location;,;expr =(values ModelName);as;name =ModelName;by;field =arn`, "an alias that is its input"},
	{"H4", 1, `where;expr =(or (= eventname "CreateModelCustomizationJob") (= eventname "PutObject"))`, "names as written, OR in capitals"},
	{"H4", 4, `parse;regex;field;=;field =S3Location;regex =/s3\:\/\/(?<bucketName>.*)\//;nodrop`, "blanks round ="},
	{"H4", 5, `transaction;on;field =%userIdentity.principalId;,;field =bucketName;with;string =*PutObject*;as;name =PutObject;,;with;` +
		`string =*CreateModelCustomizationJob*;as;name =CreateModelCustomizationJob;results;by;transactions`, "line ends between words, a comma and with"},
	{"H4", 6, `where;expr =(and (>= PutObject 1i) (>= CreateModelCustomizationJob 1i))`, "names that were states"},
	{"H7", 2, `timeslice;duration =4h0m0s`, "a time"},
	{"H7", 3, `expr =(sum inputTokenCount);as;name =inputTokenSum;by;field =accountId;,;field =_timeslice`, "no blank behind a comma"},
	{"H8", 1, `where;expr =(matches commandLine /(aws\,bedrock)/)`, "an escaped comma"},
	{"H8", 2, `expr =(replace commandLine /,/ " ");as;name =commandLine`, "a comma between slashes"},
	{"H9", 4, `expr =(if (matches commandLine_clean /aws bedrock delete/) "delete" (if (matches commandLine_clean /aws bedrock get/) "get" ` +
		`(if (matches commandLine_clean /aws bedrock list/) "list" "")));as;name =bedrock_cmdline_action`, "blank lines, line ends in calls"},
	{"H11", 5, `field =bedrock_cmdline_action;as;name =actions`, "a bare alias"},
}

func TestSeedTraps(t *testing.T) {
	for _, r := range seedReads {
		t.Run(r.hunt+" "+r.trap, func(t *testing.T) {
			q, err := Parse(seed(t, r.hunt))
			if err != nil {
				t.Fatal(err)
			}
			c := NewCursor(q.Stages[r.stage-1], q)
			for _, step := range split(r.steps) {
				take(t, c, step)
			}
			if err := c.End(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSeedScopes(t *testing.T) {
	for name, want := range map[string]string{
		"H1": `fieldq:_collector=AWS Bedrock Model Invocation Logs`,
		"H4": `(or field:_sourceCategory=cloudtrail field:_sourceCategory=cloudtraildataevents)`,
		"H9": `field:_index=sec_record_endpoint`,
	} {
		q, err := Parse(seed(t, name))
		if err != nil || dump(q.Scope) != want {
			t.Errorf("%s starts from %s, %v; want %s", name, dump(q.Scope), err, want)
		}
	}
}
