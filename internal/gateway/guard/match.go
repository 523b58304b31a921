package guard

import (
	"bytes"
	"cmp"
	"slices"
)

// match runs the conditions of rules over one scan. Spans are in bytes of the
// folded text, for exact rules of the raw text.
type match struct {
	j     *job
	s     *scan
	exact bool
	out   bool
	roles uint8
}

func (m *match) text() []byte {
	if m.exact {
		return m.s.raw
	}
	return m.s.fold.buf
}

// possible is a quick look: false when n finds nothing for sure.
func (m *match) possible(n *node) bool {
	return m.leaf(n) ||
		slices.ContainsFunc(n.any, m.possible) ||
		len(n.all) > 0 && m.every(n.all) ||
		len(n.then) > 0 && m.every(n.then)
}

func (m *match) every(list []*node) bool {
	for _, sub := range list {
		if !m.possible(sub) {
			return false
		}
	}
	return true
}

func (m *match) leaf(n *node) bool {
	if n.words >= 0 && len(m.s.hits[n.words]) > 0 || len(n.exact) > 0 || len(n.scorers) > 0 {
		return true
	}
	for i := range n.patterns {
		if p := &n.patterns[i]; p.near < 0 || len(m.places(p)) > 0 {
			return true
		}
	}
	for _, d := range n.detectors {
		if len(m.s.detect(d)) > 0 {
			return true
		}
	}
	return n.minLength > 0 && m.s == &m.j.scans[0] && len(m.s.raw) > n.minLength ||
		n.canary && len(m.s.hits[m.s.e.canary]) > 0 ||
		n.echo && m.out && m.j.heard.ready
}

// find returns what n finds, rising by the start. It is called only when n is possible.
func (m *match) find(n *node) []span {
	if m.j.clock.over() {
		return nil
	}
	out := m.leaves(n)
	for _, sub := range n.any {
		if m.possible(sub) {
			out = append(out, m.find(sub)...)
		}
	}
	if len(n.all) > 0 {
		out = append(out, m.group(n.all, n.within, false)...)
	}
	if len(n.then) > 0 {
		out = append(out, m.group(n.then, n.within, true)...)
	}
	sortSpans(out)
	for _, sub := range n.unless {
		if len(out) > 0 && m.possible(sub) {
			before := len(out)
			out = without(out, m.find(sub), int32(n.within))
			m.j.excused = m.j.excused || len(out) < before
		}
	}
	return out
}

func sortSpans(s []span) {
	slices.SortFunc(s, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
}

func (m *match) leaves(n *node) []span {
	var out []span
	if n.words >= 0 {
		out = append(out, m.s.hits[n.words]...)
	}
	for i := range n.exact {
		out = m.literal(out, &n.exact[i])
	}
	for i := range n.patterns {
		out = m.pattern(out, &n.patterns[i])
	}
	for _, d := range n.detectors {
		for _, sp := range m.s.detect(d) {
			out = append(out, m.own(sp))
		}
	}
	if n.canary {
		out = append(out, m.s.hits[m.s.e.canary]...)
	}
	if n.echo && m.out && m.j.heard.ready {
		out = m.j.heard.find(out, m.s)
	}
	if n.minLength > 0 && m.s == &m.j.scans[0] {
		out = m.long(out, n.minLength)
	}
	for _, sc := range n.scorers {
		out = m.score(out, sc, n.threshold)
	}
	return out
}

// own turns a span of raw bytes into one of this match's text.
func (m *match) own(sp span) span {
	if m.exact {
		return sp
	}
	return span{m.s.folded(sp.start), m.s.folded(sp.end)}
}

func (m *match) literal(out []span, w *word) []span {
	text := m.text()
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(w.text))
		if i < 0 {
			return out
		}
		at += i + len(w.text)
		if w.at(text, at-len(w.text), at) {
			out = append(out, span{int32(at - len(w.text)), int32(at)})
		}
	}
}

// slack is how far a window goes beyond what a match can span, so that word
// boundaries and line ends at the edges of a match are seen for what they are.
const slack = 8

// window is how much text without literals is given to a pattern at once.
const window = 16 << 10

// pattern runs p in windows around its literals, or over all.
func (m *match) pattern(out []span, p *placed) []span {
	text := m.text()
	if p.near < 0 {
		if m.exact && !containsAny(text, p.literals) {
			return out
		}
		return m.within(out, p, 0, len(text), 0)
	}
	from, to, done := -1, -1, 0
	for _, h := range m.places(p) {
		a, b := max(int(h.start)-p.reach-slack, 0), min(int(h.end)+p.reach+slack, len(text))
		if from >= 0 && a <= to {
			from, to = min(from, a), max(to, b)
			continue
		}
		if from >= 0 {
			out = m.within(out, p, from, to, done)
			done = to
		}
		from, to = a, b
	}
	return m.within(out, p, from, to, done)
}

// places returns the fewest of the literals that p stands near.
func (m *match) places(p *placed) []span {
	fewest := m.s.hits[p.near]
	for _, f := range p.also {
		if len(m.s.hits[f]) < len(fewest) {
			fewest = m.s.hits[f]
		}
	}
	return fewest
}

func containsAny(text []byte, literals []string) bool {
	if len(literals) == 0 {
		return true
	}
	for _, l := range literals {
		if bytes.Contains(text, []byte(l)) {
			return true
		}
	}
	return false
}

// within runs p over text[from:to] in parts that overlap by what a match can
// span, and keeps the matches that end behind done.
func (m *match) within(out []span, p *placed, from, to, done int) []span {
	for at := from; at >= 0 && at < to; at += window {
		out = m.part(out, p, max(at-p.reach-slack, from), min(at+window, to), max(at, done), at+window < to)
	}
	return out
}

// part runs p over text[from:to]. When more follows, what reaches its end is left
// to the next part.
func (m *match) part(out []span, p *placed, from, to, done int, more bool) []span {
	text := m.text()
	for from < to && !m.j.clock.over() {
		if !p.re.Match(text[from:to]) {
			return out
		}
		loc := p.re.FindIndex(text[from:to])
		start, end := from+loc[0], from+loc[1]
		// At the edge of a part a boundary is not what it seems.
		if edge := loc[0] == 0 && from > 0 && text[from-1] != '\n'; end > done && !edge && !(more && end == to) {
			out = append(out, span{int32(start), int32(end)})
		}
		from = max(end, from+1)
	}
	return out
}

// long finds texts of n bytes or more, and a last turn that is as long in all.
func (m *match) long(out []span, n int) []span {
	turn, first, last := 0, -1, -1
	for i := range m.s.segs {
		seg := &m.s.segs[i]
		size := int(seg.raw.end - seg.raw.start)
		if size >= n {
			out = append(out, m.own(seg.raw))
		}
		if seg.lastTurn {
			turn += size
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	if turn >= n && last > first {
		out = append(out, m.own(span{m.s.segs[first].raw.start, m.s.segs[last].raw.end}))
	}
	return out
}

// The scorer gets a long text in parts, so that an attack is not diluted by what
// stands around it.
const (
	scorePart = 2048
	scoreStep = 1536
)

func (m *match) score(out []span, sc Scorer, threshold float64) []span {
	for i := range m.s.segs {
		seg := &m.s.segs[i]
		if m.roles&(1<<seg.role) == 0 || seg.part && !seg.first {
			continue
		}
		for at := seg.fold.start; at < seg.fold.end && !m.j.clock.over(); at += scoreStep {
			sp := span{at, min(at+scorePart, seg.fold.end)}
			if sc.Score(m.s.fold.buf[sp.start:sp.end]) >= threshold {
				if m.exact {
					sp = m.s.unfold(sp)
				}
				out = append(out, sp)
			}
			if sp.end == seg.fold.end {
				break
			}
		}
	}
	return out
}

// group finds stretches of up to within bytes that have something of each of
// list, in its order when ordered. For each beginning it takes the nearest end.
func (m *match) group(list []*node, within int, ordered bool) []span {
	if !m.every(list) {
		return nil
	}
	found := make([][]span, len(list))
	for i, sub := range list {
		if found[i] = m.find(sub); len(found[i]) == 0 {
			return nil
		}
	}
	var out []span
	for i := range found {
		for _, first := range found[i] {
			if end, ok := reach(found, i, first, int32(within), ordered); ok {
				out = append(out, span{first.start, end})
			}
		}
		if ordered {
			break // only what the first finds is a beginning
		}
	}
	return out
}

// reach returns the nearest end of a group that begins with first, found by i.
func reach(found [][]span, i int, first span, within int32, ordered bool) (int32, bool) {
	end := first.end
	for k := range found {
		if k == i {
			continue
		}
		from := first.start
		if ordered {
			from = end
		}
		next, ok := nearest(found[k], from, first.start+within)
		if !ok {
			return 0, false
		}
		end = max(end, next)
	}
	return end, end-first.start <= within
}

// nearest returns the least end, up to limit, of the spans that start at from or
// behind it. Spans of one start are few, so those that start behind the best end
// need no look.
func nearest(spans []span, from, limit int32) (int32, bool) {
	i, _ := slices.BinarySearchFunc(spans, from, func(s span, at int32) int { return cmp.Compare(s.start, at) })
	best := limit + 1
	for ; i < len(spans) && spans[i].start < best; i++ {
		best = min(best, spans[i].end)
	}
	return best, best <= limit
}

// without drops the spans that have one of others within that many bytes. Both
// rise by their starts.
func without(spans, others []span, within int32) []span {
	if len(others) == 0 {
		return spans
	}
	out := spans[:0]
	for _, s := range spans {
		i, _ := slices.BinarySearchFunc(others, s.start-within-maxReach, func(o span, at int32) int { return cmp.Compare(o.start, at) })
		near := false
		for ; i < len(others) && others[i].start <= s.end+within && !near; i++ {
			near = others[i].end >= s.start-within
		}
		if !near {
			out = append(out, s)
		}
	}
	return out
}
