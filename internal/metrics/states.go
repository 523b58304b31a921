package metrics

import "github.com/prometheus/client_golang/prometheus"

// states is what is asked at the moment Prometheus asks.
type states struct{ o Options }

var (
	reserved = prometheus.NewDesc("gatehouse_reserved", "What a limit holds for open calls, in its own unit.", []string{"limit"}, nil)
	debt     = prometheus.NewDesc("gatehouse_debt", "What was used beyond a limit's max, in its own unit.", []string{"limit"}, nil)
	audit    = prometheus.NewDesc("gatehouse_audit_state", "1 for the state that the journal is in.", []string{"state"}, nil)
	storeUp  = prometheus.NewDesc("gatehouse_store_up", "Whether the shared store of counts answers.", nil, nil)
	live     = prometheus.NewDesc("gatehouse_requests_in_progress", "Requests in progress.", nil, nil)
)

// Describe tells nothing: which series there are depends on the configuration,
// and Prometheus's registry takes that as leave to find out by collecting.
func (s states) Describe(chan<- *prometheus.Desc) {}

// Collect asks everyone.
func (s states) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if s.o.Limits != nil {
		for _, l := range s.o.Limits() {
			gauge(reserved, float64(l.Reserved), l.Name)
			gauge(debt, float64(l.Debt), l.Name)
		}
	}
	if s.o.Audit != nil {
		now := s.o.Audit()
		for _, state := range []Audit{AuditOK, AuditWarning, AuditDown} {
			gauge(audit, number(state == now), string(state))
		}
	}
	if s.o.Store != nil {
		gauge(storeUp, number(s.o.Store()))
	}
	if s.o.Live != nil {
		gauge(live, float64(s.o.Live()))
	}
	for _, samples := range s.o.Samples {
		for _, p := range samples() {
			out <- p.metric()
		}
	}
}

func (p *Sample) metric() prometheus.Metric {
	kind, names, values := prometheus.GaugeValue, []string(nil), []string(nil)
	if p.Counter {
		kind = prometheus.CounterValue
	}
	if p.Label != "" {
		names, values = []string{p.Label}, clean(p.Of)
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(p.Name, p.Help, names, nil), kind, p.Value, values...)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
