package event

import "strings"

// Field is a column of the table below. Its number is not stored anywhere:
// files name their columns.
type Field uint8

const (
	// Metadata, of every record.
	MessageID Field = iota
	MessageTime
	ReceiptTime
	StrandName
	FormatName
	SourceCategory
	Collector
	Source
	SourceName
	SourceHost
	Index
	ViaGateway

	// What CloudTrail and invocation records call themselves.
	EventName
	EventSource
	EventID
	EventCategory
	EventType
	RequestID
	AWSRegion
	SourceIPAddress
	UserAgent
	ErrorCode
	ErrorMessage
	ReadOnly
	RecipientAccountID
	IdentityType
	IdentityARN
	IdentityPrincipalID
	IdentityAccountID
	IdentityAccessKeyID
	IdentityUserName
	IssuerARN
	Operation
	ModelID
	InferenceRegion
	InputPrompt
	OutputCompletion
	InputTokenCount
	OutputTokenCount
	CacheReadTokenCount
	CacheWriteTokenCount
	StopReason

	// Normalised names, the same for every source that has the thing.
	AccountID
	Action
	Application
	CloudProvider
	CloudRegion
	CloudService
	UserUsername
	UserRole
	SrcDeviceIP
	HTTPUserAgent
	Success
	Resource
	Model
	PromptText
	ResponseText
	SystemText
	GuardrailAction
	BearerToken
	ErrorName

	// Endpoints.
	CommandLine
	ParentCommandLine
	BaseImage
	ParentBaseImage
	DeviceHostname
	PID
	ParentPID
	MetadataVendor
	MetadataProduct
	CLIService
	CLIVerb

	// Places, when a database is configured.
	Country
	ASN
	ASOrganization

	// Metrics.
	MetricNamespace
	MetricName
	MetricStat
	MetricValue

	// Our own gateway.
	CallID
	Outcome
	RefusedBy
	Team
	CostNanoUSD

	NumFields // how many there are
)

// Column is one row of the table: what a field is called and what it holds.
type Column struct {
	Name string // as it is printed; names are looked up whatever their case
	Kind Kind
	// Path says that the record's own value at this path is the column's
	// value when the mapping of its source gives none. Metadata has none.
	Path bool
	// Wide columns hold texts of any length. They are stored without
	// statistics and read late.
	Wide bool
	Help string
}

// Columns is the table of fields, in the order of the constants.
var Columns = [NumFields]Column{
	MessageID:      {"_messageid", Text, false, false, "hash that duplicates share, 32 hex digits"},
	MessageTime:    {"_messagetime", Int, false, false, "when it happened, ms since 1970"},
	ReceiptTime:    {"_receipttime", Int, false, false, "when it arrived here, ms since 1970"},
	StrandName:     {"_strand", Text, false, false, "management, data, invocation, endpoint, metrics, gateway"},
	FormatName:     {"_format", Text, false, false, "what wrote the record: cloudtrail, jamf, sysmon, …"},
	SourceCategory: {"_sourceCategory", Text, false, false, "cloudtrail, cloudtraildataevents, bedrock/invocations, endpoint, metrics, gateway"},
	Collector:      {"_collector", Text, false, false, "what collected it"},
	Source:         {"_source", Text, false, false, "how it arrived: file, push, s3, cloudwatch, journal"},
	SourceName:     {"_sourceName", Text, false, false, "file or address it came from"},
	SourceHost:     {"_sourceHost", Text, false, false, "who sent it"},
	Index:          {"_index", Text, false, false, "sec_record_audit, sec_record_endpoint, …"},
	ViaGateway:     {"via_gateway", Bool, false, false, "the call passed our gateway"},

	EventName:            {"eventName", Text, true, false, "CloudTrail: the operation"},
	EventSource:          {"eventSource", Text, true, false, "CloudTrail: the service"},
	EventID:              {"eventID", Text, true, false, "CloudTrail: id of the record"},
	EventCategory:        {"eventCategory", Text, true, false, "CloudTrail: Management, Data, …"},
	EventType:            {"eventType", Text, true, false, "CloudTrail: AwsApiCall, …"},
	RequestID:            {"requestId", Text, true, false, "id of the request, the key that joins strands"},
	AWSRegion:            {"awsRegion", Text, true, false, "CloudTrail: the region called"},
	SourceIPAddress:      {"sourceIPAddress", Text, true, false, "CloudTrail: address or service name"},
	UserAgent:            {"userAgent", Text, true, false, "CloudTrail: the caller's software"},
	ErrorCode:            {"errorCode", Text, true, false, "as the record spells it"},
	ErrorMessage:         {"errorMessage", Text, true, true, "CloudTrail: why it failed"},
	ReadOnly:             {"readOnly", Bool, true, false, "CloudTrail: changes nothing"},
	RecipientAccountID:   {"recipientAccountId", Text, true, false, "CloudTrail: account that got the record"},
	IdentityType:         {"userIdentity.type", Text, true, false, "IAMUser, AssumedRole, …"},
	IdentityARN:          {"userIdentity.arn", Text, true, false, "who called"},
	IdentityPrincipalID:  {"userIdentity.principalId", Text, true, false, "unique id of who called"},
	IdentityAccountID:    {"userIdentity.accountId", Text, true, false, "account of who called"},
	IdentityAccessKeyID:  {"userIdentity.accessKeyId", Text, true, false, "access key of who called"},
	IdentityUserName:     {"userIdentity.userName", Text, true, false, "IAM user"},
	IssuerARN:            {"userIdentity.sessionContext.sessionIssuer.arn", Text, true, false, "role behind a session"},
	Operation:            {"operation", Text, true, false, "invocation log: Converse, InvokeModel, …"},
	ModelID:              {"modelId", Text, true, false, "model as the record spells it"},
	InferenceRegion:      {"inferenceRegion", Text, true, false, "region that answered"},
	InputPrompt:          {"input.inputBodyJson.prompt", Text, true, true, "prompt of a text-completion body"},
	OutputCompletion:     {"output.outputBodyJson.completion", Text, true, true, "answer of a text-completion body"},
	InputTokenCount:      {"input.inputTokenCount", Int, true, false, "input tokens not read from a cache"},
	OutputTokenCount:     {"output.outputTokenCount", Int, true, false, "output tokens"},
	CacheReadTokenCount:  {"input.cacheReadInputTokenCount", Int, true, false, "input tokens read from a cache"},
	CacheWriteTokenCount: {"input.cacheWriteInputTokenCount", Int, true, false, "input tokens written to a cache"},
	StopReason:           {"stopReason", Text, true, false, "why the model stopped"},

	AccountID:       {"accountId", Text, true, false, "account of the caller"},
	Action:          {"action", Text, true, false, "operation, of any strand"},
	Application:     {"application", Text, true, false, "service or program"},
	CloudProvider:   {"cloud_provider", Text, true, false, "AWS"},
	CloudRegion:     {"cloud_region", Text, true, false, "region called"},
	CloudService:    {"cloud_service", Text, true, false, "Bedrock, IAM, S3, …"},
	UserUsername:    {"user_username", Text, true, false, "who: ARN, or name on an endpoint"},
	UserRole:        {"user_role", Text, true, false, "role ARN behind a session"},
	SrcDeviceIP:     {"srcDevice_ip", Text, true, false, "address of the caller, when it is one"},
	HTTPUserAgent:   {"http_userAgent", Text, true, false, "the caller's software"},
	Success:         {"success", Bool, true, false, "no error"},
	Resource:        {"resource", Text, true, false, "what it was done to"},
	Model:           {"model", Text, true, false, "model id, normalised: no ARN, no geography"},
	PromptText:      {"prompt_text", Text, true, true, "what the user said, of every body shape"},
	ResponseText:    {"response_text", Text, true, true, "what the model said, of every body shape"},
	SystemText:      {"system_text", Text, true, true, "system prompt, of every body shape"},
	GuardrailAction: {"guardrail_action", Text, true, false, "INTERVENED or NONE, of every spelling"},
	BearerToken:     {"bearer_token", Bool, true, false, "called with a Bedrock API key"},
	ErrorName:       {"error_name", Text, true, false, "error in one spelling for all strands: AccessDenied, Throttling, …"},

	CommandLine:       {"commandLine", Text, true, true, "command line, as its source renders it"},
	ParentCommandLine: {"parentCommandLine", Text, true, true, "command line of the parent"},
	BaseImage:         {"baseImage", Text, true, false, "path of the program"},
	ParentBaseImage:   {"parentBaseImage", Text, true, false, "path of the parent"},
	DeviceHostname:    {"device_hostname", Text, true, false, "machine"},
	PID:               {"pid", Int, true, false, "process id"},
	ParentPID:         {"parentPid", Int, true, false, "id of the parent"},
	MetadataVendor:    {"metadata_vendor", Text, true, false, "vendor of the sensor"},
	MetadataProduct:   {"metadata_product", Text, true, false, "product of the sensor"},
	CLIService:        {"cli_service", Text, false, false, "AWS CLI call in the command line: bedrock, bedrock-runtime, s3, …"},
	CLIVerb:           {"cli_verb", Text, false, false, "what that call does: list, get, put, create, update, delete, invoke, converse, …"},

	Country:        {"src_country", Text, false, false, "ISO code of the caller's country"},
	ASN:            {"src_asn", Int, false, false, "autonomous system of the caller"},
	ASOrganization: {"src_as_organization", Text, false, false, "who runs that autonomous system"},

	MetricNamespace: {"metric_namespace", Text, false, false, "AWS/Bedrock, …"},
	MetricName:      {"metric_name", Text, false, false, "Invocations, …"},
	MetricStat:      {"metric_stat", Text, false, false, "Sum, Average, p99, …"},
	MetricValue:     {"metric_value", Float, false, false, "the number"},

	CallID:      {"call_id", Text, false, false, "our id of the call"},
	Outcome:     {"outcome", Text, false, false, "ok, refused, interrupted, …"},
	RefusedBy:   {"refused_by", Text, false, false, "limit, rule or policy that refused"},
	Team:        {"team", Text, false, false, "team of the caller"},
	CostNanoUSD: {"cost_nano_usd", Int, false, false, "cost of the call"},
}

func (f Field) String() string { return Columns[f].Name }

var byName = func() map[string]Field {
	m := make(map[string]Field, NumFields)
	for f := range NumFields {
		m[strings.ToLower(Columns[f].Name)] = f
	}
	return m
}()
