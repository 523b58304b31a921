package app

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/sigv4"
)

// Each file of testdata/attacks is a list of requests and what must become of
// them, sent to a whole gateway on one new connection each:
//
//	== P04 a NUL in the path                 the row of the catalogue, and what it is
//	POST /model/a%00b/invoke HTTP/1.1         the request, line by line; \xNN is one byte
//	{{std main}}                              Host, Content-Type, Content-Length and the signature of key main
//
//	{"messages":[]}
//	--
//	400 ValidationException bad_path          status, AWS error type, reason in the audit record
//	body "message"                            what the reply's body contains; `without` what it must not
//	open                                      the connection stays open (closed is the default before authentication: `closed` asserts it)
//
// Between the braces stand std, auth, key ids and repeat: see expand. A request
// that is refused must never reach the upstream; `upstream 1` says that it must.
func TestAttacks(t *testing.T) {
	files, err := filepath.Glob("testdata/attacks/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	g := startGate(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, a := range parseAttacks(t, file) {
				t.Run(a.name, func(t *testing.T) { a.run(t, g) })
			}
		})
	}
	g.checkSecrets(t)
}

type attack struct {
	name    string
	request string
	want    []string
}

func parseAttacks(t *testing.T, file string) (list []attack) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split("\n"+string(data), "\n== ")[1:] {
		name, rest, _ := strings.Cut(section, "\n")
		request, want, ok := strings.Cut(rest, "\n--\n")
		if !ok {
			t.Fatalf("%s: %q has no expectations", file, name)
		}
		list = append(list, attack{name, strings.TrimSuffix(request, "\n"), strings.FieldsFunc(want, func(r rune) bool { return r == '\n' })})
	}
	return list
}

func (a attack) run(t *testing.T, g *gate) {
	before := g.calls.Load()
	raw := g.expand(t, a.request)
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go conn.Write([]byte(raw))
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no reply: %v\nto %.300q", err, raw)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	g.output.Write(body)
	a.check(t, g, resp, body, int(g.calls.Load()-before))
	if a.has("closed") || a.has("open") {
		a.checkOpen(t, conn, br)
	}
}

// checkOpen asks a second time on the same connection: a closed one does not answer.
func (a attack) checkOpen(t *testing.T, conn net.Conn, br *bufio.Reader) {
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if open := err == nil && resp.StatusCode == http.StatusOK; open != a.has("open") {
		t.Errorf("connection open: %v (%v)", open, err)
	}
}

func (a attack) has(word string) bool {
	for _, w := range a.want {
		if w == word {
			return true
		}
	}
	return false
}

func (a attack) check(t *testing.T, g *gate, resp *http.Response, body []byte, upstream int) {
	t.Helper()
	wantUpstream, wantReason := 0, ""
	for i, w := range a.want {
		word, rest, _ := strings.Cut(w, " ")
		switch {
		case i == 0:
			f := strings.Fields(w)
			got, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
			if strconv.Itoa(resp.StatusCode) != f[0] || len(f) > 1 && got != f[1] {
				t.Errorf("got %d %s %s, want %s", resp.StatusCode, got, body, w)
			}
			if len(f) > 2 {
				wantReason = f[2]
			}
		case word == "upstream":
			wantUpstream, _ = strconv.Atoi(rest)
		case word == "body":
			if !bytes.Contains(body, []byte(rest)) {
				t.Errorf("body %s lacks %s", body, rest)
			}
		case word == "without":
			if bytes.Contains(body, []byte(rest)) {
				t.Errorf("body %s holds %s", body, rest)
			}
		case word == "header":
			name, value, _ := strings.Cut(rest, ": ")
			if got := resp.Header.Get(name); !regexp.MustCompile("^(?:" + value + ")$").MatchString(got) {
				t.Errorf("header %s is %q, want %s", name, got, value)
			}
		}
	}
	if upstream != wantUpstream {
		t.Errorf("%d requests reached the upstream, want %d", upstream, wantUpstream)
	}
	id := resp.Header.Get("X-Gatehouse-Call-Id")
	if id == "" || resp.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("reply lacks its ids: %v", resp.Header)
	}
	if wantReason != "" {
		if got := g.reason(t, id); got != wantReason {
			t.Errorf("audit record says %q, want %q", got, wantReason)
		}
	}
}

// reason finds the audit record of a refused call.
func (g *gate) reason(t *testing.T, id string) string {
	t.Helper()
	for _, dir := range []string{callsDir, strangersDir} {
		j := g.server.data.calls
		if dir == strangersDir {
			j = g.server.data.strangers
		}
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		for e, err := range journal.Read(nil, filepath.Join(g.dir, dir), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != ledger.KindRefused {
				continue
			}
			m, err := ledger.Decode(e.Kind, e.Meta)
			if err != nil {
				t.Fatal(err)
			}
			if r := m.(*ledger.Refused); r.ID == id {
				return r.Reason
			}
		}
	}
	return "(no record)"
}

var (
	braces = regexp.MustCompile(`\{\{([a-z]+)(?: ([^}]*))?\}\}`)
	hexEsc = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// expand makes the bytes of a request out of a script's lines:
//
//	{{std KEY}}       Host, Content-Type, Content-Length and Authorization of KEY
//	{{auth KEY}}      Authorization (and X-Amz-Date) of KEY alone
//	{{bearer KEY}}    the API key of KEY
//	{{token USER}}    a login token
//	{{id KEY}}        the access key id
//	{{len}}           the body's length
//	{{day}}           the day of a credential scope
//	{{date SECONDS}}  the X-Amz-Date of now plus so many seconds
//	{{repeat N TEXT}} TEXT, N times
func (g *gate) expand(t *testing.T, script string) string {
	head, body, _ := strings.Cut(script, "\n\n")
	head, body = g.simple(t, head), g.simple(t, body)
	lines := strings.Split(head, "\n")
	for i, line := range lines {
		m := braces.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch m[1] {
		case "std":
			lines[i] = "Host: " + g.addr + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body))
			if m[2] != "" {
				lines[i] += "\r\n" + g.authorization(t, m[2], lines[0], body)
			}
		case "auth":
			lines[i] = g.authorization(t, m[2], lines[0], body)
		case "len":
			lines[i] = strings.Replace(line, m[0], strconv.Itoa(len(body)), 1)
		default:
			t.Fatalf("unknown word %s", m[0])
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func (g *gate) simple(t *testing.T, s string) string {
	s = hexEsc.ReplaceAllStringFunc(s, func(e string) string {
		n, _ := strconv.ParseUint(e[2:], 16, 8)
		return string([]byte{byte(n)})
	})
	return braces.ReplaceAllStringFunc(s, func(e string) string {
		m := braces.FindStringSubmatch(e)
		switch m[1] {
		case "bearer":
			return string(g.keys[m[2]].APIKey)
		case "token":
			return g.eve(t)
		case "id":
			return string(g.keys[m[2]].Key.ID)
		case "date":
			n, _ := strconv.Atoi(m[2])
			return time.Now().Add(time.Duration(n) * time.Second).UTC().Format("20060102T150405Z")
		case "day":
			return time.Now().UTC().Format("20060102")
		case "repeat":
			n, text, _ := strings.Cut(m[2], " ")
			count, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Repeat(text, count)
		}
		return e
	})
}

// authorization signs for KEY; "KEY@-301" as if the clock were 301 s behind.
func (g *gate) authorization(t *testing.T, key, requestLine, body string) string {
	key, skew, _ := strings.Cut(key, "@")
	k, ok := g.keys[key]
	if !ok {
		t.Fatalf("no key %q", key)
	}
	f := strings.Fields(requestLine)
	path, query, _ := strings.Cut(f[1], "?")
	r := sigv4.Request{
		Method: f[0], RawPath: path, RawQuery: query, Authority: g.addr, Header: http.Header{},
		PayloadHash: sha256.Sum256([]byte(body)),
	}
	seconds, _ := strconv.Atoi(skew)
	now := time.Now().Add(time.Duration(seconds) * time.Second)
	sigv4.Sign(&r, sigv4.Credentials{AccessKeyID: string(k.Key.ID), Secret: k.SecretKey}, "us-east-1", "bedrock", now)
	return "X-Amz-Date: " + r.Header.Get("X-Amz-Date") + "\r\nAuthorization: " + r.Header.Get("Authorization")
}
