package upstream

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/internal/call"
)

// S17: an error tells nobody who the gateway is at AWS.
func TestRedact(t *testing.T) {
	const own = "arn:aws:bedrock:us-east-1:999988887777:application-inference-profile/p1"
	c := &call.Call{CallerARN: "arn:aws:iam::000000000000:user/red/ana", RawPath: "/model/" + own + "/converse", Body: []byte(`{"bucketOwner":"111122223333"}`)}
	for name, tt := range map[string]struct{ body, want string }{
		"nothing to hide": {`{"message": "slow down",  "n":1}`, `{"message": "slow down",  "n":1}`},
		"empty":           {``, ``},
		"our role":        {`{"Message":"User: arn:aws:sts::123456789012:assumed-role/gate/i-0abc is not authorized"}`, `{"Message":"User: arn:aws:iam::000000000000:user/red/ana is not authorized"}`},
		"escaped":         {`{"message":"User: arn:aws:sts::123456789012:assumed-role\/gate\/i-0abc is not"}`, `{"message":"User: arn:aws:iam::000000000000:user/red/ana is not"}`},
		"escaped more":    {`{"message":"\u0061rn:aws:ia\u006d::123456789012:role/gate"}`, `{"message":"arn:aws:iam::000000000000:user/red/ana"}`},
		"capitals":        {`{"message":"ARN:AWS:IAM::123456789012:role/gate"}`, `{"message":"arn:aws:iam::000000000000:user/red/ana"}`},
		"other partition": {`{"message":"arn:aws-us-gov:sts:us-gov-west-1:123456789012:assumed-role/gate/x"}`, `{"message":"arn:aws:iam::000000000000:user/red/ana"}`},
		"our account":     {`{"message":"on resource: arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x"}`, `{"message":"on resource: arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.x"}`},
		"bare account":    {`{"message":"Account 123456789012 has no access"}`, `{"message":"Account 000000000000 has no access"}`},
		"asked by path":   {`{"message":"no access to ` + own + `"}`, `{"message":"no access to ` + own + `"}`},
		"asked by body":   {`{"message":"bucket of 111122223333"}`, `{"message":"bucket of 111122223333"}`},
		"no account":      {`{"message":"1234567890123 > 12345678901, model-a1b2c3d4e5f6"}`, `{"message":"1234567890123 > 12345678901, model-a1b2c3d4e5f6"}`},
		"key":             {`{"message":"ASIAABCDEFGHIJKLMNOP, AROAABCDEFGHIJKLMNOP:i-0abc"}`, `{"message":"REDACTED, REDACTED"}`},
		"all members":     {`{"message":"m","originalStatusCode":400,"originalMessage":"role arn:aws:iam::123456789012:role/gate","resourceName":"arn:aws:bedrock:us-east-1:123456789012:x"}`, `{"message":"m","originalStatusCode":400,"originalMessage":"role arn:aws:iam::000000000000:user/red/ana","resourceName":"arn:aws:bedrock:us-east-1:000000000000:x"}`},
		"deep":            {`{"a":[{"b":"arn:aws:iam::123456789012:role/gate"},2]}`, `{"a":[{"b":"arn:aws:iam::000000000000:user/red/ana"},2]}`},
		"number":          {`{"account":123456789012}`, string(masked)},
		"name":            {`{"arn:aws:iam::123456789012:role/gate":1}`, string(masked)},
		"quoted twice":    {`{"originalMessage":"{\"message\":\"arn:aws\\u003asts::123456789012:assumed-role\\/gate\"}"}`, `{"originalMessage":"` + maskedText + `"}`},
		"quoted, clean":   {`{"originalMessage":"{\"message\":\"max\\ntokens\"}"}`, `{"originalMessage":"{\"message\":\"max\\ntokens\"}"}`},
		"two messages":    {`{"message":"arn:aws:iam::123456789012:role/gate","message":"no"}`, string(masked)},
		"not JSON":        {`<Message>arn:aws:iam::123456789012:role/gate</Message>`, string(masked)},
		"cut":             {`{"message":"arn:aws:iam::123456789012:role/g`, string(masked)},
		"too long":        {`{"message":"` + strings.Repeat("AKIAABCDEFGHIJKL arn:aws:iam: ", 40_000) + `"}`, string(masked)},
	} {
		if got := string(redactBody([]byte(tt.body), c)); got != tt.want {
			t.Errorf("%s: %.200s\n got %.200s\nwant %.200s", name, tt.body, got, tt.want)
		}
	}
}

// The caller's request is not searched without bound.
func TestRedactSearchesLittle(t *testing.T) {
	c := &call.Call{CallerARN: "arn:aws:iam::000000000000:user/red/ana", Body: []byte("111122223333")}
	r := redaction{c: c}
	got := r.text(strings.Repeat("111122223333 ", 2*maxAsked))
	if n := strings.Count(got, "111122223333"); n != maxAsked {
		t.Errorf("%d numbers were looked up, want %d", n, maxAsked)
	}
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("x", 1023) + "é"); got != strings.Repeat("x", 1023) {
		t.Errorf("got %d bytes, ending in %q", len(got), got[len(got)-2:])
	}
}

func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"message":"User: arn:aws:sts::123456789012:assumed-role\/gate\/i-0abc is not authorized (key ASIAABCDEFGHIJKLMNOP)"}`))
	f.Add([]byte(`{"originalMessage":"{\"message\":\"arn:aws\\u003asts::123456789012:x\"}","a":[1,"AKIAABCDEFGHIJKLMNOP"]}`))
	f.Add([]byte(`123456789012`))
	c := &call.Call{CallerARN: "arn:aws:iam::000000000000:user/red/ana"}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := redactBody(body, c)
		if len(got) > 0 && !json.Valid(got) {
			t.Errorf("%q became %q, which is no JSON", body, got)
		}
		if again := redactBody(got, c); string(again) != string(got) {
			t.Errorf("%q became %q and then %q", body, got, again)
		}
	})
}
