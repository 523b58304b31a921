package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Scans read the whole journal, which takes as long as it is. They end with
// their context, and a server runs one at a time: those asked for meanwhile wait.
type Scans interface {
	// Usage adds up calls. told may be nil. With ErrDamaged the rows are there,
	// and lack what cannot be read.
	Usage(ctx context.Context, q UsageQuery, told func(Scan)) ([]UsageRow, error)
	// AuditLimits recomputes every counter of the limits from what the journal
	// says of each call, and compares. told may be nil.
	AuditLimits(ctx context.Context, told func(Scan)) (LimitAudit, error)
}

// ScanLine is one line of the answer to a scan. A line holds one of these.
type ScanLine struct {
	Scan  Scan        `json:"scan,omitzero" doc:"how far it is, now and then"`
	Usage *UsageRow   `json:"usage,omitzero"`
	Audit *LimitAudit `json:"audit,omitzero"`
	Error *Error      `json:"error,omitzero" doc:"why it ended; nothing follows"`
}

// toldEvery is how often a client hears of progress.
const toldEvery = 250 * time.Millisecond

// scan is an answer of lines, with progress ahead of them. An error is the
// last line, since the status has been sent by then.
func (s *service) scan(ctx context.Context, do func(told func(Scan)) ([]ScanLine, error)) stream {
	return func(w io.Writer) error {
		select {
		case s.scans <- struct{}{}:
			defer func() { <-s.scans }()
		case <-ctx.Done():
			return ctx.Err()
		}
		var last time.Time
		lines, err := do(func(p Scan) {
			if now := time.Now(); now.Sub(last) >= toldEvery {
				last = now
				writeLine(w, &ScanLine{Scan: p}) // a client that is gone ends ctx
				if f, ok := w.(http.Flusher); ok {
					f.Flush()
				}
			}
		})
		if known := (*Error)(nil); errors.As(err, &known) {
			lines, err = append(lines, ScanLine{Error: known}), nil
		}
		for i := 0; i < len(lines) && err == nil; i++ {
			err = writeLine(w, &lines[i])
		}
		return err
	}
}

func writeLine(w io.Writer, l *ScanLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func usageRoute(ctx context.Context, s *service, in *input) (any, error) {
	q := UsageQuery{TZ: in.query.Get("tz")}
	if by := in.query.Get("by"); by != "" {
		q.By = strings.Split(by, ",")
	}
	if err := in.times(&q.From, &q.To); err != nil {
		return nil, err
	}
	if _, err := newUsage(q, UsageOptions{}); err != nil { // while a status can tell
		return nil, err
	}
	return s.scan(ctx, func(told func(Scan)) ([]ScanLine, error) {
		rows, err := s.API.Usage(ctx, q, told)
		lines := make([]ScanLine, len(rows))
		for i := range rows {
			lines[i].Usage = &rows[i]
		}
		return lines, err
	}), nil
}

func auditRoute(ctx context.Context, s *service, _ *input) (any, error) {
	return s.scan(ctx, func(told func(Scan)) ([]ScanLine, error) {
		a, err := s.API.AuditLimits(ctx, told)
		if err != nil {
			return nil, err
		}
		return []ScanLine{{Audit: &a}}, nil
	}), nil
}

// times reads the parameters from and to.
func (in *input) times(from, to *time.Time) error {
	for name, t := range map[string]*time.Time{"from": from, "to": to} {
		v := in.query.Get(name)
		if v == "" {
			continue
		}
		parsed, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return ErrInvalid.Say("%s: write a time such as 2026-01-31T12:00:00Z", name)
		}
		*t = parsed
	}
	return nil
}

// scan asks for a scan and hands on the lines of its answer. A cut answer is an error.
func (c *Client) scan(ctx context.Context, path string, told func(Scan), each func(*ScanLine)) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(c.do(ctx, http.MethodGet, path, nil, w)) }()
	defer r.Close()
	d := jsontext.NewDecoder(r)
	for {
		var l ScanLine
		err := json.UnmarshalDecode(d, &l)
		switch {
		case err == io.EOF: // itself: what is wrapped is a connection that was cut
			return nil
		case err != nil:
			var known *Error
			switch {
			case errors.As(err, &known):
				return known
			case ctx.Err() != nil:
				return ctx.Err()
			}
			return fmt.Errorf("read the server's answer: %w", err)
		case l.Error != nil:
			l.Error.Status = http.StatusBadRequest
			if l.Error.Code == ErrDamaged.Code {
				l.Error.Status = ErrDamaged.Status
			}
			return l.Error
		case l.Scan != Scan{}:
			if told != nil {
				told(l.Scan)
			}
		default:
			each(&l)
		}
	}
}

// Usage implements Scans.
func (c *Client) Usage(ctx context.Context, q UsageQuery, told func(Scan)) (rows []UsageRow, err error) {
	v := url.Values{}
	for name, text := range map[string]string{"by": strings.Join(q.By, ","), "tz": q.TZ} {
		if text != "" {
			v.Set(name, text)
		}
	}
	setTimes(v, q.From, q.To)
	rows = []UsageRow{}
	err = c.scan(ctx, "/api/v1/usage?"+v.Encode(), told, func(l *ScanLine) {
		if l.Usage != nil {
			rows = append(rows, *l.Usage)
		}
	})
	var known *Error
	if err != nil && (!errors.As(err, &known) || known.Code != ErrDamaged.Code) {
		rows = nil // a part, and nobody knows of what
	}
	return rows, err
}

// AuditLimits implements Scans.
func (c *Client) AuditLimits(ctx context.Context, told func(Scan)) (a LimitAudit, err error) {
	err = c.scan(ctx, "/api/v1/limits/audit", told, func(l *ScanLine) {
		if l.Audit != nil {
			a = *l.Audit
		}
	})
	return a, err
}

func setTimes(v url.Values, from, to time.Time) {
	for name, t := range map[string]time.Time{"from": from, "to": to} {
		if !t.IsZero() {
			v.Set(name, t.Format(time.RFC3339Nano))
		}
	}
}
