// Drives @aws-sdk/client-bedrock-runtime through one cell of the client matrix
// an argument. Endpoint, region and credentials come from the environment that
// the SDK itself reads, and nothing else is set, so that the transport is its
// default: HTTP/2, with prior knowledge on a plain-text endpoint.

import { BedrockClient, ListFoundationModelsCommand } from "@aws-sdk/client-bedrock";
import {
  ApplyGuardrailCommand,
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { model, prompt, run } from "./cell.js";

const runtime = new BedrockRuntimeClient();
const modelId = model;
const messages = [{ role: "user", content: [{ text: prompt }] }];
const inferenceConfig = { maxTokens: 64 };
const body = JSON.stringify({
  anthropic_version: "bedrock-2023-05-31",
  max_tokens: 64,
  messages: [{ role: "user", content: prompt }],
});

const operations = {
  async Converse(out) {
    const r = await runtime.send(new ConverseCommand({ modelId, messages, inferenceConfig }));
    out.text = r.output.message.content.map((b) => b.text).join("");
    out.stop = r.stopReason;
    out.input = r.usage.inputTokens;
    out.output = r.usage.outputTokens;
  },

  async ConverseStream(out) {
    const r = await runtime.send(new ConverseStreamCommand({ modelId, messages, inferenceConfig }));
    for await (const event of r.stream) {
      out.events++;
      out.text += event.contentBlockDelta?.delta.text ?? "";
      out.stop = event.messageStop?.stopReason ?? out.stop;
      out.input = event.metadata?.usage.inputTokens ?? out.input;
      out.output = event.metadata?.usage.outputTokens ?? out.output;
    }
  },

  async InvokeModel(out) {
    const r = await runtime.send(new InvokeModelCommand({ modelId, body }));
    const answer = JSON.parse(r.body.transformToString());
    out.text = answer.content.map((b) => b.text).join("");
    out.stop = answer.stop_reason;
    out.input = answer.usage.input_tokens;
    out.output = answer.usage.output_tokens;
  },

  async InvokeModelWithResponseStream(out) {
    const r = await runtime.send(new InvokeModelWithResponseStreamCommand({ modelId, body }));
    for await (const event of r.body) {
      out.events++;
      const chunk = JSON.parse(new TextDecoder().decode(event.chunk.bytes));
      if (chunk.type === "message_start") out.input = chunk.message.usage.input_tokens;
      if (chunk.type === "content_block_delta") out.text += chunk.delta.text;
      if (chunk.type === "message_delta") {
        out.stop = chunk.delta.stop_reason;
        out.output = chunk.usage.output_tokens;
      }
    }
  },

  async CountTokens(out) {
    const r = await runtime.send(new CountTokensCommand({ modelId, input: { converse: { messages } } }));
    out.input = r.inputTokens;
  },

  async ApplyGuardrail(out) {
    const r = await runtime.send(
      new ApplyGuardrailCommand({
        guardrailIdentifier: "emulated0001",
        guardrailVersion: "DRAFT",
        source: "INPUT",
        content: [{ text: { text: prompt } }],
      }),
    );
    out.stop = r.action;
  },

  async ListFoundationModels(out) {
    const r = await new BedrockClient().send(new ListFoundationModelsCommand({}));
    out.models = r.modelSummaries.length;
  },
};

await run(operations, (e) => ({
  name: e.name,
  message: e.message,
  status: e.$metadata?.httpStatusCode ?? 0,
}));
runtime.destroy();
