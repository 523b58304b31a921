package op

import (
	"testing"

	"gatehouse/internal/query/core"
)

// threats is a list as files give it: texts, in any case and order.
func threats() (*Table, error) {
	text := func(names ...string) (cols []core.Col) {
		for _, n := range names {
			cols = append(cols, core.Col{Name: n, Type: core.Text})
		}
		return cols
	}
	return &Table{
		Columns: text("Type", "indicator", "Confidence", "source"),
		Rows: [][]any{
			{"ipv4-addr", "10.0.0.7", "40", "feedA"},
			{"ipv4-addr", "10.0.0.7", "90", "feedB"},
			{"ipv4-addr", "10.0.0.7", "60", "feedC"},
			{"domain", "Bedrock.AmazonAWS.com", "high", "feedA"},
			{"domain", "", "99", "feedA"},
			{"domain", nil, "99", "feedA"},
		},
	}, nil
}

func TestThreatlookup(t *testing.T) {
	list := records(t, "testdata/rows/records.jsonl")
	const show = " | count by sourceIPAddress, _threatlookup.type, _threatlookup.confidence, _threatlookup.source, _threatlookup.actors"
	const head = "sourceIPAddress | _threatlookup.type | _threatlookup.confidence | _threatlookup.source | _threatlookup.actors | _count\n"
	for _, c := range []struct{ query, want string }{
		{"_index=sec_record_audit | threatlookup sourceIPAddress" + show, head +
			`"10.0.0.7" | "ipv4-addr" | 90 | "feedB" | - | 4` + "\n" + `"bedrock.amazonaws.com" | "domain" | - | "feedA" | - | 1` + "\n"},
		{`_index=sec_record_audit | threatip singleIndicator source="FEEDA" sourceIPAddress | where _threatlookup.confidence > 30` + show, head +
			`"10.0.0.7" | "ipv4-addr" | 40 | "feedA" | - | 4` + "\n"},
		{`_index=sec_record_audit | sourceIPAddress as source | threatlookup source | where !isNull(_threatlookup.id) | count`, "_count\n0\n"},
	} {
		e := envOf(t, list)
		e.Threats = threats
		if got := runWith(t, c.query, e, list); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}
