package guard

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// A Stream judges an answer while it streams. It looks at the text of the answer as one,
// however it is cut into frames, and holds a frame back while the end of its
// text may be the beginning of something that a rule blocks or masks: up to 512
// bytes of text, less as soon as it is clear that it is not, and none at the end
// of a content block. Frames that are not edited leave as they came, byte by
// byte; what is held back is what the caller sees later, never what is lost.
//
// What a mask can no longer reach, because it began in what was sent before, or
// is a private key, whose end is not in sight, blocks instead. Bedrock's own
// guardrail is not asked about streams.
//
// A Stream is for one goroutine.
type Stream struct {
	e        *Engine
	converse bool
	shape    string // of a native answer
	echo     *echo  // nil: nothing to compare with
	channels []channel
	held     []heldFrame
	heldSize int
	out      []byte // of the last Frame
	doc      []byte // native document of the frame at hand
	pieces   []piece
	verdict  Verdict
	noted    []*compiled
	at       turn // of the frame at hand
	block    turn // what was sent last of content blocks
	begun    bool // something was sent
	ended    bool
}

// channel is the text of one part of the answer: a content block, or one of
// several answers.
type channel struct {
	id   uint32
	text []byte // the end of what was sent, and what is held
	base int    // bytes of the channel before text
	sent int    // bytes of the channel that were sent
	safe int    // bytes that may be sent
	mask []maskAt
	// whole is set when the text at hand does not go on in the next frame: a
	// tool's name, and all but deltas.
	whole bool
}

// turn is what a frame does to a content block.
type turn struct {
	index  int
	open   bool // the block goes on behind this frame
	closed bool // the block ends with this frame, or ended before
	tool   bool // it is a tool call, and takes no text
}

// maskAt is a stretch of the channel to be masked.
type maskAt struct {
	start, end int
	by         *compiled
}

// piece is one string of a frame.
type piece struct {
	channel    int
	start, end int // in the channel
	from, to   int // in the frame's document, with the quotes
}

type heldFrame struct {
	raw    []byte
	at     turn
	pieces []piece
}

// The bounds of what a stream remembers.
const (
	keepText    = maxReach + 64 // of what was sent
	maxHeld     = 256 << 10     // bytes of frames; beyond it they are judged as they are
	maxChannels = 16            // beyond it parts share a channel
)

// Stream begins to judge the answer to c. It is nil, and costs nothing, when no
// rule looks at answers or c's answer has no text. c.Doc must live until Stream
// returns.
func (e *Engine) Stream(c *call.Call) *Stream {
	if len(e.out) == 0 || c.Family == nil || !answersText(c.Family) {
		return nil
	}
	s := &Stream{e: e, converse: c.Family.Name == "converse", shape: shapeOf(c)}
	if e.echo {
		s.echo = e.newEcho(c)
	}
	return s
}

// Verdict is what the guard said so far.
func (s *Stream) Verdict() Verdict { return s.verdict }

// Frame takes one whole frame and returns the frames to send now, which may be
// none, and whether they are the last ones: the answer was blocked, or could
// not be judged. out is valid until the next call, and is raw itself when raw
// can go as it is. raw is not kept.
func (s *Stream) Frame(raw []byte) (out []byte, ended bool) {
	if s.ended {
		return nil, true
	}
	f, ok := split(raw)
	if !ok {
		return s.fail(errAnswer)
	}
	s.out, s.pieces = s.out[:0], s.pieces[:0]
	if f.event == "" { // an exception: whatever was held is all there is
		if out, ended = s.End(); ended {
			return out, true
		}
		return append(out, raw...), false
	}
	doc, err := s.document(f)
	if err == nil {
		err = s.take(doc, !delta(f, doc))
	}
	if err != nil {
		if out, ended = s.fail(err); ended {
			return out, ended
		}
		return s.pass(raw, true)
	}
	return s.pass(raw, s.last(f, doc))
}

// End takes the end of a stream that had no last frame, and returns what was held.
func (s *Stream) End() (out []byte, ended bool) {
	if s.ended {
		return nil, true
	}
	s.out = s.out[:0]
	return s.pass(nil, true)
}

// frame is what a Stream needs to know of one.
type frame struct {
	event   string // empty for other messages
	payload []byte
	at      int // of the payload in the frame
}

// split finds the payload and the event type of a frame whose checksums were
// checked when it was read.
func split(raw []byte) (f frame, ok bool) {
	if len(raw) < 16 {
		return f, false
	}
	n := int(binary.BigEndian.Uint32(raw[4:]))
	if n < 0 || 12+n+4 > len(raw) {
		return f, false
	}
	f.at = 12 + n
	f.payload = raw[f.at : len(raw)-4]
	head := raw[12:f.at]
	i := bytes.Index(head, []byte(eventstream.EventTypeHeader))
	if i < 0 {
		return f, true
	}
	v := head[i+len(eventstream.EventTypeHeader):]
	if len(v) < 3 || len(v) < 3+int(v[2]) {
		return f, false
	}
	switch name := v[3 : 3+int(v[2])]; string(name) {
	case "chunk":
		f.event = "chunk"
	case "contentBlockDelta":
		f.event = "contentBlockDelta"
	case "contentBlockStart":
		f.event = "contentBlockStart"
	case "contentBlockStop":
		f.event = "contentBlockStop"
	case "messageStop", "metadata":
		f.event = "messageStop"
	default:
		f.event = "other"
	}
	return f, true
}

var bytesKey = []byte(`"bytes":"`)

// coded returns where the base64 of a chunk stands in its payload.
func coded(payload []byte) (start, end int, ok bool) {
	i := bytes.Index(payload, bytesKey)
	if i < 0 {
		return 0, 0, false
	}
	start = i + len(bytesKey)
	n := bytes.IndexByte(payload[start:], '"')
	return start, start + n, n >= 0
}

// document returns the JSON that has the frame's text.
func (s *Stream) document(f frame) ([]byte, error) {
	if f.event != "chunk" {
		return f.payload, nil
	}
	start, end, ok := coded(f.payload)
	if !ok {
		return nil, errAnswer
	}
	var err error
	if s.doc, err = base64.StdEncoding.AppendDecode(s.doc[:0], f.payload[start:end]); err != nil {
		return nil, errAnswer
	}
	return s.doc, nil
}

// delta reports whether the texts of a frame may go on in the next one.
func delta(f frame, doc []byte) bool {
	return f.event == "contentBlockDelta" || f.event == "chunk" && !has(doc, `"content_block_start"`, `"contentBlockStart"`, `"message_start"`)
}

// take adds the strings of doc to their channels.
func (s *Stream) take(doc []byte, whole bool) error {
	index, ok := indexOf(doc)
	if ok {
		s.at.index = index
	}
	return eachString(doc, false, func(v value) {
		if v.number {
			return // no stream has any in its text
		}
		k := s.channel(v.path*31 + uint32(index))
		ch := &s.channels[k]
		ch.whole = whole || string(v.key) == "name"
		start := ch.base + len(ch.text)
		ch.text = appendUnescaped(ch.text, doc[v.start+1:v.end-1])
		if end := ch.base + len(ch.text); end > start {
			s.pieces = append(s.pieces, piece{k, start, end, v.start, v.end})
		}
	})
}

var indexKeys = [...][]byte{[]byte(`"contentBlockIndex":`), []byte(`"index":`)}

// indexOf returns the number of the content block or answer that doc is of.
func indexOf(doc []byte) (int, bool) {
	for _, key := range indexKeys {
		if i := bytes.Index(doc, key); i >= 0 {
			i = skipSpace(doc, i+len(key))
			n := 0
			for ; i < len(doc) && '0' <= doc[i] && doc[i] <= '9' && n < 1e6; i++ {
				n = n*10 + int(doc[i]-'0')
			}
			return n, true
		}
	}
	return 0, false
}

func (s *Stream) channel(id uint32) int {
	for i := range s.channels {
		if s.channels[i].id == id {
			return i
		}
	}
	if len(s.channels) == maxChannels {
		return int(id % maxChannels)
	}
	s.channels = append(s.channels, channel{id: id})
	return len(s.channels) - 1
}

// endings are what the last document of a native stream with text, or the one
// behind it, has.
var endings = [...]string{
	`"message_delta"`, `"message_stop"`, `"amazon-bedrock-invocationMetrics"`, `"messageStop"`,
	`"is_finished":true`, `"finish_reason":"`, `"stop_reason":"`, `"completionReason":"`,
}

// last reports whether the text so far is whole: no rule needs to wait for more.
// It also follows which content block is open.
func (s *Stream) last(f frame, doc []byte) bool {
	chunk := f.event == "chunk"
	switch {
	case f.event == "contentBlockStart", chunk && has(doc, `"content_block_start"`, `"contentBlockStart"`):
		s.at = turn{index: s.at.index, open: true, tool: has(doc, `"toolUse"`, `"tool_use"`)}
	case f.event == "contentBlockDelta", chunk && has(doc, `"content_block_delta"`, `"contentBlockDelta"`):
		s.at.open, s.at.closed = true, false
	case f.event == "contentBlockStop", chunk && has(doc, `"content_block_stop"`, `"contentBlockStop"`):
		s.at = turn{index: s.at.index, closed: true}
		return true
	case f.event == "messageStop", chunk && has(doc, endings[:]...):
		return true
	}
	return false
}

// has reports whether one of words stands in doc. They are keys and values with
// their quotes, which within a text would be escaped.
func has(doc []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(doc, []byte(w)) })
}

// pass judges what has come, and returns what may go. With all, everything held may.
func (s *Stream) pass(raw []byte, all bool) ([]byte, bool) {
	all = all || s.heldSize+len(raw) > maxHeld
	for i := range s.channels {
		if ch := &s.channels[i]; ch.sent < ch.base+len(ch.text) && (all || s.touched(i)) {
			if err := s.judge(ch, all || ch.whole); err != nil {
				if out, ended := s.fail(err); ended {
					return out, true
				}
				ch.safe = ch.base + len(ch.text)
			}
			if s.verdict.Blocked {
				return s.stop()
			}
		}
	}
	if len(s.held) == 0 && raw != nil && s.free(s.pieces) && !s.edited(s.pieces) {
		s.sent(s.at, s.pieces)
		return raw, false
	}
	if raw != nil {
		s.held = append(s.held, heldFrame{bytes.Clone(raw), s.at, slices.Clone(s.pieces)})
		s.heldSize += len(raw)
	}
	s.release()
	return s.out, false
}

func (s *Stream) touched(channel int) bool {
	return slices.ContainsFunc(s.pieces, func(p piece) bool { return p.channel == channel })
}

func (s *Stream) free(pieces []piece) bool {
	return !slices.ContainsFunc(pieces, func(p piece) bool { return p.end > s.channels[p.channel].safe })
}

// release moves what may go from held to out.
func (s *Stream) release() {
	n := 0
	for n < len(s.held) && s.free(s.held[n].pieces) {
		h := &s.held[n]
		s.out = s.appendFrame(s.out, h)
		s.sent(h.at, h.pieces)
		s.heldSize -= len(h.raw)
		n++
	}
	s.held = slices.Delete(s.held, 0, n)
}

// sent notes that pieces were sent, and forgets what no rule can reach any more.
func (s *Stream) sent(at turn, pieces []piece) {
	s.begun, s.block = true, at
	for _, p := range pieces {
		ch := &s.channels[p.channel]
		ch.sent = max(ch.sent, p.end)
		if drop := ch.sent - ch.base - 2*keepText; drop > 0 {
			drop += keepText
			ch.text = append(ch.text[:0], ch.text[drop:]...)
			ch.base += drop
			ch.mask = slices.DeleteFunc(ch.mask, func(m maskAt) bool { return m.end <= ch.sent })
		}
	}
}

// judge runs the rules over a channel, and sets how far it may be sent.
func (s *Stream) judge(ch *channel, all bool) error {
	e := s.e
	j := e.job()
	defer e.release(j)
	return j.safely(func() {
		first := &j.scans[asSent]
		from := ch.context()
		first.raw = append(first.raw, ch.text[from:]...)
		first.end(0, segment{role: uint8(roleAssistant), token: slot{kind: inNothing}})
		if s.echo != nil {
			j.heard = s.echo
		}
		j.judge(e.out, true, e.decodeOut)
		base := ch.base + from
		ch.safe = base + int(first.segs[0].raw.end)
		if !all {
			ch.safe = max(ch.sent, base+e.hold.from(first, e.decodeOut))
		}
		s.weigh(ch, j, base, all)
	})
}

// context is where in ch.text the part begins that rules look at: some of what
// was sent, and all that is held.
func (ch *channel) context() int {
	at := max(ch.sent-ch.base-keepText, 0)
	at, _ = clip(ch.text, at, len(ch.text))
	return at
}

// weigh turns what was found into notes, masks or the end of the answer.
func (s *Stream) weigh(ch *channel, j *job, base int, all bool) {
	ch.mask = slices.DeleteFunc(ch.mask, func(m maskAt) bool { return m.start >= ch.sent }) // found again below
	for _, f := range j.found {
		m := maskAt{base + int(f.at.start), base + min(int(f.at.end), len(j.scans[asSent].raw)-1), f.rule}
		if m.end <= ch.sent && f.rule.Action != Block {
			continue // seen before
		}
		if !all && m.end == ch.base+len(ch.text) { // the next letter may undo it
			ch.safe = max(min(ch.safe, m.start), ch.sent)
			continue
		}
		observe := f.rule.Observe || s.e.o.Observe
		late := f.rule.Action == Mask && (m.start < ch.sent && !ch.begun(m) || f.rule.match.endless())
		if !observe && (f.rule.Action == Block || late) {
			s.verdict.Blocked, s.verdict.Rule, s.verdict.Message = true, f.rule.Name, cmp.Or(f.rule.Message, defaultSay)
			return
		}
		if !observe && f.rule.Action == Mask {
			ch.mask = append(ch.mask, m)
			if m.end > ch.safe { // wait until it is whole
				ch.safe = max(min(ch.safe, m.start), ch.sent)
			}
		}
		if !slices.Contains(s.noted, f.rule) && (f.rule.Action == Flag || observe || m.end <= ch.safe) {
			s.noted = append(s.noted, f.rule)
			s.verdict.Notes = append(s.verdict.Notes, note(f.rule, observe, []finding{f}))
		}
	}
}

// begun reports whether what was sent of m went out masked, and has the mask
// go on to m's end.
func (ch *channel) begun(m maskAt) bool {
	for i := range ch.mask {
		if old := &ch.mask[i]; old.start <= m.start && old.end >= ch.sent {
			old.end = max(old.end, m.end)
			return true
		}
	}
	return false
}

// endless reports whether n finds private keys, whose end a stream cannot wait for.
func (n *node) endless() bool {
	for _, d := range n.detectors {
		if detectors[d].name == "private_key" {
			return true
		}
	}
	return n.has((*node).endless)
}

func (s *Stream) edited(pieces []piece) bool {
	return slices.ContainsFunc(pieces, func(p piece) bool {
		return slices.ContainsFunc(s.channels[p.channel].mask, func(m maskAt) bool { return m.start < p.end && p.start < m.end })
	})
}

// appendFrame appends a held frame, with its masks.
func (s *Stream) appendFrame(dst []byte, h *heldFrame) []byte {
	if !s.edited(h.pieces) {
		return append(dst, h.raw...)
	}
	f, _ := split(h.raw)
	doc, err := s.document(f)
	if err != nil {
		return append(dst, h.raw...) // it was read before
	}
	doc = splice(doc, s.editsOf(doc, h.pieces))
	payload := doc
	if f.event == "chunk" {
		start, end, _ := coded(f.payload)
		payload = append([]byte(nil), f.payload[:start]...)
		payload = base64.StdEncoding.AppendEncode(payload, doc)
		payload = append(payload, f.payload[end:]...)
	}
	m, err := eventstream.Decode(h.raw)
	if err != nil {
		return append(dst, h.raw...)
	}
	m.Payload = payload
	return eventstream.Append(dst, &m)
}

// editsOf returns the masks of one frame's document. Of a stretch that spans
// several pieces, the first one gets the label.
func (s *Stream) editsOf(doc []byte, pieces []piece) []strictjson.Edit {
	var out []strictjson.Edit
	for _, p := range pieces {
		w := newTokenWalk(doc, p.from, p.to)
		masks := slices.SortedFunc(slices.Values(s.channels[p.channel].mask), func(a, b maskAt) int { return cmp.Compare(a.start, b.start) })
		done := p.start
		for _, m := range masks {
			start, end := max(m.start, done), min(m.end, p.end)
			if start >= end {
				continue
			}
			e := strictjson.Edit{Start: w.to(start - p.start), End: w.to(end - p.start)}
			if m.start >= p.start {
				e.With = (&masked{by: m.by}).label()
			}
			out = append(out, e)
			done = end
		}
	}
	slices.SortFunc(out, func(a, b strictjson.Edit) int { return cmp.Compare(a.Start, b.Start) })
	return out
}

// stop ends a blocked answer: what is held is never sent, and what was sent is
// completed as Bedrock completes an answer that its guardrail cut off.
func (s *Stream) stop() ([]byte, bool) {
	s.ended, s.held, s.out = true, nil, s.out[:0]
	index := s.block.index
	if s.block.open && (s.block.tool || s.shape == "claude") {
		if s.converse {
			s.out = eventstream.AppendEvent(s.out, "contentBlockStop", []byte(`{"contentBlockIndex":`+itoa(index)+`,"p":"abcdefgh"}`))
		} else {
			s.out = eventstream.AppendChunk(s.out, []byte(`{"type":"content_block_stop","index":`+itoa(index)+`}`), "abcdefgh")
		}
		index++
	} else if s.block.closed {
		index++
	}
	if s.converse {
		s.out = appendConverseEnd(s.out, s.verdict.Message, index, !s.begun)
	} else {
		s.out = appendNativeEnd(s.out, s.shape, s.verdict.Message, index, !s.begun)
	}
	return s.out, true
}

// fail says what becomes of an answer that cannot be judged.
func (s *Stream) fail(err error) ([]byte, bool) {
	s.verdict = s.e.settle(s.verdict, err)
	if s.verdict.Refusal == nil {
		return nil, false
	}
	s.ended = true
	s.held = nil
	s.out = eventstream.AppendException(s.out[:0], "serviceUnavailableException", []byte(`{"message":`+quote(call.GuardDown.Message)+`}`))
	return s.out, true
}
