package normalise

import (
	"bytes"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// modelParameters are the parameters that name a model, by operation.
var modelParameters = []string{
	"requestParameters.modelId", "requestParameters.model", "requestParameters.modelIdentifier",
	"requestParameters.inferenceProfileIdentifier", "requestParameters.foundationModel", "requestParameters.baseModelIdentifier",
}

// cloudTrail is the table of CloudTrail's records, of management and of data
// events. What the columns call by CloudTrail's own paths is filled from them.
var cloudTrail = source{
	format:    "cloudtrail",
	collector: "AWS CloudTrail",
	index:     "sec_record_audit",
	time:      paths("eventTime"),
	id:        []keyRow{{"cloudtrail", paths("eventID")}},
	rows: []row{
		at(event.RequestID, "requestID", "requestId", "serviceEventDetails.parentRequestId"),
		at(event.ModelID, modelParameters...),
		modelBy(modelParameters...),
		{field: event.InferenceRegion, paths: paths("additionalEventData.inferenceRegion"), from: detail("inferenceRegion")},
		{field: event.InputTokenCount, paths: paths("additionalEventData.inputTokens"), from: detail("inputTokens")},
		{field: event.OutputTokenCount, paths: paths("additionalEventData.outputTokens"), from: detail("outputTokens")},
		at(event.AccountID, "userIdentity.accountId", "recipientAccountId"),
		at(event.EventName, "eventName", "insightDetails.eventName"),
		at(event.EventSource, "eventSource", "insightDetails.eventSource"),
		at(event.Action, "eventName", "insightDetails.eventName"),
		by(event.Application, application),
		always(event.CloudProvider, "AWS"),
		at(event.CloudRegion, "awsRegion"),
		by(event.CloudService, cloudService),
		by(event.UserUsername, trailUser),
		roleBy("userIdentity.sessionContext.sessionIssuer.arn", "userIdentity.arn"),
		addressBy("sourceIPAddress"),
		at(event.HTTPUserAgent, "userAgent"),
		by(event.Success, trailSuccess),
		errorBy("errorCode"),
		by(event.Resource, trailResource),
		at(event.BearerToken, "additionalEventData.callWithBearerToken", "requestParameters.callWithBearerToken"),
	},
}

// detail takes a value from the details of a service's event beside an
// inference call: a map, or a list of key and value.
func detail(name string) func(*fastjson.Value, *cell) {
	return func(doc *fastjson.Value, c *cell) {
		entries := doc.Get("serviceEventDetails", "AdditionalEventData", "additionalEntries")
		if entries == nil || c.value(entries.Get(name)) {
			return
		}
		for _, e := range entries.GetArray() {
			if string(text(e.Get("key"))) == name {
				c.value(e.Get("value"))
				return
			}
		}
	}
}

var eventSources = paths("eventSource", "insightDetails.eventSource")

// application is a record's service. Bedrock's runtime and its agents have no
// name of their own in CloudTrail; a record that has one means Bedrock.
func application(doc *fastjson.Value, c *cell) {
	switch b := firstText(doc, eventSources); string(b) {
	case "":
	case "bedrock-runtime.amazonaws.com", "bedrock-agent.amazonaws.com", "bedrock-agent-runtime.amazonaws.com":
		c.constant("bedrock.amazonaws.com")
	default:
		c.text(b)
	}
}

// services are the names of services as people write them.
var services = map[string]string{
	"bedrock": "Bedrock", "bedrock-runtime": "Bedrock", "bedrock-agent": "Bedrock", "bedrock-agent-runtime": "Bedrock",
	"bedrock-mantle": "Bedrock Mantle", "bedrock-agentcore": "Bedrock AgentCore", "bedrock-agentcore-control": "Bedrock AgentCore",
	"iam": "IAM", "sts": "STS", "s3": "S3", "ec2": "EC2", "kms": "KMS", "lambda": "Lambda", "logs": "CloudWatch Logs",
	"monitoring": "CloudWatch", "cloudtrail": "CloudTrail", "secretsmanager": "Secrets Manager", "ssm": "Systems Manager",
	"signin": "Sign-In", "sso": "IAM Identity Center", "organizations": "Organizations", "sagemaker": "SageMaker",
	"aws-external-anthropic": "Claude Platform",
}

func cloudService(doc *fastjson.Value, c *cell) {
	host := firstText(doc, eventSources)
	name, _, _ := bytes.Cut(host, []byte("."))
	if s, ok := services[string(name)]; ok {
		c.constant(s)
	} else if len(name) > 0 {
		c.text(name)
	}
}

var userNames = paths("userIdentity.arn", "userIdentity.userName", "userIdentity.onBehalfOf.userId", "userIdentity.principalId")

// trailUser is who called. A service that calls for itself is no user: it has
// no ARN, and its name must not become one.
func trailUser(doc *fastjson.Value, c *cell) {
	if string(text(doc.Get("userIdentity", "type"))) == "AWSService" {
		return
	}
	if b := firstText(doc, userNames); len(b) > 0 {
		c.text(b)
	}
}

func trailSuccess(doc *fastjson.Value, c *cell) {
	failed := len(text(doc.Get("errorCode"))) > 0 || string(text(doc.Get("responseElements", "ConsoleLogin"))) == "Failure"
	c.boolean(!failed)
}

// resources are the parameters that say what something was done to, the most
// telling first.
var resources = paths(
	"requestParameters.guardrailIdentifier", "requestParameters.agentId", "requestParameters.knowledgeBaseId",
	"requestParameters.customModelName", "requestParameters.provisionedModelId", "requestParameters.provisionedModelName",
	"requestParameters.jobIdentifier", "requestParameters.jobName", "requestParameters.flowIdentifier", "requestParameters.promptIdentifier",
	"requestParameters.modelId", "requestParameters.model", "requestParameters.modelIdentifier",
	"requestParameters.bucketName", "requestParameters.policyArn", "requestParameters.roleName", "requestParameters.userName",
	"requestParameters.functionName", "requestParameters.secretId", "requestParameters.logGroupName", "requestParameters.agentName",
	"requestParameters.resourceArn", "requestParameters.resourceARN", "requestParameters.name",
	"responseElements.guardrailArn", "responseElements.agent.agentArn",
	"resources.0.ARN", "resources.0.arn",
)

// hidden is what CloudTrail writes in place of a secret.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

func trailResource(doc *fastjson.Value, c *cell) {
	for _, p := range resources {
		if b := text(doc.Get(p...)); len(b) > 0 && string(b) != hidden {
			c.text(b)
			return
		}
	}
}
