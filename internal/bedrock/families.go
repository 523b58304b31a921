package bedrock

import (
	"maps"
	"slices"
)

// The rows. Sections C1 to C13 of the facts on Bedrock's wire describe the
// bodies; a member that models could read is text or free here, a setting is
// skipped, and what is missing is refused as unknown unless it is a number or
// the like.
//
// To add a family: its row here, a body with every member in testdata/bodies,
// and its answer and stream in usage_test.go. To add a member: its place in the
// row and in that body.

// Shapes that several rows share.
var (
	none = object(members{}) // an object of settings that are no text

	s3Location = object(members{"uri": links, "bucketOwner": skipped})
)

// Blocks of Converse, which Nova's native bodies share.
var (
	converseSource = object(members{
		"bytes": blobs, "s3Location": s3Location, "text": texts,
		"content": list(object(members{"text": texts})),
	})
	converseMedia = object(members{"format": skipped, "source": converseSource})
	converseImage = object(members{"format": skipped, "source": object(members{
		"bytes": picture, "s3Location": s3Location, "text": texts,
		"content": list(object(members{"text": texts})),
	})})
	converseDocument = object(members{
		"format": skipped, "name": texts, "source": converseSource, "context": texts, "citations": none,
	})
	converseSearchResult = object(members{
		"source": texts, "title": texts, "content": list(object(members{"text": texts})), "citations": none,
	})
	converseToolResult = as(RoleTool, object(members{
		"toolUseId": skipped, "status": skipped, "type": skipped,
		"content": list(object(members{
			"text": texts, "json": freely, "image": converseImage, "video": converseMedia,
			"document": converseDocument, "searchResult": converseSearchResult,
		})),
	}))
	converseGuard = object(members{
		"text":  object(members{"text": texts, "qualifiers": skipped}),
		"image": converseImage,
	})
	converseBlock = object(members{
		"text": texts, "image": converseImage, "video": converseMedia, "audio": converseMedia,
		"document": converseDocument, "guardContent": converseGuard, "cachePoint": skipped,
		"toolUse":    object(members{"toolUseId": skipped, "type": skipped, "name": texts, "input": freely}),
		"toolResult": converseToolResult,
		"reasoningContent": object(members{
			"reasoningText":   object(members{"text": texts, "signature": skipped}),
			"redactedContent": blobs,
		}),
		"citationsContent": freely, "searchResult": converseSearchResult,
		"toolAddition": as(RoleTool, freely), "toolRemoval": as(RoleTool, freely),
	})
	converseMessages = list(messages(members{"role": skipped, "content": list(converseBlock)}))
	converseSystem   = as(RoleSystem, list(object(members{
		"text": texts, "guardContent": converseGuard, "cachePoint": skipped,
	})))
	converseTools = as(RoleTool, object(members{
		"tools": list(object(members{
			"toolSpec": object(members{
				"name": texts, "description": texts, "inputSchema": object(members{"json": freely}),
			}),
			"systemTool": object(members{"name": texts}), "cachePoint": skipped,
		})),
		"toolChoice": object(members{"auto": none, "any": none, "tool": object(members{"name": texts})}),
	}))
	// Members of a native body: any JSON, some of which has its price.
	converseAdditional = &Shape{leaf: free, role: RoleOther, members: members{"service_tier": tiers}}
)

// Blocks of Anthropic's messages.
var (
	claudeSource = typed(
		members{"type": skipped, "media_type": skipped, "data": texts, "url": links, "file_id": skipped, "content": claudeText},
		map[string]*Shape{"base64": object(members{"type": skipped, "media_type": skipped, "data": blobs})},
	)
	claudePicture = typed(
		members{"type": skipped, "media_type": skipped, "data": texts, "url": links, "file_id": skipped},
		map[string]*Shape{"base64": object(members{"type": skipped, "media_type": skipped, "data": picture})},
	)
	claudeImage    = object(members{"type": skipped, "source": claudePicture, "cache_control": skipped})
	claudeText     = list(textOr(object(members{"type": skipped, "text": texts, "cache_control": skipped, "citations": freely})))
	claudeDocument = members{
		"type": skipped, "source": claudeSource, "title": texts, "context": texts, "citations": freely, "cache_control": skipped,
	}
	claudeResult = textOr(typed(
		members{
			"type": skipped, "text": texts, "source": claudeSource, "title": texts, "context": texts,
			"content": claudeText, "citations": freely, "cache_control": skipped, "tool_name": texts,
		},
		map[string]*Shape{"image": claudeImage, "search_result": object(members{
			"type": skipped, "source": texts, "title": texts, "content": claudeText, "citations": freely, "cache_control": skipped,
		})},
	))
	claudeContent = textOr(typed(
		members{
			"type": skipped, "text": texts, "cache_control": skipped, "citations": freely, "source": claudeSource,
			"thinking": texts, "signature": skipped, "data": blobs, // redacted thinking
		},
		map[string]*Shape{
			"document":      object(claudeDocument),
			"image":         claudeImage,
			"search_result": claudeResult.byType["search_result"],
			"tool_use":      claudeToolUse, "server_tool_use": claudeToolUse,
			"tool_result": object(members{
				"type": skipped, "tool_use_id": skipped, "cache_control": skipped, "content": as(RoleTool, list(claudeResult)),
			}),
			"tool_search_tool_result": claudeServerResult, "web_search_tool_result": claudeServerResult,
			"code_execution_tool_result": claudeServerResult,
			"compaction":                 object(members{"type": skipped, "content": texts, "cache_control": skipped}),
		},
	))
	claudeToolUse = object(members{
		"type": skipped, "id": skipped, "name": texts, "input": freely, "cache_control": skipped, "caller": skipped,
	})
	claudeServerResult = object(members{
		"type": skipped, "tool_use_id": skipped, "content": as(RoleTool, freely), "cache_control": skipped, "caller": skipped,
	})
	claudeMessages = list(messages(members{"role": skipped, "content": list(claudeContent)}))
	claudeTools    = as(RoleTool, list(object(members{
		"type": skipped, "name": texts, "description": texts, "input_schema": freely, "input_examples": freely,
		"cache_control": skipped, "allowed_callers": skipped,
	})))
	claudeBody = members{
		"anthropic_version": skipped, "anthropic_beta": skipped, "messages": claudeMessages,
		"system": as(RoleSystem, claudeText), "tools": claudeTools,
		"tool_choice":    as(RoleTool, object(members{"type": skipped, "name": texts})),
		"stop_sequences": skipped, "thinking": skipped, "metadata": skipped, "user_profile_id": skipped,
		"cache_control": skipped, "service_tier": tiers,
		"output_config": object(members{"effort": skipped, "format": freely}), "output_format": freely,
		"context_management": freely, // may hold instructions for compaction
		guardrailConfigKey:   skipped,
	}
)

// guardrailConfigKey is a member of every native body; its settings are no text.
const guardrailConfigKey = "amazon-bedrock-guardrailConfig"

// Bodies in the manner of OpenAI's Chat Completions, and of plain completions.
var (
	openAIFunction = object(members{"name": texts, "arguments": texts})
	openAIContent  = list(textOr(object(members{
		"type": skipped, "text": texts, "refusal": texts, "thinking": texts, "reasoning": texts,
		"image_url":   &Shape{leaf: Link, members: members{"url": links, "detail": skipped}},
		"video_url":   &Shape{leaf: Link, members: members{"url": links}},
		"audio_url":   &Shape{leaf: Link, members: members{"url": links}},
		"input_audio": &Shape{leaf: Blob, members: members{"data": blobs, "format": skipped}},
		"file":        object(members{"file_data": blobs, "file_id": skipped, "filename": texts}),
	})))
	openAIMessages = list(messages(members{
		"role": skipped, "content": openAIContent, "name": texts, "refusal": texts,
		"reasoning": texts, "reasoning_content": texts, "audio": skipped,
		"tool_call_id":  texts, // templates print it
		"tool_calls":    list(object(members{"id": texts, "type": skipped, "function": openAIFunction})),
		"function_call": openAIFunction,
	}))
	openAIBody = object(members{
		"messages": openAIMessages, "prompt": list(texts), "suffix": texts,
		"images": list(picture), // imported vision models
		"tools":  as(RoleTool, freely), "functions": as(RoleTool, freely),
		"tool_choice": as(RoleTool, freely), "function_call": as(RoleTool, freely),
		"documents": as(RoleTool, freely), "response_format": as(RoleOther, freely),
		"prediction":           as(RoleAssistant, object(members{"type": skipped, "content": openAIContent})),
		"chat_template_kwargs": as(RoleSystem, freely), "guided_json": as(RoleOther, freely),
		// The service requires model to equal the id of the path.
		"model": skipped, "stop": skipped, "stream_options": skipped, "logit_bias": skipped,
		"user": skipped, "metadata": skipped, "modalities": skipped, "service_tier": tiers,
		"reasoning_effort": skipped, "reasoning": skipped, "thinking": skipped, "verbosity": skipped,
		"prompt_cache_key": skipped, "safety_identifier": skipped,
		guardrailConfigKey: skipped,
	})
	openAIMax   = []Path{"max_tokens", "max_completion_tokens"}
	openAICount = Answer{Input: "usage.prompt_tokens", Output: "usage.completion_tokens", Mark: "usage", Final: true}
	openAIDelta = []string{"content", "reasoning", "reasoning_content", "arguments", "text", "refusal"}
)

// Bodies of image models, Titan's and Nova's.
var (
	imageParams = object(members{
		"text": texts, "negativeText": texts, "maskPrompt": texts, "style": skipped,
		"image": picture, "images": list(picture), "maskImage": picture, "conditionImage": picture, "referenceImage": picture,
		"controlMode": skipped, "outPaintingMode": skipped, "colors": skipped,
	})
	amazonImageBody = object(members{
		"taskType": skipped, "textToImageParams": imageParams, "inPaintingParams": imageParams,
		"outPaintingParams": imageParams, "imageVariationParams": imageParams,
		"colorGuidedGenerationParams": imageParams, "backgroundRemovalParams": imageParams,
		"imageGenerationConfig": object(members{"quality": skipped}), guardrailConfigKey: skipped,
	})
)

// Families is one row for each shape of body. Those after the native ones read
// bodies that are the same for every model.
var Families = finish([]Family{
	{ // C1
		Name:      "claude",
		Body:      object(claudeBody),
		MaxTokens: []Path{"max_tokens"},
		Answer: Answer{
			Input: "usage.input_tokens", Output: "usage.output_tokens",
			CacheRead: "usage.cache_read_input_tokens", CacheWrite: "usage.cache_creation_input_tokens",
			Write1h: "usage.cache_creation.ephemeral_1h_input_tokens",
		},
		Stream: []Answer{
			{ // message_start, with the output counted so far
				Input: "message.usage.input_tokens", Output: "message.usage.output_tokens",
				CacheRead: "message.usage.cache_read_input_tokens", CacheWrite: "message.usage.cache_creation_input_tokens",
				Write1h: "message.usage.cache_creation.ephemeral_1h_input_tokens",
				Mark:    "usage",
			},
			{Output: "usage.output_tokens", Mark: "usage", Final: true}, // message_delta
		},
		Deltas: []string{"text", "thinking", "partial_json"},
	},
	{ // C2; claude-v2 takes messages too
		Name:      "claude-legacy",
		Body:      object(merge(claudeBody, members{"prompt": texts})),
		MaxTokens: []Path{"max_tokens_to_sample", "max_tokens"},
		Answer:    Answer{Input: "usage.input_tokens", Output: "usage.output_tokens"},
		Deltas:    []string{"completion", "text"},
	},
	{ // C3
		Name: "titan-text",
		Body: object(members{
			"inputText": texts, "textGenerationConfig": object(members{"stopSequences": skipped}), guardrailConfigKey: skipped,
		}),
		MaxTokens: []Path{"textGenerationConfig.maxTokenCount"},
		Answer:    Answer{Input: "inputTextTokenCount", Output: "results.[].tokenCount"},
		Stream:    []Answer{{Input: "inputTextTokenCount", Output: "totalOutputTextTokenCount", Mark: "totalOutputTextTokenCount", Final: true}},
		Deltas:    []string{"outputText"},
	},
	{ // C4
		Name: "nova",
		Body: object(members{
			"schemaVersion": skipped, "messages": converseMessages, "system": converseSystem, "toolConfig": converseTools,
			"inferenceConfig":  object(members{"stopSequences": skipped, "reasoningConfig": skipped}),
			"reasoningConfig":  skipped,
			guardrailConfigKey: skipped,
		}),
		MaxTokens: []Path{"inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens"},
		Answer: Answer{
			Input: "usage.inputTokens", Output: "usage.outputTokens",
			CacheRead: "usage.cacheReadInputTokenCount", CacheWrite: "usage.cacheWriteInputTokenCount",
		},
		Stream: []Answer{{
			Input: "metadata.usage.inputTokens", Output: "metadata.usage.outputTokens",
			CacheRead: "metadata.usage.cacheReadInputTokenCount", CacheWrite: "metadata.usage.cacheWriteInputTokenCount",
			Mark: "usage", Final: true,
		}},
		Deltas: []string{"text", "input"},
	},
	{ // C5
		Name: "command",
		Body: object(members{
			"prompt": texts, "stop_sequences": skipped, "return_likelihoods": skipped, "logit_bias": skipped,
			"truncate": skipped, guardrailConfigKey: skipped,
		}),
		MaxTokens: []Path{"max_tokens"},
		Multiples: []Path{"num_generations"},
		Deltas:    []string{"text"},
	},
	{ // C6
		Name: "command-r",
		Body: object(members{
			"message": texts, "preamble": as(RoleSystem, texts),
			"chat_history": list(messages(members{"role": skipped, "message": texts, "tool_calls": freely, "tool_results": as(RoleTool, freely)})),
			"documents":    as(RoleTool, freely), "tools": as(RoleTool, freely), "tool_results": as(RoleTool, freely),
			"response_format": as(RoleOther, freely), "stop_sequences": skipped, "prompt_truncation": skipped,
			"citation_quality": skipped, guardrailConfigKey: skipped,
		}),
		MaxTokens: []Path{"max_tokens"},
		Deltas:    []string{"text"},
	},
	{ // C7, Jurassic
		Name: "jurassic",
		Body: object(members{
			"prompt": texts, "stopSequences": skipped, "countPenalty": skipped, "presencePenalty": skipped,
			"frequencyPenalty": skipped, guardrailConfigKey: skipped,
		}),
		MaxTokens: []Path{"maxTokens"},
		Multiples: []Path{"numResults"},
		Answer:    Answer{Input: "prompt.tokens.#", Output: "completions.[].data.tokens.#"},
	},
	{ // C7, Jamba
		Name: "jamba", Body: openAIBody, MaxTokens: openAIMax, Multiples: []Path{"n"},
		Answer: openAICount, Stream: []Answer{openAICount}, Deltas: openAIDelta,
	},
	{ // C8; the count in a stream is a running one
		Name: "llama", Aliases: []string{"llama2"},
		Body:      object(members{"prompt": texts, "images": list(picture), guardrailConfigKey: skipped}),
		MaxTokens: []Path{"max_gen_len"},
		Answer:    Answer{Input: "prompt_token_count", Output: "generation_token_count"},
		Stream:    []Answer{{Input: "prompt_token_count", Output: "generation_token_count", Mark: "generation_token_count"}},
		Deltas:    []string{"generation"},
	},
	{ // C9, text and chat
		Name: "mistral", Body: openAIBody, MaxTokens: openAIMax, Multiples: []Path{"n"},
		Answer: openAICount, Stream: []Answer{openAICount}, Deltas: openAIDelta,
	},
	{ // C10
		Name: "stability-image",
		Body: object(members{
			"prompt": texts, "negative_prompt": texts, "text_prompts": list(object(members{"text": texts})),
			"search_prompt": texts, "select_prompt": texts,
			"image": picture, "init_image": picture, "mask": picture, "mask_image": picture, "style_image": picture,
			"mode": skipped, "aspect_ratio": skipped, "output_format": skipped, "style_preset": skipped,
			"clip_guidance_preset": skipped, "sampler": skipped, "init_image_mode": skipped, "mask_source": skipped,
			guardrailConfigKey: skipped,
		}),
		Multiples: []Path{"samples"},
		Answer:    Answer{Images: "images.#"},
	},
	{ // C10
		Name: "titan-image", Aliases: []string{"nova-image"},
		Body:      amazonImageBody,
		Multiples: []Path{"imageGenerationConfig.numberOfImages"},
		Answer:    Answer{Images: "images.#"},
	},
	{ // C11
		Name: "titan-embed",
		Body: object(members{
			"inputText": texts, "inputImage": picture, "embeddingTypes": skipped, "embeddingConfig": none,
		}),
		Answer: Answer{Input: "inputTextTokenCount"},
	},
	{ // C11
		Name: "nova-embed",
		Body: object(members{
			"schemaVersion": skipped, "taskType": skipped,
			"singleEmbeddingParams": novaEmbedParams, "segmentedEmbeddingParams": novaEmbedParams,
		}),
		Answer: Answer{Input: "inputTextTokenCount"},
	},
	{ // C11
		Name: "cohere-embed",
		Body: object(members{
			"texts": list(texts), "images": list(picture), "inputs": list(object(members{"content": openAIContent})),
			"input_type": skipped, "truncate": skipped, "embedding_types": skipped,
		}),
	},
	{ // C11
		Name: "rerank", Aliases: []string{"cohere-rerank"},
		Body: object(members{
			"query": texts, "documents": as(RoleTool, freely), "rank_fields": list(texts),
		}),
	},
	{ // C12
		Name: "deepseek", Body: openAIBody, MaxTokens: openAIMax, Multiples: []Path{"n"},
		Answer: openAICount, Stream: []Answer{openAICount}, Deltas: openAIDelta,
	},
	{ // C13
		Name:    "openai",
		Aliases: []string{"qwen", "kimi", "minimax", "glm", "nemotron", "gemma", "grok", "palmyra"},
		Body:    openAIBody, MaxTokens: openAIMax, Multiples: []Path{"n", "best_of"},
		Answer: openAICount, Stream: []Answer{openAICount}, Deltas: openAIDelta,
	},
	{
		Name: "twelvelabs",
		Body: object(members{
			"inputPrompt": texts, "inputText": texts, "inputType": skipped, "textTruncate": skipped, "embeddingOption": skipped,
			"mediaSource": twelveMedia, "responseFormat": freely,
		}),
		MaxTokens: []Path{"maxOutputTokens"},
		Deltas:    []string{"message"},
	},
	{ // B1
		Name: "converse",
		Body: object(members{
			"messages": converseMessages, "system": converseSystem, "toolConfig": converseTools,
			"inferenceConfig": object(members{"stopSequences": skipped}),
			"guardrailConfig": skipped, "performanceConfig": object(members{"latency": tiers}), "serviceTier": object(members{"type": tiers}),
			"additionalModelRequestFields": converseAdditional, "additionalModelResponseFieldPaths": skipped,
			"promptVariables": freely, "requestMetadata": skipped,
			"outputConfig": object(members{"effort": skipped, "textFormat": as(RoleOther, freely)}),
		}),
		MaxTokens: []Path{"inferenceConfig.maxTokens"},
		Answer:    converseCount("usage"),
		Stream:    []Answer{converseCount("usage")},
		Deltas:    []string{"text", "input"},
	},
	{ // F1; free of charge
		Name: "count-tokens",
		Body: object(members{"input": object(members{
			"converse": object(members{
				"messages": converseMessages, "system": converseSystem, "toolConfig": converseTools,
				"additionalModelRequestFields": converseAdditional,
			}),
			"invokeModel": object(members{"body": &Shape{leaf: Inner}}),
		})}),
	},
	{ // F2
		Name: "apply-guardrail",
		Body: object(members{"source": skipped, "outputScope": skipped, "content": list(converseGuard)}),
	},
})

var (
	novaEmbedParams = object(members{
		"embeddingPurpose": skipped, "segmentationConfig": none,
		"text":  object(members{"value": texts, "truncationMode": skipped, "source": converseSource, "segmentationConfig": none}),
		"image": novaEmbedMedia, "video": novaEmbedMedia, "audio": novaEmbedMedia,
	})
	novaEmbedMedia = object(members{
		"format": skipped, "source": converseSource, "detailLevel": skipped, "embeddingMode": skipped, "segmentationConfig": none,
	})
	twelveMedia = object(members{"base64String": blobs, "s3Location": s3Location})
)

func converseCount(at Path) Answer {
	return Answer{
		Input: at + ".inputTokens", Output: at + ".outputTokens",
		CacheRead: at + ".cacheReadInputTokens", CacheWrite: at + ".cacheWriteInputTokens",
		Write1h: at + ".cacheDetails.[ttl=1h].inputTokens",
		Mark:    "usage", Final: true,
	}
}

// finish completes the rows: Converse hands additionalModelRequestFields to the
// model as it is, so whatever bounds or multiplies the output of a native body
// does so there too.
func finish(rows []Family) []Family {
	const additional = "additionalModelRequestFields."
	converse := &rows[0]
	for i := range rows {
		if rows[i].Name == "converse" {
			converse = &rows[i]
		}
	}
	for i := range rows {
		if &rows[i] != converse {
			converse.MaxTokens = appendMissing(converse.MaxTokens, additional, rows[i].MaxTokens)
			converse.Multiples = appendMissing(converse.Multiples, additional, rows[i].Multiples)
		}
		for _, d := range rows[i].Deltas {
			rows[i].needles = append(rows[i].needles, []byte(`"`+d+`"`))
		}
	}
	return rows
}

func appendMissing(to []Path, prefix Path, paths []Path) []Path {
	for _, p := range paths {
		if !slices.Contains(to, prefix+p) {
			to = append(to, prefix+p)
		}
	}
	return to
}

func merge(a, b members) members {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
