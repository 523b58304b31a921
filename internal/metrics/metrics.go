// Package metrics counts what the gateway does, for Prometheus and for alarms.
//
// The gateway tells a [Metrics] of each call at three points: [Metrics.Refused],
// or [Metrics.Admitted] and then [Metrics.Settled]; and of each text that the
// guard blocked, [Metrics.Guard]. What has a state of its own (limits, journal,
// store) is asked when Prometheus asks. Alarms see the same calls as [Point]s,
// under the names that CloudWatch uses in AWS/Bedrock.
//
// Names and buckets are those of OpenTelemetry's GenAI conventions where they
// have one: gen_ai_client_… measures the gateway as Bedrock's client, from
// admission on; gen_ai_server_… measures it as its callers' server, from the
// request's head on. The rest begins with gatehouse_.
//
// Series are bounded, so that no caller can make Prometheus or us run out of
// memory: users and keys are never labels, models are those of the model table,
// and what is beyond the bound of a vector is counted as "other". Counting
// allocates nothing once a series exists.
package metrics

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/internal/bedrock"
)

// Options are what a Metrics asks and tells. Every field may be nil.
type Options struct {
	Limits  func() []Limit    // how the limits stand
	Audit   func() Audit      // how the journal stands
	Store   func() bool       // whether the shared store of counts answers
	Live    func() int64      // requests in progress
	Samples []func() []Sample // what other packages have to say of themselves
	Sink    Sink              // gets every point; alarms
	Log     *slog.Logger      // gets errors of collecting
}

// Limit is how one limit stands, over all of its buckets, in its own unit.
type Limit struct {
	Name     string
	Reserved int64 // held for open calls
	Debt     int64 // used beyond max, over all buckets
}

// Audit is how the journal stands.
type Audit string

// The states of the journal.
const (
	AuditOK      Audit = "ok"
	AuditWarning Audit = "warning" // recording, but something is wrong with it
	AuditDown    Audit = "down"    // not recording: calls are refused
)

// Sample is a number that another package gives when Prometheus asks. The
// values of its label are those of configuration.
type Sample struct {
	Name, Help string
	Counter    bool   // never falls; the name ends in _total
	Label, Of  string // empty: no label
	Value      float64
}

// Metrics is safe for concurrent use.
type Metrics struct {
	o        Options
	registry *prometheus.Registry

	admitted handles[string, prometheus.Counter] // by limit
	refused  handles[refusal, prometheus.Counter]
	verdicts handles[verdict, prometheus.Counter]
	notes    handles[note, prometheus.Counter]
	work     handles[work, worked]
	ends     handles[end, ended]
	bills    handles[bill, billed]
	calls    prometheus.Counter
	lag      prometheus.Observer
}

// The keys of the vectors.
type (
	refusal struct{ reason, limit string }
	verdict struct {
		rule, action string
		observed     bool
	}
	note struct {
		stage, name, action string
		observed            bool
	}
	work struct {
		op            *bedrock.Operation
		model, family string
	}
	end struct {
		work
		err string
	}
	bill struct{ team, model string }
)

// What is counted of one key.
type (
	worked struct {
		input, output                    prometheus.Observer
		firstToken, perToken, firstChunk prometheus.Observer
	}
	ended  struct{ client, server prometheus.Observer }
	billed struct{ cost, input, output, cacheRead, cacheWrite, images prometheus.Counter }
)

// other stands for every label value beyond a vector's bound.
const other = "other"

// OpenTelemetry's advice on buckets.
var (
	tokenBuckets    = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	durationBuckets = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstBuckets    = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	lagBuckets      = []float64{1e-6, 1e-5, 1e-4, 1e-3, .01, .1, 1, 10}
)

// New returns a Metrics with a registry of its own.
func New(o Options) *Metrics {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{o: o, registry: prometheus.NewRegistry()}
	m.makeGateway()
	m.makeGenAI()
	m.makeBills()
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		states{m.o},
	)
	return m
}

// makeGateway makes what counts decisions.
func (m *Metrics) makeGateway() {
	m.calls = prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_calls_admitted_total", Help: "Calls admitted."})
	lag := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatehouse_settle_lag_seconds", Help: "From a call's last byte to its settlement and record.", Buckets: lagBuckets})
	m.registry.MustRegister(m.calls, lag)
	m.lag = lag

	admitted := m.counter("gatehouse_requests_admitted_total", "Calls that a limit counted and admitted.", "limit")
	m.admitted.init(256, other, func(l string) prometheus.Counter { return admitted.WithLabelValues(clean(l)...) })
	refused := m.counter("gatehouse_refused_total", "Requests refused, by reason and the limit that refused.", "reason", "limit")
	m.refused.init(1024, refusal{other, other}, func(k refusal) prometheus.Counter { return refused.WithLabelValues(clean(k.reason, k.limit)...) })
	verdicts := m.counter("gatehouse_guard_verdicts_total", "Verdicts of the guard's rules; observed: in observe mode, not done.", "rule", "action", "observed")
	m.verdicts.init(1024, verdict{rule: other, action: other}, func(k verdict) prometheus.Counter {
		return verdicts.WithLabelValues(clean(k.rule, k.action, word(k.observed))...)
	})
	notes := m.counter("gatehouse_notes_total", "What limits and policies noticed and let pass; observed: in observe mode it would have been done.", "stage", "name", "action", "observed")
	m.notes.init(1024, note{stage: other, name: other, action: other}, func(k note) prometheus.Counter {
		return notes.WithLabelValues(clean(k.stage, k.name, k.action, word(k.observed))...)
	})
}

// makeGenAI makes what OpenTelemetry has names for.
func (m *Metrics) makeGenAI() {
	const op, model = "gen_ai_operation_name", "gen_ai_request_model"
	usage := m.histogram("gen_ai_client_token_usage", "Tokens of a call; input counts cached ones too.", tokenBuckets, op, model, "gen_ai_token_type")
	client := m.histogram("gen_ai_client_operation_duration_seconds", "From admission to the last byte.", durationBuckets, op, model, "error_type")
	chunk := m.histogram("gen_ai_client_operation_time_to_first_chunk_seconds", "From admission to the first content of a stream.", durationBuckets, op, model)
	server := m.histogram("gen_ai_server_request_duration_seconds", "From the request's head to the last byte.", durationBuckets, op, model, "error_type")
	first := m.histogram("gen_ai_server_time_to_first_token_seconds", "From the request's head to the first content of a successful answer.", firstBuckets, op, model)
	per := m.histogram("gen_ai_server_time_per_output_token_seconds", "Time for each token behind the first of a successful stream.", perTokenBuckets, op, model)
	m.work.init(1024, work{model: other}, func(k work) worked {
		l := clean(operation(k), k.model)
		return worked{
			usage.WithLabelValues(append(l, "input")...), usage.WithLabelValues(append(l, "output")...),
			first.WithLabelValues(l...), per.WithLabelValues(l...), chunk.WithLabelValues(l...),
		}
	})
	m.ends.init(2048, end{work{model: other}, "_OTHER"}, func(k end) ended {
		l := clean(operation(k.work), k.model, k.err)
		return ended{client.WithLabelValues(l...), server.WithLabelValues(l...)}
	})
}

// makeBills makes what is summed by team. A counter is a float, so cost is
// exact up to 9 million USD; the journal is what counts.
func (m *Metrics) makeBills() {
	cost := m.counter("gatehouse_cost_nano_usd_total", "Cost of calls, in billionths of a US dollar.", "team", "model")
	tokens := m.counter("gatehouse_tokens_total", "Tokens of calls, as Bedrock bills them; input is without cached ones.", "team", "model", "type")
	images := m.counter("gatehouse_images_total", "Images made.", "team", "model")
	m.bills.init(2048, bill{other, other}, func(k bill) billed {
		l := clean(k.team, k.model)
		t := func(kind string) prometheus.Counter { return tokens.WithLabelValues(append(l, kind)...) }
		return billed{cost.WithLabelValues(l...), t("input"), t("output"), t("cache_read"), t("cache_write"), images.WithLabelValues(l...)}
	})
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		ConstLabels: prometheus.Labels{"gen_ai_provider_name": "aws.bedrock"},
	}, labels)
	m.registry.MustRegister(v)
	return v
}

// Handler answers GET /metrics in Prometheus's text format. It tells nothing of
// prompts, but of models, teams and limits: it belongs on the admin listener.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(m.o.Log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// clean makes label values that Prometheus takes: it panics at bytes that are
// not UTF-8, and an error code comes from elsewhere.
func clean(values ...string) []string {
	for i, v := range values {
		values[i] = strings.ToValidUTF8(v[:min(len(v), maxLabel)], "?")
	}
	return values
}

const maxLabel = 256

func word(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
