package guard

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// Answers are read without a table of their shapes: every string in one is
// judged, except the values of a few settings, whatever the model. A reader of
// our own goes over the JSON, since an answer need not be of one shape, nor
// small, nor to our taste.

// settings are the keys whose values are no text. Below the input of a tool call,
// which is free JSON, they mean nothing and everything is judged.
var settings = map[string]bool{
	"role": true, "type": true, "id": true, "object": true, "model": true, "stop_reason": true, "stopReason": true, "stop_sequence": true,
	"finish_reason": true, "finishReason": true, "completionReason": true, "toolUseId": true, "tool_use_id": true, "event_type": true,
	"system_fingerprint": true, "signature": true, "response_id": true, "generation_id": true, "service_tier": true, "p": true,
	"images": true, "base64": true, "b64_json": true, "redactedContent": true, "data": true, "amazon-bedrock-guardrailAction": true,
	"invokedModelId": true, "seeds": true,
}

// free are the keys below which everything is judged, keys too.
var free = map[string]bool{"input": true, "arguments": true, "json": true, "parameters": true}

// value is one string of an answer.
type value struct {
	start, end int // with the quotes
	key        []byte
	isKey      bool
	number     bool   // no string: a long number
	path       uint32 // a hash of the keys above
}

var errAnswer = errors.New("the answer is not JSON")

const answerDepth = 64

// eachString calls see for the strings of doc that are to be judged, in order, and for
// long numbers in free JSON; with all, for all of them.
func eachString(doc []byte, all bool, see func(value)) error {
	type level struct {
		key   []byte
		path  uint32
		free  bool
		array bool
	}
	var stack [answerDepth]level
	depth := 0
	for i := 0; i < len(doc); {
		switch doc[i] {
		case '{', '[':
			if depth+1 == answerDepth {
				return errAnswer
			}
			top := stack[depth]
			depth++
			stack[depth] = level{key: top.key, path: top.path*31 + sum(top.key), free: top.free || free[string(top.key)], array: doc[i] == '['}
			i++
		case '}', ']':
			if depth--; depth < 0 {
				return errAnswer
			}
			i++
		case '"':
			end := stringEnd(doc, i)
			if end < 0 {
				return errAnswer
			}
			top := &stack[depth]
			if next := skipSpace(doc, end); !top.array && next < len(doc) && doc[next] == ':' {
				top.key = doc[i+1 : end-1]
				if top.free {
					see(value{start: i, end: end, key: top.key, isKey: true, path: top.path})
				}
			} else if all || top.free || !settings[string(top.key)] {
				see(value{start: i, end: end, key: top.key, path: top.path*31 + sum(top.key)})
			}
			i = end
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end := runOf(doc, i+1, func(c byte) bool { return alnum(c) || c == '.' || c == '-' || c == '+' })
			if top := &stack[depth]; end-i >= leastDigits && (all || top.free) {
				see(value{start: i, end: end, key: top.key, number: true})
			}
			i = end
		default:
			i++
		}
	}
	if depth != 0 {
		return errAnswer
	}
	return nil
}

func sum(key []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// stringEnd returns the end of the string whose quote is at i, -1 when it has none.
func stringEnd(doc []byte, i int) int {
	for i++; i < len(doc); i++ {
		n := bytes.IndexByte(doc[i:], '"')
		if n < 0 {
			return -1
		}
		slashes := 0
		for k := i + n - 1; k >= i && doc[k] == '\\'; k-- {
			slashes++
		}
		if i += n; slashes%2 == 0 {
			return i + 1
		}
	}
	return -1
}

func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}

// Whole judges a whole answer with status 200, and returns what is to be sent:
// body itself when nothing was changed, or in the shape of the call's operation
// what is said in place of a blocked answer. What the answer tells about usage
// must be read from body. With a refusal there is nothing to send: the answer
// could not be judged, or has no place for words.
func (e *Engine) Whole(ctx context.Context, c *call.Call, contentType string, body []byte) (out []byte, v Verdict) {
	if c.Family == nil || len(e.out) == 0 && e.o.Bedrock == nil || len(body) == 0 {
		return body, Verdict{}
	}
	if !strings.Contains(contentType, "json") {
		if v = e.settle(v, errAnswer); v.Refusal != nil {
			return nil, v
		}
		return body, v
	}
	j := e.job()
	defer e.release(j)
	j.c = c
	var bad error
	err := j.safely(func() {
		if bad = j.answer(body); bad != nil {
			return
		}
		if e.echo {
			j.echo.learn(c)
		}
		j.judge(e.out, true, e.decodeOut)
		v = j.verdict(body)
	})
	if err = cmpErr(bad, err); err == nil && !v.Blocked && e.o.Bedrock != nil {
		err = j.ask(ctx, &v, "OUTPUT")
	}
	v = e.settle(v, err)
	if v.Blocked && !answersText(c.Family) {
		v.Refusal = call.GuardDenied.Say(v.Message)
	}
	switch {
	case v.Refusal != nil:
		return nil, v
	case v.Blocked:
		return wholeBody(c, v.Message, usageOf(body)), v
	}
	return splice(body, v.Edits), v
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// answer lays out the strings of an answer.
func (j *job) answer(body []byte) error {
	s := &j.scans[asSent]
	return eachString(body, j.e.o.Everything, func(v value) {
		seg := segment{role: uint8(roleAssistant), token: slot{start: int32(v.start), end: int32(v.end)}}
		if v.isKey {
			seg.token.kind = inKey
		}
		at := s.begin()
		if v.number {
			seg.token.kind = inNumber
			s.raw = append(s.raw, bytes.TrimPrefix(body[v.start:v.end], []byte{'-'})...)
		} else {
			s.raw = appendUnescaped(s.raw, body[v.start+1:v.end-1])
		}
		s.end(at, seg)
	})
}

// usageOf returns the member usage of an answer as it stands there, empty when
// there is none.
func usageOf(body []byte) string {
	var doc strictjson.Document
	if doc.Parse(body, strictjson.Options{}) != nil {
		return ""
	}
	n := doc.Get(0, "usage")
	if doc.Kind(n) != strictjson.Object {
		return ""
	}
	return string(doc.Raw(n))
}

// splice makes the edits in body, which stays as it is.
func splice(body []byte, edits []strictjson.Edit) []byte {
	if len(edits) == 0 {
		return body
	}
	out := make([]byte, 0, len(body)+64)
	at := 0
	for _, e := range edits {
		out = append(append(out, body[at:e.Start]...), e.With...)
		at = e.End
	}
	return append(out, body[at:]...)
}

func itoa(n int) string { return strconv.Itoa(n) }
