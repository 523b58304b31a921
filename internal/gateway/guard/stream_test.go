package guard

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
)

const outRules = `
rules:
  - {name: aws, action: block, direction: both, match: {detectors: [aws_key]}, message: No keys.}
  - {name: pem, action: mask, direction: out, match: {detectors: [private_key]}}
  - {name: card, action: mask, direction: both, match: {detectors: [card]}}
  - {name: mail, action: mask, direction: out, match: {detectors: [email]}}
  - {name: word, action: block, direction: out, match: {keywords: [forbidden fruit]}}
  - {name: noted, action: flag, direction: out, match: {keywords: [curious]}}
`

// wire is a way to stream texts: how a piece becomes a frame, and what ends it.
type wire struct {
	family string
	body   string
	piece  func(text string) []byte
	end    []byte
}

func js(s string) string { b, _ := json.Marshal(s); return string(b) }

var wires = []wire{
	{
		family: "converse", body: converse("hi"),
		piece: func(s string) []byte {
			return eventstream.AppendEvent(nil, "contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":`+js(s)+`},"p":"abc"}`))
		},
		end: eventstream.AppendEvent(eventstream.AppendEvent(nil, "contentBlockStop", []byte(`{"contentBlockIndex":0,"p":"ab"}`)), "messageStop", []byte(`{"p":"ab","stopReason":"end_turn"}`)),
	},
	{
		family: "claude", body: `{"anthropic_version":"x","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`,
		piece: func(s string) []byte {
			return eventstream.AppendChunk(nil, []byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+js(s)+`}}`), "abcd")
		},
		end: eventstream.AppendChunk(nil, []byte(`{"type":"content_block_stop","index":0}`), "ab"),
	},
	{
		family: "openai", body: `{"messages":[{"role":"user","content":"hi"}]}`,
		piece: func(s string) []byte {
			return eventstream.AppendChunk(nil, []byte(`{"choices":[{"delta":{"content":`+js(s)+`},"index":0,"finish_reason":null}]}`), "abcd")
		},
		end: eventstream.AppendChunk(nil, []byte(`{"choices":[{"delta":{},"index":0,"finish_reason":"stop"}]}`), "ab"),
	},
	{
		family: "llama", body: `{"prompt":"hi"}`,
		piece: func(s string) []byte {
			return eventstream.AppendChunk(nil, []byte(`{"generation":`+js(s)+`,"prompt_token_count":null,"stop_reason":null}`), "")
		},
		end: eventstream.AppendChunk(nil, []byte(`{"generation":"","prompt_token_count":null,"stop_reason":"stop"}`), "ab"),
	},
}

// said returns the text in frames, which must all be well formed.
func said(t testing.TB, frames []byte) string {
	t.Helper()
	var out strings.Builder
	r := eventstream.NewReader(bytes.NewReader(frames), 0)
	for {
		f, err := r.Next()
		if err != nil {
			if len(frames) > 0 && err.Error() != "EOF" {
				t.Fatalf("frames: %v", err)
			}
			return out.String()
		}
		doc := f.Payload
		if f.EventType() == "chunk" {
			doc, _ = eventstream.AppendChunkDocument(nil, f.Payload)
		}
		if !json.Valid(doc) {
			t.Fatalf("frame holds %s", doc)
		}
		eachString(doc, false, func(v value) {
			if k := string(v.key); k == "text" || k == "content" || k == "generation" {
				out.Write(appendUnescaped(nil, doc[v.start+1:v.end-1]))
			}
		})
	}
}

// play streams text cut at cuts, and returns what the caller gets.
func play(t testing.TB, e *Engine, w *wire, text string, cuts []int) (frames []byte, s *Stream) {
	t.Helper()
	c := callOf(t, w.family, w.body)
	s = e.Stream(c)
	send := func(raw []byte) bool {
		keep := bytes.Clone(raw)
		out, ended := s.Frame(raw)
		if !bytes.Equal(keep, raw) {
			t.Fatal("a frame was changed in place")
		}
		frames = append(frames, out...)
		return ended
	}
	at := 0
	for _, n := range append(cuts, len(text)) {
		if n > at {
			if send(w.piece(text[at:n])) {
				return frames, s
			}
			at = n
		}
	}
	end := eventstream.NewReader(bytes.NewReader(w.end), 0)
	for {
		f, err := end.Next()
		if err != nil || send(f.Raw) {
			break
		}
	}
	out, _ := s.End()
	return append(frames, out...), s
}

// TestStream is row G12 and more: whatever the cuts, the same becomes of a text.
func TestStream(t *testing.T) {
	e := engine(t, Options{}, outRules)
	fill := strings.Repeat("lorem ipsum dolor sit amet ", 60)
	for _, c := range []struct{ text, want, rule string }{
		{"plain text, nothing in it.", "plain text, nothing in it.", ""},
		{fill, fill, ""},
		{"a card 4111 1111 1111 1111 here", "a card [CARD] here", ""},
		{fill + "4111111111111111", fill + "[CARD]", ""},
		{"4111-1111-1111-1111 " + fill + "5555555555554444 jane@example.org, end", "[CARD] " + fill + "[CARD] [MAIL], end", ""},
		{"number 4111 1111 1111 1112 is none", "number 4111 1111 1111 1112 is none", ""},
		{"key AKIAIOSFODNN7EXAMPLE", "", "aws"},
		{fill + "key AKIAIOSFODNN7EXAMPLE and " + fill, "", "aws"},
		{"the forbidden fruit", "", "word"},
		{"forbidden fruits are fine, forbidding fruit too", "forbidden fruits are fine, forbidding fruit too", ""},
		{"see -----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "", "pem"},
		{"ünï€😀 4111 1111 1111 1111 😀", "ünï€😀 [CARD] 😀", ""},
		{"how curious \"quoted\" \\ back\nslash", "how curious \"quoted\" \\ back\nslash", ""},
	} {
		for i := range wires {
			w := &wires[i]
			for seed := range uint64(25) {
				var cuts []int
				r := rand.New(rand.NewPCG(seed, 1))
				for n := 0; seed > 0 && n < len(c.text); {
					n += 1 + r.IntN(1+int(seed)*2)
					for n < len(c.text) && c.text[n]&0xc0 == 0x80 {
						n++
					}
					cuts = append(cuts, min(n, len(c.text)))
				}
				frames, s := play(t, e, w, c.text, cuts)
				got, v := said(t, frames), s.Verdict()
				if v.Refusal != nil || v.Rule != c.rule || v.Blocked != (c.rule != "") {
					t.Fatalf("%s, seed %d, %.40q: verdict %+v", w.family, seed, c.text, v)
				}
				if c.rule == "" && got != c.want {
					t.Fatalf("%s, seed %d: got %q, want %q", w.family, seed, got, c.want)
				}
				if c.rule != "" {
					sent, ok := strings.CutSuffix(got, v.Message)
					if !ok || !strings.HasPrefix(c.text, sent) || strings.Contains(sent, "AKIA") || strings.Contains(sent, "BEGIN") || strings.Contains(sent, "forbidden") {
						t.Fatalf("%s, seed %d: blocked answer %q", w.family, seed, got)
					}
				}
			}
		}
	}
}

// TestStreamUntouched checks that what no rule edits leaves byte by byte, and
// that text waits only while it may be the beginning of a match.
func TestStreamUntouched(t *testing.T) {
	e := engine(t, Options{}, outRules)
	for i := range wires {
		w := &wires[i]
		s := e.Stream(callOf(t, w.family, w.body))
		for _, c := range []struct {
			text string
			held bool
		}{{"Hello there, ", false}, {"this is ordinary ", false}, {"prose. The forb", true}, {"earing man ", false}, {"paid 41", true}, {"11 dollars ", false}, {"to nobody ", false}} {
			raw := w.piece(c.text)
			out, ended := s.Frame(raw)
			if held := len(out) == 0; ended || held != c.held {
				t.Errorf("%s: %q: held %v, want %v", w.family, c.text, held, c.held)
			}
			if !c.held && !bytes.HasSuffix(out, raw) {
				t.Errorf("%s: %q did not leave as it came", w.family, c.text)
			}
		}
	}
}

// TestStreamEnds checks how an answer ends that is cut off in the middle of a tool
// call, and behind a block that was whole.
func TestStreamEnds(t *testing.T) {
	event := func(name, payload string) []byte { return eventstream.AppendEvent(nil, name, []byte(payload)) }
	tool := event("contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}`)
	call := event("contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\": \"b\", "}}}`)
	leak := event("contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"\"k\": \"AKIAIOSFODNN7EXAMPLE\"}"}}}`)
	text := event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"well. "}}`)
	stop := event("contentBlockStop", `{"contentBlockIndex":0}`)
	start := event("messageStart", `{"role":"assistant"}`)
	for want, frames := range map[string][][]byte{
		"contentBlockStop 1, contentBlockDelta 2, contentBlockStop 2, messageStop 0, metadata 0": {start, tool, call, leak},
		"contentBlockDelta 1, contentBlockStop 1, messageStop 0, metadata 0":                     {start, text, stop, leak},
		"contentBlockDelta 0, contentBlockStop 0, messageStop 0, metadata 0":                     {start, leak},
	} {
		s := engine(t, Options{}, outRules).Stream(callOf(t, "converse", converse("hi")))
		for i, f := range frames {
			out, ended := s.Frame(f)
			if ended != (i == len(frames)-1) {
				t.Fatalf("frame %d: ended %v", i, ended)
			}
			if !ended {
				continue
			}
			var got []string
			for r := eventstream.NewReader(bytes.NewReader(out), 0); ; {
				f, err := r.Next()
				if err != nil {
					break
				}
				n, _ := indexOf(f.Payload)
				got = append(got, f.EventType()+" "+itoa(n))
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("got %q, want %s", got, want)
			}
		}
	}
}

func TestStreamOff(t *testing.T) {
	c := callOf(t, "converse", converse("hi"))
	if e := engine(t, Options{}, `rules: [{name: a, action: block, match: {keywords: [x]}}]`); e.Stream(c) != nil {
		t.Error("a stream without rules for answers")
	}
	if e := engine(t, Options{}, outRules); e.Stream(callOf(t, "titan-embed", `{"inputText":"x"}`)) != nil {
		t.Error("a stream of numbers")
	}
}

func TestStreamFails(t *testing.T) {
	bad := eventstream.AppendEvent(nil, "contentBlockDelta", []byte(`{"delta":{"text":"x`))
	for onError, want := range map[string]bool{"deny": true, "allow": false} {
		s := engine(t, Options{OnError: onError}, outRules).Stream(callOf(t, "converse", converse("hi")))
		out, ended := s.Frame(bad)
		v := s.Verdict()
		if ended != want || (v.Refusal != nil && v.Refusal.Reason == call.GuardDown.Reason) != want || (len(v.Notes) == 1) == want {
			t.Errorf("%s: ended %v, verdict %+v", onError, ended, v)
		}
		if !want && !bytes.Equal(out, bad) {
			t.Errorf("%s: the frame was not passed on", onError)
		}
	}
}
