// Package awslog holds the shapes of the records that AWS itself writes about
// Bedrock: the CloudTrail record and the model invocation log record.
//
// The ledger renders the gateway's own calls in these shapes, so that one
// parser and one set of rules read both what AWS logged and what the gateway
// did. Member names, order and omission are AWS's:
//
//   - a member that AWS leaves out is omitted when empty;
//   - requestParameters and responseElements are never left out, but null;
//   - token counts that are not known are absent, which is not the same as 0.
//
// The shapes are for writing and for tests. Reading what other tools made of
// such records (flattened, wrapped, with times rewritten) needs a more lenient
// decoder; only [Time] is lenient here, since every reader meets its forms.
package awslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// AppendLine appends v as one line of JSON, with the newline. It escapes
// nothing that JSON does not require: a prompt with "<" in it must still be
// found by a search for "<". v is a record of this package, whose embedded
// JSON must be valid; anything else is an error.
func AppendLine(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, err
	}
	return b.Bytes(), nil
}

// Time is an instant in AWS's records: UTC, second precision.
type Time struct{ time.Time }

// layouts are the forms in which such a time is met. The second is what some
// log stores make of it: no zone, which means UTC.
var layouts = [...]string{time.RFC3339, "2006-01-02 15:04:05"}

// MarshalText gives the form AWS writes: 2026-03-01T12:00:00Z.
func (t Time) MarshalText() ([]byte, error) {
	return t.UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

// MarshalJSON gives the same, in quotes.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05Z"`), nil
}

// UnmarshalText reads RFC 3339 with any fraction, or a space instead of the T
// and no zone.
func (t *Time) UnmarshalText(b []byte) error {
	for _, l := range layouts {
		if v, err := time.Parse(l, string(b)); err == nil && v.UTC().Year() >= 0 && v.UTC().Year() <= 9999 {
			t.Time = v.UTC()
			return nil
		}
	}
	return fmt.Errorf("time %q is neither RFC 3339 nor YYYY-MM-DD hh:mm:ss", b)
}

// UnmarshalJSON reads a JSON string as UnmarshalText does.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return t.UnmarshalText([]byte(s))
}
