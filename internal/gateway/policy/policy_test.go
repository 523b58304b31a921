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
		if got := Match(tt.glob, tt.s); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.glob, tt.s, got, tt.want)
		}
	}
}

func TestNetworks(t *testing.T) {
	n := Networks{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Deny:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}
	for addr, want := range map[string]bool{"10.0.0.1": true, "10.1.0.1": false, "192.0.2.1": false, "2001:db8::1": true, "::1": false} {
		if got := n.Admits(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Admits(%s) = %v, want %v", addr, got, want)
		}
	}
	if n.Admits(netip.Addr{}) {
		t.Error("an invalid address was admitted")
	}
	if !new(Networks).Admits(netip.MustParseAddr("192.0.2.1")) {
		t.Error("without lists an address was refused")
	}
}

// J18 and S11: what a key's scope and expiry refuse.
func TestCheck(t *testing.T) {
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
		if ref := Check(c, now); ref != nil {
			got = ref.Reason
		}
		if got != tt.want {
			t.Errorf("%s: refused with %q, want %q", name, got, tt.want)
		}
	}
}

// A key for some models sees only those in lists, by profile id too.
func TestFilterList(t *testing.T) {
	table := model.Default()
	normalise := func(id string) (string, bool) {
		ref, err := table.Resolve(id)
		return ref.ID, err == nil
	}
	models := `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}, {"modelId":"anthropic.claude-3-haiku-20240307-v1:0"},{"modelId":"no.such-model"},{"x":1}],"z":1}`
	profiles := `{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-3-haiku-20240307-v1:0"},{"inferenceProfileId":"us.amazon.nova-lite-v1:0"}]}`
	for _, tt := range []struct {
		operation, body string
		models          []string
		want            string
	}{
		{"ListFoundationModels", models, nil, models},
		{"ListFoundationModels", models, []string{"amazon.*"}, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]}],"z":1}`},
		{"ListFoundationModels", models, []string{"*"}, `{"modelSummaries": [{"modelId":"amazon.nova-lite-v1:0","n":[1]},{"modelId":"anthropic.claude-3-haiku-20240307-v1:0"}],"z":1}`},
		{"ListFoundationModels", models, []string{"meta.*"}, `{"modelSummaries": [],"z":1}`},
		{"ListInferenceProfiles", profiles, []string{"anthropic.*"}, `{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-3-haiku-20240307-v1:0"}]}`},
		{"ListFoundationModels", `{"modelSummaries":{}}`, []string{"*"}, ""},
		{"ListFoundationModels", `[`, []string{"*"}, ""},
		{"GetFoundationModel", `{"modelDetails":{}}`, []string{"meta.*"}, `{"modelDetails":{}}`},
	} {
		c := &call.Call{Operation: bedrock.OperationOf(tt.operation), Principal: &call.Principal{Scope: call.Scope{Models: tt.models}}}
		got, ok := FilterList(c, []byte(tt.body), normalise)
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("%s for %v: got %s, %v, want %s", tt.operation, tt.models, got, ok, tt.want)
		}
	}
}
