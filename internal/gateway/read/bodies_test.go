package read

import (
	"testing"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

// Bodies with everything that coding agents, SDKs and frameworks put into them
// pass: strictness is for what nobody understands, not for what is rarely used.
func TestRealBodies(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	for i, tt := range []struct{ op, model, body string }{
		{"InvokeModelWithResponseStream", "us.anthropic.claude-sonnet-4-20250514-v1:0", `{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["interleaved-thinking-2025-05-14","context-1m-2025-08-07"],"max_tokens":32000,"metadata":{"user_id":"user_abc"},"system":[{"type":"text","text":"You are Claude Code","cache_control":{"type":"ephemeral","ttl":"1h"}}],"thinking":{"type":"enabled","budget_tokens":31999},"tools":[{"name":"Bash","description":"run","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}},{"type":"web_search_20250305","name":"web_search","max_uses":8},{"type":"bash_20250124","name":"bash"},{"type":"computer_20250124","name":"computer","display_width_px":1024,"display_height_px":768}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"temperature":1,"context_management":{"edits":[{"type":"clear_tool_uses_20250919","trigger":{"type":"input_tokens","value":30000},"keep":{"type":"tool_uses","value":3}}]},"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hmm","signature":"abc"},{"type":"redacted_thinking","data":"xyz"},{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"files","is_error":false},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"x","context":"y","citations":{"enabled":true}}]}]}`},
		{"InvokeModel", "us.anthropic.claude-sonnet-4-20250514-v1:0", `{"anthropic_version":"2026-10-21","max_tokens":100,"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},"output_format":{"type":"json_schema","schema":{"type":"object"}},"container":null,"service_tier":"auto","stop_sequences":["x"],"top_k":5,"top_p":0.5,"messages":[{"role":"user","content":"hi"}]}`},
		{"Converse", "us.amazon.nova-pro-v1:0", `{"messages":[{"role":"user","content":[{"text":"a"},{"cachePoint":{"type":"default"}},{"image":{"format":"png","source":{"bytes":"iVBORw0KGgo="}}},{"document":{"format":"pdf","name":"d","source":{"bytes":"JVBERi0="},"citations":{"enabled":true}}}]},{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"r","signature":"s"}}},{"toolUse":{"toolUseId":"t1","name":"f","input":{"a":1}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[{"json":{"a":[1]}},{"text":"x"}],"status":"success"}}]}],"system":[{"text":"s"},{"cachePoint":{"type":"default"}}],"inferenceConfig":{"maxTokens":100,"temperature":0.5,"topP":0.9,"stopSequences":["x"]},"toolConfig":{"tools":[{"toolSpec":{"name":"f","description":"d","inputSchema":{"json":{"type":"object","properties":{"id":{"type":"string"}}}},"strict":true}},{"cachePoint":{"type":"default"}}],"toolChoice":{"auto":{}}},"guardrailConfig":{"guardrailIdentifier":"abc","guardrailVersion":"1","trace":"enabled","streamProcessingMode":"sync"},"additionalModelRequestFields":{"inferenceConfig":{"topK":20},"reasoning_config":{"type":"enabled","budget_tokens":1024}},"additionalModelResponseFieldPaths":["/stop_sequence"],"requestMetadata":{"team":"x"},"performanceConfig":{"latency":"standard"},"serviceTier":{"type":"default"}}`},
		{"InvokeModel", "openai.gpt-oss-120b-1:0", `{"model":"openai.gpt-oss-120b-1:0","messages":[{"role":"developer","content":"be nice"},{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"42"}],"max_completion_tokens":100,"temperature":0.2,"reasoning_effort":"low","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],"tool_choice":"auto","response_format":{"type":"json_object"},"stream":true,"stream_options":{"include_usage":true},"stop":["x"],"seed":1,"user":"u","metadata":{"a":"b"},"logit_bias":{"1":2},"n":1}`},
		{"InvokeModel", "amazon.nova-lite-v1:0", `{"schemaVersion":"messages-v1","system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"x"},{"video":{"format":"mp4","source":{"bytes":"AAAA"}}}]}],"inferenceConfig":{"max_new_tokens":10,"temperature":0.1,"top_p":0.5,"top_k":5,"stopSequences":[]},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]}}`},
		{"InvokeModel", "amazon.titan-embed-text-v2:0", `{"inputText":"x","dimensions":256,"normalize":true,"embeddingTypes":["float"]}`},
		{"InvokeModel", "cohere.embed-english-v3", `{"texts":["a","b"],"input_type":"search_document","truncate":"END","embedding_types":["float"]}`},
		{"InvokeModel", "cohere.command-r-v1:0", `{"message":"hi","chat_history":[{"role":"USER","message":"a"},{"role":"CHATBOT","message":"b"}],"documents":[{"title":"t","snippet":"s"}],"preamble":"p","max_tokens":100,"tools":[{"name":"t","description":"d","parameter_definitions":{"a":{"type":"str","description":"x","required":true}}}],"tool_results":[{"call":{"name":"t","parameters":{"a":"b"}},"outputs":[{"x":"y"}]}]}`},
		{"InvokeModel", "meta.llama3-8b-instruct-v1:0", `{"prompt":"<|begin_of_text|>hi","max_gen_len":100,"temperature":0.5,"top_p":0.9}`},
		{"InvokeModel", "mistral.mistral-large-2407-v1:0", `{"messages":[{"role":"user","content":"x"}],"max_tokens":10,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"tool_choice":"auto"}`},
		{"InvokeModel", "amazon.nova-canvas-v1:0", `{"taskType":"TEXT_IMAGE","textToImageParams":{"text":"a cat","negativeText":"dog"},"imageGenerationConfig":{"numberOfImages":1,"height":512,"width":512,"cfgScale":8.0,"seed":1,"quality":"standard"}}`},
		{"InvokeModel", "ai21.jamba-1-5-mini-v1:0", `{"messages":[{"role":"user","content":"x"}],"max_tokens":10,"documents":[{"content":"c","metadata":[{"key":"a","value":"b"}]}],"response_format":{"type":"json_object"},"n":1,"stop":["x"]}`},
		{"InvokeModel", "cohere.command-text-v14", `{"prompt":"Where is Lake Naivasha?","max_tokens":400,"temperature":0.75,"p":0.01,"k":0,"stop_sequences":[],"return_likelihoods":"NONE"}`},
		{"ApplyGuardrail", "", `{"source":"INPUT","content":[{"text":{"text":"x","qualifiers":["guard_content"]}}],"outputScope":"FULL"}`},
	} {
		c := &call.Call{Operation: bedrock.OperationOf(tt.op)}
		c.Target = bedrock.Target{Operation: c.Operation, Model: tt.model}
		c.SetBody([]byte(tt.body))
		if ref := rd.Parse(c); ref != nil {
			t.Errorf("%d, %s of %s: %v", i, tt.op, tt.model, ref)
		}
		if c.InputEstimate == 0 {
			t.Errorf("%d, %s of %s: no text was found", i, tt.op, tt.model)
		}
	}
}
