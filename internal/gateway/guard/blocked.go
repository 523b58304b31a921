package guard

import (
	"encoding/json"
	"strings"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// What a caller gets in place of an answer has the shape of one, as with
// Bedrock's own guardrails, so that clients need not know us: of Converse with
// the stop reason guardrail_intervened, of the native operations the family's own
// body with the member that Bedrock adds.

// intervened is that member.
const intervened = `"amazon-bedrock-guardrailAction":"INTERVENED"`

// The metrics at the end of a native stream. They are about what the model did
// for this answer as sent, which is nothing; what the call cost is in its record.
const noMetrics = `"amazon-bedrock-invocationMetrics":{"inputTokenCount":0,"outputTokenCount":0,"invocationLatency":0,"firstByteLatency":0}`

const noUsage = `{"inputTokens":0,"outputTokens":0,"totalTokens":0}`

// bodies are what says M in a family: the whole answer, and the one document of
// a stream. U is the usage of the answer that it stands for.
var bodies = map[string]struct{ whole, part, usage string }{
	"claude": {
		whole: `{"id":"msg_bdrk_guard","type":"message","role":"assistant","content":[{"type":"text","text":M}],"stop_reason":"end_turn","stop_sequence":null,"usage":U}`,
		usage: `{"input_tokens":0,"output_tokens":0}`,
	},
	"claude-legacy": {
		whole: `{"type":"completion","completion":M,"stop_reason":"stop_sequence","stop":null}`,
		part:  `{"type":"completion","completion":M,"stop_reason":"stop_sequence","stop":null}`,
	},
	"titan-text": {
		whole: `{"inputTextTokenCount":0,"results":[{"tokenCount":0,"outputText":M,"completionReason":"CONTENT_FILTERED"}]}`,
		part:  `{"outputText":M,"index":0,"totalOutputTextTokenCount":0,"completionReason":"CONTENT_FILTERED","inputTextTokenCount":0}`,
	},
	"nova": {
		whole: `{"output":{"message":{"content":[{"text":M}],"role":"assistant"}},"stopReason":"content_filtered","usage":U}`,
		usage: noUsage,
	},
	"command": {
		whole: `{"generations":[{"finish_reason":"COMPLETE","id":"guard","text":M}],"id":"guard","prompt":""}`,
		part:  `{"index":0,"is_finished":true,"finish_reason":"COMPLETE","text":M}`,
	},
	"command-r": {
		whole: `{"response_id":"guard","text":M,"generation_id":"guard","finish_reason":"COMPLETE"}`,
		part:  `{"event_type":"text-generation","text":M,"is_finished":true}`,
	},
	"jurassic": {
		whole: `{"id":0,"prompt":{"text":"","tokens":[]},"completions":[{"data":{"text":M,"tokens":[]},"finishReason":{"reason":"endoftext"}}]}`,
	},
	"llama": {
		whole: `{"generation":M,"prompt_token_count":0,"generation_token_count":0,"stop_reason":"stop"}`,
		part:  `{"generation":M,"prompt_token_count":null,"generation_token_count":0,"stop_reason":"stop"}`,
	},
	"mistral-text": {
		whole: `{"outputs":[{"text":M,"stop_reason":"stop"}]}`,
		part:  `{"outputs":[{"text":M,"stop_reason":"stop"}]}`,
	},
	"deepseek-text": {
		whole: `{"choices":[{"text":M,"stop_reason":"stop"}]}`,
		part:  `{"choices":[{"text":M,"stop_reason":"stop"}]}`,
	},
	"twelvelabs": {
		whole: `{"message":M,"finishReason":"stop"}`,
		part:  `{"message":M,"finishReason":"stop"}`,
	},
	"openai": { // and all that speak as it does
		whole: `{"id":"chatcmpl-guard","object":"chat.completion","created":0,"choices":[{"index":0,"message":{"role":"assistant","content":M},"finish_reason":"content_filter"}],"usage":U}`,
		part:  `{"id":"chatcmpl-guard","object":"chat.completion.chunk","created":0,"choices":[{"index":0,"delta":{"role":"assistant","content":M},"finish_reason":"content_filter"}]}`,
		usage: `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
	},
}

// silent are the families that answer with images, numbers or nothing: there is
// no place for words.
var silent = map[string]bool{
	"stability-image": true, "titan-image": true, "titan-embed": true, "nova-embed": true, "cohere-embed": true,
	"rerank": true, "count-tokens": true, "apply-guardrail": true,
}

func answersText(f *bedrock.Family) bool { return f != nil && !silent[f.Name] }

// shapeOf returns the key in bodies of what the call is answered with.
func shapeOf(c *call.Call) string {
	name := c.Family.Name
	chat := c.Doc == nil || c.Doc.Get(0, "messages") != strictjson.None
	switch {
	case name == "mistral" && !chat:
		return "mistral-text"
	case name == "deepseek" && !chat:
		return "deepseek-text"
	case name == "claude-legacy" && c.Doc != nil && c.Doc.Get(0, "messages") != strictjson.None:
		return "claude"
	case bodies[name].whole == "":
		return "openai"
	}
	return name
}

// quote writes s as JSON.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// BlockedWhole is the answer to a blocked call whose operation answers whole, and
// its headers beside Content-Type. Only for families that answer with text: the verdict of the others
// has a refusal.
func BlockedWhole(c *call.Call, message string) (contentType string, body []byte, header map[string][]string) {
	header = map[string][]string{}
	if c.Family.Name != "converse" {
		header["X-Amzn-Bedrock-Input-Token-Count"] = []string{"0"}
		header["X-Amzn-Bedrock-Output-Token-Count"] = []string{"0"}
	}
	return "application/json", wholeBody(c, message, ""), header
}

// wholeBody writes message in the call's shape; usage is that of the answer that
// it takes the place of, as it stood there.
func wholeBody(c *call.Call, message, usage string) []byte {
	if c.Family.Name == "converse" {
		if usage == "" {
			usage = noUsage
		}
		return []byte(`{"metrics":{"latencyMs":0},"output":{"message":{"content":[{"text":` + quote(message) +
			`}],"role":"assistant"}},"stopReason":"guardrail_intervened","usage":` + usage + `}`)
	}
	b := bodies[shapeOf(c)]
	if usage == "" {
		usage = b.usage
	}
	return []byte(native(b.whole, message, usage) + "," + intervened + "}")
}

// native fills in a body of the table, and leaves off its last brace.
func native(shape, message, usage string) string {
	before, after, _ := strings.Cut(shape, ":M")
	after = strings.Replace(after, ":U", ":"+usage, 1)
	return before + ":" + quote(message) + strings.TrimSuffix(after, "}")
}

// BlockedStream is the whole stream that answers a blocked call whose operation
// streams. Only for families that answer with text.
func BlockedStream(c *call.Call, message string) []byte {
	if c.Family.Name == "converse" {
		return appendConverseEnd(nil, message, 0, true)
	}
	return appendNativeEnd(nil, shapeOf(c), message, 0, true)
}

// appendConverseEnd says message in block index, and ends the stream. begin is
// whether nothing was sent before.
func appendConverseEnd(dst []byte, message string, index int, begin bool) []byte {
	if begin {
		dst = eventstream.AppendEvent(dst, "messageStart", []byte(`{"p":"abcdefgh","role":"assistant"}`))
	}
	at := `{"contentBlockIndex":` + itoa(index)
	dst = eventstream.AppendEvent(dst, "contentBlockDelta", []byte(at+`,"delta":{"text":`+quote(message)+`},"p":"abcdefgh"}`))
	dst = eventstream.AppendEvent(dst, "contentBlockStop", []byte(at+`,"p":"abcdefgh"}`))
	dst = eventstream.AppendEvent(dst, "messageStop", []byte(`{"p":"abcdefgh","stopReason":"guardrail_intervened"}`))
	return eventstream.AppendEvent(dst, "metadata", []byte(`{"metrics":{"latencyMs":0},"p":"abcdefgh","usage":`+noUsage+`}`))
}

// appendNativeEnd says message in the shape of an answer, and ends the stream.
func appendNativeEnd(dst []byte, shape, message string, index int, begin bool) []byte {
	chunk := func(doc string) { dst = eventstream.AppendChunk(dst, []byte(doc), "abcdefgh") }
	switch shape {
	case "claude":
		if begin {
			chunk(`{"type":"message_start","message":{"id":"msg_bdrk_guard","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}`)
		}
		at := `,"index":` + itoa(index)
		chunk(`{"type":"content_block_start"` + at + `,"content_block":{"type":"text","text":""}}`)
		chunk(`{"type":"content_block_delta"` + at + `,"delta":{"type":"text_delta","text":` + quote(message) + `}}`)
		chunk(`{"type":"content_block_stop"` + at + `}`)
		chunk(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":0}}`)
		chunk(`{"type":"message_stop",` + intervened + `,` + noMetrics + `}`)
	case "nova":
		at := `{"contentBlockDelta":{"contentBlockIndex":` + itoa(index)
		if begin {
			chunk(`{"messageStart":{"role":"assistant"}}`)
		}
		chunk(at + `,"delta":{"text":` + quote(message) + `}}}`)
		chunk(`{"contentBlockStop":{"contentBlockIndex":` + itoa(index) + `}}`)
		chunk(`{"messageStop":{"stopReason":"content_filtered"}}`)
		chunk(`{"metadata":{"usage":` + noUsage + `,"metrics":{},"trace":{}},` + intervened + `,` + noMetrics + `}`)
	default:
		b := bodies[shape]
		part := b.part
		if part == "" {
			part = b.whole
		}
		chunk(native(part, message, b.usage) + "," + intervened + "," + noMetrics + "}")
	}
	return dst
}
