package upstream

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// Bedrock's errors are about the gateway, which signed the request: they name its
// role, its account, sometimes its access key. To the caller they must be about
// the caller. In every text of an error, after unescaping,
//
//   - an ARN of IAM or STS becomes the caller's own;
//   - an access key id, or another unique id of IAM, becomes REDACTED;
//   - an account number becomes that of the caller's ARN, unless the caller's
//     request has it.
//
// What cannot be read as a JSON object is not shown at all.

// masked is shown in place of an error that cannot be.
var masked = []byte(`{"message":"` + maskedText + `"}`)

const maskedText = "The request could not be completed."

var (
	identity  = regexp.MustCompile(`(?i)arn:aws[a-z-]*:(?:iam|sts):(?:[^\s"\\]|\\[^\s"])*`)
	accessKey = regexp.MustCompile(`A(?:KIA|SIA|ROA|IDA|GPA|IPA|NPA|NVA|PKA|BIA|CCA|SCA)[A-Z0-9]{12,}(?::[^\s"\\]*)?`)
	word      = regexp.MustCompile(`[0-9A-Za-z]{12,}`)
	escaped   = regexp.MustCompile(`\\+(u[0-9A-Fa-f]{4}|[nrt])?`)
)

// redaction is of one error of one call.
type redaction struct {
	c     *call.Call
	doc   *strictjson.Document
	edits []strictjson.Edit
	asked int // how often the caller's request was searched
}

// maxAsked bounds the searches of one request, which may be 25 MB.
const maxAsked = 16

// redactBody returns an error's body without what it says about the gateway:
// body itself when that is nothing.
func redactBody(body []byte, c *call.Call) []byte {
	if len(body) == 0 {
		return body
	}
	doc := docs.Get().(*strictjson.Document)
	defer docs.Put(doc)
	defer doc.Reset()
	if doc.Parse(body, strictjson.Options{}) != nil {
		return masked
	}
	r := redaction{c: c, doc: doc}
	switch ok := r.children(0); {
	case !ok:
		return masked
	case len(r.edits) == 0:
		return body
	}
	out := doc.Splice(nil, r.edits...)
	if len(out) > maxError {
		return masked
	}
	return out
}

// children collects the edits of the strings within n. It is false when something
// else than a string would need one.
func (r *redaction) children(n strictjson.Node) bool {
	doc := r.doc
	for m := doc.First(n); m != strictjson.None; m = doc.Next(m) {
		if key := doc.Key(m); r.text(key) != key {
			return false
		}
		switch doc.Kind(m) {
		case strictjson.Object, strictjson.Array:
			if !r.children(m) {
				return false
			}
		case strictjson.Number:
			if raw := string(doc.Raw(m)); r.text(raw) != raw {
				return false
			}
		case strictjson.String:
			s, _ := doc.String(m)
			if shown := r.text(s); shown != s {
				quoted, _ := json.Marshal(shown)
				start, end := doc.Span(m)
				r.edits = append(r.edits, strictjson.Edit{Start: start, End: end, With: string(quoted)})
			}
		}
	}
	return true
}

// text redacts one text, unescaped. A text that has escapes itself quotes another
// JSON document: it is shown as it is, or not at all.
func (r *redaction) text(s string) string {
	if !strings.Contains(s, `\`) {
		return r.plain(s)
	}
	if plain := escaped.ReplaceAllStringFunc(s, unescape); r.plain(plain) != plain {
		return maskedText
	}
	return s
}

func (r *redaction) plain(s string) string {
	s = identity.ReplaceAllLiteralString(s, r.c.CallerARN)
	s = accessKey.ReplaceAllLiteralString(s, "REDACTED")
	return word.ReplaceAllStringFunc(s, func(w string) string {
		if !accountNumber(w) || r.known(w) {
			return w
		}
		return accountOf(r.c.CallerARN)
	})
}

// known reports whether the caller's own request has the account's number.
func (r *redaction) known(account string) bool {
	if r.asked++; r.asked > maxAsked {
		return false
	}
	c := r.c
	return strings.Contains(c.RawPath, account) || strings.Contains(c.RawQuery, account) ||
		strings.Contains(c.Guardrail, account) || bytes.Contains(c.Body, []byte(account))
}

// unescape takes one escape at whatever depth of quoting for what it stands for.
func unescape(s string) string {
	switch s = strings.TrimLeft(s, `\`); {
	case s == "":
		return ""
	case s[0] == 'u':
		r, _ := strconv.ParseUint(s[1:], 16, 16)
		return string(rune(r))
	}
	return " "
}

func accountNumber(w string) bool {
	_, err := strconv.ParseUint(w, 10, 64)
	return len(w) == 12 && err == nil
}

func accountOf(arn string) string {
	if fields := strings.SplitN(arn, ":", 6); len(fields) == 6 {
		return fields[4]
	}
	return "000000000000"
}
