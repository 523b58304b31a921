package guard

import (
	"bytes"
	"math"
	"unicode"
	"unicode/utf8"
)

// A detector finds one kind of thing in a scan, in its raw text. It runs once a
// scan, and only if a rule asks and the text has what it needs.
type detector struct {
	name  string
	needs marks // the text must have one of these; 0: nothing. What needs digits looks at the folded text
	find  func(dst []span, s *scan) []span
	hints []string // one of these stands in the folded text, or there is nothing to find
}

// detectors is the table. canary, system_echo and score are not in it: they
// depend on more than the text.
const numDetectors = 22

var detectors = [numDetectors]detector{
	{name: "email", find: findEmails, hints: []string{"@"}},
	{name: "phone", needs: hasDigits, find: findPhones},
	{name: "card", needs: hasDigits, find: numbers(12, 19, isCard)},
	{name: "iban", needs: hasDigits, find: findIBANs},
	{name: "aws_key", find: findAWSKeys, hints: awsPrefixes[:]},
	{name: "private_key", find: findPrivateKeys, hints: []string{"-----begin "}},
	{name: "api_token", find: findTokens, hints: tokenHints},
	{name: "unicode_tags", needs: hasTags, find: findTags},
	{name: "zero_width", needs: hasInvisible, find: findZeroWidth},
	{name: "bidi", needs: hasBidi, find: findBidi},
	{name: "mixed_script", needs: hasForeign, find: findMixedScripts},
	{name: "encoded", find: findEncoded},
	{name: "national_id:us", needs: hasDigits, find: numbers(9, 9, isSSN)},
	{name: "national_id:uk", needs: hasDigits, find: findNINOs},
	{name: "national_id:de", needs: hasDigits, find: numbers(11, 11, isSteuerID)},
	{name: "national_id:fr", needs: hasDigits, find: numbers(15, 15, isNIR)},
	{name: "national_id:es", needs: hasDigits, find: findDNIs},
	{name: "national_id:it", needs: hasDigits, find: findCodici},
	{name: "national_id:nl", needs: hasDigits, find: numbers(9, 9, isBSN)},
	{name: "national_id:br", needs: hasDigits, find: numbers(11, 11, isCPF)},
	{name: "national_id:in", needs: hasDigits, find: numbers(12, 12, isAadhaar)},
	{name: "national_id:pl", needs: hasDigits, find: numbers(11, 11, isPESEL)},
}

// detect returns what detector i finds.
func (s *scan) detect(i int) []span {
	if s.looked&(1<<i) == 0 {
		s.looked |= 1 << i
		if d := &detectors[i]; (d.needs == 0 || s.fold.seen&d.needs != 0) && (len(d.hints) == 0 || len(s.hits[s.e.detectorHints[i]]) > 0) {
			s.detected[i] = d.find(s.detected[i], s)
			if d.needs == hasDigits {
				for k, sp := range s.detected[i] {
					s.detected[i][k] = s.unfold(sp)
				}
			}
		}
	}
	return s.detected[i]
}

// findEmails looks around each at sign.
func findEmails(dst []span, s *scan) []span {
	for at := 0; ; {
		i := bytes.IndexByte(s.raw[at:], '@')
		if i < 0 {
			return dst
		}
		at += i + 1
		start, end := at-1, at
		for start > 0 && at-start <= 64 && inLocal(s.raw[start-1]) {
			start--
		}
		dot := 0
		for end < len(s.raw) && end-at <= 253 && (alnum(s.raw[end]) || s.raw[end] == '-' || s.raw[end] == '.') {
			if s.raw[end] == '.' {
				dot = end
			}
			end++
		}
		for end > at && (s.raw[end-1] == '.' || s.raw[end-1] == '-') {
			end--
			if dot >= end {
				dot = at + bytes.LastIndexByte(s.raw[at:end], '.')
			}
		}
		if start < at-1 && dot > at && end-dot > 2 && letter(s.raw[dot+1]) {
			dst = append(dst, span{int32(start), int32(end)})
		}
	}
}

func alnum(c byte) bool { return letter(c) || '0' <= c && c <= '9' }

func inLocal(c byte) bool {
	return alnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'
}

// each calls yes for every place of prefix in text, from left to right, and goes
// on where yes says that it has read to.
func each(text []byte, prefix string, yes func(at int) int) {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(prefix))
		if i < 0 {
			return
		}
		at = max(yes(at+i), at+i+len(prefix))
	}
}

// runOf returns the end of the run at i of what in accepts.
func runOf(text []byte, i int, in func(byte) bool) int {
	for i < len(text) && in(text[i]) {
		i++
	}
	return i
}

func upperDigit(c byte) bool { return 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }

func base64Byte(c byte) bool { return alnum(c) || c == '+' || c == '/' }

// awsPrefixes begin the ids of access keys and of temporary ones.
var awsPrefixes = [...]string{"AKIA", "ASIA"}

// secretNear is how far from its id a secret access key is looked for.
const secretNear = 200

// findAWSKeys finds access key ids of 20 characters, and what looks like a
// secret access key within reach of one.
func findAWSKeys(dst []span, s *scan) []span {
	for _, prefix := range awsPrefixes {
		each(s.raw, prefix, func(at int) int {
			end := runOf(s.raw, at, upperDigit)
			if end-at < 20 || end-at > 24 || at > 0 && alnum(s.raw[at-1]) || end < len(s.raw) && alnum(s.raw[end]) {
				return end
			}
			dst = append(dst, span{int32(at), int32(end)})
			dst = findSecret(dst, s.raw, max(at-secretNear, 0), at)
			dst = findSecret(dst, s.raw, end, min(end+secretNear, len(s.raw)))
			return end
		})
	}
	return dst
}

// findSecret finds runs of exactly 40 characters that are as mixed as a key.
func findSecret(dst []span, text []byte, from, to int) []span {
	i := from
	if i > 0 && base64Byte(text[i-1]) { // in the middle of a run
		i = runOf(text, i, base64Byte)
	}
	for i < to {
		end := runOf(text, i, base64Byte)
		if end-i == 40 && entropy(text[i:end]) > 4 {
			dst = append(dst, span{int32(i), int32(end)})
		}
		i = end + 1
	}
	return dst
}

// entropy is in bits per byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	h := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(b))
			h -= p * math.Log2(p)
		}
	}
	return h
}

// keySpan bounds the search for the end of a private key.
const keySpan = 8 << 10

// findPrivateKeys finds PEM blocks, also those that are cut or have their line
// breaks escaped.
func findPrivateKeys(dst []span, s *scan) []span {
	each(s.raw, "-----BEGIN ", func(at int) int {
		head := s.raw[at+len("-----BEGIN "):]
		head = head[:min(len(head), 48)]
		i := bytes.Index(head, []byte("PRIVATE KEY"))
		if i < 0 || bytes.IndexByte(head[:i], '-') >= 0 {
			return at
		}
		end := at + len("-----BEGIN ") + i + len("PRIVATE KEY")
		rest := s.raw[end:min(len(s.raw), end+keySpan)]
		if n := bytes.Index(rest, []byte("-----END ")); n >= 0 {
			end += n + len("-----END ")
			if n := bytes.Index(s.raw[end:min(len(s.raw), end+64)], []byte("-----")); n >= 0 {
				end += n + len("-----")
			}
		} else {
			end += len(rest)
		}
		dst = append(dst, span{int32(at), int32(end)})
		return end
	})
	return dst
}

// tokenKinds are how tokens of well-known services begin, how long the rest of
// them is at least, and how mixed in bits a byte.
var tokenKinds = [...]struct {
	prefix  string
	least   int
	entropy float64
}{
	{"ghp_", 30, 3}, {"gho_", 30, 3}, {"ghu_", 30, 3}, {"ghs_", 30, 3}, {"ghr_", 30, 3}, {"github_pat_", 40, 3},
	{"glpat-", 20, 3}, {"sk-", 32, 3.5}, {"sk_live_", 20, 3}, {"rk_live_", 20, 3}, {"sk_test_", 20, 3},
	{"xoxb-", 20, 2.8}, {"xoxp-", 20, 2.8}, {"xoxa-", 20, 2.8}, {"xoxs-", 20, 2.8}, {"xapp-", 20, 2.8},
	{"AIza", 35, 3}, {"ya29.", 30, 3}, {"npm_", 30, 3}, {"pypi-", 40, 3}, {"hf_", 30, 3}, {"dop_v1_", 50, 3},
	{"SG.", 40, 3}, {"gth_", 20, 3}, {"ABSK", 60, 3},
}

var tokenHints = func() []string {
	hints := []string{"eyj"}
	for _, k := range tokenKinds {
		hints = append(hints, k.prefix)
	}
	return hints
}()

// findTokens finds tokens by their prefixes, and JSON web tokens.
func findTokens(dst []span, s *scan) []span {
	for i := range tokenKinds {
		k := &tokenKinds[i]
		each(s.raw, k.prefix, func(at int) int {
			body := at + len(k.prefix)
			end := runOf(s.raw, body, tokenByte)
			if end-body >= k.least && (at == 0 || !alnum(s.raw[at-1])) && entropy(s.raw[body:end]) > k.entropy {
				dst = append(dst, span{int32(at), int32(end)})
			}
			return end
		})
	}
	each(s.raw, "eyJ", func(at int) int {
		end := runOf(s.raw, at, func(c byte) bool { return tokenByte(c) || c == '.' })
		if parts := bytes.Count(s.raw[at:end], []byte(".")); parts >= 2 && end-at >= 40 && (at == 0 || !alnum(s.raw[at-1])) {
			dst = append(dst, span{int32(at), int32(end)})
		}
		return end
	})
	return dst
}

func tokenByte(c byte) bool { return alnum(c) || c == '_' || c == '-' || c == '=' }

// leastSelectors in a row are no longer a way to write an emoji.
const leastSelectors = 4

// findTags finds tag characters, except those of the flags that have them, and
// long rows of variation selectors.
func findTags(dst []span, s *scan) []span {
	run, flag := -1, false
	selectors := 0
	last := rune(0)
	for i, r := range string(s.raw) {
		if isTag(r) || isSelector(r) {
			if run < 0 {
				run, flag, selectors = i, last == 0x1f3f4, 0
			}
			if isSelector(r) {
				selectors++
			}
		} else if run >= 0 {
			n := utf8.RuneCount(s.raw[run:i])
			if tags := n - selectors; tags > 0 && !(flag && n <= 8 && last == 0xe007f) || selectors >= leastSelectors {
				dst = append(dst, span{int32(run), int32(i)})
			}
			run = -1
		}
		last = r
	}
	return dst // each text ends in a line break
}

// findZeroWidth finds invisible characters between letters of scripts that have
// no use for them.
func findZeroWidth(dst []span, s *scan) []span {
	last, at := rune(0), -1
	for i, r := range string(s.raw) {
		if isZeroWidth(r) {
			if at < 0 && unicode.In(last, unicode.Latin, unicode.Cyrillic, unicode.Greek) {
				at = i
			}
			continue
		}
		if at >= 0 && unicode.In(r, unicode.Latin, unicode.Cyrillic, unicode.Greek) {
			dst = append(dst, span{int32(at), int32(i)})
		}
		last, at = r, -1
	}
	return dst
}

// findBidi finds overrides, and embeddings and isolates that no right-to-left
// text explains.
func findBidi(dst []span, s *scan) []span {
	rtl := false
	for _, r := range string(s.raw) {
		if rtl = unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana); rtl {
			break
		}
	}
	for i, r := range string(s.raw) {
		if r == 0x202d || r == 0x202e || isBidi(r) && !rtl {
			dst = append(dst, span{int32(i), int32(i + utf8.RuneLen(r))})
		}
	}
	return dst
}

// findMixedScripts finds words with Latin letters and such of Greek, Cyrillic or
// other scripts as look like Latin ones.
func findMixedScripts(dst []span, s *scan) []span {
	start, latin, alike := -1, 0, 0
	for i, r := range string(s.raw) {
		if !wordRune(r) {
			if start >= 0 && latin > 0 && alike > 0 && latin+alike >= 3 {
				dst = append(dst, span{int32(start), int32(i)})
			}
			start, latin, alike = -1, 0, 0
			continue
		}
		if start < 0 {
			start = i
		}
		if r < utf8.RuneSelf {
			latin++
			if r <= '9' {
				latin--
			}
		} else if unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Coptic) {
			if _, ok := lookalike(unicode.ToLower(r)); ok && r != 'µ' {
				alike++
			}
		}
	}
	return dst
}

// findEncoded finds the texts of the next layer that came from an encoding.
func findEncoded(dst []span, s *scan) []span {
	if s.deeper == nil {
		return dst
	}
	for i := range s.deeper.segs {
		if seg := &s.deeper.segs[i]; seg.coded {
			dst = append(dst, seg.source)
		}
	}
	return dst
}
