package guard

import (
	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// An echo is the fingerprint of a call's system prompt: of every stretch of 24
// letters one bit, for one in eight stretches, chosen by what they say, so that
// an answer's are the same. It is of fixed size; of longer prompts the first
// 64 KiB are known.
type echo struct {
	ready bool
	bits  [1024]uint64
	text  []byte
	fold  []byte
	see   func(bedrock.Class, strictjson.Node, string)
	doc   *strictjson.Document
}

const (
	echoGram   = 24         // letters of a stretch
	echoOneIn  = 8          // of the stretches that are looked at
	echoLeast  = 200        // letters that must be said again
	echoPrompt = 64 << 10   // bytes of the prompt
	echoBase   = 0x01000193 // of the rolling hash
)

// echoOut is what the letter that leaves a stretch was worth.
var echoOut = func() uint32 {
	p := uint32(1)
	for range echoGram {
		p *= echoBase
	}
	return p
}()

func (e *echo) reset() {
	if e.ready {
		clear(e.bits[:])
		e.ready = false
	}
	e.text, e.doc = e.text[:0], nil
}

// newEcho returns the fingerprint of a call's system prompt, nil when that is too
// short to have one.
func (e *Engine) newEcho(c *call.Call) *echo {
	j := e.job()
	defer e.release(j)
	if j.echo.learn(c); !j.echo.ready {
		return nil
	}
	return &echo{ready: true, bits: j.echo.bits}
}

// learn takes the fingerprint of the call's system prompt, if it is long enough.
func (e *echo) learn(c *call.Call) {
	e.reset()
	if c == nil || c.Doc == nil || c.Family == nil {
		return
	}
	if e.see == nil {
		e.see = func(_ bedrock.Class, n strictjson.Node, role string) {
			if role == bedrock.RoleSystem && len(e.text) < echoPrompt {
				e.text, _ = e.doc.AppendString(e.text, n)
				e.text = append(e.text, '\n')
			}
		}
	}
	e.doc = c.Doc
	c.Family.Walk(c.Doc, e.see)
	e.doc = nil
	if len(e.text) < echoLeast {
		return
	}
	e.fold = Fold(e.fold[:0], e.text[:min(len(e.text), echoPrompt)])
	e.ready = grams(e.fold, func(_ int, h uint32) { e.bits[h>>3%1024] |= 1 << (h >> 24 % 64) }) >= echoLeast
}

// grams calls see with the end and the hash of the stretches that are looked at,
// and returns the number of letters.
func grams(text []byte, see func(end int, h uint32)) int {
	var ring [echoGram]byte
	h, n := uint32(0), 0
	for i, c := range text {
		if c < 0x80 && !alnum(c) {
			continue
		}
		old := ring[n%echoGram]
		ring[n%echoGram] = c
		n++
		h = h*echoBase + uint32(c) + 1
		if n > echoGram {
			h -= echoOut * (uint32(old) + 1)
		}
		if mixed := h * 0x9e3779b1; n >= echoGram && mixed%echoOneIn == 0 {
			see(i+1, mixed)
		}
	}
	return n
}

// find appends the stretches of the scan's folded text in which three in five of
// the stretches looked at are of the prompt, over at least echoLeast letters.
func (e *echo) find(dst []span, s *scan) []span {
	start, end, hits, misses := 0, 0, 0, 0
	flush := func() {
		if hits > 0 && end-start >= echoLeast-echoGram {
			dst = append(dst, span{int32(start), int32(end)})
		}
		hits, misses = 0, 0
	}
	grams(s.fold.buf, func(at int, h uint32) {
		if e.bits[h>>3%1024]&(1<<(h>>24%64)) == 0 {
			if misses++; hits > 0 && misses*5 > (hits+misses)*2+5 {
				flush()
			}
			return
		}
		if hits == 0 {
			start, misses = max(at-echoGram, 0), 0
		}
		hits, end = hits+1, at
	})
	flush()
	return dst
}
