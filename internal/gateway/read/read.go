// Package read takes in the body of a request: first its bytes, bounded in
// number and pace ([Budget.Body]); then, once the caller is known, its meaning
// ([Reader.Parse]), read by one strict parser over exactly the bytes that are
// forwarded, so that what was judged is what a model gets to see.
package read

import (
	"encoding/base64"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

const (
	maxDepth     = 32
	maxNodes     = 1 << 17 // values of a body: 4 MiB of index; what people send has a hundredth of them
	maxMultiples = 16      // answers that one call may ask for
	maxWait      = 2 * time.Second
)

// Reader is safe for concurrent use.
type Reader struct {
	models *model.Table
	docs   sync.Pool // *strictjson.Document
	// large has a place for each body above smallBody that is read at once: as
	// many as there are cores, since more would only hold memory.
	large chan struct{}
}

// New returns a Reader that knows the models of t.
func New(t *model.Table) *Reader {
	return &Reader{
		models: t, docs: sync.Pool{New: func() any { return new(strictjson.Document) }},
		large: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Parse fills in what c's target and body say: model, max tokens, estimate. It
// refuses a model that cannot be named for certain or has no price, whatever
// costs more than its price says, and a body that another reader could
// understand differently or that says more than we do understand. A large body
// waits its turn, for two seconds at most.
func (rd *Reader) Parse(c *call.Call) *call.Refusal {
	if ref := rd.target(c); ref != nil {
		return ref
	}
	if !c.Operation.HasBody {
		if len(c.Body) > 0 {
			return call.Malformed.With("a body on " + c.Operation.Name)
		}
		return nil
	}
	if len(c.Body) > smallBody {
		if !rd.enter() {
			return call.Overloaded.With("too many large bodies are being read")
		}
		defer rd.leave()
	}
	f := family(c)
	if f == nil {
		return unknownShape(c)
	}
	doc := rd.docs.Get().(*strictjson.Document)
	defer rd.free(doc)
	if err := doc.Parse(c.Body, strictjson.Options{Depth: maxDepth, MaxNodes: maxNodes}); err != nil {
		return call.Malformed.With(err.Error())
	}
	return rd.fill(c, f, doc)
}

func (rd *Reader) enter() bool {
	select {
	case rd.large <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case rd.large <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (rd *Reader) leave() { <-rd.large }

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

// target judges what the path and the headers ask for.
func (rd *Reader) target(c *call.Call) *call.Refusal {
	if c.Target.Model == "" {
		return nil
	}
	ref := rd.resolve(c)
	if c.Operation.Support == bedrock.Pass {
		return nil // what a read-only call names may be unknown to us; policy judges that
	}
	if ref != nil {
		return ref
	}
	if !c.Model.Price.Known && c.Operation.Body != "count-tokens" { // which is free of charge
		return call.ModelDenied.With("no price is known; set prices in the configuration")
	}
	for _, name := range tierHeaders {
		for _, value := range c.Header[name] {
			if ref := checkTier(value); ref != nil {
				return ref
			}
		}
	}
	return nil
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

var tierHeaders = [...]string{"X-Amzn-Bedrock-Service-Tier", "X-Amzn-Bedrock-Performanceconfig-Latency"}

// checkTier refuses service tiers and latencies that cost more than the table
// of models says: all but these, of which flex costs less.
func checkTier(tier string) *call.Refusal {
	switch tier {
	case "default", "flex", "standard", "auto", "standard_only":
		return nil
	}
	return call.OperationDenied.With("tier or latency " + quote(tier) + " has no price")
}

func family(c *call.Call) *bedrock.Family {
	if c.Operation.Body != "" {
		return bedrock.FamilyOf(c.Operation.Body)
	}
	return bedrock.FamilyOf(c.Model.Family)
}

func unknownShape(c *call.Call) *call.Refusal {
	return call.UnparsedBody.With("no body shape is known for family " + c.Model.Family)
}

// fill reads c's body with the family's row.
func (rd *Reader) fill(c *call.Call, f *bedrock.Family, doc *strictjson.Document) *call.Refusal {
	if ref := rd.judge(c, f, doc); ref != nil {
		return ref
	}
	for n := range f.MaxTokensNodes(doc) {
		bound, ok := doc.Int(n)
		if !ok || bound < 1 || c.Model.Model != nil && c.Model.MaxOutput > 0 && bound > c.Model.MaxOutput {
			return call.BadMaxTokens.With("max tokens out of range")
		}
		c.MaxTokens = max(c.MaxTokens, bound)
	}
	for n := range f.MultiplesNodes(doc) {
		if times, ok := doc.Int(n); !ok || times < 1 || times > maxMultiples {
			return call.BadMaxTokens.With("number of answers out of range")
		}
	}
	return nil
}

// judge visits all that the body says, and returns the first thing to refuse.
func (rd *Reader) judge(c *call.Call, f *bedrock.Family, doc *strictjson.Document) (ref *call.Refusal) {
	f.Walk(doc, func(class bedrock.Class, n strictjson.Node, _ string) {
		switch {
		case ref != nil:
		case class == bedrock.Text:
			start, end := doc.Span(n)
			c.InputEstimate += int64(end - start)
		case class == bedrock.Unknown:
			ref = call.UnparsedBody.With("member not understood: " + quote(doc.Key(n)))
		case class == bedrock.Link:
			ref = checkLink(doc, n)
		case class == bedrock.Tier:
			tier, _ := doc.String(n)
			ref = checkTier(tier)
		case class == bedrock.Inner:
			ref = rd.inner(c, doc, n)
		}
	})
	return ref
}

// checkLink refuses what would make Bedrock fetch something in the gateway's
// name: with the gateway's role an S3 location that a caller chose could be
// anybody's. Data URLs carry what they name.
func checkLink(doc *strictjson.Document, n strictjson.Node) *call.Refusal {
	if s, _ := doc.String(n); !strings.HasPrefix(s, "data:") {
		return call.UnparsedBody.With("a location to fetch from: " + quote(s))
	}
	return nil
}

// inner reads the native body that CountTokens carries as that model would.
func (rd *Reader) inner(c *call.Call, outer *strictjson.Document, n strictjson.Node) *call.Refusal {
	f := bedrock.FamilyOf(c.Model.Family)
	if f == nil {
		return unknownShape(c)
	}
	text, _ := outer.Bytes(n)
	body, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return call.Malformed.With("inner body: " + err.Error())
	}
	doc := rd.docs.Get().(*strictjson.Document)
	defer rd.free(doc)
	if err := doc.Parse(body, strictjson.Options{Depth: maxDepth, MaxNodes: maxNodes}); err != nil {
		return call.Malformed.With("inner body: " + err.Error())
	}
	return rd.judge(c, f, doc)
}

// quote quotes the beginning of what a caller wrote.
func quote(s string) string { return strconv.Quote(s[:min(len(s), 64)]) }
