package guard

import (
	"bytes"
	"slices"
)

// hold says how much of the end of a stream's text must wait, because a match
// that blocks or masks may begin in it. Rules that only flag hold nothing back:
// what they match is noticed when it is whole.
type hold struct {
	// fixed is how far a match of patterns, groups, scorers or echoes may span.
	// When it is 0, the rules are words and detectors, and it shows in the text
	// whether it ends within something that they could match.
	fixed int32
	keys  bool // private keys are among them
	words *automaton
	reach int // of the longest of words
}

// holdOf looks at the rules for answers.
func holdOf(rules []compiled, o *Options) hold {
	var h hold
	var words []string
	for i := range rules {
		if r := &rules[i]; r.Action != Flag && !r.Observe && !o.Observe {
			h.add(r.match)
			words = appendWordsOf(words, &r.Match, o.Canaries)
		}
	}
	h.words = newAutomaton(words)
	for _, w := range words {
		h.reach = max(h.reach, len(w))
	}
	return h
}

// appendWordsOf appends the keywords of c, folded, and the canaries if it asks for them.
func appendWordsOf(dst []string, c *Cond, canaries []string) []string {
	for _, k := range c.Keywords {
		dst = append(dst, foldWord(k).text)
	}
	if slices.Contains(c.Detectors, "canary") {
		for _, s := range canaries {
			dst = append(dst, string(Fold(nil, []byte(s))))
		}
	}
	for i := range c.Any {
		dst = appendWordsOf(dst, &c.Any[i], canaries)
	}
	return dst
}

func (h *hold) add(n *node) {
	for i := range n.patterns {
		h.fixed = max(h.fixed, int32(n.patterns[i].reach))
	}
	if len(n.scorers) > 0 || n.echo || len(n.exact) > 0 || n.minLength > 0 || len(n.unless) > 0 {
		h.fixed = maxReach
	}
	if len(n.all)+len(n.then) > 0 {
		h.fixed = max(h.fixed, int32(n.within))
	}
	for _, d := range n.detectors {
		switch detectors[d].name {
		case "private_key":
			h.keys = true
		case "encoded":
			h.fixed = maxReach
		}
	}
	for _, list := range [...][]*node{n.any, n.all, n.then, n.unless} {
		for _, sub := range list {
			h.add(sub)
		}
	}
}

// from returns the raw byte of s, whose text is one, at which what must wait begins.
func (h *hold) from(s *scan, decode bool) int {
	end := int(s.segs[0].raw.end)
	if h.fixed > 0 {
		at, _ := clip(s.raw, end-int(h.fixed), end)
		return at
	}
	at := min(h.word(s), h.token(s.raw[:end], decode))
	if h.keys {
		if i := bytes.LastIndex(s.raw[max(end-64, 0):end], []byte("--BEGIN")); i >= 0 {
			at = min(at, max(end-64, 0)+i-8)
		}
	}
	return max(at, end-maxReach, 0)
}

// word returns where the longest beginning of a word of the rules stands that
// the text ends with, or a word that is whole but may go on.
func (h *hold) word(s *scan) int {
	buf := s.fold.buf[:s.segs[0].fold.end]
	depth := h.words.depth(buf[max(len(buf)-h.reach, 0):])
	return int(s.unfold(span{int32(len(buf) - depth), int32(len(buf))}).start)
}

// token returns where the last word begins, together with words before it that
// could be of one number or code: short, or with a digit in them.
func (h *hold) token(text []byte, decode bool) int {
	at := len(text)
	for at > 0 && len(text)-at < maxReach {
		start := at
		digit, plain := false, true
		for start > 0 && !blank(text[start-1]) && len(text)-start < maxReach {
			start--
			digit = digit || '0' <= text[start] && text[start] <= '9' || text[start] >= 0x80
			plain = plain && (upperDigit(text[start]) || !alnum(text[start]))
		}
		if at < len(text) && start < at && !digit && !(plain && at-start <= 4) && !(decode && at-start <= 3) {
			for at < len(text) && blank(text[at]) {
				at++
			}
			return at
		}
		at = start
		if at == 0 || !blank(text[at-1]) {
			return at
		}
		at--
	}
	return max(at, 0)
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
