package emulator

import (
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/bedrock"
)

// wireError is an answer other than success.
type wireError struct {
	status  int
	code    string
	message string

	auth           bool          // from the layer that authenticates: another namespace
	upper          bool          // that layer's authoriser spells the member "Message"
	retryAfter     time.Duration // x-amz-retry-after
	originalStatus int           // of a 424
}

func validation(message string) *wireError {
	return &wireError{status: 400, code: "ValidationException", message: message}
}

func notFound(message string) *wireError {
	return &wireError{status: 404, code: "ResourceNotFoundException", message: message}
}

// constraint is the message the service frame gives for a member of its own
// model, at a path such as messages.1.member.content.
func constraint(path, rule string) *wireError {
	return validation("1 validation error detected: Value at '" + path + "' failed to satisfy constraint: " + rule)
}

func missing(path string) *wireError { return constraint(path, "Member must not be null") }

// missingKey is the message of a native body's schema.
func missingKey(key string) *wireError {
	return validation("Malformed input request: #: required key [" + key + "] not found, please reformat your input and try again.")
}

// mistyped is the message of a native body's schema for the member at path.
func mistyped(path, rule string) *wireError {
	return validation("Malformed input request: #/" + path + ": " + rule + ", please reformat your input and try again.")
}

func denied(principal, action, resource string) *wireError {
	return &wireError{status: 403, code: "AccessDeniedException", auth: true, upper: true,
		message: "User: " + principal + " is not authorized to perform: " + action + " on resource: " + resource +
			" because no identity-based policy allows the " + action + " action"}
}

var (
	errMalformed       = validation("Malformed input request, please reformat your input and try again.")
	errUnknownModel    = validation("The provided model identifier is invalid.")
	errNoStreaming     = validation("The model is unsupported for streaming.")
	errNoConverse      = validation("This action doesn't support the model that you provided. Try again with a supported text or chat model.")
	errNoTools         = validation("This model doesn't support tool use.")
	errNoSystem        = validation("This model doesn't support system messages. Try again without system messages or use a model that supports system messages.")
	errNotUserFirst    = validation("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
	errNotAlternating  = validation("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.")
	errUnknownGuard    = validation("The guardrail identifier or version provided in the request does not exist.")
	errGuardNoHeader   = validation("The request body has amazon-bedrock-guardrailConfig, but the guardrail identifier header is missing.")
	errTooLarge        = &wireError{status: 413, code: "RequestEntityTooLargeException", message: "Request entity is too large."}
	errUnknownOp       = &wireError{status: 404, code: "UnknownOperationException", auth: true, message: "The requested operation is not recognized by the service."}
	errMethod          = &wireError{status: 405, code: "UnsupportedOperationException", auth: true, message: "The requested method is not allowed on this resource."}
	errBadPath         = validation("The request path is malformed.")
	errNoAuthorization = &wireError{status: 403, code: "MissingAuthenticationTokenException", auth: true, upper: true, message: "Authorization header is missing"}
	errUnknownKey      = &wireError{status: 403, code: "UnrecognizedClientException", auth: true, message: "The security token included in the request is invalid."}
	errBadBearer       = &wireError{status: 403, code: "AccessDeniedException", auth: true, upper: true, message: "Authentication failed: Please make sure your API Key is valid."}
	errNoBearer        = &wireError{status: 403, code: "AccessDeniedException", auth: true, message: "This operation does not support API Keys"}
)

// notOnDemand is the refusal of a base id whose model is only reachable by an
// inference profile. The apostrophe is U+2019, as AWS writes it.
func notOnDemand(model string) *wireError {
	return validation("Invocation of model ID " + model + " with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.")
}

func tooManyTokens(limit int64) *wireError {
	n := strconv.FormatInt(limit, 10)
	return validation("The maximum tokens you requested exceeds the model limit of " + n + ". Try again with a maximum tokens value that is lower than " + n + ".")
}

// appendBody appends the error's JSON.
func (e *wireError) appendBody(dst []byte, resource string) []byte {
	name := `{"message":`
	if e.upper {
		name = `{"Message":`
	}
	dst = field(dst, name, e.message)
	if e.originalStatus != 0 {
		dst = number(dst, `,"originalStatusCode":`, int64(e.originalStatus))
		dst = field(dst, `,"resourceName":`, resource)
	}
	return append(dst, '}')
}

// write sends the error. The request id is in the headers already.
func (e *wireError) write(w http.ResponseWriter, resource string) error {
	h := w.Header()
	h["x-amzn-ErrorType"] = []string{bedrock.ErrorHeader(e.code, e.auth)}
	if e.retryAfter > 0 {
		h["x-amz-retry-after"] = []string{strconv.FormatInt(e.retryAfter.Milliseconds(), 10)}
	}
	return writeJSON(w, e.status, e.appendBody(nil, resource))
}

var jsonType = []string{"application/json"}

func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	setLength(w, len(body))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func setLength(w http.ResponseWriter, n int) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(n)}
}
