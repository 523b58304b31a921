package guard

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// A job is the memory of one judgement. Jobs are pooled: judging a clean text
// allocates nothing. A job is for one goroutine.
type job struct {
	e     *Engine
	scans [numScans]scan
	clock clock
	echo  echo
	heard *echo // what answers are compared with: echo, or a stream's own
	full  bool  // the texts hide more than will be looked at
	texts []text
	see   func(bedrock.Class, strictjson.Node, string)
	found []finding
	inner []byte
	c     *call.Call

	reading reading // of a decoder
}

// The scans of a job.
const (
	asSent = iota
	glued
	decoded1
	decoded2
	numScans
)

// text is one text of a document, before it is laid out.
type text struct {
	class bedrock.Class
	node  strictjson.Node
	role  uint8
}

// finding is what a rule found, in bytes of the first scan's raw text.
type finding struct {
	rule    *compiled
	at      span
	decoded bool
}

func newJob(e *Engine) *job {
	j := &job{e: e}
	j.heard = &j.echo
	for i := range j.scans {
		j.scans[i].e = e
		j.scans[i].hits = make([][]span, e.finders)
	}
	j.see = func(c bedrock.Class, n strictjson.Node, role string) {
		if c != bedrock.Unknown { // shown again as texts
			j.texts = append(j.texts, text{c, n, uint8(roleIndex(role))})
		}
	}
	return j
}

func (e *Engine) job() *job { return e.jobs.Get().(*job) }

func (e *Engine) release(j *job) {
	for i := range j.scans {
		j.scans[i].reset()
	}
	clear(j.found)
	j.texts, j.found, j.c = j.texts[:0], j.found[:0], nil
	j.echo.reset()
	j.heard, j.full = &j.echo, false
	if cap(j.inner) > keepBytes {
		j.inner = nil
	}
	if cap(j.reading.text) > keepBytes/16 {
		j.reading = reading{}
	}
	e.jobs.Put(j)
}

// budgetBytes is what Options.Budget is for; longer texts get more in proportion.
const budgetBytes = 256 << 10

// judge runs the rules over the texts laid out in the first scan.
func (j *job) judge(rules []compiled, out, decode bool) {
	s := &j.scans[asSent]
	j.clock = clock{deadline: time.Now().Add(j.e.o.Budget * time.Duration(1+len(s.raw)/budgetBytes))}
	s.read(&j.clock)
	j.glue()
	last := glued
	if decode {
		last = decoded2
		for k := decoded1; k <= decoded2; k++ {
			from := s
			if k > decoded1 {
				from = &j.scans[k-1]
			}
			j.full = j.full || !j.decode(from, &j.scans[k])
		}
	}
	for i := range rules {
		for k := asSent; k <= last && !j.clock.late; k++ {
			if len(j.scans[k].segs) > 0 && (k <= glued || rules[i].deep) {
				j.run(&rules[i], k, out)
			}
		}
	}
	j.clock.over()
}

func (j *job) run(r *compiled, k int, out bool) {
	s := &j.scans[k]
	m := match{j: j, s: s, exact: r.exact, out: out, roles: r.roles}
	if !m.possible(r.match) {
		return
	}
	for _, sp := range m.find(r.match) {
		if !s.inRoles(sp, r.roles, r.exact) {
			continue
		}
		if !r.exact {
			sp = s.unfold(sp)
		}
		j.found = append(j.found, finding{r, s.origin(sp, k == asSent), k >= decoded1})
	}
}

// glue lays the texts out once more where one seems to run on into the next, so that
// a word that is cut in two between them is whole. Of long texts only
// the ends are kept.
func (j *job) glue() {
	s, to := &j.scans[asSent], &j.scans[glued]
	open := false // the last text of to waits for its other half
	for i := 1; i < len(s.segs); i++ {
		if !s.runsOn(i) {
			open = false
			continue
		}
		if !open {
			to.piece(s, i-1, true)
		}
		to.piece(s, i, false)
		open = true
	}
	if len(to.segs) > 0 {
		to.readGlued()
	}
}

// runsOn reports whether a word may begin in the text before i and end in text i.
func (s *scan) runsOn(i int) bool {
	a, b := s.segs[i-1].fold, s.segs[i].fold
	if a.start == a.end || b.start == b.end || s.segs[i].token.kind >= inKey || s.segs[i-1].token.kind >= inKey {
		return false
	}
	last, _ := utf8.DecodeLastRune(s.fold.buf[a.start:a.end])
	first, _ := utf8.DecodeRune(s.fold.buf[b.start:b.end])
	return wordRune(last) && wordRune(first)
}

// piece appends text i of from, or the end of it that matters.
func (s *scan) piece(from *scan, i int, first bool) {
	raw := from.segs[i].raw
	if first {
		for raw.start = max(raw.start, raw.end-maxReach); !utf8.RuneStart(from.raw[raw.start]); raw.start++ {
		}
	}
	seg := from.segs[i]
	seg.origin = raw
	at := s.begin()
	s.raw = append(s.raw, from.raw[raw.start:raw.end]...)
	s.end(at, seg)
	s.segs[len(s.segs)-1].loose = false
	s.segs[len(s.segs)-1].first = first
}

// readGlued reads a scan in which a text follows the one before without a gap,
// unless it is the first of its word.
func (s *scan) readGlued() {
	for i := range s.segs {
		seg := &s.segs[i]
		if seg.first && i > 0 {
			s.fold.pin(int(seg.raw.start) - 1)
			s.fold.buf = append(s.fold.buf, '\n')
		}
		start := len(s.fold.buf)
		s.fold.add(s.raw[seg.raw.start:seg.raw.end], int(seg.raw.start))
		seg.fold = span{int32(start), int32(len(s.fold.buf))}
	}
	s.e.words.run(s.fold.buf, s)
}

// collect lays out the texts of a call's document, by role.
func (j *job) collect(c *call.Call) {
	j.c = c
	c.Family.Walk(c.Doc, j.see)
	s := &j.scans[asSent]
	for role := range roleNames {
		for _, t := range j.texts {
			if int(t.role) == role {
				j.lay(s, c, t)
			}
		}
	}
}

func (j *job) lay(s *scan, c *call.Call, t text) {
	start, end := c.Doc.Span(t.node)
	seg := segment{role: t.role, token: slot{start: int32(start), end: int32(end)}}
	if t.node < strictjson.None {
		seg.token.kind = inKey
	}
	seg.lastTurn = t.role == 1 && slices.Contains(c.LastTurn, t.node)
	at := s.begin()
	if !t.class.Coded() {
		s.raw, _ = c.Doc.AppendString(s.raw, t.node)
		if t.class == bedrock.Link {
			s.raw, seg.token.kind = withoutData(s.raw, at)
		}
		s.end(at, seg)
		return
	}
	j.inner, _ = c.Doc.AppendString(j.inner[:0], t.node)
	s.raw, seg.token.kind = appendBlob(s.raw, j.inner)
	if len(s.raw) > at {
		s.end(at, seg)
	}
}

// withoutData puts in place of a link that is a whole image, raw[at:], the words in
// it. Other links, and texts in links, stay as they are.
func withoutData(raw []byte, at int) ([]byte, kind) {
	link := raw[at:]
	i := bytes.IndexByte(link[:min(len(link), 128)], ',')
	if i < 0 || !bytes.HasPrefix(link, []byte("data:")) || !bytes.HasSuffix(link[:i], []byte(";base64")) {
		return raw, inString
	}
	out, k := appendBlob(raw, link[i+1:])
	if k != inNothing {
		return raw, inString
	}
	return append(raw[:at], out[len(raw):]...), inNothing
}

// appendBlob appends what a value in base64 says: all of it when it is text,
// otherwise the words in its head and tail, where images keep their comments.
func appendBlob(dst, coded []byte) ([]byte, kind) {
	at := len(dst)
	dst, err := base64.StdEncoding.AppendDecode(dst, coded)
	if err != nil {
		return append(dst[:at], coded...), inString
	}
	data := dst[at:]
	if printable(data) {
		return dst, inBlob
	}
	n := appendWords(data[:0], data[:min(len(data), blobEnds)])
	if len(data) > blobEnds {
		n = appendWords(n, data[max(len(data)-blobEnds, blobEnds):])
	}
	return dst[:at+len(n)], inNothing
}

// blobEnds is how much of the beginning and of the end of a binary value is
// searched for words, and leastWords how long a run of them must be.
const (
	blobEnds   = 64 << 10
	leastWords = 16
)

// appendWords appends the runs of printable ASCII in data, which dst may share.
func appendWords(dst, data []byte) []byte {
	run := 0
	for i := 0; i <= len(data); i++ {
		if i < len(data) && (' ' <= data[i] && data[i] < 0x7f) {
			run++
			continue
		}
		if run >= leastWords {
			dst = append(append(dst, data[i-run:i]...), '\n')
		}
		run = 0
	}
	return dst
}

// verdict turns what was found into what is to be done. doc is the document
// that the tokens are of.
func (j *job) verdict(doc []byte) Verdict {
	var v Verdict
	var masks []masked
	for i := 0; i < len(j.found); {
		r, n := j.found[i].rule, i
		for n < len(j.found) && j.found[n].rule == r {
			n++
		}
		hits := j.found[i:n]
		i = n
		observe := r.Observe || j.e.o.Observe
		if r.Action == Block && !observe {
			if !v.Blocked {
				v.Blocked, v.Rule, v.Message = true, r.Name, cmp.Or(r.Message, defaultSay)
			}
			continue
		}
		v.Notes = append(v.Notes, note(r, observe, hits))
		if r.Action == Mask && !observe {
			for _, h := range hits {
				masks = append(masks, masked{h.at, r})
			}
		}
	}
	if len(masks) > 0 && !v.Blocked {
		v.Edits = j.edits(doc, masks)
	}
	return v
}

func note(r *compiled, observe bool, hits []finding) call.Note {
	n := call.Note{Stage: "guard", Name: r.Name, Action: string(r.Action), Observe: observe && r.Action != Flag}
	n.Detail = strconv.Itoa(len(hits)) + " found"
	if slices.ContainsFunc(hits, func(h finding) bool { return h.decoded }) {
		n.Detail += ", encoded"
	}
	return n
}

// masked is a stretch of raw text to be masked, and the rule that says so.
type masked struct {
	span
	by *compiled
}

// label is what stands in place of a masked stretch.
func (m *masked) label() string { return "[" + strings.ToUpper(m.by.Name) + "]" }

// edits writes the masks into the tokens of doc. Of two that overlap one label
// stands for both.
func (j *job) edits(doc []byte, masks []masked) []strictjson.Edit {
	slices.SortStableFunc(masks, func(a, b masked) int { return cmp.Compare(a.start, b.start) })
	joined := masks[:1]
	for _, m := range masks[1:] {
		if last := &joined[len(joined)-1]; m.start < last.end {
			last.end = max(last.end, m.end)
			continue
		}
		joined = append(joined, m)
	}
	var out []strictjson.Edit
	s := &j.scans[asSent]
	i := 0
	for k := range s.segs {
		seg := &s.segs[k]
		for i < len(joined) && joined[i].end <= seg.raw.start {
			i++
		}
		n := i
		for n < len(joined) && joined[n].start < seg.raw.end {
			n++
		}
		if n > i {
			out = append(out, editsOf(doc, s.raw, seg, joined[i:n], len(out))...)
		}
	}
	slices.SortFunc(out, func(a, b strictjson.Edit) int { return cmp.Compare(a.Start, b.Start) })
	return out
}

// editsOf returns the edits that mask parts of one text.
func editsOf(doc, raw []byte, seg *segment, masks []masked, serial int) []strictjson.Edit {
	if seg.token.kind == inBlob || seg.token.kind == inNothing {
		return []strictjson.Edit{blobEdit(raw, seg, masks)}
	}
	var out []strictjson.Edit
	w := newTokenWalk(doc, int(seg.token.start), int(seg.token.end))
	for _, m := range masks {
		e := strictjson.Edit{With: m.label()}
		if seg.token.kind == inKey { // keys of one object must not become equal
			e.With = strings.TrimSuffix(e.With, "]") + "-" + strconv.Itoa(serial+len(out)+1) + "]"
		}
		e.Start = w.to(int(max(m.start, seg.raw.start) - seg.raw.start))
		e.End = w.to(int(min(m.end, seg.raw.end) - seg.raw.start))
		if e.End > e.Start {
			out = append(out, e)
		}
	}
	return out
}

// blobEdit writes a text value in base64 anew; a binary one, of which a part
// cannot be replaced, is emptied.
func blobEdit(raw []byte, seg *segment, masks []masked) strictjson.Edit {
	e := strictjson.Edit{Start: int(seg.token.start), End: int(seg.token.end), With: `""`}
	if seg.token.kind == inNothing {
		return e
	}
	var b []byte
	at := seg.raw.start
	for _, m := range masks {
		b = append(append(b, raw[at:max(m.start, at)]...), m.label()...)
		at = min(m.end, seg.raw.end)
	}
	b = append(b, raw[at:seg.raw.end]...)
	e.With = `"` + base64.StdEncoding.EncodeToString(b) + `"`
	return e
}
