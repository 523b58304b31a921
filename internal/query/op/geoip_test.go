package op

import (
	"strings"
	"testing"
)

// TestGeoip: with a database, each address is looked up once and joined.
func TestGeoip(t *testing.T) {
	asked := map[string]int{}
	e := env()
	list := records(t, "testdata/rows/records.jsonl")
	e.Catalogue = found{list}
	e.Place = func(ip string) (Place, bool) {
		asked[ip]++
		return Place{Country: "DE", City: "Berlin", ASN: 64500}, strings.HasPrefix(ip, "10.")
	}
	for src, want := range map[string]string{
		"* | geoip sourceIPAddress asn | count by country_code, city, region, asn": `country_code | city | region | asn | _count
"DE" | "Berlin" | - | 64500 | 4
- | - | - | - | 9
`,
		"* | count by sourceIPAddress | lookup country_code as cc from geo://location on ip=sourceIPAddress": `sourceIPAddress | _count | cc
"10.0.0.7" | 4 | "DE"
"bedrock.amazonaws.com" | 1 | -
- | 8 | -
`,
	} {
		clear(asked)
		got := runWith(t, src, e, list)
		if got != want {
			t.Errorf("%s\n got:\n%s\nwant:\n%s", src, got, want)
		}
		if asked["10.0.0.7"] != 1 || len(asked) != 2 {
			t.Errorf("%s asked for %v, want each of two addresses once", src, asked)
		}
	}
}
