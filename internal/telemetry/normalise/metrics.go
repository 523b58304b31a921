package normalise

import (
	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// cloudWatch is the table of CloudWatch's numbers, one a record. The same
// number has one id however often it is asked for.
var cloudWatch = source{
	format:    "cloudwatch",
	collector: "AWS CloudWatch",
	index:     "sec_record_metrics",
	time:      paths("timestamp"),
	id: []keyRow{
		{"metric", paths("account_id", "region", "namespace", "metric_name", "dimensions", "stat", "timestamp")},
		{"metric", paths("namespace", "metric_name", "dimensions", "stat", "timestamp")},
		{"metric", paths("label", "metric_name", "stat", "timestamp")},
	},
	rows: []row{
		at(event.MetricNamespace, "namespace"),
		at(event.MetricName, "metric_name"),
		at(event.MetricStat, "stat"),
		at(event.MetricValue, "value"),
		at(event.AccountID, "account_id"),
		always(event.CloudProvider, "AWS"),
		at(event.CloudRegion, "region"),
		{field: event.ModelID, paths: paths("dimensions.ModelId"), from: func(doc *fastjson.Value, c *cell) { c.value(dimension(doc, "ModelId")) }},
		by(event.Model, func(doc *fastjson.Value, c *cell) {
			if id := text(dimension(doc, "ModelId")); len(id) > 0 {
				c.text(modelOf(id))
			}
		}),
	},
}

// dimension finds a dimension in a map, or in a list of Name and Value.
func dimension(doc *fastjson.Value, name string) *fastjson.Value {
	all := doc.Get("dimensions")
	for _, d := range all.GetArray() {
		if string(text(d.Get("Name"))) == name {
			return d.Get("Value")
		}
	}
	return all.Get(name)
}
