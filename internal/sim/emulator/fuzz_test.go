package emulator

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/bedrock/eventstream"
)

// FuzzRequest: whatever the path and body, the emulator answers with JSON or
// whole frames, and no request spoils the next.
func FuzzRequest(f *testing.F) {
	files, _ := filepath.Glob("testdata/http/*.txt")
	for _, name := range files {
		script, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		target := ""
		for line := range strings.Lines(string(script)) {
			line = strings.TrimSpace(line)
			if t, ok := strings.CutPrefix(line, "> POST "); ok {
				target = t
			} else if body, ok := strings.CutPrefix(line, "> {"); ok {
				f.Add(target, []byte("{"+body))
			}
		}
	}
	o := testOptions()
	o.Padding = true
	e := New(o)
	const same = `{"prompt":"hello","max_gen_len":3}`
	want := do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/invoke", same).Body.String()
	f.Fuzz(func(t *testing.T, target string, body []byte) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(body)))
		r.RequestURI = target
		for range 2 { // the second with the memory of the first
			r.Body = httptest.NewRequest("POST", "/", strings.NewReader(string(body))).Body
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			checkAnswer(t, w)
		}
		if got := do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/invoke", same).Body.String(); got != want {
			t.Errorf("then got %s, want %s", got, want)
		}
	})
}

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	switch w.Header().Get("Content-Type") {
	case "application/json":
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d: not JSON: %s", w.Code, w.Body)
		}
	case "application/vnd.amazon.eventstream":
		frames := eventstream.NewReader(w.Body, eventstream.MaxFrame)
		for {
			f, err := frames.Next()
			if err != nil {
				if err.Error() != "EOF" {
					t.Fatal(err)
				}
				return
			}
			payload := f.Payload
			if f.EventType() == "chunk" {
				var ok bool
				if payload, ok = eventstream.AppendChunkDocument(nil, payload); !ok {
					t.Fatalf("chunk %s", f.Payload)
				}
			}
			if !json.Valid(payload) {
				t.Fatalf("not JSON: %s", payload)
			}
		}
	default:
		t.Fatalf("%d: content type %q", w.Code, w.Header().Get("Content-Type"))
	}
}

// FuzzScript: a script is refused or usable, never a panic.
func FuzzScript(f *testing.F) {
	f.Add([]byte("rules:\n- prompt: once\n  times: 1\n  text: hello\n  usage: {input_tokens: 7}\n"))
	f.Add([]byte(`{"rules":[{"tool":{"name":"a","input":{"b":[1,2.5,null,true,"c"]}},"stop_reason":"tool_use"}]}`))
	f.Add([]byte("rules: [{fault: '429:times=2', model: 'a*'}]"))
	f.Add([]byte("a: &x 1\nb: *x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := LoadScript(data)
		if err != nil {
			return
		}
		o := testOptions()
		o.Script = s
		checkScripted(t, New(o))
	})
}

func checkScripted(t *testing.T, e *Emulator) {
	t.Helper()
	for _, r := range e.script.rules {
		r.fault = nil // some break the connection, or never end
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"once"}]}]}`))
	r.RequestURI = "/model/amazon.nova-lite-v1:0/converse"
	e.ServeHTTP(w, r)
	checkAnswer(t, w)
}

// FuzzFault: a fault's text is refused or read, and a list of them likewise.
func FuzzFault(f *testing.F) {
	f.Add("429:times=2")
	f.Add("exception:after=3,type=validationException,model=anthropic.*")
	f.Add("slow:delay=2s,every=10,probability=0.5,size=1,status=1,retry_after=1s,location=x,operation=y")
	f.Add(`["cut",{"kind":"headers","size":10}]`)
	f.Fuzz(func(t *testing.T, text string) {
		if f, err := ParseFault(text); err == nil && f.wire() == nil {
			if _, ok := kindDefaults[f.Kind]; !ok {
				t.Errorf("%q: kind %q", text, f.Kind)
			}
		}
		decodeFaults([]byte(text))
	})
}
