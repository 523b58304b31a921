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

	reading reading         // of a decoder
	gone    <-chan struct{} // closed when the caller does not wait any more
	nested  nested
	shown   []uint64 // the nodes that were laid out as texts
	unread  bool     // a document was not read
	excused bool     // an Unless dropped something
	recall  recall
}

// The scans of a job.
const (
	asSent = iota
	glued
	decoded1
	decoded2
	aside // what is no text: settings, ids, numbers
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
	aside   bool // in bytes of the scan aside
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
	j.gone, j.unread, j.excused = nil, false, false
	j.recall.reset()
	j.nested.reset()
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

// patience is how many budgets the texts as they are may take. Judging them is
// linear, and what is found in them stays, however late it is for decoding.
const patience = 4

// judge runs the rules over the texts laid out in the first scan: first on the
// texts as they are, scorers last, then on what they hide, so that a text which
// is slow to decode switches no rule off.
func (j *job) judge(rules []compiled, out, decode bool) {
	s := &j.scans[asSent]
	start, budget := time.Now(), j.e.o.Budget*time.Duration(1+len(s.raw)/budgetBytes)
	j.clock = clock{deadline: start.Add(patience * budget), gone: j.gone}
	s.read(&j.clock)
	j.scans[aside].read(&j.clock)
	j.glue()
	j.pass(rules, out, asSent, glued, func(r *compiled) bool { return !r.scores && !r.behind })
	j.pass(rules, out, aside, aside, func(r *compiled) bool { return r.anywhere })
	j.pass(rules, out, asSent, glued, func(r *compiled) bool { return r.scores && !r.behind })
	j.clock.deadline = start.Add(budget)
	if decode && !j.clock.over() {
		j.full = !j.decode(s, &j.scans[decoded1]) || !j.decode(&j.scans[decoded1], &j.scans[decoded2])
		j.pass(rules, out, asSent, glued, func(r *compiled) bool { return r.behind })
		j.pass(rules, out, decoded1, decoded2, func(r *compiled) bool { return r.deep })
	}
	j.clock.over()
	slices.SortStableFunc(j.found, func(a, b finding) int { return cmp.Compare(a.rule.order, b.rule.order) })
}

// pass runs those rules that are wanted over some of the scans.
func (j *job) pass(rules []compiled, out bool, from, to int, wanted func(*compiled) bool) {
	for i := range rules {
		for k := from; k <= to && !j.clock.late; k++ {
			if len(j.scans[k].segs) > 0 && wanted(&rules[i]) {
				j.run(&rules[i], k, out)
			}
		}
	}
}

func (j *job) run(r *compiled, k int, out bool) {
	s := &j.scans[k]
	m := match{j: j, s: s, exact: r.exact, out: out, roles: r.roles}
	if !m.possible(r.match) {
		return
	}
	for _, sp := range m.find(r.match) {
		if k != aside && !s.inRoles(sp, r.roles, r.exact) {
			continue
		}
		if !r.exact {
			sp = s.unfold(sp)
		}
		j.found = append(j.found, finding{r, s.origin(sp, k == asSent || k == aside), k == decoded1 || k == decoded2, k == aside})
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
		if s.segs[i].inner = open; !open {
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
	if s.segs[i].cut || a.start == a.end || b.start == b.end || s.segs[i].token.kind >= inKey || s.segs[i-1].token.kind >= inKey {
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
	for role := range roleNames {
		for _, t := range j.texts {
			if int(t.role) == role {
				j.lay(c, c.Doc, t)
			}
		}
	}
	if j.e.anywhere {
		j.rest(c.Doc, j.texts, false)
		j.rest(&j.nested.doc, j.nested.texts, true)
	}
}

// lay appends one text of doc, which is the call's or the one nested in it.
func (j *job) lay(c *call.Call, doc *strictjson.Document, t text) {
	own := doc == c.Doc
	if t.class == bedrock.Inner && own && j.open(c, t) {
		return
	}
	s := &j.scans[asSent]
	start, end := doc.Span(t.node)
	seg := segment{role: t.role, token: slot{start: int32(start), end: int32(end), nested: !own}}
	if t.node < strictjson.None {
		seg.token.kind = inKey
	}
	seg.lastTurn = own && t.role == 1 && slices.Contains(c.LastTurn, t.node)
	at := s.begin()
	if !t.class.Coded() {
		s.raw, _ = doc.AppendString(s.raw, t.node)
		if t.class == bedrock.Link {
			s.raw, seg.token.kind = withoutData(s.raw, at, &j.unread)
		}
		s.end(at, seg)
		return
	}
	j.inner, _ = doc.AppendString(j.inner[:0], t.node)
	s.raw, seg.token.kind = appendBlob(s.raw, j.inner, t.class == bedrock.Picture, &j.unread)
	if len(s.raw) > at {
		s.end(at, seg)
	}
}

// withoutData puts in place of a link that is a whole file, raw[at:], the words in
// it. Other links, and texts in links, stay as they are.
func withoutData(raw []byte, at int, unread *bool) ([]byte, kind) {
	link := raw[at:]
	i := bytes.IndexByte(link[:min(len(link), 128)], ',')
	if i < 0 || !bytes.HasPrefix(link, []byte("data:")) || !bytes.HasSuffix(link[:i], []byte(";base64")) {
		return raw, inString
	}
	out, k := appendBlob(raw, link[i+1:], bytes.HasPrefix(link, []byte("data:image/")), unread)
	if k != inNothing {
		return raw, inString
	}
	return append(raw[:at], out[len(raw):]...), inNothing
}

// verdict turns what was found into what is to be done. doc is the document
// that the tokens are of.
func (j *job) verdict(doc []byte) Verdict {
	var v Verdict
	var masks, asides []masked
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
		v.Notes = append(v.Notes, j.note(r, observe, hits))
		if r.Action == Mask && !observe {
			for _, h := range hits {
				if h.aside {
					asides = append(asides, masked{h.at, r})
				} else {
					masks = append(masks, masked{h.at, r})
				}
			}
		}
	}
	if j.unread {
		v.Notes = append(v.Notes, call.Note{Stage: "guard", Name: unreadRule, Action: string(Flag), Detail: "document not read"})
	}
	if len(masks)+len(asides) > 0 && !v.Blocked {
		v.Edits = j.edits(doc, masks, asides)
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

// note is note, but for masks that find only what they cannot mask.
func (j *job) note(r *compiled, observe bool, hits []finding) call.Note {
	n := note(r, observe, hits)
	if r.Action == Mask && !slices.ContainsFunc(hits, func(h finding) bool { return !h.aside || j.maskable(h.at) }) {
		n.Action, n.Observe = string(Flag), false
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

// edits writes the masks into the tokens of doc: those of its texts, and those
// of what is aside.
func (j *job) edits(doc []byte, masks, asides []masked) []strictjson.Edit {
	var out, inner []strictjson.Edit
	out, inner = j.write(doc, &j.scans[asSent], masks, out, inner)
	out, inner = j.write(doc, &j.scans[aside], asides, out, inner)
	byStart := func(a, b strictjson.Edit) int { return cmp.Compare(a.Start, b.Start) }
	if len(inner) > 0 {
		slices.SortFunc(inner, byStart)
		out = append(out, j.nested.edit(inner))
	}
	slices.SortFunc(out, byStart)
	return out
}

// write appends the edits of one scan, those of the nested document to inner.
func (j *job) write(doc []byte, s *scan, masks []masked, out, inner []strictjson.Edit) (_, _ []strictjson.Edit) {
	joined := join(masks)
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
		if n == i || s == &j.scans[aside] && !j.maskable(seg.raw) {
			continue
		}
		serial := len(out) + len(inner)
		if seg.token.nested {
			inner = append(inner, editsOf(j.nested.doc.Data(), s.raw, seg, joined[i:n], serial)...)
		} else {
			out = append(out, editsOf(doc, s.raw, seg, joined[i:n], serial)...)
		}
	}
	return out, inner
}

// join sorts masks. Of two that overlap one label stands for both.
func join(masks []masked) []masked {
	slices.SortStableFunc(masks, func(a, b masked) int { return cmp.Compare(a.start, b.start) })
	joined := masks[:min(len(masks), 1)]
	for _, m := range masks[len(joined):] {
		if last := &joined[len(joined)-1]; m.start < last.end {
			last.end = max(last.end, m.end)
			continue
		}
		joined = append(joined, m)
	}
	return joined
}

// editsOf returns the edits that mask parts of one text.
func editsOf(doc, raw []byte, seg *segment, masks []masked, serial int) []strictjson.Edit {
	if seg.token.kind == inBlob || seg.token.kind == inNothing {
		return []strictjson.Edit{blobEdit(raw, seg, masks)}
	}
	if seg.token.kind == inNumber {
		return []strictjson.Edit{{Start: int(seg.token.start), End: int(seg.token.end), With: `"` + masks[0].label() + `"`}}
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
