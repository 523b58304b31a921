package normalise

import (
	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// invocation is the table of Bedrock's model invocation log.
var invocation = source{
	format:    "invocation",
	collector: "AWS Bedrock Model Invocation Logs",
	index:     "sec_record_audit",
	time:      paths("timestamp"),
	id:        []keyRow{callKey},
	rows:      invocationRows,
}

// callKey is what makes a call itself, told by whomever. Our gateway returns
// and records AWS's request id, so its record and AWS's are one.
var callKey = keyRow{"invocation", paths("requestId", "operation")}

var invocationRows = []row{
	at(event.AWSRegion, "region"),
	at(event.IdentityARN, "identity.arn"),
	at(event.Action, "operation"),
	always(event.Application, "bedrock.amazonaws.com"),
	always(event.CloudProvider, "AWS"),
	at(event.CloudRegion, "region"),
	always(event.CloudService, "Bedrock"),
	at(event.UserUsername, "identity.arn"),
	roleBy("", "identity.arn"),
	successBy("errorCode"),
	errorBy("errorCode"),
	at(event.Resource, "modelId"),
	modelBy("modelId"),
	by(event.PromptText, promptText),
	by(event.SystemText, systemText),
	by(event.ResponseText, responseText),
	by(event.StopReason, stopReason),
	by(event.GuardrailAction, guardrailAction),
}

// gateway is the table of our own calls. Their records have the members of
// CloudTrail and of the invocation log both, and under "gateway" what only we
// know. A seed's hunt for the collector of the log finds them too.
var gateway = source{
	format:    "gateway",
	collector: invocation.collector,
	index:     "sec_record_audit",
	time:      paths("gateway.time", "timestamp"),
	id:        []keyRow{callKey, {"gateway", paths("gateway.callId")}},
	rows: append([]row{
		at(event.CallID, "gateway.callId"),
		at(event.Outcome, "gateway.outcome"),
		at(event.RefusedBy, "gateway.refusedBy", "gateway.reason"),
		at(event.Team, "gateway.team"),
		at(event.CostNanoUSD, "gateway.costNanoUsd"),
		at(event.Country, "gateway.country"),
		at(event.InferenceRegion, "inferenceRegion", "additionalEventData.inferenceRegion"),
		at(event.BearerToken, "additionalEventData.callWithBearerToken"),
		at(event.Action, "eventName"),
		at(event.CloudRegion, "awsRegion"),
		at(event.UserUsername, "userIdentity.arn"),
		addressBy("sourceIPAddress"),
		at(event.HTTPUserAgent, "userAgent"),
		modelBy("gateway.model"),
		by(event.Resource, trailResource),
		by(event.ViaGateway, func(_ *fastjson.Value, c *cell) { c.boolean(true) }),
	}, invocationRows...),
}

var (
	inputBody  = paths("input.inputBodyJson", "input.inputBodyJSON")
	outputBody = paths("output.outputBodyJson", "output.outputBodyJSON")
)

// body finds a body: tools spell its member in two ways.
func body(doc *fastjson.Value, ways []path) *fastjson.Value {
	for _, p := range ways {
		if v := doc.Get(p...); v != nil {
			return v
		}
	}
	return nil
}

// stopReasons are the ways in which an answer, or a chunk of one, says why the
// model stopped.
var stopReasons = paths("stopReason", "stop_reason", "delta.stop_reason", "messageStop.stopReason", "completionReason", "finish_reason",
	"results.0.completionReason", "outputs.0.stop_reason", "choices.0.finish_reason", "choices.0.stop_reason",
	"generations.0.finish_reason", "completions.0.finishReason.reason")

func stopReason(doc *fastjson.Value, c *cell) {
	out := body(doc, outputBody)
	for i := range chunks(out) {
		if b := firstText(chunk(out, i), stopReasons); len(b) > 0 {
			c.text(b)
			return
		}
	}
}

// chunks is how many pieces an answer came in, 1 when it was not streamed.
func chunks(v *fastjson.Value) int {
	switch {
	case v == nil:
		return 0
	case v.Type() == fastjson.TypeArray:
		return len(v.GetArray())
	}
	return 1
}

// chunk is one of them, the last first. It may be a text ("[DONE]").
func chunk(v *fastjson.Value, i int) *fastjson.Value {
	if v.Type() != fastjson.TypeArray {
		return v
	}
	list := v.GetArray()
	return list[len(list)-1-i]
}

const (
	intervened = "INTERVENED"
	allowed    = "NONE"
)

// guardrailAction reads the three spellings of what a guardrail did: the
// stopReason of Converse, the action beside an answer of InvokeModel, and the
// same on single chunks. A guardrail that was asked for, or traced, and did
// nothing is NONE; where nothing tells of one, the column is absent.
func guardrailAction(doc *fastjson.Value, c *cell) {
	was := ""
	in, out := body(doc, inputBody), body(doc, outputBody)
	for i := range chunks(out) {
		v := chunk(out, i)
		switch action := text(v.Get("amazon-bedrock-guardrailAction")); {
		case string(text(v.Get("stopReason"))) == "guardrail_intervened", string(action) == intervened,
			acted(v.Get("trace", "guardrail"), 0), acted(v.Get("amazon-bedrock-trace", "guardrail"), 0):
			c.constant(intervened)
			return
		case len(action) > 0, v.Get("trace", "guardrail") != nil, v.Get("amazon-bedrock-trace", "guardrail") != nil:
			was = allowed
		}
	}
	if was == "" && out != nil && in.Get("guardrailConfig") != nil {
		was = allowed
	}
	if was != "" {
		c.constant(was)
	}
}

// acted reports whether an assessment has an action that changed something.
// NONE is what a policy that only watches says.
func acted(v *fastjson.Value, depth int) (found bool) {
	if v == nil || depth > 12 {
		return false
	}
	for _, e := range v.GetArray() {
		if acted(e, depth+1) {
			return true
		}
	}
	v.GetObject().Visit(func(key []byte, e *fastjson.Value) {
		if !found && string(key) == "action" {
			a := string(text(e))
			found = a == "BLOCKED" || a == "ANONYMIZED"
		}
		found = found || acted(e, depth+1)
	})
	return found
}
