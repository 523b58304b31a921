package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/internal/outbound"
)

// hook posts JSON to a secret URL.
type hook struct {
	client *outbound.Client
	url    *url.URL
}

func newHook(c *Channel, client *outbound.Client) (hook, error) {
	u, err := url.Parse(string(c.URL))
	if c.URL == "" || err != nil { // the error would quote it
		return hook{}, errors.New("URL is missing or malformed")
	}
	return hook{client, u}, client.CheckURL(u)
}

func (h hook) post(ctx context.Context, body []byte, header http.Header) error {
	req := (&http.Request{Method: http.MethodPost, URL: h.url, Host: h.url.Host, Header: header}).WithContext(ctx)
	setBody(req, body)
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", userAgent)
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	return statusError(h.url.Host, resp)
}

const userAgent = "gatehouse"

func setBody(req *http.Request, body []byte) {
	req.Body, req.ContentLength = readCloser{bytes.NewReader(body)}, int64(len(body))
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// webhook sends a message as it is:
//
//	POST …
//	X-Gatehouse-Id: 26 letters and digits, the same for each attempt
//	X-Gatehouse-Timestamp: 1767323045
//	X-Gatehouse-Signature: v1=HMAC-SHA256 in hex of TIMESTAMP "." BODY
//
//	{"id", "time", "kind", "severity", "level", "title", "text", "fields": [{"name", "value"}], "link"}
//
// A receiver compares the signature in constant time, and refuses timestamps
// that are more than five minutes off and ids it has seen.
type webhook struct {
	hook
	key Secret
}

func newWebhook(c *Channel, client *outbound.Client) (sender, error) {
	h, err := newHook(c, client)
	return &webhook{h, c.Key}, err
}

type document struct {
	ID       string      `json:"id"`
	Time     time.Time   `json:"time"`
	Kind     string      `json:"kind"`
	Severity int         `json:"severity"`
	Level    string      `json:"level"`
	Title    string      `json:"title"`
	Text     string      `json:"text"`
	Fields   []fieldJSON `json:"fields"`
	Link     string      `json:"link,omitempty"`
}

type fieldJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (w *webhook) send(ctx context.Context, m *Message) error {
	d := document{m.id, m.Time.UTC(), m.Kind, m.Severity, m.level(), m.Title, m.Text, []fieldJSON{}, m.Link}
	for _, f := range m.Fields {
		d.Fields = append(d.Fields, fieldJSON(f))
	}
	body, err := json.Marshal(d)
	if err != nil {
		return &permanent{err}
	}
	header := http.Header{}
	header.Set("X-Gatehouse-Id", m.id)
	if w.key != "" {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(w.key))
		mac.Write([]byte(stamp + "."))
		mac.Write(body)
		header.Set("X-Gatehouse-Timestamp", stamp)
		header.Set("X-Gatehouse-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	return w.post(ctx, body, header)
}
