// Package read takes in the body of a request: first its bytes, bounded in
// number and pace ([Budget.Body]); then, once the caller is known, its meaning
// ([Reader.Parse]), read by one strict parser over exactly the bytes that are
// forwarded, so that what was judged is what a model gets to see.
package read

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
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

	defaultBound = 4096 // output tokens, where neither the caller nor Options say
)

// Options say what a Reader knows and asks for.
type Options struct {
	Models   *model.Table
	Bound    int64 // on output tokens, written into a body that has none; 0: 4,096
	MaxBound int64 // the highest that a body may ask for; 0: the model's own maximum
}

// Reader is safe for concurrent use.
type Reader struct {
	o    Options
	docs sync.Pool // *strictjson.Document
	// large has a place for each body above smallBody that is read at once: as
	// many as there are cores, since more would only hold memory.
	large chan struct{}
}

// New returns a Reader.
func New(o Options) *Reader {
	if o.Bound == 0 {
		o.Bound = defaultBound
	}
	return &Reader{
		o: o, docs: sync.Pool{New: func() any { return new(strictjson.Document) }},
		large: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Parse fills in what c's target and body say: model, max tokens, estimate. It
// refuses a model that cannot be named for certain or has no price, whatever
// costs more than its price says, and a body that another reader could
// understand differently or that says more than we do understand. A large body
// waits its turn, for two seconds at most.
//
// A body that may be answered at any length gets a bound on it. c.Doc and
// c.LastTurn are for the stages after this one, until Release.
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
	c.Family, c.Doc = f, rd.docs.Get().(*strictjson.Document)
	ref := rd.parse(c)
	if ref == nil {
		ref = rd.fill(c)
	}
	if ref != nil {
		rd.Release(c)
	}
	return ref
}

func (rd *Reader) parse(c *call.Call) *call.Refusal {
	if err := c.Doc.Parse(c.Body, strictjson.Options{Depth: maxDepth, MaxNodes: maxNodes}); err != nil {
		return call.Malformed.With(err.Error())
	}
	return nil
}

// Release takes back the memory of c.Doc. It is called once no stage reads the
// body any more, before the call is forwarded; again does no harm.
func (rd *Reader) Release(c *call.Call) {
	if c.Doc != nil {
		rd.free(c.Doc)
		c.Doc, c.LastTurn = nil, nil
	}
}

// Edit makes edits in the body, sorted and not overlapping, and reads the
// result again, by the same rules: what is forwarded is what was judged.
func (rd *Reader) Edit(c *call.Call, edits ...strictjson.Edit) *call.Refusal {
	size := len(c.Body)
	for _, e := range edits {
		size += len(e.With)
	}
	c.SetBody(c.Doc.Splice(make([]byte, 0, size), edits...))
	if ref := rd.parse(c); ref != nil {
		return call.Internal.With("the edited body: " + ref.Detail)
	}
	return rd.fill(c)
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
	ref, err := rd.o.Models.Resolve(c.Target.Model)
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

// fill reads c's body with the family's row, and bounds it.
func (rd *Reader) fill(c *call.Call) *call.Refusal {
	c.MaxTokens, c.Answers, c.Images, c.InputEstimate, c.LastTurn = 0, 1, 0, 0, c.LastTurn[:0]
	if ref := rd.judge(c, c.Family, c.Doc); ref != nil {
		return ref
	}
	for n := range c.Family.MaxTokensNodes(c.Doc) {
		bound, ok := c.Doc.Int(n)
		if !ok || bound < 1 || bound > rd.highest(c) {
			return call.BadMaxTokens.With("max tokens out of range")
		}
		c.MaxTokens = max(c.MaxTokens, bound)
	}
	for n := range c.Family.MultiplesNodes(c.Doc) {
		times, ok := c.Doc.Int(n)
		if !ok || times < 1 || times > maxMultiples {
			return call.BadMaxTokens.With("number of answers out of range")
		}
		c.Answers = max(c.Answers, times)
	}
	if c.Model.Model == nil {
		return nil
	}
	if c.Model.Price.Image > 0 {
		c.Images = c.Answers
	}
	if c.MaxTokens == 0 && len(c.Family.MaxTokens) > 0 {
		return rd.bound(c)
	}
	return nil
}

// highest is the highest bound that c may ask for.
func (rd *Reader) highest(c *call.Call) int64 {
	most := int64(math.MaxInt64)
	if c.Model.Model != nil && c.Model.MaxOutput > 0 {
		most = c.Model.MaxOutput
	}
	if rd.o.MaxBound > 0 {
		most = min(most, rd.o.MaxBound)
	}
	return most
}

// thinking are the members that ask for tokens of thought, which count against
// the bound: it must be higher.
var thinking = []string{"thinking", "reasoning_config"}

// bound writes a bound into a body that has none: without one the model may
// answer as long as it can, and nothing could be reserved for that.
func (rd *Reader) bound(c *call.Call) *call.Refusal {
	n := rd.o.Bound
	extra := c.Doc.Get(0, "additionalModelRequestFields")
	for _, key := range thinking {
		if budget, ok := c.Doc.Int(c.Doc.Get(c.Doc.Get(extra, key), "budget_tokens")); ok && budget > 0 {
			n = max(n, min(budget, math.MaxInt64-rd.o.Bound)+rd.o.Bound)
		}
	}
	edit, ok := c.Family.Bound(c.Doc, min(n, rd.highest(c)))
	if !ok || c.Bounded {
		return call.BadMaxTokens.With("there is no place for a bound on the output")
	}
	c.Bounded = true
	return rd.Edit(c, edit)
}

// judge visits all that the body says, and returns the first thing to refuse.
func (rd *Reader) judge(c *call.Call, f *bedrock.Family, doc *strictjson.Document) (ref *call.Refusal) {
	spoke := false // the assistant, since the user's last words
	f.Walk(doc, func(class bedrock.Class, n strictjson.Node, role string) {
		switch {
		case ref != nil:
		case class == bedrock.Text:
			start, end := doc.Span(n)
			c.InputEstimate += int64(end - start)
			switch role {
			case bedrock.RoleAssistant:
				spoke = true
			case bedrock.RoleUser:
				if spoke {
					c.LastTurn, spoke = c.LastTurn[:0], false
				}
				c.Said(n)
			}
		case class == bedrock.Blob:
			c.InputEstimate += fileTokens(doc, n)
		case class == bedrock.Picture:
			c.InputEstimate += min(fileTokens(doc, n), imageTokens)
		case class == bedrock.Unknown:
			ref = call.UnparsedBody.With("member not understood: " + quote(doc.Key(n)))
		case class == bedrock.Link:
			c.InputEstimate += linkTokens(doc, n)
			ref = checkLink(doc, n)
		case class == bedrock.Tier:
			tier, _ := doc.String(n)
			ref = checkTier(tier)
		case class == bedrock.Inner:
			ref = rd.inner(c, doc, n)
		}
	})
	if spoke && !prefilled(doc) { // a tool's answer: the user said nothing new
		c.LastTurn = c.LastTurn[:0]
	}
	return ref
}

// prefilled reports whether the last message is the assistant's: the beginning
// of an answer, which the model goes on with.
func prefilled(doc *strictjson.Document) bool {
	last := strictjson.None
	for n := doc.First(doc.Get(0, "messages")); n != strictjson.None; n = doc.Next(n) {
		last = n
	}
	role, _ := doc.Bytes(doc.Get(last, "role"))
	return string(role) == "assistant"
}

// imageTokens is above what any model takes for one image: they are scaled
// down first, to some 1,600 tokens by most.
const imageTokens = 8192

// fileTokens is an upper bound on the tokens of a file: one a byte, as of text.
func fileTokens(doc *strictjson.Document, n strictjson.Node) int64 {
	start, end := doc.Span(n)
	return int64(end-start) / 4 * 3
}

// linkTokens is the same of what a data URL carries. Only what is said to be an
// image is taken for one: the model believes it too.
func linkTokens(doc *strictjson.Document, n strictjson.Node) int64 {
	start, end := doc.Span(n)
	if link, _ := doc.Bytes(n); bytes.HasPrefix(link, []byte("data:image/")) {
		return min(int64(end-start), imageTokens)
	}
	return int64(end - start)
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
