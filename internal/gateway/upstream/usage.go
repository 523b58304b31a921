package upstream

import (
	"net/http"
	"sync"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// family is the row that reads this call's answers.
func (f *forward) family() *bedrock.Family {
	if name := f.c.Operation.Body; name != "" {
		return bedrock.FamilyOf(name)
	}
	return bedrock.FamilyOf(f.c.Model.Family)
}

var docs = sync.Pool{New: func() any { return new(strictjson.Document) }}

// measure finds the usage of a whole answer: headers first, then the family's
// members, then an estimate.
func (f *forward) measure(h http.Header, body []byte) {
	if f.c.Model.Model == nil || f.c.Operation.Body == "count-tokens" {
		return // nothing that is billed by the token
	}
	u, ok := bedrock.UsageFromHeaders(h)
	switch {
	case ok && u.CacheWrite > 0: // only the body tells for how long
		told, _ := f.usageOf(body)
		u.Write1h = min(told.Write1h, u.CacheWrite)
	case !ok && body == nil:
		f.unknown()
		return
	case !ok:
		if u, ok = f.usageOf(body); !ok {
			f.estimate(int64(len(body)))
			return
		}
	}
	f.bill(u, true)
}

// usageOf reads what a whole answer tells.
func (f *forward) usageOf(body []byte) (bedrock.Usage, bool) {
	doc := docs.Get().(*strictjson.Document)
	defer docs.Put(doc)
	defer doc.Reset()
	if doc.Parse(body, strictjson.Options{Depth: 1 << 10}) != nil {
		return bedrock.Usage{}, false
	}
	return f.family().UsageFromBody(doc)
}

// estimate bills input at its upper bound and four bytes of output text a token.
func (f *forward) estimate(outputBytes int64) {
	if f.c.Model.Model == nil {
		return
	}
	f.bill(bedrock.Usage{Input: f.c.InputEstimate, Output: tokens(outputBytes)}, false)
}

// unknown bills a call that Bedrock got and whose end nobody saw. A stream that
// had not begun is taken to have been stopped; an answer in one piece is written to
// its end whether anybody waits or not, and is billed at all that was reserved:
// whoever hangs up early must not get it for less.
func (f *forward) unknown() {
	if f.c.Model.Model == nil || f.c.Operation.Body == "count-tokens" {
		return
	}
	u := bedrock.Usage{Input: f.c.InputEstimate}
	if !f.c.Operation.Stream {
		u.Output, u.Images = f.c.OutputBound(), f.c.Images
	}
	f.bill(u, false)
}

// tokens is how many tokens a text of n bytes is taken for.
func tokens(n int64) int64 { return (n + 3) / 4 }

func (f *forward) bill(u bedrock.Usage, exact bool) {
	f.res.Usage = call.Usage{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, Write1h: u.Write1h, Images: u.Images, Exact: exact}
	f.res.Cost = f.c.Model.Cost(u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Write1h) + u.Images*f.c.Model.Price.Image
}
