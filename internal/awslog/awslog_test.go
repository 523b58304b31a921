package awslog

import (
	"encoding/json"
	"testing"
	"time"
)

func TestAppendLine(t *testing.T) {
	at := Time{time.Date(2026, 3, 1, 13, 0, 0, 999, time.FixedZone("", 3600))}
	n := int64(0)
	for _, tt := range []struct {
		name string
		in   any
		want string
	}{
		{"empty trail keeps its nulls", CloudTrail{EventTime: at},
			`{"eventVersion":"","userIdentity":{"type":""},"eventTime":"2026-03-01T12:00:00Z","eventSource":"","eventName":"","awsRegion":"","sourceIPAddress":"","userAgent":"","requestParameters":null,"responseElements":null,"requestID":"","eventID":"","readOnly":false,"eventType":"","managementEvent":false,"recipientAccountId":"","eventCategory":""}`},
		{"nothing is escaped for HTML, embedded JSON keeps its order", Invocation{Timestamp: at, Input: Input{BodyJSON: json.RawMessage(`{ "z": "<a>", "a": 1.0 }`)}},
			`{"schemaType":"","schemaVersion":"","timestamp":"2026-03-01T12:00:00Z","accountId":"","region":"","requestId":"","operation":"","modelId":"","input":{"inputBodyJson":{"z":"<a>","a":1.0}}}`},
		{"a known zero is written", Input{Tokens: &n}, `{"inputTokenCount":0}`},
		{"upper-case ARN", Resource{"1", "T", "arn:x"}, `{"accountId":"1","type":"T","ARN":"arn:x"}`},
	} {
		got, err := AppendLine([]byte("x "), tt.in)
		if want := "x " + tt.want + "\n"; err != nil || string(got) != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", tt.name, got, err, want)
		}
	}
	if got, err := AppendLine([]byte("x"), Input{BodyJSON: json.RawMessage(`{`)}); err == nil || string(got) != "x" {
		t.Errorf("invalid embedded JSON: got %q, %v; want an error and dst unchanged", got, err)
	}
}

func TestTime(t *testing.T) {
	want := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, in := range []string{"2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.0000000Z", "2026-03-01 12:00:00.000000000", "2026-03-01 12:00:00"} {
		var got Time
		if err := json.Unmarshal([]byte(`"`+in+`"`), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{`""`, `"2026-03-01"`, `1`, `"2026-13-01T12:00:00Z"`} {
		var got Time
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s: got %v, want an error", in, got)
		}
	}
}

func FuzzTime(f *testing.F) {
	f.Add("2026-03-01T12:00:00Z")
	f.Add("2026-03-01 12:00:00.000000000")
	f.Fuzz(func(t *testing.T, s string) {
		var got Time
		if got.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, _ := got.MarshalText()
		var again Time
		if err := again.UnmarshalText(text); err != nil || again.Unix() != got.Unix() {
			t.Errorf("%q -> %s -> %v, %v", s, text, again, err)
		}
	})
}

func TestTrailError(t *testing.T) {
	for in, want := range map[string]string{"AccessDeniedException": "AccessDenied", "ThrottlingException": "ThrottlingException", "": ""} {
		if got := TrailError(in); got != want {
			t.Errorf("TrailError(%q) = %q, want %q", in, got, want)
		}
	}
}
