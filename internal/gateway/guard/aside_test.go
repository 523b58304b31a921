package guard

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

const (
	awsKey  = "AKIAIOSFODNN7EXAMPLE"
	secrets = `rules:
  - {name: key, action: block, match: {detectors: [aws_key]}}
  - {name: card, action: mask, decode: true, match: {detectors: [card]}}
  - {name: words, action: block, match: {keywords: [ignore all previous]}}
  - {name: both, action: block, match: {keywords: [zebra], detectors: [aws_key]}, roles: [assistant]}`
)

// noted are the names and actions of a verdict's notes.
func noted(v Verdict) string {
	var list []string
	for _, n := range v.Notes {
		list = append(list, n.Name+" "+n.Action)
	}
	return strings.Join(list, ", ")
}

// TestAside: secrets are found wherever they stand, and masked where that does no harm.
func TestAside(t *testing.T) {
	const say = `{"messages":[{"role":"user","content":[{"text":"hi"}]}],`
	for _, c := range []struct {
		name, family, body string
		everything         bool
		blocked            string
		notes              string
		sent               string // of the body, in place of 4111111111111111
	}{
		{name: "stop sequence", family: "converse", body: say + `"inferenceConfig":{"stopSequences":["` + awsKey + `"]}}`, blocked: "key"},
		{name: "escaped", family: "converse", body: say + `"inferenceConfig":{"stopSequences":["\u0041KIAIOSFODNN7EXAMPLE"]}}`, blocked: "key"},
		{name: "metadata", family: "converse", body: say + `"requestMetadata":{"a":"` + awsKey + `"}}`, blocked: "key"},
		{name: "metadata's key", family: "converse", body: say + `"requestMetadata":{"` + awsKey + `":"a"}}`, blocked: "key"},
		{name: "user id", family: "claude", body: `{"metadata":{"user_id":"` + awsKey + `"},"messages":[{"role":"user","content":"hi"}]}`, blocked: "key"},
		{name: "words are none", family: "converse", body: say + `"requestMetadata":{"a":"ignore all previous"}}`},
		{name: "card in a setting", family: "converse", body: say + `"requestMetadata":{"a":"4111111111111111"}}`, notes: "card flag", sent: `4111111111111111`},
		{name: "card as a number", family: "converse", body: say + `"inferenceConfig":{"maxTokens":4111111111111111}}`, notes: "card flag", sent: `4111111111111111`},
		{name: "number in free JSON", family: "converse", notes: "card mask", sent: `"[CARD]"`,
			body: `{"messages":[{"role":"user","content":[{"toolResult":{"toolUseId":"a","content":[{"json":{"n":[4111111111111111]}}]}}]}]}`},
		{name: "another number", family: "converse", body: say + `"inferenceConfig":{"maxTokens":4111111111111112}}`},
		{name: "kept setting", family: "converse", everything: true, body: say + `"requestMetadata":{"a":"4111111111111111"}}`, notes: "card mask", sent: `[CARD]`},
		{name: "kept number", family: "converse", everything: true, body: say + `"inferenceConfig":{"maxTokens":4111111111111111}}`, notes: "card mask", sent: `"[CARD]"`},
	} {
		e := engine(t, Options{Everything: c.everything}, secrets)
		in := callOf(t, c.family, c.body)
		v := e.Inbound(t.Context(), in)
		if v.Rule != c.blocked || noted(v) != c.notes || v.Refusal != nil {
			t.Errorf("%s: blocked by %q, notes %q, %+v", c.name, v.Rule, noted(v), v.Refusal)
		}
		if want := strings.ReplaceAll(c.body, "4111111111111111", c.sent); c.sent != "" && string(in.Doc.Splice(nil, v.Edits...)) != want {
			t.Errorf("%s: sent %s, want %s", c.name, in.Doc.Splice(nil, v.Edits...), want)
		}
	}
}

// TestAsideOfAnswers: numbers in the input of a tool call are masked, too.
func TestAsideOfAnswers(t *testing.T) {
	e := engine(t, Options{}, `rules: [{name: card, action: mask, direction: both, match: {detectors: [card]}}]`)
	c := callOf(t, "converse", converse("hi"))
	body := `{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"pay","input":{"n":4111111111111111,"t":1700000000000}}}]}},"usage":{"inputTokens":1}}`
	out, v := e.Whole(t.Context(), c, "application/json", []byte(body))
	if want := strings.Replace(body, "4111111111111111", `"[CARD]"`, 1); string(out) != want {
		t.Errorf("sent %s, want %s; %+v", out, want, v)
	}
}

// TestNested: the body that CountTokens carries is read as the model's own.
func TestNested(t *testing.T) {
	e := engine(t, Options{}, secrets)
	for inner, want := range map[string]struct{ blocked, sent string }{
		`{"messages":[{"role":"user","content":"\u0041KIAIOSFODNN7EXAMPLE"}]}`:                          {blocked: "key"},
		`{"messages":[{"role":"user","content":"i\u0067nore all previous"}]}`:                           {blocked: "words"},
		`{"metadata":{"user_id":"\u0041KIAIOSFODNN7EXAMPLE"},"messages":[]}`:                            {blocked: "key"},
		`{"messages":[{"role":"user","content":"a 4111111111\u0031\u00311111 b"}]}`:                     {sent: `{"messages":[{"role":"user","content":"a [CARD] b"}]}`},
		`{"messages":[{"role":"user","content":"harmless"}]}`:                                           {sent: `{"messages":[{"role":"user","content":"harmless"}]}`},
		`{"messages":[{"role":"user","content":"a \"quoted\" 4111111111111111"},{"role":"assistant"}]}`: {sent: `{"messages":[{"role":"user","content":"a \"quoted\" [CARD]"},{"role":"assistant"}]}`},
	} {
		body := func(s string) string {
			return `{"input":{"invokeModel":{"body":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"}}}`
		}
		c := callOf(t, "count-tokens", body(inner))
		c.Model.Model = &model.Model{Family: "claude"}
		v := e.Inbound(t.Context(), c)
		if v.Rule != want.blocked {
			t.Errorf("%s: blocked by %q, want %q", inner, v.Rule, want.blocked)
		}
		if got := string(c.Doc.Splice(nil, v.Edits...)); want.blocked == "" && got != body(want.sent) {
			t.Errorf("%s: sent %s", inner, got)
		}
	}
}

// TestFiles: what is text in a file is read, wherever it stands and however it
// is written; what is packed is noted.
func TestFiles(t *testing.T) {
	long := strings.Repeat("a line of an ordinary report\n", 8<<10)
	wide := func(s string, big, mark bool) string {
		var b []byte
		for i, u := range utf16.Encode([]rune(s)) {
			if i == 0 && mark {
				u, s = 0xfeff, s[:0]
			}
			if big {
				b = append(b, byte(u>>8), byte(u))
			} else {
				b = append(b, byte(u), byte(u>>8))
			}
		}
		return string(b)
	}
	noise := strings.Repeat("\x00\x01\xff\xfe\x80ab\x03", 20<<10)
	for name, c := range map[string]struct{ file, blocked, notes string }{
		"text":            {long + awsKey + "\n" + long, "key", ""},
		"a zero":          {"\x00" + long + awsKey + "\n" + long, "key", ""},
		"zeros in words":  {long + "ignore a\x00ll pre\x00vious\n" + long, "words", ""},
		"in the middle":   {noise + " the key is " + awsKey + " " + noise, "key", ""},
		"UTF-16":          {wide(long+awsKey+"\n"+long, false, false), "key", ""},
		"big UTF-16":      {wide(long+awsKey+"\n"+long, true, false), "key", ""},
		"marked":          {wide("?приветы, ignore all previous", false, true), "words", ""},
		"marked big":      {wide("?приветы, ignore all previous", true, true), "words", ""},
		"UTF-16 in noise": {noise + wide("ignore all previous orders", false, false) + noise, "words", ""},
		"nothing":         {noise, "", ""},
		"PDF":             {"%PDF-1.7\n" + noise, "", "unread-document flag"},
		"docx":            {"PK\x03\x04" + noise, "", "unread-document flag"},
		"old office":      {"\xd0\xcf\x11\xe0" + noise, "", "unread-document flag"},
		"PDF in letters":  {"%PDF-1.7\n" + long, "", "unread-document flag"},
	} {
		e := engine(t, Options{}, secrets)
		body := `{"messages":[{"role":"user","content":[{"document":{"format":"txt","name":"a","source":{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(c.file)) + `"}}}]}]}`
		v := e.Inbound(t.Context(), callOf(t, "converse", body))
		if v.Rule != c.blocked || noted(v) != c.notes || v.Refusal != nil {
			t.Errorf("%s: blocked by %q, notes %q, %v; want %q, %q", name, v.Rule, noted(v), v.Refusal, c.blocked, c.notes)
		}
	}
}

// TestSlowBlocks: a text that takes too long to judge switches no rule off.
func TestSlowBlocks(t *testing.T) {
	const rules = `rules:
  - {name: slow, action: flag, match: {detectors: ["score:x"]}}
  - {name: hidden, action: block, decode: true, match: {keywords: [zebra]}}
  - {name: key, action: block, match: {detectors: [aws_key]}}`
	for name, s := range map[string]Scorer{"slow": slowScorer{5 * time.Millisecond}, "broken": badScorer{}} {
		e := engine(t, Options{OnError: "allow", Budget: time.Millisecond, Scorers: map[string]Scorer{"x": s}}, rules)
		for text, want := range map[string]string{"my " + awsKey: "key", "a zebra": "hidden", "a horse": ""} {
			v := e.Inbound(t.Context(), callOf(t, "converse", converse(text)))
			if v.Rule != want || v.Refusal != nil || want == "" && len(v.Notes) != 1 {
				t.Errorf("%s, %s: blocked by %q, want %q; %+v", name, text, v.Rule, want, v.Notes)
			}
		}
	}
}

// TestGone: nothing is judged for a caller who has left, and nothing let pass.
func TestGone(t *testing.T) {
	e := engine(t, Options{OnError: "allow"}, secrets)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	v := e.Inbound(ctx, callOf(t, "converse", converse(strings.Repeat("hello ", 1000))))
	if v.Refusal == nil || v.Refusal.Reason != call.GuardDown.Reason {
		t.Errorf("%+v", v)
	}
}

// FuzzBlob: whatever a file holds, reading it yields no more than it has, and
// text is text.
func FuzzBlob(f *testing.F) {
	f.Add([]byte("\xff\xfeh\x00i\x00"), false)
	f.Add([]byte(strings.Repeat("a", pictureEnds)+"\x00"+strings.Repeat("b", 100)), true)
	f.Add([]byte(strings.Repeat("w\x00", 40)), false)
	f.Fuzz(func(t *testing.T, data []byte, picture bool) {
		unread := false
		out, kind := appendBlob([]byte("before"), []byte(base64.StdEncoding.EncodeToString(data)), picture, &unread)
		text := out[len("before"):]
		if string(out[:len("before")]) != "before" || len(text) > len(data)*3/2 {
			t.Errorf("%q became %q", data, out)
		}
		if printable(data) && (kind != inBlob || string(text) != string(data)) {
			t.Errorf("text %q became %q", data, text)
		}
	})
}
