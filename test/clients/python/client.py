"""Drives boto3 through one cell of the client matrix an argument.

Usage: client.py OPERATION...   (see operations below)

Endpoint, region and credentials come from the environment variables that boto3
itself reads, and nothing else about the client is set: this is the program that
a user has, pointed at another endpoint. Each operation prints one line of JSON:

    {"operation", "ok", "text", "stop", "input", "output", "events", "error"}

where error is {"name", "message", "status"} and text is what had arrived by then.
"""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

MODEL = os.environ["GATEHOUSE_TEST_MODEL"]
PROMPT = os.environ["GATEHOUSE_TEST_PROMPT"]
MESSAGES = [{"role": "user", "content": [{"text": PROMPT}]}]
NATIVE = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": PROMPT}],
    }
)


def converse(runtime, out):
    r = runtime.converse(modelId=MODEL, messages=MESSAGES, inferenceConfig={"maxTokens": 64})
    out["text"] = "".join(b["text"] for b in r["output"]["message"]["content"])
    out.update(stop=r["stopReason"], input=r["usage"]["inputTokens"], output=r["usage"]["outputTokens"])


def converse_stream(runtime, out):
    r = runtime.converse_stream(modelId=MODEL, messages=MESSAGES, inferenceConfig={"maxTokens": 64})
    for event in r["stream"]:
        out["events"] += 1
        if "contentBlockDelta" in event:
            out["text"] += event["contentBlockDelta"]["delta"]["text"]
        if "messageStop" in event:
            out["stop"] = event["messageStop"]["stopReason"]
        if "metadata" in event:
            usage = event["metadata"]["usage"]
            out.update(input=usage["inputTokens"], output=usage["outputTokens"])


def invoke_model(runtime, out):
    r = runtime.invoke_model(modelId=MODEL, body=NATIVE)
    body = json.loads(r["body"].read())
    out["text"] = "".join(b["text"] for b in body["content"])
    out.update(stop=body["stop_reason"], input=body["usage"]["input_tokens"], output=body["usage"]["output_tokens"])


def invoke_model_with_response_stream(runtime, out):
    r = runtime.invoke_model_with_response_stream(modelId=MODEL, body=NATIVE)
    for event in r["body"]:
        out["events"] += 1
        chunk = json.loads(event["chunk"]["bytes"])
        if chunk["type"] == "message_start":
            out["input"] = chunk["message"]["usage"]["input_tokens"]
        if chunk["type"] == "content_block_delta":
            out["text"] += chunk["delta"]["text"]
        if chunk["type"] == "message_delta":
            out.update(stop=chunk["delta"]["stop_reason"], output=chunk["usage"]["output_tokens"])


def count_tokens(runtime, out):
    out["input"] = runtime.count_tokens(modelId=MODEL, input={"converse": {"messages": MESSAGES}})["inputTokens"]


def apply_guardrail(runtime, out):
    r = runtime.apply_guardrail(
        guardrailIdentifier="emulated0001",
        guardrailVersion="DRAFT",
        source="INPUT",
        content=[{"text": {"text": PROMPT}}],
    )
    out["stop"] = r["action"]


def list_foundation_models(_, out):
    out["models"] = len(boto3.client("bedrock").list_foundation_models()["modelSummaries"])


OPERATIONS = {
    "Converse": converse,
    "ConverseStream": converse_stream,
    "InvokeModel": invoke_model,
    "InvokeModelWithResponseStream": invoke_model_with_response_stream,
    "CountTokens": count_tokens,
    "ApplyGuardrail": apply_guardrail,
    "ListFoundationModels": list_foundation_models,
}


def main():
    runtime = boto3.client("bedrock-runtime")
    for name in sys.argv[1:]:
        out = {"operation": name, "ok": True, "text": "", "stop": "", "input": 0, "output": 0, "events": 0}
        try:
            OPERATIONS[name](runtime, out)
        except ClientError as e:  # EventStreamError is one
            out["ok"] = False
            out["error"] = {
                "name": e.response["Error"]["Code"],
                "message": e.response["Error"]["Message"],
                "status": e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
            }
        except BotoCoreError as e:
            out["ok"] = False
            out["error"] = {"name": type(e).__name__, "message": str(e), "status": 0}
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
