package parse

import (
	"strings"

	"github.com/valyala/fastjson"
)

// CloudWatch tells numbers in three shapes, which are made one: a record for
// each number, with the members of metricRecord.

// metricRecord is one number, as it was told; nil is what was not told.
type metricRecord struct {
	timestamp, value                                                        *fastjson.Value
	namespace, name, dimensions, stat, period, unit, account, region, label *fastjson.Value
	statName, metricName                                                    string // where stat and name are no values
}

func (m *metricRecord) append(dst []byte) []byte {
	if m.name == nil {
		dst = appendText(append(dst, `{"metric_name":`...), []byte(m.metricName))
	} else {
		dst = appendJSON(append(dst, `{"metric_name":`...), m.name)
	}
	if m.stat == nil {
		dst = appendText(append(dst, `,"stat":`...), []byte(m.statName))
	} else {
		dst = appendJSON(append(dst, `,"stat":`...), m.stat)
	}
	for _, member := range [...]struct {
		key string
		v   *fastjson.Value
	}{
		{"timestamp", m.timestamp}, {"value", m.value}, {"namespace", m.namespace}, {"dimensions", m.dimensions},
		{"period", m.period}, {"unit", m.unit}, {"account_id", m.account}, {"region", m.region}, {"label", m.label},
	} {
		if member.v != nil && member.v.Type() != fastjson.TypeNull {
			dst = append(appendText(append(dst, ','), []byte(member.key)), ':')
			dst = appendJSON(dst, member.v)
		}
	}
	return append(dst, '}')
}

func (s *scanner) metric(m *metricRecord, depth int) error {
	if m.timestamp == nil || m.value == nil {
		s.fail(s.at, BadEnvelope, "a number of CloudWatch without its time", nil)
		return nil
	}
	p := s.level(depth)
	p.text = m.append(p.text[:0])
	return s.insideText(p.text, depth+1)
}

// streamStats are the names of the four numbers of a metric stream.
var streamStats = map[string]string{"max": "Maximum", "min": "Minimum", "sum": "Sum", "count": "SampleCount"}

func isMetricStream(v *fastjson.Value) bool {
	return has(v, "metric_name", "namespace", "timestamp", "value")
}

// unwrapMetricStream gives a record for each statistic of a minute.
func unwrapMetricStream(s *scanner, v *fastjson.Value, depth int) (err error) {
	m := metricRecord{
		namespace: v.Get("namespace"), name: v.Get("metric_name"), dimensions: v.Get("dimensions"), unit: v.Get("unit"),
		account: v.Get("account_id"), region: v.Get("region"), timestamp: v.Get("timestamp"),
	}
	if v.GetObject("value") == nil { // one number, of no known kind
		m.value = v.Get("value")
		return s.metric(&m, depth)
	}
	v.GetObject("value").Visit(func(key []byte, v *fastjson.Value) {
		if err != nil {
			return
		}
		m.statName, m.value = string(key), v
		if name := streamStats[m.statName]; name != "" {
			m.statName = name
		}
		err = s.metric(&m, depth)
	})
	return err
}

// unwrapMetricData gives a record for each pair of time and value of a reply
// to GetMetricData. The reply has ids and labels; what they stand for is taken
// from the queries, where the request's MetricDataQueries were kept beside it.
func unwrapMetricData(s *scanner, v *fastjson.Value, depth int) error {
	for _, r := range v.GetArray("MetricDataResults") {
		m := metricRecord{label: r.Get("Label"), metricName: metricOf(text(r.Get("Label")))}
		for _, q := range v.GetArray("MetricDataQueries") {
			if string(text(q.Get("Id"))) == string(text(r.Get("Id"))) {
				m.namespace, m.name = q.Get("MetricStat", "Metric", "Namespace"), q.Get("MetricStat", "Metric", "MetricName")
				m.dimensions, m.stat = q.Get("MetricStat", "Metric", "Dimensions"), q.Get("MetricStat", "Stat")
				m.period = q.Get("MetricStat", "Period")
			}
		}
		values := r.GetArray("Values")
		for i, t := range r.GetArray("Timestamps") {
			if i >= len(values) {
				break
			}
			m.timestamp, m.value = t, values[i]
			if err := s.metric(&m, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// statistics are the members of a datapoint that are numbers.
var statistics = [...]string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}

// unwrapStatistics gives a record for each statistic of a reply to
// GetMetricStatistics.
func unwrapStatistics(s *scanner, v *fastjson.Value, depth int) (err error) {
	for _, d := range v.GetArray("Datapoints") {
		m := metricRecord{
			label: v.Get("Label"), metricName: metricOf(text(v.Get("Label"))),
			timestamp: d.Get("Timestamp"), unit: d.Get("Unit"),
		}
		for _, stat := range statistics {
			if m.statName, m.value = stat, d.Get(stat); m.value != nil && err == nil {
				err = s.metric(&m, depth)
			}
		}
		d.GetObject("ExtendedStatistics").Visit(func(key []byte, v *fastjson.Value) {
			if m.statName, m.value = string(key), v; err == nil {
				err = s.metric(&m, depth)
			}
		})
	}
	return err
}

// metricOf is the metric in a label: CloudWatch puts what tells series apart
// before its name.
func metricOf(label []byte) string {
	s := string(label)
	return s[strings.LastIndexByte(s, ' ')+1:]
}
