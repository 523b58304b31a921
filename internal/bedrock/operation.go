// Package bedrock is Bedrock's wire vocabulary: the operations and their
// paths, the errors and how they are marked, and the bodies, one row for each
// family of models.
//
// It says what bytes mean and decides nothing. [Route] tells which operation a
// request line asks for; [Operations] says what is known about each. A [Family]
// says where a body of one shape carries text, where it bounds the output, and
// where the answer says what was consumed. Converse is one more row. Facts
// that vary by family stand in the rows and nowhere in code.
package bedrock

// Plane is the endpoint an operation belongs to.
type Plane uint8

// The planes.
const (
	Runtime Plane = iota // bedrock-runtime.{region}.amazonaws.com
	Control              // bedrock.{region}.amazonaws.com
)

func (p Plane) String() string { return [...]string{"runtime", "control"}[p] }

// Support is what the gateway does with an operation.
type Support uint8

// The levels of support. The zero value refuses.
const (
	Refused Support = iota // answered with an error that names the operation
	Pass                   // read-only: forwarded, the answer filtered by policy
	Full                   // read, counted, guarded
)

func (s Support) String() string { return [...]string{"refused", "pass", "full"}[s] }

// Operation is one row of the table of operations.
type Operation struct {
	Name    string // as in CloudTrail's eventName
	Method  string
	Path    string // with labels {model}, {guardrail}, {version}, {name}
	Action  string // IAM action, without "bedrock:"
	Plane   Plane
	Support Support
	Stream  bool     // answers with an event stream
	HasBody bool     // the request has a JSON body
	Body    string   // the family whose row reads the body; empty: the model's own
	Query   []string // query parameters it takes

	segments []string // of Path
}

// Operations is every operation the gateway knows by name.
var Operations = table([]Operation{
	{Name: "Converse", Method: "POST", Path: "/model/{model}/converse", Action: "InvokeModel", Support: Full, HasBody: true, Body: "converse"},
	{Name: "ConverseStream", Method: "POST", Path: "/model/{model}/converse-stream", Action: "InvokeModelWithResponseStream", Support: Full, HasBody: true, Stream: true, Body: "converse"},
	{Name: "InvokeModel", Method: "POST", Path: "/model/{model}/invoke", Action: "InvokeModel", Support: Full, HasBody: true},
	{Name: "InvokeModelWithResponseStream", Method: "POST", Path: "/model/{model}/invoke-with-response-stream", Action: "InvokeModelWithResponseStream", Support: Full, HasBody: true, Stream: true},
	{Name: "CountTokens", Method: "POST", Path: "/model/{model}/count-tokens", Action: "CountTokens", Support: Full, HasBody: true, Body: "count-tokens"},
	{Name: "ApplyGuardrail", Method: "POST", Path: "/guardrail/{guardrail}/version/{version}/apply", Action: "ApplyGuardrail", Support: Full, HasBody: true, Body: "apply-guardrail"},

	// Read-only calls that SDKs make before the first model call.
	{Name: "ListFoundationModels", Method: "GET", Path: "/foundation-models", Action: "ListFoundationModels", Plane: Control, Support: Pass, Query: []string{"byProvider", "byCustomizationType", "byOutputModality", "byInferenceType"}},
	{Name: "GetFoundationModel", Method: "GET", Path: "/foundation-models/{model}", Action: "GetFoundationModel", Plane: Control, Support: Pass},
	{Name: "ListInferenceProfiles", Method: "GET", Path: "/inference-profiles", Action: "ListInferenceProfiles", Plane: Control, Support: Pass, Query: []string{"maxResults", "nextToken", "type", "typeEquals"}},
	{Name: "GetInferenceProfile", Method: "GET", Path: "/inference-profiles/{model}", Action: "GetInferenceProfile", Plane: Control, Support: Pass},

	// Runtime operations whose cost or text cannot be followed.
	{Name: "InvokeModelWithBidirectionalStream", Method: "POST", Path: "/model/{model}/invoke-with-bidirectional-stream", Action: "InvokeModelWithBidirectionalStream", HasBody: true, Stream: true},
	{Name: "InvokeGuardrailChecks", Method: "POST", Path: "/guardrail-checks/invoke", Action: "InvokeGuardrailChecks", HasBody: true},
	{Name: "StartAsyncInvoke", Method: "POST", Path: "/async-invoke", Action: "InvokeModel", HasBody: true},
	{Name: "GetAsyncInvoke", Method: "GET", Path: "/async-invoke/{name}", Action: "GetAsyncInvoke"},
	{Name: "ListAsyncInvokes", Method: "GET", Path: "/async-invoke", Action: "ListAsyncInvokes", Query: []string{"submitTimeAfter", "submitTimeBefore", "statusEquals", "maxResults", "nextToken", "sortBy", "sortOrder"}},
	{Name: "ChatCompletions", Method: "POST", Path: "/openai/v1/chat/completions", Action: "InvokeModel", HasBody: true},
	{Name: "Responses", Method: "POST", Path: "/openai/v1/responses", Action: "InvokeModel", HasBody: true},

	// Control plane: named, so that records say what a stranger tried.
	{Name: "GetFoundationModelAvailability", Method: "GET", Path: "/foundation-model-availability/{model}", Action: "GetFoundationModelAvailability", Plane: Control},
	{Name: "ListFoundationModelAgreementOffers", Method: "GET", Path: "/list-foundation-model-agreement-offers/{model}", Action: "ListFoundationModelAgreementOffers", Plane: Control, Query: []string{"offerType"}},
	{Name: "CreateFoundationModelAgreement", Method: "POST", Path: "/create-foundation-model-agreement", Action: "CreateFoundationModelAgreement", Plane: Control, HasBody: true},
	{Name: "DeleteFoundationModelAgreement", Method: "POST", Path: "/delete-foundation-model-agreement", Action: "DeleteFoundationModelAgreement", Plane: Control, HasBody: true},
	{Name: "PutUseCaseForModelAccess", Method: "POST", Path: "/use-case-for-model-access", Action: "PutUseCaseForModelAccess", Plane: Control, HasBody: true},
	{Name: "GetUseCaseForModelAccess", Method: "GET", Path: "/use-case-for-model-access", Action: "GetUseCaseForModelAccess", Plane: Control},
	{Name: "PutModelInvocationLoggingConfiguration", Method: "PUT", Path: "/logging/modelinvocations", Action: "PutModelInvocationLoggingConfiguration", Plane: Control, HasBody: true},
	{Name: "GetModelInvocationLoggingConfiguration", Method: "GET", Path: "/logging/modelinvocations", Action: "GetModelInvocationLoggingConfiguration", Plane: Control},
	{Name: "DeleteModelInvocationLoggingConfiguration", Method: "DELETE", Path: "/logging/modelinvocations", Action: "DeleteModelInvocationLoggingConfiguration", Plane: Control},
	{Name: "CreateModelCustomizationJob", Method: "POST", Path: "/model-customization-jobs", Action: "CreateModelCustomizationJob", Plane: Control, HasBody: true},
	{Name: "ListModelCustomizationJobs", Method: "GET", Path: "/model-customization-jobs", Action: "ListModelCustomizationJobs", Plane: Control},
	{Name: "StopModelCustomizationJob", Method: "POST", Path: "/model-customization-jobs/{name}/stop", Action: "StopModelCustomizationJob", Plane: Control},
	{Name: "CreateModelInvocationJob", Method: "POST", Path: "/model-invocation-job", Action: "CreateModelInvocationJob", Plane: Control, HasBody: true},
	{Name: "CreateModelImportJob", Method: "POST", Path: "/model-import-jobs", Action: "CreateModelImportJob", Plane: Control, HasBody: true},
	{Name: "CreateModelCopyJob", Method: "POST", Path: "/model-copy-jobs", Action: "CreateModelCopyJob", Plane: Control, HasBody: true},
	{Name: "CreateProvisionedModelThroughput", Method: "POST", Path: "/provisioned-model-throughput", Action: "CreateProvisionedModelThroughput", Plane: Control, HasBody: true},
	{Name: "ListProvisionedModelThroughputs", Method: "GET", Path: "/provisioned-model-throughputs", Action: "ListProvisionedModelThroughputs", Plane: Control},
	{Name: "CreateInferenceProfile", Method: "POST", Path: "/inference-profiles", Action: "CreateInferenceProfile", Plane: Control, HasBody: true},
	{Name: "ListCustomModels", Method: "GET", Path: "/custom-models", Action: "ListCustomModels", Plane: Control},
	{Name: "ListImportedModels", Method: "GET", Path: "/imported-models", Action: "ListImportedModels", Plane: Control},
	{Name: "CreateGuardrail", Method: "POST", Path: "/guardrails", Action: "CreateGuardrail", Plane: Control, HasBody: true},
	{Name: "ListGuardrails", Method: "GET", Path: "/guardrails", Action: "ListGuardrails", Plane: Control},
	{Name: "CreateGuardrailVersion", Method: "POST", Path: "/guardrails/{guardrail}", Action: "CreateGuardrailVersion", Plane: Control, HasBody: true},
	{Name: "UpdateGuardrail", Method: "PUT", Path: "/guardrails/{guardrail}", Action: "UpdateGuardrail", Plane: Control, HasBody: true},
	{Name: "GetGuardrail", Method: "GET", Path: "/guardrails/{guardrail}", Action: "GetGuardrail", Plane: Control},
	{Name: "DeleteGuardrail", Method: "DELETE", Path: "/guardrails/{guardrail}", Action: "DeleteGuardrail", Plane: Control, Query: []string{"guardrailVersion"}},
	{Name: "PutEnforcedGuardrailConfiguration", Method: "PUT", Path: "/enforcedGuardrailsConfiguration", Action: "PutEnforcedGuardrailConfiguration", Plane: Control, HasBody: true},
	{Name: "ListEnforcedGuardrailsConfiguration", Method: "GET", Path: "/enforcedGuardrailsConfiguration", Action: "ListEnforcedGuardrailsConfiguration", Plane: Control},
	{Name: "DeleteEnforcedGuardrailConfiguration", Method: "DELETE", Path: "/enforcedGuardrailsConfiguration/{name}", Action: "DeleteEnforcedGuardrailConfiguration", Plane: Control},
	{Name: "PutResourcePolicy", Method: "POST", Path: "/resource-policy", Action: "PutResourcePolicy", Plane: Control, HasBody: true},
	{Name: "GetResourcePolicy", Method: "GET", Path: "/resource-policy/{name}", Action: "GetResourcePolicy", Plane: Control},
	{Name: "DeleteResourcePolicy", Method: "DELETE", Path: "/resource-policy/{name}", Action: "DeleteResourcePolicy", Plane: Control},
	{Name: "PutAccountDataRetention", Method: "PUT", Path: "/data-retention", Action: "PutAccountDataRetention", Plane: Control, HasBody: true},
	{Name: "GetAccountDataRetention", Method: "GET", Path: "/data-retention", Action: "GetAccountDataRetention", Plane: Control},
})

// OperationOf returns the operation of that name, or nil.
func OperationOf(name string) *Operation {
	for i := range Operations {
		if Operations[i].Name == name {
			return &Operations[i]
		}
	}
	return nil
}

// Usage is what an answer says was consumed. Input excludes the tokens that
// were read from or written to a prompt cache where the wire tells them apart.
type Usage struct {
	Input, Output, CacheRead, CacheWrite int64
	Write1h                              int64 // of CacheWrite: kept for an hour, not five minutes
	Images                               int64 // images made
}
