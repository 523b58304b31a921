package arrive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// Amazon Data Firehose delivers to HTTP endpoints by a small protocol of its
// own: a JSON body of records in base64, and a reply that repeats the id of the
// request. It sends anything but 200 again for as long as its retry duration
// lasts, and then puts the records into its backup bucket.

const firehoseVersion = "1.0"

// frameBytes is what records are gathered to before they go into the intake.
const frameBytes = 8 << 20

func isFirehose(r *http.Request) bool {
	return r.Header.Get("X-Amz-Firehose-Protocol-Version") != "" || r.Header.Get("X-Amz-Firehose-Request-Id") != ""
}

// firehose takes a request of Firehose: all of its records or, as far as the
// sender is told, none.
func (p *Push) firehose(r *http.Request, meta pushed, held *lease) (int, error) {
	if v := r.Header.Get("X-Amz-Firehose-Protocol-Version"); v != firehoseVersion {
		return 0, refuse(http.StatusBadRequest, "protocol version %.20q is not known, want %s", v, firehoseVersion)
	}
	z, err := unpack(r.Header.Get("Content-Encoding"), r.Body)
	if err != nil {
		return 0, err
	}
	defer z.Close()
	body, err := p.read(z, p.o.MaxBody, held)
	if err != nil {
		return 0, err
	}
	if !held.take(int64(len(body))) { // for the records
		return 0, &refusal{http.StatusTooManyRequests, time.Second, "too many bodies are being received"}
	}
	frames, id, err := firehoseFrames(body, p.o.MaxUnpacked)
	if errors.Is(err, errBomb) {
		return 0, refuse(http.StatusRequestEntityTooLarge, "the records unpack to more than %d bytes", p.o.MaxUnpacked)
	}
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "this is no request of Firehose: %v", err)
	}
	if id != r.Header.Get("X-Amz-Firehose-Request-Id") {
		return 0, refuse(http.StatusBadRequest, "requestId is not that of X-Amz-Firehose-Request-Id")
	}
	n := 0
	for _, f := range frames {
		if err := p.in.append(meta, f); err != nil {
			return 0, full(err)
		}
		n += len(f)
	}
	return n, nil
}

var errBomb = errors.New("the records unpack to too much")

// firehoseFrames reads the body of a request: its records, gathered, and its id.
// Its archives together may unpack to most bytes.
func firehoseFrames(body []byte, most int64) (frames [][]byte, id string, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	g := gatherer{left: most}
	err = object(d, func(name string) error {
		switch name {
		case "requestId":
			t, err := d.ReadToken()
			if err == nil && t.Kind() != '"' {
				return fmt.Errorf("requestId is no string")
			}
			id = t.String()
			return err
		case "records":
			return array(d, func() error { return object(d, func(name string) error { return g.member(d, name) }) })
		}
		return d.SkipValue()
	})
	if err == nil {
		if _, end := d.ReadToken(); end != io.EOF {
			err = fmt.Errorf("there is more behind the request")
		}
	}
	if err == nil && id == "" {
		err = fmt.Errorf("requestId is missing")
	}
	g.flush()
	return g.frames, id, err
}

// gatherer puts records together into few frames. Archives are put one behind
// the other, which is an archive again; other records on lines of their own. A
// damaged archive stays alone, or those behind it could not be read.
type gatherer struct {
	frames [][]byte
	buf    []byte
	gzip   bool
	left   int64 // that archives may still unpack to
}

func (g *gatherer) member(d *jsontext.Decoder, name string) error {
	if name != "data" {
		return d.SkipValue()
	}
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return fmt.Errorf("data is no string")
	}
	data, err := base64.StdEncoding.AppendDecode(text[:0:0], text)
	if err != nil {
		return fmt.Errorf("data is not base64: %w", err)
	}
	return g.add(data)
}

func (g *gatherer) add(data []byte) error {
	packed := bytes.HasPrefix(data, []byte("\x1f\x8b"))
	whole := !packed || g.whole(data)
	if g.left < 0 {
		return errBomb
	}
	if packed != g.gzip || !whole || len(g.buf)+len(data) > frameBytes {
		g.flush()
	}
	g.gzip = packed
	g.buf = append(g.buf, data...)
	if !packed && len(data) > 0 {
		g.buf = append(g.buf, '\n')
	}
	if !whole {
		g.flush()
	}
	return nil
}

// whole says whether an archive unpacks.
func (g *gatherer) whole(data []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, g.left+1))
	g.left -= n
	return err == nil
}

func (g *gatherer) flush() {
	if len(g.buf) > 0 {
		g.frames = append(g.frames, g.buf)
		g.buf = nil
	}
}

// object reads an object; member reads the value of each name.
func object(d *jsontext.Decoder, member func(name string) error) error {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return orElse(err, "an object is missing")
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := member(t.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// array reads an array; element reads each.
func array(d *jsontext.Decoder, element func() error) error {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return orElse(err, "an array is missing")
	}
	for k := d.PeekKind(); k != ']' && k != 0; k = d.PeekKind() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

func orElse(err error, text string) error {
	if err == nil {
		err = fmt.Errorf("%s", text)
	}
	return err
}

// firehoseReply is the one shape of reply that counts as an answer.
func firehoseReply(r *http.Request, now time.Time, no *refusal) json.RawMessage {
	reply := struct {
		RequestID    string `json:"requestId"`
		Timestamp    int64  `json:"timestamp"`
		ErrorMessage string `json:"errorMessage,omitempty"`
	}{RequestID: clip(r.Header.Get("X-Amz-Firehose-Request-Id"), 512), Timestamp: now.UnixMilli()}
	if no != nil {
		reply.ErrorMessage = clip(no.text, 8000)
	}
	b, _ := json.Marshal(reply) // strings and a number
	return b
}
