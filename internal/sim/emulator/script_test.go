package emulator

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/bedrock/eventstream"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/http")

// TestHTTP plays the files of testdata/http: requests, and the whole of their
// answers, with streams as decoded frames. Lines are
//
//	# why
//	! option value        for what follows, see scriptOptions
//	> POST /path          a request: its line, headers, an empty line, its body
//	< 200                 the answer
//
// Answers are rewritten by -update and read in review.
func TestHTTP(t *testing.T) {
	files, _ := filepath.Glob("testdata/http/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, name, got, string(want))
		})
	}
}

func compareLines(t *testing.T, name, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var gl, wl string
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			t.Fatalf("%s:%d:\n got %s\nwant %s", name, i+1, gl, wl)
		}
	}
}

// testNow is the clock of the tests.
var testNow = time.Date(2026, 11, 22, 15, 4, 47, 0, time.UTC)

// testOptions answer the same each time and let everybody in.
func testOptions() Options {
	n := 0
	return Options{
		Seed: 1, Anonymous: true,
		Now:       func() time.Time { return testNow },
		RequestID: func() string { n++; return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) },
	}
}

// setOption reads a "!" line.
func setOption(t *testing.T, o *Options, line string) {
	t.Helper()
	name, value, _ := strings.Cut(line, " ")
	switch name {
	case "padding":
		o.Padding = true
	case "signed":
		o.Anonymous = false
		o.Credentials = []Credential{{AccessKeyID: "AKIAEXAMPLEEXAMPLE00", Secret: "secretsecret", SessionToken: "TOKENTOKEN"}}
		o.BearerKeys = append(o.BearerKeys, "ABSKexample")
	case "fault":
		f, err := ParseFault(value)
		if err != nil {
			t.Fatal(err)
		}
		o.Faults = append(o.Faults, f)
	case "script":
		s, err := LoadScript([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		o.Script = s
	case "control":
		o.Control = true
	case "reset":
		*o = testOptions()
	default:
		t.Fatalf("unknown option %q", line)
	}
}

var requestLine = regexp.MustCompile(`^[A-Z]+ /`)

// play runs a script and returns it with the answers that came.
func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	o := testOptions()
	e := New(o)
	var request []string
	flush := func() {
		if request != nil {
			exchange(t, &out, e, request)
			request = nil
		}
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		mark, rest := line, ""
		if len(line) > 1 {
			mark, rest = line[:1], strings.TrimPrefix(line[1:], " ")
		}
		if mark != ">" {
			flush()
		}
		switch mark {
		case ">":
			if requestLine.MatchString(rest) {
				flush()
			}
			request = append(request, rest)
		case "<":
			continue // what was answered the last time
		case "!":
			setOption(t, &o, rest)
			e = New(o)
		}
		fmt.Fprintln(&out, line)
	}
	flush()
	return out.String()
}

// exchange sends one request and writes the answer.
func exchange(t *testing.T, out io.Writer, e *Emulator, request []string) {
	t.Helper()
	method, target, _ := strings.Cut(request[0], " ")
	header := http.Header{}
	host, body := "127.0.0.1:18080", ""
	for i, line := range request[1:] {
		if line == "" {
			body = strings.Join(request[i+2:], "\n")
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	r, err := http.NewRequest(method, "http://"+host+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.Host, r.Header = target, host, header
	r.URL.Path, _, _ = strings.Cut(target, "?")
	w := httptest.NewRecorder()
	broken := serve(e, w, r)
	fmt.Fprintf(out, "< %d\n", w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		for _, v := range w.Header()[name] {
			fmt.Fprintf(out, "< %s: %s\n", name, clip(v))
		}
	}
	writeAnswer(t, out, w)
	if broken {
		fmt.Fprintln(out, "< (the connection breaks)")
	}
}

// serve reports whether the handler gave the connection up.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (broken bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			broken = true
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func writeAnswer(t *testing.T, out io.Writer, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Header().Get("Content-Type") != "application/vnd.amazon.eventstream" {
		for line := range strings.Lines(w.Body.String()) {
			fmt.Fprintf(out, "< %s\n", strings.TrimSuffix(clip(line), "\n"))
		}
		return
	}
	frames := eventstream.NewReader(bytes.NewReader(w.Body.Bytes()), 1<<16)
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			fmt.Fprintf(out, "< (%v)\n", err)
			return
		}
		m, err := eventstream.Decode(f.Raw)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(out, "< %s\n", describe(m))
	}
}

// describe is a frame on one line: its headers but those that never vary, then
// its payload, for a chunk the document inside of it.
func describe(m eventstream.Message) string {
	var parts []string
	kind := ""
	for _, h := range m.Headers {
		v := string(h.Value.Bytes)
		switch h.Name {
		case ":content-type":
			continue
		case ":event-type":
			kind = v
		case ":message-type":
			if v == "event" {
				continue
			}
		}
		parts = append(parts, h.Name+"="+v)
	}
	payload := string(m.Payload)
	if kind == "chunk" {
		var chunk struct {
			Bytes []byte  `json:"bytes"`
			P     *string `json:"p"`
		}
		if err := json.Unmarshal(m.Payload, &chunk); err != nil {
			return err.Error()
		}
		payload = string(chunk.Bytes)
		if chunk.P != nil {
			payload += " p=" + *chunk.P
		}
	}
	return strings.Join(append(parts, payload), " ")
}

// clip shortens what nobody reads, such as vectors.
func clip(s string) string {
	const most = 2000
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s … (%d bytes)", s[:200], len(s))
}
