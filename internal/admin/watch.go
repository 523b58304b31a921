package admin

import (
	"context"
	"net/http"
	"time"

	"gatehouse/internal/alarm"
)

// Watches tell what looks at the calls of a running server.
type Watches interface {
	// ListAlarms returns how all alarms stand.
	ListAlarms(ctx context.Context) ([]Alarm, error)
	// ListChannels returns how the channels for messages stand.
	ListChannels(ctx context.Context) ([]Channel, error)
	// Metrics answers in Prometheus's text format; nil without a server.
	Metrics() http.Handler
}

// Alarm is an alarm and how it stands.
type Alarm struct {
	Name              string            `json:"name"`
	Metric            string            `json:"metric"`
	By                string            `json:"by,omitzero" doc:"the dimension of which each value is watched on its own"`
	Match             map[string]string `json:"match,omitzero"`
	Statistic         string            `json:"statistic"`
	PeriodSeconds     int64             `json:"period_seconds"`
	Comparison        string            `json:"comparison"`
	Threshold         float64           `json:"threshold"`
	EvaluationPeriods int               `json:"evaluation_periods"`
	DatapointsToAlarm int               `json:"datapoints_to_alarm"`
	TreatMissingData  string            `json:"treat_missing_data"`
	State             alarm.State       `json:"state" doc:"the worst of its series"`
	Degraded          bool              `json:"degraded" doc:"there were more series than it may keep"`
	Series            []alarm.SeriesRow `json:"series" doc:"those in alarm first"`
	History           []alarm.Change    `json:"history" doc:"the newest first"`
}

// Channel is where messages go, and how it stands.
type Channel struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Queued    int       `json:"queued"`
	Sent      int64     `json:"sent"`
	Failed    int64     `json:"failed" doc:"given up"`
	Dropped   int64     `json:"dropped" doc:"for want of room"`
	LastSent  time.Time `json:"last_sent,omitzero"`
	LastError string    `json:"last_error,omitzero"`
}

// text is an answer of plain text, which its own handler gives.
type text struct{ http.Handler }

func metricsText(_ context.Context, s *service, _ *input) (any, error) {
	if h := s.API.Metrics(); h != nil {
		return text{h}, nil
	}
	return nil, ErrUnavailable.Say("there are no metrics without a server")
}

// ListAlarms implements Watches.
func (c *Client) ListAlarms(ctx context.Context) ([]Alarm, error) {
	return get[[]Alarm](ctx, c, "/api/v1/alarms")
}

// ListChannels implements Watches.
func (c *Client) ListChannels(ctx context.Context) ([]Channel, error) {
	return get[[]Channel](ctx, c, "/api/v1/channels")
}

// Metrics implements Watches: programs ask the server themselves.
func (*Client) Metrics() http.Handler { return nil }
