package policy

import (
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// lists are the read-only answers that name models: the member that holds the
// list, and the member of an element that names the model.
var lists = map[string]struct{ member, id string }{
	"ListFoundationModels":  {"modelSummaries", "modelId"},
	"ListInferenceProfiles": {"inferenceProfileSummaries", "inferenceProfileId"},
}

// FilterList removes from the answer to a list operation the models that the
// principal's key is not for. normalise returns the base id of a model or profile
// id. An answer that cannot be read is not passed on: ok is false.
func FilterList(c *call.Call, body []byte, normalise func(id string) (string, bool)) (filtered []byte, ok bool) {
	list, known := lists[c.Operation.Name]
	if !known || len(c.Principal.Scope.Models) == 0 {
		return body, true
	}
	var doc strictjson.Document
	if doc.Parse(body, strictjson.Options{MaxNodes: 1 << 20}) != nil {
		return nil, false
	}
	array := doc.Get(0, list.member)
	if doc.Kind(array) != strictjson.Array {
		return nil, false
	}
	start, end := doc.Span(array)
	out := append(make([]byte, 0, len(body)), body[:start+1]...)
	for n := doc.First(array); n != strictjson.None; n = doc.Next(n) {
		id, _ := doc.String(doc.Get(n, list.id))
		base, ok := normalise(id)
		if !ok || !Allows(c.Principal, base) {
			continue
		}
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		from, to := doc.Span(n)
		out = append(out, body[from:to]...)
	}
	return append(out, body[end-1:]...), true
}
