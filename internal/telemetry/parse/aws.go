package parse

import (
	"bytes"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// awsFormats are the records of AWS and of our own gateway, and the envelopes
// in which they travel.
var awsFormats = []format{
	{name: "cloudtrail", match: isCloudTrail, strandOf: trailStrand},
	{name: "gateway", strand: event.Gateway, match: isGateway},
	{name: "invocation", strand: event.Invocation, match: isInvocation},
	{name: "cloudwatch", strand: event.Metrics, match: isMetric},

	// What holds no records.
	{match: isDigest, unwrap: pass},
	{match: isNotice, unwrap: pass},
	{match: isControl, unwrap: pass},

	// Envelopes around single records.
	{match: member("CloudTrailEvent"), unwrap: into("CloudTrailEvent")},   // LookupEvents
	{match: isBusEvent, unwrap: unwrapBusEvent},                           // EventBridge
	{match: member("kinesis"), unwrap: into("kinesis")},                   // Kinesis in Lambda
	{match: member("awslogs"), unwrap: into("awslogs")},                   // CloudWatch Logs in Lambda
	{match: isData("data"), unwrap: unwrapBase64("data")},                 // Kinesis, Firehose
	{match: isData("Data"), unwrap: unwrapBase64("Data")},                 // GetRecords
	{match: both("eventData", "eventVersion"), unwrap: into("eventData")}, // a channel of CloudTrail Lake
	{match: both("eventData", "id"), unwrap: into("eventData")},           // PutAuditEvents
	{match: isNotification, unwrap: into("Message")},                      // SNS
	{match: both("messageId", "body"), unwrap: into("body")},              // SQS in Lambda
	{match: both("MessageId", "Body"), unwrap: into("Body")},              // ReceiveMessage
	{match: isLogEvent, unwrap: into("message")},                          // CloudWatch Logs
	{match: textMember("@message"), unwrap: into("@message")},             // Logs Insights
	{match: textMember("_raw"), unwrap: into("_raw")},                     // Splunk, Sumo Logic
	{match: member("_source"), unwrap: into("_source")},                   // Elasticsearch
	{match: both("preview", "result"), unwrap: into("result")},            // Splunk's export
	{match: hasOriginal, unwrap: func(s *scanner, v *fastjson.Value, d int) error { return s.inside(v.Get("event", "original"), d) }},

	// CloudWatch's replies and streams.
	{match: listMember("MetricDataResults"), unwrap: unwrapMetricData},
	{match: listMember("Datapoints"), unwrap: unwrapStatistics},
	{match: isMetricStream, unwrap: unwrapMetricStream},

	// Envelopes around lists. Large ones are streamed before they come here.
	{match: listMember("Records"), unwrap: list("Records")},
	{match: listMember("records"), unwrap: list("records")},
	{match: listMember("logEvents"), unwrap: list("logEvents")},
	{match: listMember("Events"), unwrap: list("Events")},
	{match: listMember("events"), unwrap: list("events")},
	{match: listMember("QueryResultRows"), unwrap: list("QueryResultRows")},
	{match: listMember("auditEvents"), unwrap: list("auditEvents")},
	{match: listMember("Messages"), unwrap: list("Messages")},
	{match: isHits, unwrap: func(s *scanner, v *fastjson.Value, d int) error { return s.each(v.Get("hits", "hits"), d) }},

	// Records in another spelling, which are put back into their own.
	{match: isRowCells, unwrap: unwrapRowCells},
	{match: isFlat, unwrap: unwrapFlat("cloudtrail")},
	{match: isFlatInvocation, unwrap: unwrapFlat("invocation")},
}

// isCloudTrail takes a record in its own shape: not one with dotted or
// lower-case names, or with JSON in strings, which isFlat takes.
func isCloudTrail(v *fastjson.Value) bool {
	if !has(v, "eventTime") || !has(v, "eventSource", "eventName") && !has(v, "insightDetails") || isNotice(v) {
		return false
	}
	id := v.Get("userIdentity")
	if id != nil && id.Type() == fastjson.TypeString {
		return false
	}
	for _, key := range [...]string{"requestParameters", "responseElements", "additionalEventData", "resources", "tlsDetails"} {
		if looksJSON(text(v.Get(key))) {
			return false
		}
	}
	return id != nil || !hasDotted(v)
}

// looksJSON reports whether a string holds an object or array, in JSON or in
// the form of SQL engines ({a=b}).
func looksJSON(b []byte) bool {
	return len(b) > 1 && (b[0] == '{' && b[len(b)-1] == '}' || b[0] == '[' && b[len(b)-1] == ']')
}

func trailStrand(v *fastjson.Value) event.Strand {
	switch string(text(v.Get("eventCategory"))) {
	case "Data", "NetworkActivity":
		return event.Data
	case "":
		if m := v.Get("managementEvent"); m != nil && m.Type() == fastjson.TypeFalse {
			return event.Data
		}
	}
	return event.Management
}

// isGateway takes records of our own gateway: the members of CloudTrail and of
// the invocation log, and what only a gateway knows in a member of its own.
func isGateway(v *fastjson.Value) bool {
	return has(v, "gateway", "timestamp") && v.Get("gateway", "callId") != nil
}

func isInvocation(v *fastjson.Value) bool {
	if has(v, "schemaType") && is(v, "schemaType", "ModelInvocationLog") {
		return !isFlatInvocation(v)
	}
	return has(v, "modelId", "operation", "requestId", "input")
}

func isMetric(v *fastjson.Value) bool {
	return has(v, "metric_name", "stat", "timestamp", "value")
}

// isControl takes what CloudWatch Logs and Lake send to see whether we live.
func isControl(v *fastjson.Value) bool {
	return has(v, "messageType") && is(v, "messageType", "CONTROL_MESSAGE") ||
		has(v, "message") && bytes.HasPrefix(text(v.Get("message")), []byte("CWL CONTROL MESSAGE"))
}

// isData takes an envelope whose content is bytes. Its few members tell it from
// a record that has some member called data.
func isData(key string) func(*fastjson.Value) bool {
	return func(v *fastjson.Value) bool {
		return has(v, key) && v.GetObject().Len() <= 6 && len(text(v.Get(key))) > 0
	}
}

// isLogEvent takes an event of CloudWatch Logs, and what shippers make of a
// line that is JSON; other records have a message for people to read.
func isLogEvent(v *fastjson.Value) bool {
	return has(v, "message") && (looksJSON(bytes.TrimSpace(text(v.Get("message")))) ||
		has(v, "timestamp") && (has(v, "id") || has(v, "ingestionTime")) && v.GetObject().Len() <= 5)
}

// isNotification takes what SNS sends.
func isNotification(v *fastjson.Value) bool {
	return has(v, "Type", "Message") && is(v, "Type", "Notification")
}

// isNotice takes S3's word that an object was made, whose members are called
// like CloudTrail's.
func isNotice(v *fastjson.Value) bool {
	return is(v, "eventSource", "aws:s3") && has(v, "s3")
}

// isDigest takes the files that prove a trail whole.
func isDigest(v *fastjson.Value) bool { return has(v, "digestS3Object", "digestStartTime") }

func isHits(v *fastjson.Value) bool {
	return has(v, "hits") && v.Get("hits", "hits") != nil && v.Get("hits", "hits").Type() == fastjson.TypeArray
}

func hasOriginal(v *fastjson.Value) bool {
	return has(v, "event") && looksJSON(text(v.Get("event", "original")))
}

// isBusEvent takes an event of EventBridge.
func isBusEvent(v *fastjson.Value) bool { return has(v, "detail-type", "detail", "source") }

// unwrapBusEvent gives the CloudTrail record inside, or, of the services' own
// events, the event itself in the shape of one.
func unwrapBusEvent(s *scanner, v *fastjson.Value, depth int) error {
	detail := v.Get("detail")
	if has(detail, "eventTime", "eventName") || has(detail, "insightDetails") {
		return s.inside(detail, depth)
	}
	p := s.level(depth)
	p.text = appendBusEvent(p.text[:0], v)
	return s.insideText(p.text, depth+1)
}

// busMembers are the members of a service's event by the CloudTrail name that
// each takes.
var busMembers = [...]struct{ trail, bus string }{
	{"eventTime", "time"}, {"eventID", "id"}, {"eventName", "detail-type"}, {"awsRegion", "region"},
	{"recipientAccountId", "account"}, {"serviceEventDetails", "detail"},
}

// appendBusEvent writes a service's event as CloudTrail writes such events:
// eventType AwsServiceEvent, done by the service and by no user.
func appendBusEvent(dst []byte, v *fastjson.Value) []byte {
	host := append(bytes.TrimPrefix(text(v.Get("source")), []byte("aws.")), ".amazonaws.com"...)
	dst = append(appendText(append(dst, `{"eventType":"AwsServiceEvent","eventCategory":"Management","eventSource":`...), host),
		`,"userIdentity":{"type":"AWSService","invokedBy":`...)
	dst = append(appendText(dst, host), `},"readOnly":false`...)
	for _, m := range busMembers {
		if in := v.Get(m.bus); in != nil {
			dst = append(appendText(append(dst, ','), []byte(m.trail)), ':')
			dst = appendJSON(dst, in)
		}
	}
	return append(dst, '}')
}
