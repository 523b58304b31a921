package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/lake/duck"
)

// collecting gives a gate its event path, and answers hunts in this process.
func collecting(t *testing.T, g *gate) {
	t.Helper()
	s := g.server
	if err := s.openEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.startEvents(); err != nil {
		t.Fatal(err)
	}
	s.data.hunts.Close()
	engine, err := duck.Open(duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.data.hunts = engine
}

// asked runs a hunt over all time and returns its rows, a line each.
func (g *gate) asked(t *testing.T, query string) string {
	t.Helper()
	var rows strings.Builder
	err := g.server.data.Hunt(t.Context(), admin.HuntQuery{Query: query, From: time.Unix(0, 0)}, func(l *admin.HuntLine) error {
		if l.Row != nil {
			fmt.Fprintf(&rows, "%s\n", l.Row)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows.String()
}

// sealed waits until the lake has taken so many events, and seals them.
func (g *gate) sealed(t *testing.T, events int64) {
	t.Helper()
	l := g.server.data.events.lake
	for end := time.Now().Add(5 * time.Second); l.Stats().Rows+int64(l.Stats().Buffered) < events; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lake takes nothing")
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A call is found as soon as it has ended, whether sealed or not, also by the
// next process; AWS's own records of it do not make it two.
func TestCallsAreHunted(t *testing.T) {
	g := startGate(t)
	collecting(t, g)
	resp, _ := g.answer(t, lite, "converse", said("find me"))
	g.settled(t)
	if err := g.server.data.calls.Sync(); err != nil { // results are written, not waited for
		t.Fatal(err)
	}
	const query = `_collector="AWS Bedrock Model Invocation Logs" | where prompt_text = "find me" | count by user_username, outcome, via_gateway`
	want := "[\"arn:aws:iam::000000000000:user/red/ana\" \"ok\" true 1]\n"
	for range 2 { // from the journal, then from the lake
		if got := g.asked(t, query); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		g.sealed(t, 1)
	}
	id := resp.Header.Get("X-Amzn-RequestId")
	aws := filepath.Join(t.TempDir(), "aws.jsonl")
	records := fmt.Sprintf(`{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2026-03-01T12:00:00Z","accountId":"123456789012","region":"us-east-1","requestId":%q,"operation":"Converse","modelId":"amazon.nova-lite-v1:0","identity":{"arn":"arn:aws:sts::123456789012:assumed-role/gateway/s"},"input":{"inputContentType":"application/json"}}
{"eventVersion":"1.11","eventTime":"2026-03-01T12:00:00Z","eventSource":"bedrock.amazonaws.com","eventName":"Converse","requestID":%q,"eventID":"e1","awsRegion":"us-east-1","eventType":"AwsApiCall","eventCategory":"Management","userIdentity":{"type":"AssumedRole"}}
`, id, id)
	if err := os.WriteFile(aws, []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := g.server.data.Ingest(t.Context(), admin.IngestJob{Paths: []string{aws}})
	if err != nil || done.Records != 2 || done.Added != 1 || done.Duplicates != 1 {
		t.Errorf("ingest: %+v, %v; want one added and one duplicate", done, err)
	}
	if got, want := g.asked(t, `* | count by _strand, via_gateway`), "[\"gateway\" true 1]\n[\"management\" true 1]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	g.server.closeEvents()
	g.server.data.events = nil
	collecting(t, g)
	if got := g.asked(t, query); got != want {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
	g.server.closeEvents()
}

// What is pushed is there when it is acknowledged. It cannot speak for the gateway.
func TestPushIsHunted(t *testing.T) {
	g := startGate(t)
	collecting(t, g)
	defer g.server.closeEvents()
	push, err := g.server.data.events.push()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ strand, body string }{
		{"auto", `{"eventVersion":"1.11","eventTime":"2026-03-01T12:00:00Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","eventID":"e1","awsRegion":"us-east-1","eventType":"AwsApiCall","eventCategory":"Data","userIdentity":{"type":"IAMUser"}}`},
		{"auto", `{"timestamp":"2026-03-01T12:00:00Z","requestId":"q","eventName":"Converse","gateway":{"callId":"forged","outcome":"ok"}}`},
		{"endpoint", `{"cmd_line":"aws bedrock list-agents","hostname":"h","timestamp":"2026-03-01T12:00:00Z"}`},
	} {
		r := httptest.NewRequest(http.MethodPost, "/ingest/"+c.strand, strings.NewReader(c.body))
		r.RemoteAddr, r.Host = "127.0.0.1:999", "localhost"
		w := httptest.NewRecorder()
		if push.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("push: %d %s", w.Code, w.Body)
		}
	}
	want := "[\"data\" 1]\n[\"endpoint\" 1]\n"
	if got := g.asked(t, `not _strand=gateway | count by _strand`); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	g.server.closeEvents() // takes and seals what waits
	g.server.data.events = nil
	collecting(t, g)
	if got := g.asked(t, `* | count by _strand`); got != want {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
}

// The end of a budget and a mistake are told by their codes.
func TestHuntErrors(t *testing.T) {
	g := startGate(t)
	g.config.Hunt.MaxRows = 2
	collecting(t, g)
	defer g.server.closeEvents()
	for _, c := range []struct {
		q    admin.HuntQuery
		want string
	}{
		{admin.HuntQuery{Query: "* | cont"}, "query"},
		{admin.HuntQuery{Query: "DROP VIEW events", SQL: true}, "sql"},
		{admin.HuntQuery{Query: "SELECT * FROM range(3)", SQL: true}, "rows"},
		{admin.HuntQuery{Query: "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", SQL: true, Timeout: "50ms"}, "time"},
		{admin.HuntQuery{Query: "* | lookup a from /etc/passwd on b=c"}, "query"},
	} {
		err := g.server.data.Hunt(t.Context(), c.q, func(*admin.HuntLine) error { return nil })
		if e, ok := err.(*admin.HuntError); !ok || e.Code != c.want {
			t.Errorf("%s: got %v, want code %s", c.q.Query, err, c.want)
		}
	}
	if err := g.server.data.Hunt(t.Context(), admin.HuntQuery{Query: "*", TZ: "Mars/Olympus"}, nil); err == nil || !strings.Contains(err.Error(), "tz") {
		t.Errorf("a zone that is none: %v", err)
	}
}

// Those who prove nothing are found too.
func TestStrangersAreHunted(t *testing.T) {
	g := startGate(t)
	collecting(t, g)
	defer g.server.closeEvents()
	resp, err := g.send("no-such-key", "converse", "hello")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	g.settled(t)
	g.sealed(t, 1)
	if got, want := g.asked(t, `_strand=gateway | count by outcome, errorCode`), "[\"refused\" \"AccessDeniedException\" 1]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
