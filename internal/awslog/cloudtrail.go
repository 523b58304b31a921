package awslog

import "encoding/json"

// CloudTrail is one CloudTrail record, of a management or of a data event.
type CloudTrail struct {
	EventVersion        string               `json:"eventVersion"`
	UserIdentity        UserIdentity         `json:"userIdentity"`
	EventTime           Time                 `json:"eventTime"`
	EventSource         string               `json:"eventSource"` // bedrock.amazonaws.com, for the runtime too
	EventName           string               `json:"eventName"`
	AWSRegion           string               `json:"awsRegion"` // the region that was called
	SourceIPAddress     string               `json:"sourceIPAddress"`
	UserAgent           string               `json:"userAgent"`
	ErrorCode           string               `json:"errorCode,omitempty"`
	ErrorMessage        string               `json:"errorMessage,omitempty"`
	RequestParameters   json.RawMessage      `json:"requestParameters"` // an object, or null
	ResponseElements    json.RawMessage      `json:"responseElements"`  // an object, or null
	AdditionalEventData *AdditionalEventData `json:"additionalEventData,omitempty"`
	RequestID           string               `json:"requestID"`
	EventID             string               `json:"eventID"`
	ReadOnly            bool                 `json:"readOnly"`
	Resources           []Resource           `json:"resources,omitempty"`
	EventType           string               `json:"eventType"`
	ManagementEvent     bool                 `json:"managementEvent"`
	RecipientAccountID  string               `json:"recipientAccountId"`
	EventCategory       string               `json:"eventCategory"` // Management or Data
	TLSDetails          *TLSDetails          `json:"tlsDetails,omitempty"`
}

// UserIdentity is who made the request.
type UserIdentity struct {
	Type           string          `json:"type"` // IAMUser, AssumedRole, Root, AWSService, Unknown, …
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"` // of AWSService, which has neither ARN nor address
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
}

// SessionContext is present for temporary credentials.
type SessionContext struct {
	SessionIssuer *SessionIssuer    `json:"sessionIssuer,omitempty"`
	Attributes    SessionAttributes `json:"attributes"`
}

// SessionIssuer is the role behind a session.
type SessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName"`
}

// SessionAttributes tell when and how a session began.
type SessionAttributes struct {
	CreationDate     Time   `json:"creationDate"`
	MFAAuthenticated string `json:"mfaAuthenticated"` // "true" or "false", as strings
}

// AdditionalEventData is what Bedrock adds about a call.
type AdditionalEventData struct {
	CallWithBearerToken bool   `json:"callWithBearerToken,omitempty"` // any Bedrock API key; absent for SigV4
	InferenceRegion     string `json:"inferenceRegion,omitempty"`     // only when it is not awsRegion
}

// Resource is what a data event touched. The key of its ARN is upper case.
type Resource struct {
	AccountID string `json:"accountId"`
	Type      string `json:"type"`
	ARN       string `json:"ARN"`
}

// TLSDetails tell how the caller connected. The host header is what tells the
// runtime from the control plane.
type TLSDetails struct {
	Version     string `json:"tlsVersion,omitempty"` // TLSv1.2, TLSv1.3
	CipherSuite string `json:"cipherSuite,omitempty"`
	Host        string `json:"clientProvidedHostHeader,omitempty"`
}

// The constants of a record about Bedrock.
const (
	EventVersion = "1.11"
	EventSource  = "bedrock.amazonaws.com"
	EventType    = "AwsApiCall"
	Management   = "Management"
	Data         = "Data"
)

// TrailError gives CloudTrail's spelling of an error code: where the service
// and the invocation log say AccessDeniedException, it says AccessDenied.
func TrailError(code string) string {
	if code == "AccessDeniedException" {
		return "AccessDenied"
	}
	return code
}
