// Drives @anthropic-ai/bedrock-sdk through one cell of the client matrix an
// argument: messages.create is InvokeModel, messages.stream is
// InvokeModelWithResponseStream. Endpoint and credentials come from the
// environment that the SDK itself reads.

import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import { model, prompt, run } from "./cell.js";

const client = new AnthropicBedrock();
const request = { model, max_tokens: 64, messages: [{ role: "user", content: prompt }] };

const operations = {
  async InvokeModel(out) {
    const r = await client.messages.create(request);
    out.text = r.content.map((b) => b.text).join("");
    out.stop = r.stop_reason;
    out.input = r.usage.input_tokens;
    out.output = r.usage.output_tokens;
  },

  async InvokeModelWithResponseStream(out) {
    const stream = await client.messages.create({ ...request, stream: true });
    for await (const event of stream) {
      out.events++;
      if (event.type === "message_start") out.input = event.message.usage.input_tokens;
      if (event.type === "content_block_delta") out.text += event.delta.text;
      if (event.type === "message_delta") {
        out.stop = event.delta.stop_reason;
        out.output = event.usage.output_tokens;
      }
    }
  },
};

await run(operations, (e) => ({
  name: e.constructor.name,
  message: e.error?.error?.type ?? e.error?.type ?? e.message,
  status: e.status ?? 0,
}));
