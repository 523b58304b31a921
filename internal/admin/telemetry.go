package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Telemetry is what the lake gets, and questions to it.
type Telemetry interface {
	// Ingest reads files of this machine into the lake. When it returns, all
	// that could be read is durable.
	Ingest(ctx context.Context, job IngestJob) (Ingested, error)
	// TelemetryState tells how the sources and the lake fare.
	TelemetryState(ctx context.Context) (TelemetryState, error)
	// Hunt runs a query and hands on the lines of its answer. An error of each
	// ends it and is returned.
	Hunt(ctx context.Context, q HuntQuery, each func(*HuntLine) error) error
}

// IngestJob is what to read.
type IngestJob struct {
	Paths  []string `json:"paths" doc:"files, folders and globs on the server's machine, in full"`
	Strand string   `json:"strand,omitzero" doc:"what the records are; absent: told record by record"`
	Bodies string   `json:"bodies,omitzero" doc:"folder of the bodies that records refer to"`
}

// Ingested is what came of an ingest.
type Ingested struct {
	Bytes       int64            `json:"bytes" doc:"read, after decompression"`
	Records     int64            `json:"records"`
	Added       int64            `json:"added"`
	Duplicates  int64            `json:"duplicates"`
	Problems    int64            `json:"problems" doc:"that could not be read; they are among the dead letters"`
	Skipped     int64            `json:"skipped" doc:"of no interest, such as digests"`
	Strands     map[string]int64 `json:"strands" doc:"records, by strand"`
	DeadLetters string           `json:"dead_letters" doc:"the file of what could not be read"`
}

// TelemetryState is how telemetry fares.
type TelemetryState struct {
	On      bool          `json:"on"`
	Sources []SourceState `json:"sources"`
	Lake    LakeState     `json:"lake"`
}

// SourceState is how a source fares since the start.
type SourceState struct {
	Name       string    `json:"name"`
	Deliveries int64     `json:"deliveries"`
	Bytes      int64     `json:"bytes"`
	Records    int64     `json:"records"`
	Added      int64     `json:"added"`
	Duplicates int64     `json:"duplicates"`
	Problems   int64     `json:"problems"`
	Skipped    int64     `json:"skipped"`
	Last       time.Time `json:"last" doc:"when something was last taken"`
	Failure    string    `json:"failure" doc:"why it does not run; empty: it does"`
}

// LakeState is how the lake stands.
type LakeState struct {
	Segments   int   `json:"segments"`
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"`
	Buffered   int   `json:"buffered" doc:"events that are not sealed yet"`
	Refused    int64 `json:"refused" doc:"events too large to be kept"`
	Damaged    int   `json:"damaged" doc:"segments"`
	Duplicates int64 `json:"duplicates" doc:"since the start"`
}

// HuntQuery is a question.
type HuntQuery struct {
	Query   string    `json:"query" doc:"in the pipe language, or a SELECT where sql is true"`
	SQL     bool      `json:"sql,omitzero"`
	From    time.Time `json:"from,omitzero" doc:"no earlier events; absent with to: the last 24 hours"`
	To      time.Time `json:"to,omitzero"`
	TZ      string    `json:"tz,omitzero" doc:"zone of days and of times that name none; absent: UTC"`
	MaxRows int64     `json:"max_rows,omitzero" doc:"rows of the answer, at most hunt.max_rows of the configuration"`
	Timeout string    `json:"timeout,omitzero" doc:"such as 30s, at most hunt.timeout of the configuration"`
}

// HuntLine is one line of the answer: the columns, then rows, then the count.
// A line holds one of these.
type HuntLine struct {
	Columns  []HuntColumn     `json:"columns,omitzero"`
	Warning  string           `json:"warning,omitzero"`
	Progress float64          `json:"progress,omitzero" doc:"how much is done, 0 to 1"`
	Row      []jsontext.Value `json:"row,omitzero" doc:"a value for each column"`
	Rows     *int64           `json:"rows,omitzero" doc:"how many there were; nothing follows"`
	Error    *HuntError       `json:"error,omitzero" doc:"why it ended; nothing follows"`
}

// HuntColumn is a column of an answer.
type HuntColumn struct {
	Name string `json:"name"`
	Type string `json:"type" doc:"bool, int, float, text, list, null"`
}

// HuntError is why a query ended early or did not begin. Mistakes have places.
type HuntError struct {
	Code     string        `json:"code" doc:"query: its text has mistakes; sql; memory, time or rows: a bound of the budget; engine"`
	Message  string        `json:"message"`
	Mistakes []HuntMistake `json:"mistakes,omitzero"`
}

func (e *HuntError) Error() string { return e.Message }

// HuntMistake is a mistake in a query's text.
type HuntMistake struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Near    string `json:"near"`
	Hint    string `json:"hint"`
	Stage   int    `json:"stage" doc:"0: what stands before the first |"`
}

func ingest(ctx context.Context, s *service, in *input) (any, error) {
	if !s.socket { // the server would open any file for whoever has the token
		return nil, ErrForbidden.Say("only through the socket of the data directory")
	}
	return s.API.Ingest(ctx, *in.body.(*IngestJob))
}

// huntRoute answers with lines, so that an error after the first row can be told.
func huntRoute(ctx context.Context, s *service, in *input) (any, error) {
	q := *in.body.(*HuntQuery)
	if q.Query == "" {
		return nil, ErrInvalid.Say("query: is missing")
	}
	return stream(func(w io.Writer) error {
		err := s.API.Hunt(ctx, q, func(l *HuntLine) error { return writeHunt(w, l) })
		var told *HuntError
		var known *Error
		switch {
		case errors.As(err, &told):
		case errors.As(err, &known):
			told = &HuntError{Code: known.Code, Message: known.Message}
		default:
			return err
		}
		return writeHunt(w, &HuntLine{Error: told})
	}), nil
}

func writeHunt(w io.Writer, l *HuntLine) error {
	b, err := json.Marshal(l, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	if _, err = w.Write(append(b, '\n')); err != nil {
		return err
	}
	if f, ok := w.(http.Flusher); ok && l.Row == nil {
		f.Flush()
	}
	return nil
}

// Ingest implements [Telemetry].
func (c *Client) Ingest(ctx context.Context, job IngestJob) (out Ingested, err error) {
	return out, c.do(ctx, http.MethodPost, "/api/v1/ingest", job, &out)
}

// TelemetryState implements [Telemetry].
func (c *Client) TelemetryState(ctx context.Context) (out TelemetryState, err error) {
	return out, c.do(ctx, http.MethodGet, "/api/v1/telemetry", nil, &out)
}

// Hunt implements [Telemetry].
func (c *Client) Hunt(ctx context.Context, q HuntQuery, each func(*HuntLine) error) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(c.do(ctx, http.MethodPost, "/api/v1/hunt", q, w)) }()
	defer r.Close()
	d := jsontext.NewDecoder(r)
	for {
		var l HuntLine
		err := json.UnmarshalDecode(d, &l)
		var known *Error
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &known):
			return known
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("read the server's answer: %w", err)
		case l.Error != nil:
			return l.Error
		}
		if err := each(&l); err != nil {
			return err
		}
	}
}
