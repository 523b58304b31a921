// Package read takes in the body of a request: first its bytes, bounded in
// number and pace ([Budget.Body]); then, once the caller is known, its meaning
// ([Reader.Parse]), read by one strict parser over exactly the bytes that are
// forwarded, so that what was judged is what a model gets to see.
package read

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

const (
	maxDepth = 32
	maxNodes = 1 << 20
)

// Reader is safe for concurrent use.
type Reader struct {
	models *model.Table
	docs   sync.Pool // *strictjson.Document
}

// New returns a Reader that knows the models of t.
func New(t *model.Table) *Reader {
	return &Reader{models: t, docs: sync.Pool{New: func() any { return new(strictjson.Document) }}}
}

// Parse fills in what c's target and body say: model, max tokens, estimate,
// guardrail. It refuses a model that cannot be named for certain and a body that
// another reader could understand differently or that says more than we do understand.
func (rd *Reader) Parse(c *call.Call) *call.Refusal {
	if c.Target.Model != "" {
		if ref := rd.resolve(c); ref != nil && c.Operation.Support != bedrock.Pass {
			return ref
		} // what a read-only call names may be unknown to us; policy judges that
	}
	if !c.Operation.HasBody {
		if len(c.Body) > 0 {
			return call.Malformed.With("a body on " + c.Operation.Name)
		}
		return nil
	}
	doc := rd.docs.Get().(*strictjson.Document)
	defer rd.free(doc)
	if err := doc.Parse(c.Body, strictjson.Options{Depth: maxDepth, MaxNodes: maxNodes}); err != nil {
		return call.Malformed.With(err.Error())
	}
	return rd.fill(c, family(c), doc)
}

// free keeps a document's memory for another body, but not the body itself.
func (rd *Reader) free(doc *strictjson.Document) {
	doc.Reset()
	rd.docs.Put(doc)
}

// Normalise returns the base id of a model or profile id that is known.
func (rd *Reader) Normalise(id string) (string, bool) {
	ref, err := rd.models.Resolve(id)
	return ref.ID, err == nil
}

func (rd *Reader) resolve(c *call.Call) *call.Refusal {
	ref, err := rd.models.Resolve(c.Target.Model)
	switch {
	case errors.Is(err, model.ErrDenied):
		return call.ModelDenied.With(err.Error())
	case err != nil:
		return call.UnknownModel.With(err.Error())
	}
	c.Model = ref
	return nil
}

func family(c *call.Call) *bedrock.Family {
	if c.Operation.Body != "" {
		return bedrock.FamilyOf(c.Operation.Body)
	}
	return bedrock.FamilyOf(c.Model.Family)
}

// fill reads c's body with the family's row.
func (rd *Reader) fill(c *call.Call, f *bedrock.Family, doc *strictjson.Document) *call.Refusal {
	if f == nil {
		return call.UnparsedBody.With("no body shape is known for family " + c.Model.Family)
	}
	if unknown := f.Unknown(doc); len(unknown) > 0 {
		return call.UnparsedBody.With("member not understood: " + strconv.Quote(unknown[0]))
	}
	if ref := checkLinks(f, doc); ref != nil {
		return ref
	}
	for _, n := range f.MaxTokensNodes(doc) {
		bound, ok := doc.Int(n)
		if !ok || bound < 1 || c.Model.Model != nil && c.Model.MaxOutput > 0 && bound > c.Model.MaxOutput {
			return call.BadMaxTokens.With("max tokens out of range")
		}
		c.MaxTokens = max(c.MaxTokens, bound)
	}
	f.Texts(doc, func(n strictjson.Node, _ string) {
		start, end := doc.Span(n)
		c.InputEstimate += int64(end - start)
	})
	return rd.inner(c, doc)
}

// inner reads the native body that CountTokens carries as that model would.
func (rd *Reader) inner(c *call.Call, doc *strictjson.Document) *call.Refusal {
	if c.Operation.Body != "count-tokens" {
		return nil
	}
	body, ok := bedrock.InnerBody(nil, doc)
	if !ok {
		return nil // the Converse form
	}
	inner := rd.docs.Get().(*strictjson.Document)
	defer rd.free(inner)
	if err := inner.Parse(body, strictjson.Options{Depth: maxDepth, MaxNodes: maxNodes}); err != nil {
		return call.Malformed.With("inner body: " + err.Error())
	}
	return nil
}

// checkLinks refuses what would make Bedrock fetch something in the gateway's
// name: with the gateway's role an S3 location that a caller chose could be
// anybody's. Data URLs carry what they name.
func checkLinks(f *bedrock.Family, doc *strictjson.Document) (ref *call.Refusal) {
	f.Links(doc, func(n strictjson.Node) {
		if s, _ := doc.String(n); !strings.HasPrefix(s, "data:") {
			ref = call.UnparsedBody.With("a location to fetch from: " + strconv.Quote(s[:min(len(s), 64)]))
		}
	})
	return ref
}
