package emulator

import "strings"

// shape is one form of request and answer: Converse, or a family's native
// bodies. A family that has two tells them apart by a member of the request.
type shape struct {
	name       string
	words      [numStops]string // why an answer ended; missing ones are as words[0]
	read       func(c *call) *wireError
	body       func(c *call, dst []byte) []byte
	stream     func(s *stream) // nil: cannot be streamed
	output     bool            // the answer is tokens
	tools      bool            // it can ask for the use of a tool
	thinks     bool            // it can show reasoning
	counts     bool            // InvokeModel reports token counts in headers
	lead       bool            // texts begin with a space
	defaultMax int64           // bound of the output where the request has none; 0 is none
}

func (s *shape) word(w stop) string {
	if s.words[w] == "" {
		return s.words[0]
	}
	return s.words[w]
}

// family is one row of the families of models.json: the shapes of its native
// bodies, and what Converse can do with it.
type family struct {
	name     string
	shape    *shape
	key      string // a request with this member has the other shape
	other    *shape
	chat     bool // Converse serves it
	noSystem bool // but not with a system prompt
	noTools  bool // but not with tools
	cached   bool // it has a prompt cache
}

var families = []family{
	{name: "claude", shape: &claude, chat: true, cached: true},
	{name: "claude-legacy", shape: &claudeLegacy, key: "messages", other: &claude, chat: true, noTools: true},
	{name: "titan-text", shape: &titanText, chat: true, noSystem: true, noTools: true},
	{name: "titan-embed", shape: &titanEmbed},
	{name: "titan-image", shape: &amazonImage},
	{name: "nova", shape: &nova, chat: true, cached: true},
	{name: "nova-image", shape: &amazonImage},
	{name: "nova-embed", shape: &novaEmbed},
	{name: "command", shape: &command, chat: true, noSystem: true, noTools: true},
	{name: "command-r", shape: &commandR, chat: true},
	{name: "cohere-embed", shape: &cohereEmbed},
	{name: "cohere-rerank", shape: &rerank},
	{name: "rerank", shape: &rerank},
	{name: "jurassic", shape: &jurassic, chat: true, noSystem: true, noTools: true},
	{name: "jamba", shape: &jamba, chat: true},
	{name: "llama", shape: &llama, chat: true},
	{name: "llama2", shape: &llama, chat: true, noTools: true},
	{name: "mistral", shape: &mistral, key: "messages", other: &openAI, chat: true},
	{name: "deepseek", shape: &deepseek, key: "messages", other: &openAI, chat: true},
	{name: "openai", shape: &openAI, chat: true},
	{name: "qwen", shape: &openAI, chat: true},
	{name: "kimi", shape: &openAI, chat: true},
	{name: "minimax", shape: &openAI, chat: true},
	{name: "glm", shape: &openAI, chat: true},
	{name: "nemotron", shape: &openAI, chat: true},
	{name: "gemma", shape: &openAI, chat: true},
	{name: "palmyra", shape: &openAI, chat: true},
	{name: "grok", shape: &openAI, chat: true},
	{name: "stability-image", shape: &stability, key: "text_prompts", other: &sdxl},
	{name: "twelvelabs", shape: &pegasus, key: "inputType", other: &marengo},
}

// familyOf finds a row by its name, nil for none.
func familyOf(name string) *family {
	for i := range families {
		if families[i].name == name {
			return &families[i]
		}
	}
	return nil
}

// native is the shape of the body that is parsed.
func (f *family) native(c *call) *shape {
	if f.key != "" && c.has(0, f.key) {
		return f.other
	}
	return f.shape
}

// uncached are the Claude models from before the prompt cache.
var uncached = []string{"anthropic.claude-3-haiku", "anthropic.claude-3-sonnet", "anthropic.claude-3-opus", "anthropic.claude-3-5-sonnet-20240620"}

// caches reports whether a model of the family has a prompt cache: then its
// answers carry the cache counts, even as zeros.
func (f *family) caches(model string) bool {
	if !f.cached {
		return false
	}
	for _, prefix := range uncached {
		if strings.HasPrefix(model, prefix) {
			return false
		}
	}
	return true
}

// outputLimit corrects the table's bound on output tokens where the service's
// documentation is more exact.
var outputLimit = map[string]int64{
	"amazon.titan-text-lite-v1":      4096,
	"amazon.titan-text-express-v1":   8192,
	"amazon.titan-text-premier-v1:0": 3072,
}

// checkMax refuses a bound that is beyond what the model can answer.
func (c *call) checkMax() *wireError {
	limit, ok := outputLimit[c.ref.ID]
	if !ok {
		limit = c.ref.MaxOutput
	}
	if limit > 0 && c.ask.maxTokens > limit {
		return tooManyTokens(limit)
	}
	return nil
}

// messages reads a conversation of a native body.
func (c *call) messages(n node) *wireError {
	if n == none {
		return missingKey("messages")
	}
	if !c.isList(n) {
		return errMalformed
	}
	for m := c.doc.First(n); m != none; m = c.doc.Next(m) {
		role := c.str(m, "role")
		if role == "" || !c.has(m, "content") && !c.has(m, "tool_calls") {
			return errMalformed
		}
		c.addMessage(role, c.get(m, "content"))
		c.addContent(c.get(m, "tool_calls"))
	}
	return nil
}

// prompt reads the one text of the completion shapes.
func (c *call) prompt(key string) *wireError {
	n := c.get(0, key)
	if n == none {
		return missingKey(key)
	}
	if _, ok := c.doc.String(n); !ok {
		return errMalformed
	}
	c.addPrompt(n)
	return nil
}

// firstError returns the first that is not nil.
func firstError(errs ...*wireError) *wireError {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}
