package clickhouse

import (
	"encoding/binary"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// fake is a server that remembers what it was asked and answers from a list.
// It keeps one promise of the real one: a statement that was begun runs until
// its reply is whole or it is killed by its id.
type fake struct {
	t *testing.T

	mu      sync.Mutex
	asked   []call
	running map[string]bool // by query id
	answers []answer
}

type call struct {
	user, key, statement string
	params               url.Values
	files                map[string]string
	body                 string
}

// answer is a reply. hold, where it is not nil, keeps the reply open after its
// body until the channel or the connection is closed.
type answer struct {
	status int
	code   string
	body   string
	begun  chan struct{}
	hang   bool
	cut    bool // end the connection within the reply
}

func serve(t *testing.T, options string, answers ...answer) (*fake, *Engine) {
	t.Helper()
	f := &fake{t: t, running: map[string]bool{}, answers: answers}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	e, err := Open(Options{DSN: strings.Replace(s.URL, "http://", "http://joe:hunter2@", 1) + "/lake" + options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return f, e
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{user: r.Header.Get("X-ClickHouse-User"), key: r.Header.Get("X-ClickHouse-Key"), params: r.URL.Query(), files: map[string]string{}}
	c.read(f.t, r)
	id := c.params.Get("query_id")
	f.mu.Lock()
	f.asked = append(f.asked, c)
	if strings.HasPrefix(c.statement, "KILL QUERY") {
		for id := range f.running {
			if strings.Contains(c.statement, "'"+id+"'") {
				delete(f.running, id)
			}
		}
		f.mu.Unlock()
		return
	}
	a := f.answers[0]
	f.answers = f.answers[1:]
	if id != "" {
		f.running[id] = true
	}
	f.mu.Unlock()
	f.reply(w, r, a, id)
}

func (f *fake) reply(w http.ResponseWriter, r *http.Request, a answer, id string) {
	if a.code != "" {
		w.Header().Set("X-ClickHouse-Exception-Code", a.code)
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	io.WriteString(w, a.body)
	w.(http.Flusher).Flush()
	if a.begun != nil {
		close(a.begun)
	}
	switch {
	case a.hang:
		<-r.Context().Done()
		return
	case a.cut:
		panic(http.ErrAbortHandler)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
}

// read takes the statement from where it is: the body, or a form's field.
func (c *call) read(t *testing.T, r *http.Request) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		data, _ := io.ReadAll(r.Body)
		c.statement, c.body = c.params.Get("query"), string(data)
		if c.statement == "" {
			c.statement = c.body
		}
		return
	}
	form := multipart.NewReader(r.Body, params["boundary"])
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		data, _ := io.ReadAll(part)
		if part.FileName() == "" {
			c.statement = string(data)
		} else {
			c.files[part.FormName()] = string(data)
		}
	}
}

func (f *fake) calls() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.asked...)
}

func (f *fake) still() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running)
}

// head is the beginning of a reply: the mark's column and one more.
func head(typ string) string {
	var b []byte
	b = binary.AppendUvarint(b, 2)
	for _, s := range []string{"m", "v", "UInt8", typ} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return string(b)
}

// row is one row of a reply.
func row(cell string) string { return "\xA5" + cell }
