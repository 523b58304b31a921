package bedrock

import "testing"

func TestErrors(t *testing.T) {
	if got, want := ErrorHeader("ThrottlingException", false), "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := ErrorHeader("UnrecognizedClientException", true), "UnrecognizedClientException:http://internal.amazon.com/coral/com.amazon.coral.service/"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for code, want := range map[string]int{
		"ValidationException": 400, "ServiceQuotaExceededException": 400, "AccessDeniedException": 403, "ExpiredTokenException": 403,
		"ResourceNotFoundException": 404, "ModelTimeoutException": 408, "ModelErrorException": 424, "ThrottlingException": 429,
		"ModelNotReadyException": 429, "InternalServerException": 500, "ServiceUnavailableException": 503, "NobodyKnowsThis": 500, "": 500,
	} {
		if got := StatusOf(code); got != want {
			t.Errorf("StatusOf(%q) = %d, want %d", code, got, want)
		}
	}
	for _, c := range []struct {
		code   string
		native bool
		want   string
	}{
		{"ThrottlingException", false, "throttlingException"},
		{"ModelTimeoutException", true, "modelTimeoutException"},
		{"ModelTimeoutException", false, "modelStreamErrorException"},
		{"ModelErrorException", false, "modelStreamErrorException"},
		{"ServiceUnavailableException", true, "serviceUnavailableException"},
		{"ValidationException", true, "validationException"},
		{"AccessDeniedException", true, "internalServerException"},
	} {
		if got := StreamException(c.code, c.native); got != c.want {
			t.Errorf("StreamException(%s, %v) = %s, want %s", c.code, c.native, got, c.want)
		}
	}
}
