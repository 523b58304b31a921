package emulator

import (
	"strconv"
	"strings"

	"gatehouse/internal/strictjson"
)

// node is a value of a request's body; none is an absent one.
type node = strictjson.Node

const none node = strictjson.None

// ask is what a request's body asks for, in no family's words.
type ask struct {
	text       []byte   // every text of the request, one after the other
	prompt     [2]int   // where in text the last user message stands
	input      int64    // tokens of texts, tool definitions and media
	maxTokens  int64    // the bound asked for; 0 is none
	stops      []string // stop sequences
	tools      []tool
	choice     string // of a tool: "" or auto, any, or tool and chosen has its name
	chosen     string
	toolResult bool // the last message brings a tool's result
	system     bool // there is a system prompt
	thinking   bool // the answer is to begin with reasoning

	cacheText   int   // text before the last cache point
	cacheTokens int64 // tokens before it

	guardrail, guardVersion string
	trace                   bool // of the guardrail

	stopField bool // Converse: /stop_sequence is among the response fields asked for
	tier      string
	latency   string

	inputs []node // embeddings: the texts to embed; rerank: the documents
	count  int    // images or completions asked for; rerank: results
	size   int    // embeddings: dimensions
	stream bool   // Cohere Command: "stream":true
}

// tool is a tool the model may use.
type tool struct {
	name   string
	schema node // of its input: a JSON schema, or none
}

// reset empties a for the next request and keeps its memory.
func (a *ask) reset() {
	*a = ask{text: a.text[:0], stops: a.stops[:0], tools: a.tools[:0], inputs: a.inputs[:0]}
}

// get walks down object members; none when one is absent.
func (c *call) get(n node, keys ...string) node {
	for _, k := range keys {
		n = c.doc.Get(n, k)
	}
	return n
}

func (c *call) has(n node, key string) bool { return c.doc.Get(n, key) != none }

// str is the string at a path, empty when there is none.
func (c *call) str(n node, keys ...string) string {
	s, _ := c.doc.String(c.get(n, keys...))
	return s
}

// int is the whole number at a path; ok is false when something else is there,
// and absent numbers are 0.
func (c *call) int(n node, keys ...string) (v int64, ok bool) {
	n = c.get(n, keys...)
	if k := c.doc.Kind(n); k == strictjson.Missing || k == strictjson.Null {
		return 0, true
	}
	return c.doc.Int(n)
}

// each calls f for the items of an array or the members of an object.
func (c *call) each(n node, f func(child node)) {
	for child := c.doc.First(n); child != none; child = c.doc.Next(child) {
		f(child)
	}
}

// isList reports whether n is an array with something in it.
func (c *call) isList(n node) bool {
	return c.doc.Kind(n) == strictjson.Array && c.doc.Len(n) > 0
}

// addText takes a string into the request's text.
func (c *call) addText(n node) {
	if c.doc.Kind(n) != strictjson.String {
		return
	}
	before := len(c.ask.text)
	c.ask.text, _ = c.doc.AppendString(c.ask.text, n)
	c.ask.input += tokens(len(c.ask.text) - before)
}

// addJSON counts a value that the model reads as JSON.
func (c *call) addJSON(n node) {
	if n == none {
		return
	}
	before := len(c.ask.text)
	c.ask.text = append(c.ask.text, c.doc.Raw(n)...)
	c.ask.input += tokens(len(c.ask.text) - before)
}

// addPrompt takes a string as the whole prompt.
func (c *call) addPrompt(n node) {
	start := len(c.ask.text)
	c.addText(n)
	c.ask.prompt = [2]int{start, len(c.ask.text)}
}

// addMessage takes the content of one message of a conversation. The last one
// of a user is the prompt.
func (c *call) addMessage(role string, content node) {
	start := len(c.ask.text)
	c.ask.toolResult = role == "tool"
	c.addContent(content)
	switch role {
	case "user":
		c.ask.prompt = [2]int{start, len(c.ask.text)}
	case "system", "developer":
		c.ask.system = true
	}
}

// addContent takes content in any of the dialects: a string, a block, or a list
// of them, of Converse, Nova, Claude or OpenAI. They use the same words for the
// same things, or words the others lack.
func (c *call) addContent(n node) {
	switch c.doc.Kind(n) {
	case strictjson.String:
		c.addText(n)
	case strictjson.Array:
		for item := c.doc.First(n); item != none; item = c.doc.Next(item) {
			c.addContent(item)
		}
	case strictjson.Object:
		for member := c.doc.First(n); member != none; member = c.doc.Next(member) {
			c.addMember(n, member)
		}
	}
}

// addMember takes one member of a content block.
func (c *call) addMember(block, member node) {
	switch c.doc.Key(member) {
	case "text", "thinking", "content", "guardContent", "reasoningContent", "reasoningText", "searchResult", "title":
		c.addContent(member)
	case "toolResult":
		c.ask.toolResult = true
		c.addContent(member)
	case "tool_use_id":
		c.ask.toolResult = true
	case "toolUse", "input", "json", "tool_calls":
		c.addJSON(member)
	case "image", "video", "audio", "image_url":
		c.ask.input += mediaTokens
	case "document":
		c.addDocument(member)
	case "source":
		// Claude's image and document blocks; a Converse search result's source is its URL.
		if c.doc.Kind(member) == strictjson.Object {
			c.ask.input += mediaTokens
		}
	case "cachePoint", "cache_control":
		c.ask.cacheText, c.ask.cacheTokens = len(c.ask.text), c.ask.input
	}
}

// addDocument takes a Converse document: its own text where it has some.
func (c *call) addDocument(n node) {
	c.addText(c.get(n, "context"))
	source := c.get(n, "source")
	if c.has(source, "bytes") || c.has(source, "s3Location") {
		c.ask.input += mediaTokens
	}
	c.addContent(source)
}

// addStops takes a list of stop sequences, or one alone.
func (c *call) addStops(n node) {
	if s, ok := c.doc.String(n); ok {
		c.ask.stops = append(c.ask.stops, s)
		return
	}
	c.each(n, func(item node) {
		if s, _ := c.doc.String(item); s != "" {
			c.ask.stops = append(c.ask.stops, s)
		}
	})
}

// addTool takes one tool definition.
func (c *call) addTool(name, description, schema node) {
	c.addText(description)
	if schema != none {
		c.addJSON(schema)
	}
	if s, ok := c.doc.String(name); ok {
		c.ask.tools = append(c.ask.tools, tool{s, schema})
	}
}

// bound reads the asked maximum of output tokens.
func (c *call) bound(n node, keys ...string) *wireError {
	v, ok := c.int(n, keys...)
	switch {
	case !ok:
		return mistyped(strings.Join(keys, "/"), "expected type: Integer")
	case v > 0, v == 0 && c.doc.Kind(c.get(n, keys...)) != strictjson.Number:
		c.ask.maxTokens = v
		return nil
	case c.shape.name == "converse":
		return constraint(strings.Join(keys, "."), "Member must have value greater than or equal to 1")
	}
	return mistyped(strings.Join(keys, "/"), "expected minimum value: 1, found: "+strconv.FormatInt(v, 10))
}

// promptText is the text of the last user message, or of everything when there
// is none.
func (a *ask) promptText() []byte {
	if a.prompt[1] > a.prompt[0] {
		return a.text[a.prompt[0]:a.prompt[1]]
	}
	return a.text
}
