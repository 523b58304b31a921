package bedrock

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestUsageFromHeaders(t *testing.T) {
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set("X-Amzn-Bedrock-"+pairs[i], pairs[i+1])
		}
		return h
	}
	for _, c := range []struct {
		name string
		h    http.Header
		want Usage
		ok   bool
	}{
		{"recorded", header("Input-Token-Count", "5", "Output-Token-Count", "10", "Invocation-Latency", "608"), Usage{Input: 5, Output: 10}, true},
		{"cache", header("Input-Token-Count", "4", "Output-Token-Count", "10", "Cache-Read-Input-Token-Count", "18131", "Cache-Write-Input-Token-Count", "0"), Usage{Input: 4, Output: 10, CacheRead: 18131}, true},
		{"embedding", header("Input-Token-Count", "6"), Usage{Input: 6}, true},
		{"none", header("Invocation-Latency", "608"), Usage{}, false},
		{"negative", header("Input-Token-Count", "-5", "Output-Token-Count", "10"), Usage{}, false},
		{"too large", header("Input-Token-Count", "9223372036854775808"), Usage{}, false},
		{"no number", header("Input-Token-Count", "5", "Output-Token-Count", "1e3"), Usage{}, false},
	} {
		if got, ok := UsageFromHeaders(c.h); got != c.want || ok != c.ok {
			t.Errorf("%s: got %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// TestUsageFromBody reads answers as they were recorded or documented.
func TestUsageFromBody(t *testing.T) {
	for _, c := range []struct {
		family, body string
		want         Usage
		ok           bool
	}{
		{"converse", `{"metrics":{"latencyMs":608},"output":{"message":{"content":[{"text":"…"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":8,"outputTokens":10,"serverToolUsage":{},"totalTokens":18}}`, Usage{Input: 8, Output: 10}, true},
		{"converse", `{"usage":{"cacheReadInputTokens":18131,"cacheWriteInputTokens":7,"inputTokens":4,"outputTokens":10,"totalTokens":18152}}`, Usage{Input: 4, Output: 10, CacheRead: 18131, CacheWrite: 7}, true},
		{"claude", `{"id":"msg_bdrk_01","type":"message","role":"assistant","model":"claude-2.0","content":[{"type":"text","text":"…"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":37,"output_tokens":8}}`, Usage{Input: 37, Output: 8}, true},
		{"claude", `{"usage":{"input_tokens":4,"cache_creation_input_tokens":18131,"cache_read_input_tokens":2,"output_tokens":8}}`, Usage{Input: 4, Output: 8, CacheRead: 2, CacheWrite: 18131}, true},
		{"converse", `{"usage":{"cacheDetails":[{"inputTokens":300,"ttl":"1h"},{"inputTokens":20,"ttl":"5m"}],"cacheWriteInputTokens":320,"inputTokens":4,"outputTokens":10,"totalTokens":334}}`, Usage{Input: 4, Output: 10, CacheWrite: 320, Write1h: 300}, true},
		{"claude", `{"usage":{"input_tokens":4,"cache_creation_input_tokens":320,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":300},"output_tokens":8}}`, Usage{Input: 4, Output: 8, CacheWrite: 320, Write1h: 300}, true},
		{"claude-legacy", `{"type":"completion","completion":" …","stop_reason":"stop_sequence","stop":"\n\nHuman:"}`, Usage{}, false},
		{"titan-text", `{"inputTextTokenCount":5,"results":[{"tokenCount":10,"outputText":"…","completionReason":"LENGTH"},{"tokenCount":4}]}`, Usage{Input: 5, Output: 14}, true},
		{"titan-text", `{"inputTextTokenCount":5.0,"results":[{"tokenCount":28.0}],"amazon-bedrock-guardrailAction":"INTERVENED"}`, Usage{Input: 5, Output: 28}, true},
		{"nova", `{"output":{},"stopReason":"max_tokens","usage":{"inputTokens":24,"outputTokens":10,"totalTokens":34,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":2}}`, Usage{Input: 24, Output: 10, CacheRead: 3, CacheWrite: 2}, true},
		{"command", `{"id":"x","generations":[{"id":"uuid","text":"…","finish_reason":"MAX_TOKENS"}],"prompt":"…"}`, Usage{}, false},
		{"command-r", `{"response_id":"x","text":"…","generation_id":"uuid","chat_history":[],"finish_reason":"MAX_TOKENS"}`, Usage{}, false},
		{"jurassic", `{"id":1234,"prompt":{"text":"…","tokens":[{},{},{}]},"completions":[{"data":{"text":"…","tokens":[{},{}]},"finishReason":{"reason":"endoftext"}},{"data":{"tokens":[{}]}}]}`, Usage{Input: 3, Output: 3}, true},
		{"jamba", `{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"…"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, Usage{Input: 1, Output: 2}, true},
		{"llama", `{"generation":"…","prompt_token_count":5,"generation_token_count":10,"stop_reason":"length"}`, Usage{Input: 5, Output: 10}, true},
		{"mistral", `{"outputs":[{"text":"…","stop_reason":"length"}]}`, Usage{}, false},
		{"mistral", `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":7}}`, Usage{Input: 6, Output: 7}, true},
		{"deepseek", `{"choices":[{"text":"…","stop_reason":"stop"}]}`, Usage{}, false},
		{"openai", `{"object":"text_completion","choices":[{"index":0,"text":"…","finish_reason":"length"}],"usage":{"prompt_tokens":6,"completion_tokens":100,"total_tokens":106}}`, Usage{Input: 6, Output: 100}, true},
		{"stability-image", `{"seeds":[2130420379],"finish_reasons":[null],"images":["<base64>"]}`, Usage{Images: 1}, true},
		{"stability-image", `{"finish_reasons":["Filter reason: prompt"]}`, Usage{}, false},
		{"titan-image", `{"images":["a","b"],"error":null}`, Usage{Images: 2}, true},
		{"titan-embed", `{"embedding":[0.1,0.2],"inputTextTokenCount":6}`, Usage{Input: 6}, true},
		{"cohere-embed", `{"embeddings":[[0.1]],"id":"uuid","response_type":"embeddings_floats","texts":["…"]}`, Usage{}, false},
		// Counts that cannot be.
		{"openai", `{"usage":{"prompt_tokens":-6,"completion_tokens":1.5}}`, Usage{}, false},
		{"openai", `{"usage":{"prompt_tokens":"6","completion_tokens":1e30}}`, Usage{}, false},
		{"openai", `{"usage":null}`, Usage{}, false},
		{"titan-text", `{"results":[{"tokenCount":9223372036854775807},{"tokenCount":9223372036854775807}]}`, Usage{Output: 1<<63 - 1}, true},
	} {
		if got, ok := FamilyOf(c.family).UsageFromBody(parse(t, c.body)); got != c.want || ok != c.ok {
			t.Errorf("%s %s: got %+v, %v; want %+v, %v", c.family, c.body, got, ok, c.want, c.ok)
		}
	}
}

// chunk wraps a native document as InvokeModelWithResponseStream does.
func chunk(doc string) []byte {
	return []byte(`{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(doc)) + `","p":"abcdefghijklm"}`)
}

const metricsBlock = `"amazon-bedrock-invocationMetrics":{"inputTokenCount":14,"outputTokenCount":10,"invocationLatency":1321,"firstByteLatency":439,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":2}`

var fromMetrics = Usage{Input: 14, Output: 10, CacheRead: 3, CacheWrite: 2}

// TestStreamUsage feeds streams as they were recorded, each once whole and once
// cut before its last document.
func TestStreamUsage(t *testing.T) {
	for _, c := range []struct {
		family string
		docs   []string // "event-type {…}" for Converse
		text   int64
		want   Usage
		told   bool
		cut    Usage // without the last document
		cutOK  bool
	}{
		{"claude", []string{
			`{"type":"message_start","message":{"id":"msg_bdrk_01","content":[],"usage":{"input_tokens":14,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi \"you\""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":133}}`,
			`{"type":"message_stop",` + metricsBlock + `}`,
		}, 10 + 2 + 7, fromMetrics, true, Usage{Input: 14, Output: 133, CacheRead: 3, CacheWrite: 2}, true},
		{"claude", []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":14,"output_tokens":1}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"the \"usage\": {\"output_tokens\": 9}"}}`,
			`{"type":"message_delta","delta":{},"usage":{"output_tokens":20}}`,
		}, 37, Usage{Input: 14, Output: 20}, true, Usage{Input: 14, Output: 1}, false},
		{"claude", []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":14,"cache_creation_input_tokens":2,"cache_creation":{"ephemeral_1h_input_tokens":2},"output_tokens":1}}}`,
			`{"type":"message_stop",` + metricsBlock + `}`,
		}, 0, Usage{Input: 14, Output: 10, CacheRead: 3, CacheWrite: 2, Write1h: 2}, true, Usage{Input: 14, Output: 1, CacheWrite: 2, Write1h: 2}, false},
		{"claude-legacy", []string{
			`{"completion":" Here","stop_reason":null,"stop":null}`,
			`{"completion":"","stop_reason":"stop_sequence","stop":"\n\nHuman:",` + metricsBlock + `}`,
		}, 5, fromMetrics, true, Usage{}, false},
		{"titan-text", []string{
			`{"outputText":"abc","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":5}`,
			`{"outputText":"de","index":0,"totalOutputTextTokenCount":10,"completionReason":"LENGTH","inputTextTokenCount":5}`,
		}, 5, Usage{Input: 5, Output: 10}, true, Usage{Input: 5}, false},
		{"nova", []string{
			`{"messageStart":{"role":"assistant"}}`,
			`{"contentBlockDelta":{"delta":{"text":"It"},"contentBlockIndex":0}}`,
			`{"contentBlockStop":{"contentBlockIndex":0}}`,
			`{"metadata":{"usage":{"inputTokens":24,"outputTokens":9,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":0},"metrics":{},"trace":{}}}`,
			`{"messageStop":{"stopReason":"max_tokens"}}`,
		}, 2, Usage{Input: 24, Output: 9, CacheRead: 3}, true, Usage{Input: 24, Output: 9, CacheRead: 3}, true},
		{"command", []string{
			`{"text":"abc","is_finished":false}`,
			`{"is_finished":true,"finish_reason":"COMPLETE",` + metricsBlock + `}`,
		}, 3, fromMetrics, true, Usage{}, false},
		{"llama", []string{
			`{"generation":" ","prompt_token_count":17,"generation_token_count":1,"stop_reason":null}`,
			`{"generation":"two","prompt_token_count":null,"generation_token_count":2,"stop_reason":null}`,
			`{"generation":"","prompt_token_count":null,"generation_token_count":3,"stop_reason":"stop",` + metricsBlock + `}`,
		}, 4, fromMetrics, true, Usage{Input: 17, Output: 2}, false},
		{"mistral", []string{
			`{"outputs":[{"text":" To","stop_reason":null}]}`,
			`{"outputs":[{"text":"","stop_reason":"length"}],` + metricsBlock + `}`,
		}, 3, fromMetrics, true, Usage{}, false},
		{"openai", []string{
			`{"object":"chat.completion.chunk","choices":[{"delta":{"content":"a","reasoning_content":"bc"}}],"usage":null}`,
			`{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":6,"completion_tokens":7,"total_tokens":13}}`,
		}, 3, Usage{Input: 6, Output: 7}, true, Usage{}, false},
		{"converse", []string{
			`messageStart {"p":"abcd","role":"assistant"}`,
			`contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"abcdefghijkl"}`,
			`contentBlockStart {"contentBlockIndex":1,"p":"ab","start":{"toolUse":{"name":"get_weather","toolUseId":"tooluse_1"}}}`,
			`contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"locati"}},"p":"ab"}`,
			`contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"text":"hm"}},"p":"ab"}`,
			`contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"signature":"c2ln"}},"p":"ab"}`,
			`contentBlockStop {"contentBlockIndex":0,"p":"ab"}`,
			`messageStop {"p":"ab","stopReason":"end_turn"}`,
			`metadata {"metrics":{"latencyMs":593},"p":"ab","usage":{"cacheReadInputTokens":1,"inputTokens":8,"outputTokens":10,"totalTokens":18}}`,
		}, 2 + 9 + 2, Usage{Input: 8, Output: 10, CacheRead: 1}, true, Usage{}, false},
	} {
		whole, cut := FamilyOf(c.family).NewStreamUsage(), FamilyOf(c.family).NewStreamUsage()
		for i, doc := range c.docs {
			event, payload := "chunk", chunk(doc)
			if name, body, ok := strings.Cut(doc, " {"); ok && name[0] != '{' {
				event, payload = name, []byte("{"+body)
			}
			whole.Event(event, payload)
			if i < len(c.docs)-1 {
				cut.Event(event, payload)
			}
		}
		if got, told := whole.Usage(); got != c.want || told != c.told || whole.TextBytes() != c.text {
			t.Errorf("%s: got %+v, %v, %d bytes; want %+v, %v, %d", c.family, got, told, whole.TextBytes(), c.want, c.told, c.text)
		}
		if got, told := cut.Usage(); got != c.cut || told != c.cutOK {
			t.Errorf("%s, cut: got %+v, %v; want %+v, %v", c.family, got, told, c.cut, c.cutOK)
		}
	}
}

// TestMetricsWin checks that Bedrock's own count stands, whatever follows.
func TestMetricsWin(t *testing.T) {
	s := FamilyOf("llama").NewStreamUsage()
	s.Event("chunk", chunk(`{"generation":"","generation_token_count":97,`+metricsBlock+`}`))
	s.Event("chunk", chunk(`{"generation":"x","prompt_token_count":1,"generation_token_count":133}`))
	if got, told := s.Usage(); got != fromMetrics || !told {
		t.Errorf("got %+v, %v", got, told)
	}
}

// TestEnded checks that only Bedrock's own last event ends a stream, not a count
// of the model's.
func TestEnded(t *testing.T) {
	for _, c := range []struct {
		family, event, payload string
		want                   bool
	}{
		{"openai", "chunk", `{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":6,"completion_tokens":1}}`, false},
		{"claude", "chunk", `{"type":"message_delta","delta":{},"usage":{"output_tokens":20}}`, false},
		{"openai", "chunk", `{"choices":[],` + metricsBlock + `}`, true},
		{"stability-image", "chunk", `{"amazon-bedrock-invocationMetrics":{"invocationLatency":5}}`, true},
		{"openai", "chunk", `{"amazon-bedrock-invocationMetrics":null}`, false},
		{"openai", "chunk", `{"choices":[{` + metricsBlock + `}]}`, false},
		{"openai", "chunk", `{"choices":[{"delta":{"content":"\"amazon-bedrock-invocationMetrics\":{}"}}]}`, false},
		{"openai", "chunk", `{` + metricsBlock, false},
		{"converse", "messageStop", `{"stopReason":"end_turn"}`, false},
		{"converse", "messageStop", `{` + metricsBlock + `}`, false},
		{"converse", "metadata", `{"usage":{"inputTokens":8,"outputTokens":10}}`, true},
		{"converse", "metadata", `{"metrics":{}}`, true},
	} {
		s, payload := FamilyOf(c.family).NewStreamUsage(), []byte(c.payload)
		if c.event == "chunk" {
			payload = chunk(c.payload)
		}
		s.Event(c.event, payload)
		if s.Ended() != c.want {
			t.Errorf("%s: %s %s: ended %v, want %v", c.family, c.event, c.payload, s.Ended(), c.want)
		}
		s.Event("chunk", chunk(`{"more":1}`))
		if s.Ended() {
			t.Errorf("%s: %s %s: more came, and it had ended", c.family, c.event, c.payload)
		}
	}
	s := FamilyOf("openai").NewStreamUsage()
	for range 2 {
		if s.Event("chunk", chunk(`{`+metricsBlock+`}`)); !s.Ended() {
			t.Error("a second metrics block is no end")
		}
	}
}

func TestStreamUsageIgnores(t *testing.T) {
	s := FamilyOf("claude").NewStreamUsage()
	for _, payload := range []string{``, `{}`, `{"bytes":"`, `{"bytes":"%%%"}`, `{"bytes":5}`, string(chunk(`{"usage":{"output_tokens":7}`)), string(chunk(`{"a":{"usage":{"output_tokens":7}}}`)), string(chunk(`{"usage":{"output_tokens":-7}}`)), string(chunk(`"usage"`)), string(chunk(`{"text`)), string(chunk(`{"text":"\`))} {
		s.Event("chunk", []byte(payload))
	}
	if got, told := s.Usage(); got != (Usage{}) || told {
		t.Errorf("got %+v, %v", got, told)
	}
}

func FuzzStreamUsage(f *testing.F) {
	f.Add("chunk", chunk(`{"type":"message_delta","usage":{"output_tokens":20}}`))
	f.Add("chunk", chunk(`{"generation":"a\"b","generation_token_count":2,`+metricsBlock+`}`))
	f.Add("metadata", []byte(`{"usage":{"inputTokens":8,"outputTokens":10}}`))
	f.Fuzz(func(t *testing.T, event string, payload []byte) {
		for i := range Families {
			s := Families[i].NewStreamUsage()
			s.Event(event, payload)
			s.Event("chunk", chunk(string(payload)))
			u, _ := s.Usage()
			if min(u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Images, s.TextBytes()) < 0 {
				t.Errorf("%s: %+v, %d bytes", Families[i].Name, u, s.TextBytes())
			}
		}
	})
}

// deltas are one frame of text each, as they make up nearly all of a stream.
var deltas = []struct {
	family, event string
	payload       []byte
}{
	{"converse", "contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":" swallow"},"p":"abcdefghijklmnopqrstuvwxyzABCDEFGH"}`)},
	{"claude", "chunk", chunk(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" swallow"}}`)},
	{"llama", "chunk", chunk(`{"generation":" swallow","prompt_token_count":null,"generation_token_count":2,"stop_reason":null}`)},
}

func TestDeltasAllocateNothing(t *testing.T) {
	for _, d := range deltas {
		s := FamilyOf(d.family).NewStreamUsage()
		s.Event(d.event, d.payload)
		if n := testing.AllocsPerRun(100, func() { s.Event(d.event, d.payload) }); n != 0 {
			t.Errorf("%s: %v allocations a delta", d.family, n)
		}
	}
}

func BenchmarkStreamDelta(b *testing.B) {
	for _, d := range deltas {
		b.Run(d.family, func(b *testing.B) {
			s := FamilyOf(d.family).NewStreamUsage()
			b.ReportAllocs()
			for b.Loop() {
				s.Event(d.event, d.payload)
			}
		})
	}
}
