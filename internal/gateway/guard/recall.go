package guard

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// A conversation comes again with every turn, so most of a prompt was read a call
// ago. What was found clean then is not read again.
//
// The texts of a call, as they are laid out, are taken in blocks: those of one
// role together until they have blockBytes. A block is known when it was clean;
// so is a join, where one begins, when the block and what stands before it as far
// as a rule reaches were. What is read is blocks that are not known, and both
// sides of joins that are not. Nothing else can have a match: one that begins
// and ends in a block is the block's, and one that begins before it is the join's.
//
// This asks that a match hangs on nothing farther away. Where that is not so,
// nothing is remembered: what an Unless has dropped, invisible and bidirectional
// characters, and texts that hide others, since what these hide stands
// together in one scan. And only "clean" is ever taken from memory: whatever is
// found in the part that is read, all is read, so that the verdict is that of a
// full reading. A match of more than maxReach bytes, which a rule may miss anyway,
// may be missed here too when it spans a join. A scorer must judge by the text alone.
//
// Keys include the user: how long a call takes tells nobody what others sent.

const (
	blockBytes = 512
	recallSpan = maxReach + 64 // folded bytes that are read before and behind a join
	mostLinks  = 8             // blocks that one join may hang on
)

// block is some texts of a layout that follow one another.
type block struct {
	first, last int // texts, last not included
	raw         span
	from        int // the first block that its join hangs on
	text, join  key
	known       bool
	joined      bool // the join is known
	dense       bool // its last recallSpan bytes are all that what follows can reach
	shy         bool // must not be remembered
	lone        bool // the join must not be remembered
}

// recall is what a job knows about the blocks of its texts.
type recall struct {
	blocks []block
	buf    []byte
	ranges []span // to be read
	raw    []byte // all texts, while only some are read
	segs   []segment
}

// judgePrompt judges the texts of a prompt, and reads only what is not known.
func (j *job) judgePrompt() {
	read := func() { j.judge(j.e.in, false, j.e.decodeIn) }
	if j.e.memory == nil || j.e.o.Bedrock != nil || j.longTurn() || !j.know() {
		read()
		return
	}
	if j.cut() {
		read()
		if j.clean() {
			j.remember()
			return
		}
		j.uncut()
	}
	read()
	if j.clean() {
		j.remember()
	}
}

// clean reports whether all was read and nothing found, whatever stands around it.
func (j *job) clean() bool {
	return len(j.found) == 0 && !j.excused && !j.full && !j.clock.late
}

// longTurn reports whether the last turn is long only as a whole, which no text
// tells by itself.
func (j *job) longTurn() bool {
	n := 0
	for i := range j.scans[asSent].segs {
		if seg := &j.scans[asSent].segs[i]; seg.lastTurn {
			n += int(seg.raw.end - seg.raw.start)
		}
	}
	return j.e.leastLong > 0 && n >= j.e.leastLong
}

// know divides the texts into blocks and looks them up. It is false when there
// are joins that hang on too much to be remembered.
func (j *job) know() bool {
	s, r, m := &j.scans[asSent], &j.recall, j.e.memory
	r.blocks = r.blocks[:0]
	user := key{}
	if j.c != nil && j.c.Principal != nil {
		r.buf = append(r.buf[:0], j.c.Principal.UserID...)
		user = m.of(r.buf)
	}
	for i := 0; i < len(s.segs); {
		b := block{first: i, raw: span{start: s.segs[i].raw.start}}
		for i == b.first || i < len(s.segs) && s.segs[i].role == s.segs[b.first].role && s.segs[i-1].raw.end-b.raw.start < blockBytes {
			s.segs[i].block = int32(len(r.blocks))
			i++
		}
		b.last, b.raw.end = i, s.segs[i-1].raw.end+1
		j.lookUp(&b, user)
		r.blocks = append(r.blocks, b)
		if !j.lookUpJoin(len(r.blocks) - 1) {
			return false
		}
	}
	return true
}

// lookUp names a block by its texts, where each ends, and what it is.
func (j *job) lookUp(b *block, user key) {
	s, r, m := &j.scans[asSent], &j.recall, j.e.memory
	r.buf = appendKey(appendKey(append(r.buf[:0], 't'), user), m.of(s.raw[b.raw.start:b.raw.end]))
	for _, seg := range s.segs[b.first:b.last] {
		r.buf = binary.LittleEndian.AppendUint32(r.buf, uint32(seg.raw.end-seg.raw.start))
		r.buf = append(r.buf, seg.role, byte(seg.token.kind))
	}
	b.text = m.of(r.buf)
	if b.dense, b.known = m.has(b.text); !b.known {
		b.dense = s.before(b.raw.start, b.raw.end) > b.raw.start
	}
}

// lookUpJoin names the join before block i by all blocks that it hangs on.
func (j *job) lookUpJoin(i int) bool {
	r := &j.recall
	b := &r.blocks[i]
	b.from = i
	for b.from > 0 && (b.from == i || !r.blocks[b.from].dense) {
		if b.from--; i-b.from > mostLinks {
			return false
		}
	}
	if b.from == i { // the first one
		b.joined = true
		return true
	}
	r.buf = append(r.buf[:0], 'j')
	for k := b.from; k <= i; k++ {
		r.buf = appendKey(r.buf, r.blocks[k].text)
	}
	b.join = j.e.memory.of(r.buf)
	_, b.joined = j.e.memory.has(b.join)
	return true
}

func appendKey(dst []byte, k key) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, k[0]), k[1])
}

// solid says how many bytes of folded text a raw byte surely makes: one for
// signs, letters and digits of ASCII and for the first byte of a character of the
// alphabets that fold to something, less for what takes a character away. White
// space, accents and what is invisible may fold to nothing.
var solid = func() (t [256]int8) {
	for c := 0x21; c < 0x7f; c++ {
		t[c] = 1
	}
	t['\b'], t[0x7f] = -1, -1
	for _, lead := range []byte("\xc3\xce\xcf\xd0\xd1\xe0\xe4\xe5\xe6\xe7\xe8\xe9\xea\xeb\xec\xed") {
		t[lead] = 1
	}
	return t
}()

// before returns where in the raw text that stands in from:to what must be read
// before to begins. It is from when all of it must.
func (s *scan) before(from, to int32) int32 {
	n := 0
	at := to
	for at > from && n < recallSpan {
		at--
		n += int(solid[s.raw[at]])
	}
	return at
}

// behind returns where in from:to what must be read behind from ends.
func (s *scan) behind(from, to int32) int32 {
	n := 0
	at := from
	for at < to && n < recallSpan {
		n += int(solid[s.raw[at]])
		at++
	}
	return at
}

// cut leaves in the layout only what must be read. It is false, and leaves all,
// when that is most of it.
func (j *job) cut() bool {
	s, r := &j.scans[asSent], &j.recall
	r.ranges = r.ranges[:0]
	for i := range r.blocks {
		b := &r.blocks[i]
		if !b.known {
			r.read(b.raw)
		}
		if !b.joined {
			r.read(span{s.before(r.blocks[b.from].raw.start, b.raw.start), s.behind(b.raw.start, b.raw.end)})
		}
	}
	n := 0
	for _, sp := range r.ranges {
		n += int(sp.end - sp.start)
	}
	if n > len(s.raw)/8*7 {
		return false
	}
	r.raw, s.raw = s.raw, r.raw[:0]
	r.segs, s.segs = s.segs, r.segs[:0]
	for _, sp := range r.ranges {
		j.lift(sp)
	}
	return true
}

// read adds a stretch to those that are to be read, which end in rising order.
func (r *recall) read(sp span) {
	for n := len(r.ranges); n > 0 && r.ranges[n-1].end >= sp.start; n-- {
		sp = span{min(sp.start, r.ranges[n-1].start), max(sp.end, r.ranges[n-1].end)}
		r.ranges = r.ranges[:n-1]
	}
	r.ranges = append(r.ranges, sp)
}

// lift lays out the texts, or parts of texts, in a stretch of the whole.
func (j *job) lift(sp span) {
	s, r := &j.scans[asSent], &j.recall
	i, _ := slices.BinarySearchFunc(r.segs, sp.start, func(seg segment, at int32) int { return int(seg.raw.end) - int(at) })
	for ; i < len(r.segs) && r.segs[i].raw.start < sp.end; i++ {
		seg := r.segs[i]
		from, to := max(seg.raw.start, sp.start), min(seg.raw.end, sp.end)
		for from > seg.raw.start && !utf8.RuneStart(r.raw[from]) {
			from--
		}
		for to < seg.raw.end && !utf8.RuneStart(r.raw[to]) {
			to++
		}
		seg.part = from > seg.raw.start || to < seg.raw.end
		seg.cut = len(s.segs) == 0 || r.segs[i].raw.start <= sp.start
		seg.origin = span{}
		at := s.begin()
		s.raw = append(s.raw, r.raw[from:to]...)
		s.end(at, seg)
	}
}

// uncut puts all texts back, unread.
func (j *job) uncut() {
	r := &j.recall
	for i := range j.scans {
		s := &j.scans[i]
		raw, segs := s.raw, s.segs
		s.reset()
		if i == aside {
			s.raw, s.segs = raw, segs
		}
	}
	s := &j.scans[asSent]
	s.raw, r.raw = r.raw, s.raw
	s.segs, r.segs = r.segs, s.segs
	clear(j.found)
	j.found, j.excused, j.full = j.found[:0], false, false
}

// shyMarks are those of characters that detectors judge by more than what stands
// near them.
const shyMarks = hasTags | hasInvisible | hasBidi

// remember takes what was read into the memory, now that it is clean.
func (j *job) remember() {
	s, r := &j.scans[asSent], &j.recall
	for i := range s.segs {
		b := &r.blocks[s.segs[i].block]
		b.shy = b.shy || s.segs[i].marks&shyMarks != 0
		// The end of a text that the next one runs on from is scored by itself,
		// unless it runs on from another one.
		if s.segs[i].inner {
			first := i == 0 || s.segs[i-1].block != s.segs[i].block
			b.lone = b.lone || first
			b.shy = b.shy || !first && (i == 1 || s.segs[i-2].block != s.segs[i].block)
		}
	}
	for i := range j.scans[decoded1].segs {
		from := j.scans[decoded1].segs[i].source
		for k := s.segAt(from.start, true); k < len(s.segs) && s.segs[k].raw.start < max(from.end, from.start+1); k++ {
			r.blocks[s.segs[k].block].shy = true
		}
	}
	for i := range r.blocks {
		b := &r.blocks[i]
		if b.shy {
			continue
		}
		if !b.known {
			j.e.memory.add(b.text, b.dense)
		}
		if !b.joined && !b.lone && !slices.ContainsFunc(r.blocks[b.from:i], func(o block) bool { return o.shy }) {
			j.e.memory.add(b.join, false)
		}
	}
}

func (r *recall) reset() {
	r.blocks, r.raw, r.segs = r.blocks[:0], r.raw[:0], r.segs[:0]
	if cap(r.raw) > keepBytes {
		*r = recall{}
	}
}
