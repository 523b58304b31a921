package normalise

import (
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// This file finds what was said in the bodies of every family of models: what
// the caller asked, the system's instructions, and the answer. It is texts
// only, joined by line breaks, and bounded. What tools returned and what
// documents say counts as asked: it is how others than the caller get words
// before the model. Turns of the assistant in the history do not.

// maxText bounds each of the three texts.
const maxText = 1 << 20

// maxTextDepth bounds content within content.
const maxTextDepth = 8

// pieces makes the text of a cell, piece by piece.
type pieces struct {
	c   *cell
	sep string // between pieces
	n   int    // bytes so far
}

func (p *pieces) add(b []byte) {
	if len(b) == 0 || p.n >= maxText {
		return
	}
	if p.n > 0 {
		p.c.add([]byte(p.sep))
		p.n += len(p.sep)
	}
	if room := maxText - p.n; len(b) > room {
		b = whole(b[:room])
		p.n = maxText // nothing may follow what was cut
	}
	p.c.add(b)
	p.n += len(b)
}

// whole takes off the beginning of a character at the end.
func whole(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// inputMembers are the members of native requests that are, or lead to, what
// was asked.
var inputMembers = paths("prompt", "inputText", "inputTexts", "texts", "message", "query", "documents", "inputs", "text",
	"text_prompts", "textToImageParams.text", "textToVideoParams.text", "imageVariationParams.text", "inPaintingParams.text",
	"outPaintingParams.text", "singleEmbeddingParams.text.value", "segmentedEmbeddingParams.text.value")

func promptText(doc *fastjson.Value, c *cell) {
	p := &pieces{c: c, sep: "\n"}
	in := body(doc, inputBody)
	for _, m := range in.GetArray("messages") {
		if asks(m) {
			p.content(m.Get("content"), 0)
		}
	}
	for _, way := range inputMembers {
		p.content(in.Get(way...), 0)
	}
	p.items(in.Get("input"))
	if in != nil && in.Type() == fastjson.TypeString {
		p.add(text(in))
	}
}

// asks reports whether a turn of a conversation is of the caller's side.
func asks(turn *fastjson.Value) bool {
	switch string(text(turn.Get("role"))) {
	case "assistant", "system", "developer", "model":
		return false
	}
	return true
}

// items takes the input of the Responses API: a text, or turns.
func (p *pieces) items(v *fastjson.Value) {
	p.add(text(v))
	for _, item := range v.GetArray() {
		if asks(item) {
			p.content(item, 0)
		}
	}
}

func systemText(doc *fastjson.Value, c *cell) {
	p := &pieces{c: c, sep: "\n"}
	in := body(doc, inputBody)
	for _, name := range [...]string{"system", "preamble", "instructions"} {
		p.content(in.Get(name), 0)
	}
	for _, list := range [...]string{"messages", "input"} {
		for _, m := range in.GetArray(list) {
			if role := string(text(m.Get("role"))); role == "system" || role == "developer" {
				p.content(m.Get("content"), 0)
			}
		}
	}
}

// contentMembers are the members of a block of content that are, or lead to,
// text. Images, calls of tools and what a model thought are not among them.
var contentMembers = paths("text", "content", "guardContent.text.text", "toolResult.content", "document.source.text",
	"document.source.content", "document.context", "source.data", "output", "json")

// content adds the texts of content: a string, a list of blocks, or a block.
func (p *pieces) content(v *fastjson.Value, depth int) {
	if v == nil || depth > maxTextDepth {
		return
	}
	switch v.Type() {
	case fastjson.TypeString:
		p.add(text(v))
	case fastjson.TypeArray:
		for _, e := range v.GetArray() {
			p.content(e, depth+1)
		}
	case fastjson.TypeObject:
		for _, way := range contentMembers {
			if way[0] == "source" && !isTextSource(v) {
				continue
			}
			p.content(v.Get(way...), depth+1)
		}
	}
}

// isTextSource tells a document that is text from one that is bytes.
func isTextSource(block *fastjson.Value) bool {
	return string(text(block.Get("source", "type"))) == "text"
}

// outputMembers are the members of native answers that are, or lead to, what
// the model said; of chunks of streamed answers too.
var outputMembers = paths("content", "completion", "generation", "outputText", "results", "outputs",
	"generations", "choices", "completions", "text", "output_text", "output",
	"delta.text", "contentBlockDelta.delta.text", "chunk.text", "data.text", "message.content", "delta.content")

func responseText(doc *fastjson.Value, c *cell) {
	out := body(doc, outputBody)
	if out == nil {
		return
	}
	if out.Type() != fastjson.TypeArray {
		(&pieces{c: c, sep: "\n"}).answer(out, 0)
		return
	}
	p := &pieces{c: c}
	for _, chunk := range out.GetArray() {
		if chunk.Type() == fastjson.TypeObject {
			p.answer(chunk, 0)
		}
	}
}

// answer adds the texts of an answer or of a part of one.
func (p *pieces) answer(v *fastjson.Value, depth int) {
	if v == nil || depth > maxTextDepth {
		return
	}
	switch v.Type() {
	case fastjson.TypeString:
		p.add(text(v))
	case fastjson.TypeArray:
		for _, e := range v.GetArray() {
			p.answer(e, depth+1)
		}
	case fastjson.TypeObject:
		for _, way := range outputMembers {
			p.answer(v.Get(way...), depth+1)
		}
	}
}
