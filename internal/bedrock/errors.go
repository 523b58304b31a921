package bedrock

// Namespaces of x-amzn-ErrorType: the service's own errors, and those of the
// layer before it that authenticates and authorises.
const (
	serviceNamespace = "http://internal.amazon.com/coral/com.amazon.bedrock/"
	authNamespace    = "http://internal.amazon.com/coral/com.amazon.coral.service/"
)

// ErrorHeader returns the x-amzn-ErrorType of an error code. SDKs cut it at
// the first colon.
func ErrorHeader(code string, authLayer bool) string {
	if authLayer {
		return code + ":" + authNamespace
	}
	return code + ":" + serviceNamespace
}

// statuses is the HTTP status of every error code.
var statuses = map[string]int{
	"ValidationException":           400,
	"ServiceQuotaExceededException": 400,
	"ConflictException":             400,
	"ResourceInUseException":        400,
	"TooManyTagsException":          400,
	"IncompleteSignature":           400,
	"IncompleteSignatureException":  400,
	"InvalidAction":                 400,
	"NotAuthorized":                 400,

	"AccessDeniedException":               403,
	"UnrecognizedClientException":         403,
	"InvalidSignatureException":           403,
	"ExpiredTokenException":               403,
	"MissingAuthenticationTokenException": 403,
	"InvalidClientTokenId":                403,

	"ResourceNotFoundException": 404,
	"FTUFormNotFilled":          404,
	"UnknownOperationException": 404,

	"ModelTimeoutException":     408,
	"ModelErrorException":       424,
	"ModelStreamErrorException": 424,

	"ThrottlingException":    429,
	"ModelNotReadyException": 429,

	"InternalServerException":     500,
	"InternalFailure":             500,
	"ServiceUnavailableException": 503,
}

// StatusOf returns the HTTP status of an error code, 500 for one it does not know.
func StatusOf(code string) int {
	if s := statuses[code]; s != 0 {
		return s
	}
	return 500
}

// StreamException returns the :exception-type that carries an error code in
// the middle of a stream. Codes that the service model does not have there
// become internalServerException; only native streams have the model's timeout.
func StreamException(code string, native bool) string {
	switch code {
	case "ModelStreamErrorException", "ModelErrorException":
		return "modelStreamErrorException"
	case "ValidationException":
		return "validationException"
	case "ThrottlingException":
		return "throttlingException"
	case "ServiceUnavailableException":
		return "serviceUnavailableException"
	case "ModelTimeoutException":
		if native {
			return "modelTimeoutException"
		}
		return "modelStreamErrorException"
	}
	return "internalServerException"
}
