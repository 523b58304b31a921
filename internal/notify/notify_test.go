package notify_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/notify"
	"gatehouse/internal/sigv4"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(got), string(want)); d != "" {
		t.Errorf("not as in %s (-got +want):\n%s", path, d)
	}
}

var moment = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// message is one with something to escape in every place.
func message() notify.Message {
	return notify.Message{
		Time: moment, Kind: "alarm", Severity: 6, Key: "k",
		Title:  "Alarm <!channel> & \x1b[31mred\nBcc: eve@evil.test",
		Text:   "Sum of Invocations: 501 <http://evil.test|open>\n.\nQUIT\u202e",
		Fields: []notify.Field{{"model", "a*b_<@U1>"}, {"user\r\nX: y", "ana"}},
		Link:   "https://gate.test/alarms?a=1&b=2",
	}
}

// deliver sends one message to one channel and returns how the channel stands
// once the first attempt is over.
func deliver(t *testing.T, o notify.Options, m notify.Message) notify.Row {
	t.Helper()
	n, err := notify.New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Send(m, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	for row := n.Rows()[0]; row.Sent+row.Failed == 0 && row.LastError == ""; row = n.Rows()[0] {
		time.Sleep(time.Millisecond) // real sockets do not run in synthetic time
	}
	row := n.Rows()[0]
	cancel()
	<-done
	return row
}

// request is what a server saw.
type request struct {
	*http.Request
	body []byte
}

// listen starts a server that answers with a status and remembers requests.
func listen(t *testing.T, status int, answer string) (*httptest.Server, *[]request) {
	t.Helper()
	var got []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, request{r, body})
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s, &got
}

func TestWebhook(t *testing.T) {
	s, got := listen(t, 204, "")
	row := deliver(t, notify.Options{Channels: []notify.Channel{{Name: "ops", Kind: "webhook", URL: notify.Secret(s.URL + "/hook?t=1"), Key: "k3y", Private: true}}}, message())
	if len(*got) != 1 || row.Sent != 1 {
		t.Fatalf("%d requests, %+v", len(*got), row)
	}
	r := (*got)[0]
	mac := hmac.New(sha256.New, []byte("k3y"))
	mac.Write([]byte(r.Header.Get("X-Gatehouse-Timestamp") + "." + string(r.body)))
	if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); r.Header.Get("X-Gatehouse-Signature") != want {
		t.Errorf("signature %q, want %q", r.Header.Get("X-Gatehouse-Signature"), want)
	}
	if r.Method != "POST" || r.RequestURI != "/hook?t=1" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.RequestURI, r.Header)
	}
	id := r.Header.Get("X-Gatehouse-Id")
	golden(t, "webhook.json", indent(t, bytes.Replace(r.body, []byte(id), []byte("ID"), 1)))
}

func TestWebhookUnsigned(t *testing.T) {
	s, got := listen(t, 200, "")
	deliver(t, notify.Options{Channels: []notify.Channel{{Name: "ops", Kind: "webhook", URL: notify.Secret(s.URL), Private: true}}}, message())
	if r := (*got)[0]; r.Header.Get("X-Gatehouse-Signature") != "" {
		t.Error("a message was signed without a key")
	}
}

func TestSlack(t *testing.T) {
	s, got := listen(t, 200, "ok")
	deliver(t, notify.Options{Channels: []notify.Channel{{Name: "ops", Kind: "slack", URL: notify.Secret(s.URL + "/services/T/B/X"), Private: true}}}, message())
	golden(t, "slack.json", indent(t, (*got)[0].body))
}

func indent(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return append(out.Bytes(), '\n')
}

// TestStatus: which answers are worth another attempt.
func TestStatus(t *testing.T) {
	for status, final := range map[int]bool{200: true, 299: true, 302: true, 400: true, 404: true, 410: true, 408: false, 429: false, 500: false, 503: false} {
		s, _ := listen(t, status, "")
		row := deliver(t, notify.Options{Channels: []notify.Channel{{Name: "a", Kind: "webhook", URL: notify.Secret(s.URL), Private: true}}}, message())
		if done := row.Sent+row.Failed == 1; done != final || (row.Sent == 1) != (status < 300) {
			t.Errorf("%d: %+v, want final %t", status, row, final)
		}
	}
}

func TestMail(t *testing.T) {
	to := []string{"ops@site.test", "Ana Ö. <ana@site.test>"}
	for _, row := range []struct {
		name   string
		server *mailServer
		edit   func(*notify.Channel)
		sent   bool
		err    string // in the last error
		auth   bool   // a password was sent
	}{
		{"STARTTLS", &mailServer{}, nil, true, "", true},
		{"no STARTTLS, and so no password", &mailServer{noTLS: true}, nil, false, "no STARTTLS", false},
		{"no STARTTLS inside, without a password", &mailServer{noTLS: true}, func(c *notify.Channel) { c.Username = "" }, true, "", false},
		{"one mailbox is gone", &mailServer{refuse: map[string]bool{"ops@site.test": true}}, nil, true, "", true},
		{"all are gone", &mailServer{refuse: map[string]bool{"ops@site.test": true, "ana@site.test": true}}, nil, false, "550", true},
		{"wrong password", &mailServer{refuseAuth: true}, nil, false, `535 "refused"`, true},
		{"a greeting without end", &mailServer{endless: true}, nil, false, "too much", false},
	} {
		s := row.server.start(t)
		c := notify.Channel{Name: "mail", Kind: "smtp", Server: s.addr, From: "gate@site.test", To: to, Username: "gate", Password: "s3cret", Private: true}
		if row.edit != nil {
			row.edit(&c)
		}
		got := deliver(t, notify.Options{Channels: []notify.Channel{c}, RootCAs: s.roots}, message())
		s.mu.Lock()
		auth := slices.ContainsFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, "TLS AUTH") })
		clear := slices.ContainsFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, "AUTH") })
		if got.Sent == 1 != row.sent || len(s.mails) == 1 != row.sent || !strings.Contains(got.LastError, row.err) || auth != row.auth || clear {
			t.Errorf("%s: %+v, %d mails, password sent %t, in the clear %t; server saw %q", row.name, got, len(s.mails), auth, clear, s.lines)
		}
		if strings.Contains(got.LastError, "s3cret") {
			t.Errorf("%s: the error tells the password: %s", row.name, got.LastError)
		}
		s.mu.Unlock()
	}
}

// TestMailNeedsTLS: outside, a server without STARTTLS, or with a certificate
// of nobody, gets nothing. The rule is the channel's, so it is held against an
// inside server by way of its certificate.
func TestMailNeedsTLS(t *testing.T) {
	s := (&mailServer{}).start(t)
	c := notify.Channel{Name: "mail", Kind: "smtp", Server: s.addr, From: "gate@site.test", To: []string{"a@b.test"}, Private: true}
	if row := deliver(t, notify.Options{Channels: []notify.Channel{c}, RootCAs: x509.NewCertPool()}, message()); !strings.Contains(row.LastError, "certificate") || len(s.mails) > 0 {
		t.Errorf("an unknown certificate: %+v", row)
	}
	c.Private = false
	if _, err := notify.New(notify.Options{Channels: []notify.Channel{c}}); err != nil {
		t.Fatal(err)
	}
	row := deliver(t, notify.Options{Channels: []notify.Channel{c}}, message())
	if !strings.Contains(row.LastError, "not allowed") {
		t.Errorf("a server inside, not allowed: %+v", row)
	}
}

func TestMailText(t *testing.T) {
	c := notify.Channel{Kind: "smtp", Server: "mail.test:587", From: "Gate <gate@site.test>", To: []string{"ops@site.test", "Ana Ö. <ana@site.test>"}}
	m := message()
	m.Title += strings.Repeat(" Ünïcode", 30)
	b, err := notify.Compose(c, m)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "mail.txt", bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
}

// FuzzMail: no text makes a header, a line that is too long or the end of a mail.
func FuzzMail(f *testing.F) {
	f.Add("a\r\nBcc: b@c.test", "\r\n.\r\nQUIT", "x: y")
	f.Add(strings.Repeat("😀", 100), "=\r\n", "\x00\u2028")
	c := notify.Channel{Kind: "smtp", Server: "mail.test:587", From: "gate@site.test", To: []string{"ops@site.test"}}
	f.Fuzz(func(t *testing.T, title, text, field string) {
		b, err := notify.Compose(c, notify.Message{Title: title, Text: text, Fields: []notify.Field{{field, title}}, Link: text})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(b))
		if err != nil || len(parsed.Header) != 9 {
			t.Fatalf("%v: headers %v of\n%q", err, parsed.Header, b)
		}
		for line := range strings.SplitSeq(string(b), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
	})
}

// TestSNS: the request is signed, and by the same rules that verify our callers.
func TestSNS(t *testing.T) {
	for _, fifo := range []string{"", ".fifo"} {
		s, got := listen(t, 200, "<PublishResponse/>")
		topic := "arn:aws:sns:eu-west-1:123456789012:alarms" + fifo
		creds := sigv4.Credentials{AccessKeyID: "GTHKABCDEFGHIJKLMNOP", Secret: "secret", SessionToken: "token"}
		row := deliver(t, notify.Options{
			Channels:    []notify.Channel{{Name: "sns", Kind: "sns", Topic: topic, Private: true}},
			Credentials: func(context.Context) (sigv4.Credentials, error) { return creds, nil },
			SNS:         s.URL,
		}, message())
		if row.Sent != 1 {
			t.Fatalf("%+v", row)
		}
		r := (*got)[0]
		verify(t, r, creds, "eu-west-1")
		form, err := url.ParseQuery(string(r.body))
		if err != nil {
			t.Fatal(err)
		}
		if fifo != "" && (form.Get("MessageGroupId") != "gatehouse" || len(form.Get("MessageDeduplicationId")) != 26) {
			t.Errorf("a FIFO topic got %v", form)
		}
		want := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Subject": {"Alarm <!channel> & [31mred Bcc: eve@evil.test"}, "Message": form["Message"]}
		form.Del("MessageGroupId")
		form.Del("MessageDeduplicationId")
		if d := cmp.Diff(form, want); d != "" {
			t.Errorf("form (-got +want):\n%s", d)
		}
		golden(t, "plain.txt", []byte(form.Get("Message")))
	}
}

func verify(t *testing.T, r request, c sigv4.Credentials, region string) {
	t.Helper()
	a, err := sigv4.ParseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	req := &sigv4.Request{
		Method: r.Method, RawPath: r.URL.EscapedPath(), Authority: r.Host, ContentLength: r.ContentLength,
		Header: r.Header, PayloadHash: sha256.Sum256(r.body),
	}
	day := r.Header.Get("X-Amz-Date")[:8]
	if !a.Verify(req, sigv4.DeriveKey(c.Secret, day, region, "sns")) {
		t.Errorf("the signature of %v does not verify", r.Header)
	}
}

func TestSNSErrors(t *testing.T) {
	for _, row := range []struct {
		status int
		answer string
		final  bool
		err    string
	}{
		{403, "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>s3cret</Message></Error></ErrorResponse>", true, "AuthorizationError"},
		{404, "<Error><Code>NotFound</Code></Error>", true, "NotFound"},
		{400, "<Error><Code>Throttling</Code></Error>", false, "Throttling"},
		{403, "<Error><Code>ExpiredToken</Code></Error>", false, "ExpiredToken"},
		{500, "<Error><Code>InternalError</Code></Error>", false, "InternalError"},
		{400, "<Code>" + strings.Repeat("x", 100) + "</Code>", true, "answered 400"},
	} {
		s, _ := listen(t, row.status, row.answer)
		got := deliver(t, notify.Options{
			Channels:    []notify.Channel{{Name: "sns", Kind: "sns", Topic: "arn:aws:sns:eu-west-1:123456789012:a", Private: true}},
			Credentials: func(context.Context) (sigv4.Credentials, error) { return sigv4.Credentials{AccessKeyID: "A"}, nil },
			SNS:         s.URL,
		}, message())
		if (got.Failed == 1) != row.final || !strings.Contains(got.LastError, row.err) || strings.Contains(got.LastError, "s3cret") {
			t.Errorf("%d %s: %+v, want final %t", row.status, row.answer, got, row.final)
		}
	}
}

func TestSNSSubject(t *testing.T) {
	for title, want := range map[string]string{
		"":                       "Gatehouse",
		"  a ":                   "a",
		"über\tall":              "?ber?all",
		strings.Repeat("x", 200): strings.Repeat("x", 99),
	} {
		if got := notify.SNSSubject(title); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}

func FuzzSlackEscape(f *testing.F) {
	f.Add("<!channel> & <@U1>", 12)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 0), 5000)
		got := notify.SlackEscape(s, most)
		rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(got)
		if len(got) > most || strings.ContainsAny(rest, "<>&") {
			t.Errorf("%q in %d: %q", s, most, got)
		}
	})
}

func TestMistakes(t *testing.T) {
	creds := func(context.Context) (sigv4.Credentials, error) { return sigv4.Credentials{}, nil }
	mailTo := func(server, from string, to ...string) notify.Channel {
		return notify.Channel{Kind: "smtp", Server: server, From: from, To: to}
	}
	for _, row := range []struct {
		c    notify.Channel
		want string
	}{
		{notify.Channel{Kind: "pager"}, "kind"},
		{notify.Channel{Kind: "webhook"}, "URL is missing"},
		{notify.Channel{Kind: "webhook", URL: "http://hooks.test/s3cret"}, "https"},
		{notify.Channel{Kind: "webhook", URL: "https://a:s3cret@hooks.test/"}, "password"},
		{notify.Channel{Kind: "webhook", URL: "https://10.0.0.1/s3cret"}, "private"},
		{notify.Channel{Kind: "webhook", URL: "https://hooks.test:22/s3cret"}, "port"},
		{notify.Channel{Kind: "webhook", URL: "https://hooks.test/%zs3cret"}, "malformed"},
		{notify.Channel{Kind: "webhook", URL: "https://169.254.169.254/s3cret", Private: true}, "metadata"},
		{notify.Channel{Kind: "slack", URL: "s3cret"}, "https"},
		{mailTo("mail.test", "a@b.test", "a@b.test"), "host:port"},
		{mailTo("mail.test:587", "a", "a@b.test"), "from"},
		{mailTo("mail.test:587", "a@b.test"), "no recipient"},
		{mailTo("mail.test:587", "a@b.test", "\"a\r\nRCPT TO:<x@y.test>\"@b.test"), "to:"},
		{mailTo("mail.test:587", "a@b.test", "a@b.test\r\nBcc: x@y.test"), "to:"},
		{notify.Channel{Kind: "sns", Topic: "arn:aws:sqs:eu-west-1:123456789012:a"}, "SNS topic"},
		{notify.Channel{Kind: "sns", Topic: "arn:aws:sns:eu-west-1.evil.test#-1:123456789012:a"}, "SNS topic"},
	} {
		_, err := notify.New(notify.Options{Channels: []notify.Channel{row.c}, Credentials: creds})
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q and no secret", row.c.Kind, err, row.want)
		}
	}
	good := notify.Channel{Name: "a", Kind: "sns", Topic: "arn:aws-cn:sns:cn-north-1:123456789012:a"}
	if _, err := notify.New(notify.Options{Channels: []notify.Channel{good}, Credentials: creds}); err != nil {
		t.Error(err)
	}
	if _, err := notify.New(notify.Options{Channels: []notify.Channel{good}}); err == nil {
		t.Error("SNS without credentials was accepted")
	}
	if _, err := notify.New(notify.Options{Channels: []notify.Channel{good, good}, Credentials: creds}); err == nil {
		t.Error("two channels of one name were accepted")
	}
}

// TestSecrets: nothing that is printed, logged or shown holds one.
func TestSecrets(t *testing.T) {
	var out bytes.Buffer
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/s3cret-elsewhere", http.StatusTemporaryRedirect)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	c := notify.Channel{Name: "a", Kind: "webhook", URL: notify.Secret(s.URL + "/s3cret"), Key: "s3cret", Password: "s3cret", Private: true}
	row := deliver(t, notify.Options{Channels: []notify.Channel{c}, Log: slog.New(slog.NewTextHandler(&out, nil))}, message())
	fmt.Fprintf(&out, "%v %+v %#v %+v", c, c, c, row)
	b, err := json.Marshal(c)
	if strings.Contains(out.String()+string(b), "s3cret") || !strings.Contains(out.String(), "answered 307") || err != nil {
		t.Errorf("printed: %s %s", out.String(), b)
	}
	failing := notify.Options{
		Channels:    []notify.Channel{{Name: "sns", Kind: "sns", Topic: "arn:aws:sns:eu-west-1:123456789012:a"}},
		Credentials: func(context.Context) (sigv4.Credentials, error) { return sigv4.Credentials{}, errors.New("s3cret") },
	}
	if row := deliver(t, failing, message()); strings.Contains(row.LastError, "s3cret") {
		t.Errorf("row %+v", row)
	}
}
