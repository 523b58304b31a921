package clickhouse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/internal/lake"
)

// query is one statement on the server, from start to end.
type query struct {
	e      *Engine
	caller context.Context
	ctx    context.Context // ends soon after the time budget
	cancel context.CancelFunc
	id     string
	budget lake.Budget
	body   io.ReadCloser // of the reply
	whole  bool          // all of it was read
}

// maxMessage bounds what is read of an error's text.
const maxMessage = 64 << 10

// settings are those of one statement. They make the engine's answers core's,
// and keep the budget.
func (e *Engine) settings(b lake.Budget) url.Values {
	v := url.Values{
		"readonly":              {"1"},
		"max_memory_usage":      {strconv.FormatInt(b.Memory, 10)},
		"max_execution_time":    {strconv.FormatFloat(math.Max(b.Time.Seconds(), 0.001), 'f', 3, 64)},
		"timeout_overflow_mode": {"throw"},
		"max_result_rows":       {strconv.FormatInt(b.Rows+1, 10)},
		"result_overflow_mode":  {"throw"},
		"cancel_http_readonly_queries_on_client_close": {"1"},
	}
	if e.source.table == "" { // table functions are refused at 1
		v.Set("readonly", "2")
	}
	if b.Threads > 0 {
		v.Set("max_threads", strconv.Itoa(b.Threads))
	}
	for k, s := range meaning {
		v.Set(k, s)
	}
	return v
}

// meaning are the settings that internal/query/sql prints for.
var meaning = map[string]string{
	"join_use_nulls":                            "1",
	"transform_null_in":                         "0",
	"prefer_column_name_to_alias":               "1",
	"aggregate_functions_null_for_empty":        "0",
	"group_by_use_nulls":                        "0",
	"enable_positional_arguments":               "1",
	"cast_keep_nullable":                        "0",
	"query_plan_remove_redundant_sorting":       "0",
	"output_format_binary_write_json_as_string": "1",
	"session_timezone":                          "UTC",
}

// request makes a call of the server's. Parameters hold no secret.
func (e *Engine) request(ctx context.Context, v url.Values, body io.Reader) (*http.Request, error) {
	if e.server.database != "" {
		v.Set("database", e.server.database)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.server.url+"?"+v.Encode(), body)
	if err != nil {
		return nil, err
	}
	if e.server.user != "" {
		req.Header.Set("X-ClickHouse-User", e.server.user)
		req.Header.Set("X-ClickHouse-Key", e.server.password)
	}
	return req, nil
}

// start sends the statement and reads the reply to where rows begin.
func (q *query) start(text string, r lake.Request) (*rows, error) {
	if err := q.caller.Err(); err != nil {
		return nil, err
	}
	v := q.e.settings(r.Budget)
	v.Set("query_id", q.id)
	v.Set("default_format", "RowBinaryWithNamesAndTypes")
	body, kind, err := payload(v, text, r.Temps)
	if err != nil {
		return nil, err
	}
	req, err := q.e.request(q.ctx, v, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	req.Header.Set("Content-Type", kind)
	if err := q.send(req); err != nil {
		return nil, err
	}
	out := &rows{q: q, in: bufio.NewReaderSize(q.body, 64<<10), budget: r.Budget}
	if err := out.header(); err != nil {
		return nil, err
	}
	return out, nil
}

// send makes the call and turns a reply that is none into an error.
func (q *query) send(req *http.Request) error {
	res, err := q.e.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which holds the settings
		}
		return q.broken(err)
	}
	q.body = res.Body
	code, _ := strconv.Atoi(res.Header.Get("X-ClickHouse-Exception-Code"))
	if res.StatusCode == http.StatusOK && code == 0 {
		return nil
	}
	message, _ := io.ReadAll(io.LimitReader(res.Body, maxMessage))
	q.whole = true
	if len(message) == 0 {
		message = []byte("the server answered " + res.Status)
	}
	return q.failure(code, string(message))
}

// payload is the statement, with the small tables beside it where there are any.
func payload(v url.Values, text string, temps []lake.Temp) (io.Reader, string, error) {
	if len(temps) == 0 {
		return bytes.NewReader([]byte(text)), "text/plain; charset=utf-8", nil
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("query", text); err != nil {
		return nil, "", err
	}
	for i, t := range temps {
		name := tempName(i)
		v.Set(name+"_format", "RowBinary")
		v.Set(name+"_structure", tempStructure(t))
		part, err := w.CreateFormFile(name, name)
		if err != nil {
			return nil, "", err
		}
		if _, err := part.Write(tempRows(t)); err != nil {
			return nil, "", err
		}
	}
	if len(text) > maxField {
		v.Set("http_max_field_value_size", strconv.Itoa(2*len(text)))
	}
	return &b, w.FormDataContentType(), w.Close()
}

// maxField is the length of a form field that servers take unasked.
const maxField = 128 << 10

// end closes the reply. A statement that may still run is killed: the server
// would notice the closed connection only when it next writes.
func (q *query) end() {
	if q.body != nil {
		q.body.Close()
	}
	started := q.body != nil || q.ctx.Err() != nil
	if started && !q.whole {
		q.kill()
	}
	q.cancel()
}

// kill asks the server to end the statement and does not wait for the end. It
// is tried once: the server's own bounds remain.
func (q *query) kill() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.caller), 5*time.Second)
	defer cancel()
	req, err := q.e.request(ctx, url.Values{}, bytes.NewReader([]byte("KILL QUERY WHERE query_id = "+literal(q.id)+" ASYNC")))
	if err != nil {
		return
	}
	if res, err := q.e.client.Do(req); err == nil {
		io.Copy(io.Discard, io.LimitReader(res.Body, maxMessage))
		res.Body.Close()
	}
}
