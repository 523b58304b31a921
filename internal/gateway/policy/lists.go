package policy

import (
	"gatehouse/internal/bedrock/model"
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
// principal's key is not for or that the policies do not permit to be read. An
// answer that cannot be read is not passed on: ok is false.
func (p *Policy) FilterList(c *call.Call, body []byte) (filtered []byte, ok bool) {
	list, known := lists[c.Operation.Name]
	if !known || len(c.Principal.Scope.Models) == 0 && (p.open || len(p.enforced) == 0) {
		return body, true
	}
	q := p.question(c, c.Time)
	return filter(body, list.member, list.id, func(id string) bool {
		ref, err := p.models.Resolve(id)
		return err == nil && allows(c.Principal, ref.ID) && p.reads(q, ref)
	})
}

func (p *Policy) reads(q *question, ref model.Ref) bool {
	return p.open || p.enforced.ask(q.of(ref)) == nil
}

// filter keeps the elements of body's member whose id is to be kept.
func filter(body []byte, member, id string, keep func(id string) bool) (filtered []byte, ok bool) {
	var doc strictjson.Document
	if doc.Parse(body, strictjson.Options{MaxNodes: 1 << 20}) != nil {
		return nil, false
	}
	array := doc.Get(0, member)
	if doc.Kind(array) != strictjson.Array {
		return nil, false
	}
	start, end := doc.Span(array)
	out := append(make([]byte, 0, len(body)), body[:start+1]...)
	for n := doc.First(array); n != strictjson.None; n = doc.Next(n) {
		if s, _ := doc.String(doc.Get(n, id)); !keep(s) {
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
