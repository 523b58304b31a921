package awslog

import "encoding/json"

// The constants of a model invocation log record.
const (
	SchemaType    = "ModelInvocationLog"
	SchemaVersion = "1.0"
)

// Invocation is one record of Bedrock's model invocation log. It covers
// Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream. It
// has no address and no user agent; those are found in the CloudTrail record
// of the same request id.
type Invocation struct {
	SchemaType      string            `json:"schemaType"`
	SchemaVersion   string            `json:"schemaVersion"`
	Timestamp       Time              `json:"timestamp"`
	AccountID       string            `json:"accountId"`
	Identity        *Identity         `json:"identity,omitempty"`
	Region          string            `json:"region"`
	RequestID       string            `json:"requestId"`
	Operation       string            `json:"operation"`
	ModelID         string            `json:"modelId"`                   // as asked
	InferenceRegion string            `json:"inferenceRegion,omitempty"` // only when it is not region
	RequestMetadata map[string]string `json:"requestMetadata,omitempty"`
	ErrorCode       string            `json:"errorCode,omitempty"`
	Input           Input             `json:"input"`
	Output          *Output           `json:"output,omitempty"`
}

// Identity names the caller: the ARN of an IAM user or of a role session.
type Identity struct {
	ARN string `json:"arn"`
}

// Input is what the model was asked. The true number of input tokens is the
// sum of the three counts.
type Input struct {
	ContentType string          `json:"inputContentType,omitempty"`
	BodyJSON    json.RawMessage `json:"inputBodyJson,omitempty"`
	BodyS3Path  string          `json:"inputBodyS3Path,omitempty"` // replaces BodyJSON in AWS's own records over 100 KB
	Tokens      *int64          `json:"inputTokenCount,omitempty"` // without cache reads and writes
	CacheRead   *int64          `json:"cacheReadInputTokenCount,omitempty"`
	CacheWrite  *int64          `json:"cacheWriteInputTokenCount,omitempty"`
}

// Output is what the model answered: an object, or for
// InvokeModelWithResponseStream the array of the native chunks.
type Output struct {
	ContentType string          `json:"outputContentType,omitempty"`
	BodyJSON    json.RawMessage `json:"outputBodyJson,omitempty"`
	BodyS3Path  string          `json:"outputBodyS3Path,omitempty"`
	Tokens      *int64          `json:"outputTokenCount,omitempty"`
}
