package policy

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		glob, s string
		want    bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "anything", true},
		{"anthropic.*", "anthropic.claude-3-haiku-20240307-v1:0", true},
		{"anthropic.*", "amazon.titan-text-lite-v1", false},
		{"anthropic.*", "xanthropic.claude", false},
		{"*haiku*", "anthropic.claude-3-haiku-20240307-v1:0", true},
		{"*haiku", "anthropic.claude-3-haiku-20240307-v1:0", false},
		{"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbX", false},
		{"ab", "abc", false}, {"ab**", "ab", true}, {"a?c", "abc", false},
		{"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		if got := match(tt.glob, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %v, want %v", tt.glob, tt.s, got, tt.want)
		}
	}
}

// P19: an address is compared for what it is, however it came.
func TestNetworks(t *testing.T) {
	n := Networks{Allow: prefixes("10.0.0.0/8", "2001:db8::/32", "fe80::/64"), Deny: prefixes("10.1.0.0/16", "fe80::bad/128")}
	for addr, want := range map[string]bool{
		"10.0.0.1": true, "10.1.0.1": false, "192.0.2.1": false, "2001:db8::1": true, "::1": false,
		"::ffff:10.0.0.1": true, "::ffff:10.1.0.1": false, "fe80::1%eth0": true, "fe80::bad%eth0": false,
	} {
		if got := n.admits(netip.MustParseAddr(addr)); got != want {
			t.Errorf("admits(%s) = %v, want %v", addr, got, want)
		}
	}
	if n.admits(netip.Addr{}) {
		t.Error("an invalid address was admitted")
	}
	if !new(Networks).admits(netip.MustParseAddr("192.0.2.1")) {
		t.Error("without lists an address was refused")
	}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// places is a database of addresses.
func places(ip netip.Addr) string {
	return map[string]string{"192.0.2.1": "DE", "192.0.2.2": "FR", "10.9.9.9": "DE"}[ip.String()]
}

func TestEnter(t *testing.T) {
	type rules struct {
		networks        Networks
		allow, deny     []string
		without         bool // a database
		country, refuse string
	}
	lan := Networks{Allow: prefixes("10.0.0.0/8", "192.0.2.0/24")}
	for name, tt := range map[string]struct {
		rules
		ip string
	}{
		"no rules":                         {rules{country: "DE"}, "192.0.2.1"},
		"no rules, no database":            {rules{without: true}, "192.0.2.1"},
		"allowed":                          {rules{allow: []string{"CH", "DE"}, country: "DE"}, "192.0.2.1"},
		"not allowed":                      {rules{allow: []string{"CH", "DE"}, country: "FR", refuse: "country_denied"}, "192.0.2.2"},
		"denied":                           {rules{deny: []string{"FR"}, country: "FR", refuse: "country_denied"}, "192.0.2.2"},
		"not denied":                       {rules{deny: []string{"FR"}, country: "DE"}, "192.0.2.1"},
		"both":                             {rules{allow: []string{"FR"}, deny: []string{"FR"}, country: "FR", refuse: "country_denied"}, "192.0.2.2"},
		"unknown, some allowed":            {rules{allow: []string{"DE"}, refuse: "country_denied"}, "192.0.2.3"},
		"unknown, some denied":             {rules{deny: []string{"FR"}}, "192.0.2.3"},
		"unknown, but of a named network":  {rules{networks: lan, allow: []string{"DE"}, refuse: "country_denied"}, "192.0.2.3"},
		"private":                          {rules{allow: []string{"DE"}, refuse: "country_denied"}, "10.1.1.1"},
		"private, named":                   {rules{networks: lan, allow: []string{"DE"}}, "10.1.1.1"},
		"loopback":                         {rules{allow: []string{"DE"}, refuse: "country_denied"}, "127.0.0.1"},
		"named, but of a denied country":   {rules{networks: lan, deny: []string{"FR"}, country: "FR", refuse: "country_denied"}, "192.0.2.2"},
		"network refused before countries": {rules{networks: lan, allow: []string{"DE"}, refuse: "network_denied"}, "11.1.1.1"},
	} {
		o := Options{Networks: tt.networks, Countries: Countries{tt.allow, tt.deny}, Geo: places}
		if tt.without {
			o.Geo = nil
		}
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		c := &call.Call{IP: netip.MustParseAddr(tt.ip)}
		var got string
		if ref := p.Enter(c); ref != nil {
			got = string(ref.Reason)
		}
		if got != tt.refuse || c.Country != tt.country {
			t.Errorf("%s: %s is refused with %q, of country %q; want %q, %q", name, tt.ip, got, c.Country, tt.refuse, tt.country)
		}
	}
}

func TestBadCountries(t *testing.T) {
	for name, o := range map[string]Options{
		"no database":  {Countries: Countries{Deny: []string{"FR"}}},
		"lower case":   {Countries: Countries{Allow: []string{"de"}}, Geo: places},
		"three":        {Countries: Countries{Deny: []string{"DEU"}}, Geo: places},
		"empty":        {Countries: Countries{Allow: []string{""}}, Geo: places},
		"not a letter": {Countries: Countries{Allow: []string{"D["}}, Geo: places},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// J18 and S11: what a key's scope and expiry refuse.
func TestCheckKey(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	haiku, err := model.Default().Resolve("us.anthropic.claude-3-haiku-20240307-v1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		scope   call.Scope
		expires time.Time
		want    call.Reason
	}{
		"no scope":                   {},
		"model by provider":          {scope: call.Scope{Models: []string{"anthropic.*"}}},
		"model through a profile":    {scope: call.Scope{Models: []string{"amazon.*"}}, want: "model_denied"},
		"glob of the profile's name": {scope: call.Scope{Models: []string{"us.anthropic.*"}}, want: "model_denied"},
		"operation":                  {scope: call.Scope{Operations: []string{"Converse*"}}},
		"other operation":            {scope: call.Scope{Operations: []string{"CountTokens"}}, want: "operation_denied"},
		"network":                    {scope: call.Scope{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		"other network":              {scope: call.Scope{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, want: "network_denied"},
		"not yet expired":            {expires: now.Add(time.Nanosecond)},
		"expired":                    {expires: now, want: "expired_credential"},
	} {
		c := &call.Call{
			Operation: &bedrock.Operation{Name: "Converse"}, Model: haiku, IP: netip.MustParseAddr("192.0.2.7"),
			Principal: &call.Principal{Scope: tt.scope, Expires: tt.expires},
		}
		var got call.Reason
		if ref := checkKey(c, now); ref != nil {
			got = ref.Reason
		}
		if got != tt.want {
			t.Errorf("%s: refused with %q, want %q", name, got, tt.want)
		}
	}
}

// A caller sees of a list what the key is for and the policies let it read, by
// profile id too.
func TestFilterList(t *testing.T) {
	models := `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}, {"modelId":"anthropic.claude-3-haiku-20240307-v1:0"},{"modelId":"no.such-model"},{"x":1}],"z":1}`
	profiles := `{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-3-haiku-20240307-v1:0"},{"inferenceProfileId":"us.amazon.nova-lite-v1:0"}]}`
	const (
		amazon  = `permit (principal, action in Action::"Read", resource in Gatehouse::Provider::"amazon");`
		invoke  = `permit (principal, action in Action::"Invoke", resource);`
		notList = all + `forbid (principal, action == Action::"ListFoundationModels", resource in Gatehouse::Family::"claude");`
		trial   = all + `@mode("observe") forbid (principal, action, resource);`
	)
	for _, tt := range []struct {
		operation, body string
		models          []string
		policy          string
		want            string
	}{
		{"ListFoundationModels", models, nil, all, models},
		{"ListFoundationModels", models, []string{"amazon.*"}, all, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}],"z":1}`},
		{"ListFoundationModels", models, []string{"*"}, all, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]},{"modelId":"anthropic.claude-3-haiku-20240307-v1:0"}],"z":1}`},
		{"ListFoundationModels", models, []string{"meta.*"}, all, `{"modelSummaries": [],"z":1}`},
		{"ListFoundationModels", models, nil, amazon, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}],"z":1}`},
		{"ListFoundationModels", models, []string{"anthropic.*"}, amazon, `{"modelSummaries": [],"z":1}`},
		{"ListFoundationModels", models, nil, notList, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}],"z":1}`},
		{"ListFoundationModels", models, nil, invoke, `{"modelSummaries": [],"z":1}`},
		{"ListFoundationModels", models, []string{"meta.*"}, trial, `{"modelSummaries": [],"z":1}`},
		{"ListInferenceProfiles", profiles, []string{"anthropic.*"}, all, `{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-3-haiku-20240307-v1:0"}]}`},
		{"ListInferenceProfiles", profiles, nil, notList, `{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-3-haiku-20240307-v1:0"},{"inferenceProfileId":"us.amazon.nova-lite-v1:0"}]}`},
		{"ListFoundationModels", `{"modelSummaries":{}}`, []string{"*"}, all, ""},
		{"ListFoundationModels", `[`, nil, amazon, ""},
		{"GetFoundationModel", `{"modelDetails":{}}`, []string{"meta.*"}, amazon, `{"modelDetails":{}}`},
	} {
		p, err := New(Options{Files: []File{{"a.cedar", tt.policy}}})
		if err != nil {
			t.Fatal(err)
		}
		c := &call.Call{Operation: bedrock.OperationOf(tt.operation), Principal: &call.Principal{Scope: call.Scope{Models: tt.models}}}
		got, ok := p.FilterList(c, []byte(tt.body))
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("%s for %v under %s: got %s, %v, want %s", tt.operation, tt.models, tt.policy, got, ok, tt.want)
		}
	}
}
