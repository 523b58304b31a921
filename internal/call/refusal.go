package call

import "time"

// Reason is why a request was refused: the word in the audit record. Each has
// one row in the table below and nowhere else a status or a message.
type Reason string

// Refusal is what the caller of a refused request gets to know, and, in
// Detail, what only the operator does.
type Refusal struct {
	Reason     Reason
	Status     int
	Type       string // AWS error code, for x-amzn-ErrorType
	Message    string
	Close      bool          // the connection must not be used again
	AuthLayer  bool          // answered as AWS's authentication layer does
	Upper      bool          // "Message" rather than "message" in the body
	RetryAfter time.Duration // 0: not worth retrying on a clock
	Limit      string        // the limit that refused, for the operator
	Detail     string        // for the operator; may quote untrusted text with %q, never a secret
}

func (r *Refusal) Error() string {
	s := string(r.Reason) + ": " + r.Message
	if r.Detail != "" {
		s += " (" + r.Detail + ")"
	}
	return s
}

// With returns a copy with the detail for the operator set.
func (r *Refusal) With(detail string) *Refusal {
	c := *r
	c.Detail = detail
	return &c
}

// Say returns a copy with another message to the caller.
func (r *Refusal) Say(message string) *Refusal {
	c := *r
	c.Message = message
	return &c
}

// After returns a copy that tells the caller when to come back.
func (r *Refusal) After(d time.Duration) *Refusal {
	c := *r
	c.RetryAfter = d
	return &c
}

// The table of refusals. Messages are those of Bedrock where it has one
// (facts: bedrock-wire §A4); they never say which limit, policy or secret.
var (
	// Framing: the request as HTTP.
	BadRequest       = &Refusal{Reason: "bad_request", Status: 400, Type: "ValidationException", Message: "The request is malformed.", Close: true}
	BadMethod        = &Refusal{Reason: "bad_method", Status: 405, Type: "MethodNotAllowedException", Message: "The method is not allowed.", Close: true}
	BadVersion       = &Refusal{Reason: "bad_version", Status: 505, Type: "ValidationException", Message: "The HTTP version is not supported.", Close: true}
	LengthRequired   = &Refusal{Reason: "length_required", Status: 411, Type: "ValidationException", Message: "Content-Length is required; transfer encodings are not accepted.", Close: true}
	HeadersTooLarge  = &Refusal{Reason: "headers_too_large", Status: 431, Type: "ValidationException", Message: "The request has too many header fields.", Close: true}
	ExpectationBad   = &Refusal{Reason: "bad_expectation", Status: 417, Type: "ValidationException", Message: "The expectation is not supported.", Close: true}
	BodyTooLarge     = &Refusal{Reason: "body_too_large", Status: 413, Type: "ValidationException", Message: "The request body is too large.", Close: true}
	BodyTimeout      = &Refusal{Reason: "body_timeout", Status: 408, Type: "RequestTimeoutException", Message: "The request body did not arrive in time.", Close: true}
	BodyEncoded      = &Refusal{Reason: "body_encoded", Status: 415, Type: "UnsupportedMediaTypeException", Message: "Encoded request bodies are not accepted.", Close: true}
	BadPath          = &Refusal{Reason: "bad_path", Status: 400, Type: "ValidationException", Message: "The request path is malformed."}
	BadQuery         = &Refusal{Reason: "bad_query", Status: 400, Type: "ValidationException", Message: "The operation takes no such query parameters."}
	UnknownOperation = &Refusal{Reason: "unknown_operation", Status: 404, Type: "UnknownOperationException", Message: "The requested operation is not recognized by the service."}
	UnsupportedOp    = &Refusal{Reason: "unsupported_operation", Status: 404, Type: "UnknownOperationException", Message: "The operation is not supported by this endpoint."}

	// Authentication.
	NoCredentials     = &Refusal{Reason: "no_credentials", Status: 403, Type: "MissingAuthenticationTokenException", Message: "Authorization header is missing", AuthLayer: true}
	TwoCredentials    = &Refusal{Reason: "ambiguous_credentials", Status: 400, Type: "IncompleteSignatureException", Message: "The request carries more than one set of credentials.", AuthLayer: true, Close: true}
	BadAuthorization  = &Refusal{Reason: "bad_authorization", Status: 400, Type: "IncompleteSignatureException", Message: "The Authorization header is malformed.", AuthLayer: true}
	BadSignature      = &Refusal{Reason: "bad_signature", Status: 403, Type: "InvalidSignatureException", Message: "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", AuthLayer: true}
	SignatureExpired  = &Refusal{Reason: "signature_expired", Status: 403, Type: "InvalidSignatureException", Message: "Signature expired", AuthLayer: true}
	BadScope          = &Refusal{Reason: "bad_scope", Status: 403, Type: "InvalidSignatureException", Message: "Credential should be scoped to a valid region and to service bedrock.", AuthLayer: true}
	UnknownKey        = &Refusal{Reason: "unknown_key", Status: 403, Type: "UnrecognizedClientException", Message: "The security token included in the request is invalid.", AuthLayer: true}
	BadAPIKey         = &Refusal{Reason: "bad_api_key", Status: 403, Type: "AccessDeniedException", Message: "Authentication failed: Please make sure your API Key is valid.", AuthLayer: true, Upper: true}
	BadToken          = &Refusal{Reason: "bad_token", Status: 403, Type: "AccessDeniedException", Message: "Authentication failed: Please make sure your API Key is valid.", AuthLayer: true, Upper: true}
	ExpiredCredential = &Refusal{Reason: "expired_credential", Status: 403, Type: "ExpiredTokenException", Message: "The security token included in the request is expired", AuthLayer: true}
	AuthBusy          = &Refusal{Reason: "auth_busy", Status: 503, Type: "ServiceUnavailableException", Message: "The service is busy. Try again.", RetryAfter: time.Second}

	// The body. One uniform local error, so that a refusal says no more than Bedrock would.
	Malformed    = &Refusal{Reason: "malformed_body", Status: 400, Type: "ValidationException", Message: "Malformed input request, please reformat your input and try again."}
	BadMaxTokens = &Refusal{Reason: "bad_max_tokens", Status: 400, Type: "ValidationException", Message: "Malformed input request, please reformat your input and try again."}
	UnparsedBody = &Refusal{Reason: "unparsed_body", Status: 400, Type: "ValidationException", Message: "Malformed input request, please reformat your input and try again."}
	UnknownModel = &Refusal{Reason: "unknown_model", Status: 400, Type: "ValidationException", Message: "The provided model identifier is invalid."}
	NoSuchModel  = &Refusal{Reason: "no_such_model", Status: 404, Type: "ResourceNotFoundException", Message: "The requested model was not found."}

	// Policy.
	ModelDenied     = &Refusal{Reason: "model_denied", Status: 403, Type: "AccessDeniedException", Message: "You don't have access to the model with the specified model ID."}
	OperationDenied = &Refusal{Reason: "operation_denied", Status: 403, Type: "AccessDeniedException", Message: "You are not authorized to perform this operation."}
	PolicyDenied    = &Refusal{Reason: "policy_denied", Status: 403, Type: "AccessDeniedException", Message: "You are not authorized to perform this operation."}
	CountryDenied   = &Refusal{Reason: "country_denied", Status: 403, Type: "AccessDeniedException", Message: "You are not authorized to perform this operation."}
	Frozen          = &Refusal{Reason: "frozen", Status: 403, Type: "AccessDeniedException", Message: "You are not authorized to perform this operation."}
	NetworkDenied   = &Refusal{Reason: "network_denied", Status: 403, Type: "AccessDeniedException", Message: "You are not authorized to perform this operation."}

	// Limits.
	RateLimited   = &Refusal{Reason: "rate_limited", Status: 429, Type: "ThrottlingException", Message: "Too many requests, please wait before trying again. You have sent too many requests.  Wait before trying again."}
	TokensLimited = &Refusal{Reason: "rate_limited", Status: 429, Type: "ThrottlingException", Message: "Too many tokens, please wait before trying again."}
	QuotaExceeded = &Refusal{Reason: "quota_exceeded", Status: 400, Type: "ServiceQuotaExceededException", Message: "You have exceeded your service quota. Wait for it to reset before trying again."}

	StoreDown = &Refusal{Reason: "limit_store_down", Status: 503, Type: "ServiceUnavailableException", Message: "The service is temporarily unavailable. Try again.", RetryAfter: time.Second}

	// The guard, where there is no answer to put its words into.
	GuardDenied = &Refusal{Reason: "guard_blocked", Status: 400, Type: "ValidationException", Message: "The request was blocked."}
	GuardDown   = &Refusal{Reason: "guard_down", Status: 503, Type: "ServiceUnavailableException", Message: "The service is temporarily unavailable. Try again.", RetryAfter: time.Second}

	// Ourselves and upstream. Overloaded is what a full or broken journal answers.
	Overloaded          = &Refusal{Reason: "overloaded", Status: 503, Type: "ServiceUnavailableException", Message: "The service is temporarily unavailable. Try again.", RetryAfter: time.Second}
	RecorderDown        = &Refusal{Reason: "recorder_down", Status: 503, Type: "ServiceUnavailableException", Message: "The service is temporarily unavailable. Try again.", RetryAfter: time.Second}
	Draining            = &Refusal{Reason: "draining", Status: 503, Type: "ServiceUnavailableException", Message: "The service is restarting. Try again.", Close: true, RetryAfter: time.Second}
	Internal            = &Refusal{Reason: "internal", Status: 500, Type: "InternalServerException", Message: "The system encountered an unexpected error during processing. Try your request again."}
	UpstreamUnavailable = &Refusal{Reason: "upstream_unavailable", Status: 503, Type: "ServiceUnavailableException", Message: "The service is temporarily unavailable. Try again."}
	UpstreamTimeout     = &Refusal{Reason: "upstream_timeout", Status: 408, Type: "ModelTimeoutException", Message: "The model did not answer in time. Try your request again."}
)
