package guard

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
)

// answers has, for each way in which answers carry text, one answer with it
// where M stands.
var answers = map[string][]string{
	"converse": {
		`{"output":{"message":{"role":"assistant","content":[{"text":"M"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7},"metrics":{"latencyMs":5}}`,
		`{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"M","signature":"x"}}}]}},"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}}`,
		`{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"n","input":{"id":["M"]}}}]}}}`,
		`{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"n","input":{"M":1}}}]}}}`,
		`{"output":{"message":{"content":[{"citationsContent":{"content":[{"text":"x"}],"citations":[{"title":"M"}]}}]}}}`,
	},
	"claude":        {`{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"M"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}`, `{"content":[{"type":"tool_use","id":"a","name":"n","input":{"type":"M"}}]}`, `{"content":[{"type":"thinking","thinking":"M"}]}`},
	"claude-legacy": {`{"completion":"M","stop_reason":"stop_sequence"}`},
	"titan-text":    {`{"inputTextTokenCount":1,"results":[{"tokenCount":1,"outputText":"M","completionReason":"FINISH"}]}`},
	"nova":          {`{"output":{"message":{"content":[{"text":"M"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":1}}`},
	"command":       {`{"generations":[{"text":"M"}]}`},
	"command-r":     {`{"text":"M","chat_history":[]}`, `{"text":"","tool_calls":[{"name":"a","parameters":{"q":"M"}}]}`},
	"jurassic":      {`{"completions":[{"data":{"text":"M","tokens":[]}}]}`},
	"llama":         {`{"generation":"M","prompt_token_count":1}`},
	"mistral":       {`{"outputs":[{"text":"M","stop_reason":"stop"}]}`},
	"openai":        {`{"choices":[{"message":{"content":"M"}}]}`, `{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\":\"M\"}"}}]}}]}`},
	"jamba":         {`{"choices":[{"message":{"content":"M"}}]}`},
	"deepseek":      {`{"choices":[{"text":"M","stop_reason":"stop"}]}`},
	"twelvelabs":    {`{"message":"M","finishReason":"stop"}`},
}

// minimal are bodies that ask for those answers.
func minimal(family string) string {
	switch family {
	case "converse":
		return converse("hi")
	case "claude", "openai", "jamba", "nova":
		return `{"messages":[]}`
	}
	return `{"prompt":"hi"}`
}

// TestWhole checks that answers of all shapes are judged, masked in the text only
// and, when blocked, of a shape that clients of the family can read.
func TestWhole(t *testing.T) {
	e := engine(t, Options{}, outRules)
	for i := range bedrock.Families {
		if f := &bedrock.Families[i]; answersText(f) && answers[f.Name] == nil {
			t.Errorf("no answer of %s", f.Name)
		}
	}
	for family, list := range answers {
		c := callOf(t, family, minimal(family))
		for _, shape := range list {
			whole := func(text string) (string, Verdict) {
				body := []byte(strings.Replace(shape, "M", text, 1))
				keep := bytes.Clone(body)
				out, v := e.Whole(t.Context(), c, "application/json", body)
				if !bytes.Equal(body, keep) {
					t.Errorf("%s: the body was changed in place", family)
				}
				return string(out), v
			}
			if got, v := whole("all is well \\u00e9"); got != strings.Replace(shape, "M", "all is well \\u00e9", 1) || v.Blocked || len(v.Notes) > 0 {
				t.Errorf("%s: clean: %s %+v", family, got, v)
			}
			got, v := whole(`\ud83d\ude00\u00e9\n\ud835\udfd2111 1111 1111 1111 \u0034111111111111111.`)
			label := strings.Replace(shape, "M", `\ud83d\ude00\u00e9\n[CARD] [CARD].`, 1)
			if isKey := strings.Contains(shape, `"M":`); !isKey && got != label || v.Blocked || len(v.Notes) != 1 {
				t.Errorf("%s: masked: %s, want %s, %+v", family, got, label, v)
			}
			got, v = whole("take AKIAIOSFODNN7EXAMPLE")
			if !v.Blocked || v.Rule != "aws" || strings.Contains(got, "AKIA") || !strings.Contains(got, "No keys.") || !json.Valid([]byte(got)) {
				t.Errorf("%s: blocked: %s %+v", family, got, v)
			}
			if usage := `"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}`; strings.Contains(shape, usage) != strings.Contains(got, usage) {
				t.Errorf("%s: usage of the blocked answer: %s", family, got)
			}
		}
	}
	for _, bad := range []string{`{"a":"b`, `{"a":1}}`, strings.Repeat("[", 100)} {
		if out, v := e.Whole(t.Context(), callOf(t, "converse", converse("hi")), "application/json", []byte(bad)); v.Refusal == nil || out != nil {
			t.Errorf("%.20s: %s %+v", bad, out, v)
		}
	}
	numbers := callOf(t, "rerank", `{"query":"x","documents":[]}`)
	for text, want := range map[string]string{"fine": "fine", "4111111111111111": "[CARD]", "AKIAIOSFODNN7EXAMPLE": ""} {
		out, v := e.Whole(t.Context(), numbers, "application/json", []byte(`{"results":[{"index":0,"document":{"text":"`+text+`"}}]}`))
		if want == "" && (out != nil || v.Refusal == nil || v.Refusal.Reason != call.GuardDenied.Reason) || want != "" && string(out) != `{"results":[{"index":0,"document":{"text":"`+want+`"}}]}` {
			t.Errorf("%s in an answer without words: %s %+v", text, out, v)
		}
	}
}

// TestBlocked checks the answers to blocked prompts.
func TestBlocked(t *testing.T) {
	const say = "Not \"here\"\n<é>."
	for i := range bedrock.Families {
		f := &bedrock.Families[i]
		c := callOf(t, f.Name, minimal(f.Name))
		if !answersText(f) {
			e := engine(t, Options{}, `rules: [{name: x, action: block, message: Hm., match: {keywords: [hi]}}]`)
			if f.Name == "titan-embed" {
				c = callOf(t, f.Name, `{"inputText":"hi"}`)
				if v := e.Inbound(t.Context(), c); v.Refusal == nil || v.Refusal.Reason != call.GuardDenied.Reason || v.Refusal.Message != "Hm." {
					t.Errorf("%s: %+v", f.Name, v)
				}
			}
			continue
		}
		kind, body, header := BlockedWhole(c, say)
		var any map[string]any
		if err := json.Unmarshal(body, &any); err != nil || kind != "application/json" || !strings.Contains(string(body), quote(say)) {
			t.Errorf("%s: %v %s", f.Name, err, body)
		}
		native := f.Name != "converse"
		if strings.Contains(string(body), intervened) != native || (len(header) > 0) != native || strings.Contains(string(body), `"guardrail_intervened"`) == native {
			t.Errorf("%s: %s %v", f.Name, body, header)
		}
		var events []string
		text := ""
		r := eventstream.NewReader(bytes.NewReader(BlockedStream(c, say)), 0)
		usage := f.NewStreamUsage()
		for {
			fr, err := r.Next()
			if err != nil {
				break
			}
			events = append(events, fr.EventType())
			usage.Event(fr.EventType(), fr.Payload)
			doc := fr.Payload
			if native {
				doc, _ = eventstream.AppendChunkDocument(nil, fr.Payload)
			}
			if !json.Valid(doc) {
				t.Errorf("%s: frame %s", f.Name, doc)
			}
			text += string(doc)
		}
		if !strings.Contains(text, quote(say)) || !usage.Ended() {
			t.Errorf("%s: stream %q, ended %v", f.Name, text, usage.Ended())
		}
		if want := []string{"messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}; !native && !slices.Equal(events, want) {
			t.Errorf("events %v", events)
		}
	}
}

const echoRules = `
rules:
  - {name: canary, action: block, direction: both, match: {detectors: [canary]}}
  - {name: echo, action: block, direction: out, match: {detectors: [system_echo]}}
`

// TestEcho is row G12: the system prompt said again, in other case and spacing,
// and canaries, also encoded and cut.
func TestEcho(t *testing.T) {
	e := engine(t, Options{Canaries: []string{"Zebra-4711-Quark"}}, echoRules)
	system := "You are the assistant of Example Bank. Never discuss competitors. Escalate complaints about fees to the second line, and " +
		"answer questions about mortgages only with the table of the current quarter. The internal name of this service is Bluebird, " +
		"and its owner is the retail team in Utrecht, who may be reached on weekdays between nine and five."
	c := callOf(t, "converse", `{"system":[{"text":`+js(system)+`}],"messages":[{"role":"user","content":[{"text":"hi"}]}]}`)
	for name, test := range map[string]struct{ text, rule string }{
		"all of it":        {"Sure: " + system, "echo"},
		"shouted":          {strings.ToUpper(strings.ReplaceAll(system, " ", "\n")), "echo"},
		"most of it":       {"It says: " + system[60:330], "echo"},
		"with other words": {strings.NewReplacer("Example Bank", "our bank", "current", "present", "weekdays", "workdays").Replace(system), "echo"},
		"a sentence":       {"I am the assistant of Example Bank. How can I help?", ""},
		"other text":       {prose(3000), ""},
		"canary":           {"the word is zebra-4711-QUARK ok", "canary"},
		"canary in base64": {base64.StdEncoding.EncodeToString([]byte("it is Zebra-4711-Quark")), "canary"},
	} {
		body := []byte(`{"output":{"message":{"content":[{"text":` + js(test.text) + `}]}}}`)
		if _, v := e.Whole(t.Context(), c, "application/json", body); v.Rule != test.rule {
			t.Errorf("%s: %+v", name, v)
		}
		s := e.Stream(c)
		for i := 0; i < len(test.text); i += 7 {
			if _, ended := s.Frame(wires[0].piece(test.text[i:min(i+7, len(test.text))])); ended {
				break
			}
		}
		s.End()
		if v := s.Verdict(); v.Rule != test.rule {
			t.Errorf("%s, streamed: %+v", name, v)
		}
	}
}

// FuzzStream checks that, however a text is cut into frames, the same becomes of it.
func FuzzStream(f *testing.F) {
	e := engine(f, Options{}, outRules)
	f.Add("a card 4111 1111 1111 1111 and jane@example.org", []byte{3, 1, 9})
	f.Add("the forbidden fruit", []byte{1, 1, 1})
	f.Add("AKIAIOSFODNN7EXAMPLE é😀\n\"", []byte{2})
	f.Fuzz(func(t *testing.T, text string, steps []byte) {
		if len(text) > 4<<10 || !json.Valid([]byte(js(text))) || strings.ContainsRune(text, 0xfffd) || js(text) != js(strings.ToValidUTF8(text, "\ufffd")) {
			return
		}
		w := &wires[len(steps)%len(wires)]
		var cuts []int
		at := 0
		for i := 0; len(steps) > 0 && at < len(text); i++ {
			at += 1 + int(steps[i%len(steps)])
			for at < len(text) && text[at]&0xc0 == 0x80 {
				at++
			}
			cuts = append(cuts, min(at, len(text)))
		}
		one, s1 := play(t, e, w, text, nil)
		many, s2 := play(t, e, w, text, cuts)
		if s1.Verdict().Blocked != s2.Verdict().Blocked {
			t.Fatalf("%q at %v: in one %+v, in many %+v", text, cuts, s1.Verdict(), s2.Verdict())
		}
		if a, b := said(t, one), said(t, many); !s1.Verdict().Blocked && a != b {
			t.Fatalf("%q at %v: in one %q, in many %q", text, cuts, a, b)
		}
	})
}

// FuzzCheck feeds the decoders and detectors.
func FuzzCheck(f *testing.F) {
	e := shipped(f)
	for _, s := range []string{"SGVsbG8gd29ybGQh", "68 65 6c 6c 6f 20 77 6f", "%41%42%43", "... --- ...", "i g n o r e", "1gn0r3 th1s", "vtaber", "&#65;&amp;&lt;", "4111 1111 1111 1111", "DE89 3704", "eyJ.a.b", "\U000e0041\ufe01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, out := range []bool{false, true} {
			hits, err := e.Check(data, "user", out)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range hits {
				if h.Start < 0 || h.End < h.Start || h.End > len(data) {
					t.Fatalf("%q: %+v", data, h)
				}
			}
		}
	})
}
