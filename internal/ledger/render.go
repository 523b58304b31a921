package ledger

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/awslog"
	"gatehouse/internal/call"
)

// logged are the operations that AWS's model invocation log covers, and how
// the body of an answer is shown there.
var logged = map[string]func(*Body) json.RawMessage{
	"Converse":                      plain,
	"ConverseStream":                converseOutput,
	"InvokeModel":                   plain,
	"InvokeModelWithResponseStream": chunkArray,
}

// dataEvents are the operations that CloudTrail logs as data events, of those
// that reach a Bedrock endpoint, with the type of the resource.
var dataEvents = map[string]string{
	"ApplyGuardrail":                     "AWS::Bedrock::Guardrail",
	"InvokeGuardrailChecks":              "AWS::Bedrock::Guardrail",
	"InvokeModelWithBidirectionalStream": "AWS::Bedrock::Model",
	"StartAsyncInvoke":                   "AWS::Bedrock::AsyncInvoke",
	"GetAsyncInvoke":                     "AWS::Bedrock::AsyncInvoke",
}

// modelParameter is the name that an operation's record gives to the model,
// where it is not modelId.
var modelParameter = map[string]string{
	"GetFoundationModel":  "modelIdentifier",
	"GetInferenceProfile": "inferenceProfileIdentifier",
}

// RenderOptions choose what a rendered record carries.
type RenderOptions struct {
	// MaxBody leaves out bodies of more bytes than this, as recorded. AWS
	// writes bodies over 100 KB to S3 and refers to them; having no such
	// place, the ledger puts all bodies into the record unless told otherwise.
	// 0: no bound.
	MaxBody int64
}

// Invocation renders the record as Bedrock's model invocation log would show
// the call. It is false for operations which that log does not cover.
//
// A body is left out when it was not recorded, was erased, or is not JSON; of
// an answer that was cut, a stream shows what there is. A call that was not
// answered has an errorCode and no output.
func (r *Record) Invocation(o RenderOptions) (*awslog.Invocation, bool) {
	show, ok := logged[r.Operation]
	if !ok {
		return nil, false
	}
	code, _ := r.failure()
	v := &awslog.Invocation{
		SchemaType: awslog.SchemaType, SchemaVersion: awslog.SchemaVersion,
		Timestamp: awslog.Time{Time: r.Time}, AccountID: r.Account, Region: r.Region,
		RequestID: r.requestID(), Operation: r.Operation, ModelID: r.ModelAsked,
		InferenceRegion: r.inferenceRegion(), ErrorCode: code,
		Input: awslog.Input{ContentType: jsonType(r.ContentType)},
	}
	if r.known() {
		v.Identity = &awslog.Identity{ARN: r.Principal.ARN(r.Account)}
	}
	if r.Request.Whole() && o.admits(&r.Request) {
		v.Input.BodyJSON = plain(&r.Request)
	}
	v.RequestMetadata = r.requestMetadata()
	if r.Refusal != nil {
		return v, true
	}
	if r.answered() {
		v.Output = &awslog.Output{ContentType: jsonType(r.Result.ContentType)}
		if o.admits(&r.Response) {
			v.Output.BodyJSON = show(&r.Response)
		}
	}
	r.counts(v)
	return v, true
}

// CloudTrail renders the record as CloudTrail would show the call. It is false
// for requests that were for no operation at all.
func (r *Record) CloudTrail() (*awslog.CloudTrail, bool) {
	if r.Operation == "" {
		return nil, false
	}
	code, message := r.failure()
	resource, data := dataEvents[r.Operation]
	v := &awslog.CloudTrail{
		EventVersion: awslog.EventVersion, EventSource: awslog.EventSource, EventType: awslog.EventType,
		EventName: r.Operation, EventTime: awslog.Time{Time: r.Time}, AWSRegion: r.Region,
		UserIdentity: r.identity(), UserAgent: r.UserAgent,
		ErrorCode: awslog.TrailError(code), ErrorMessage: message,
		RequestParameters: r.parameters(), AdditionalEventData: r.additional(),
		RequestID: r.requestID(), EventID: eventID(r.ID),
		ReadOnly: readOnly(r.Operation), ManagementEvent: !data, EventCategory: awslog.Management,
		RecipientAccountID: r.Account,
	}
	if r.IP.IsValid() {
		v.SourceIPAddress = r.IP.String()
	}
	if data {
		v.EventCategory = awslog.Data
		v.Resources = r.resources(resource)
	}
	if r.TLS != "" || r.Host != "" {
		v.TLSDetails = &awslog.TLSDetails{Version: r.TLS, CipherSuite: r.TLSCipher, Host: r.Host}
	}
	return v, true
}

// known reports whether the caller proved who it is.
func (r *Record) known() bool { return r.Principal != Principal{} }

func (r *Record) requestID() string {
	if r.Refusal == nil && r.Result.RequestID != "" {
		return r.Result.RequestID
	}
	return r.RequestID
}

func (r *Record) inferenceRegion() string {
	if r.Refusal != nil || r.Result.Region == r.Region {
		return ""
	}
	return r.Result.Region
}

// failure is the error code and message of a call that did not succeed.
func (r *Record) failure() (code, message string) {
	switch {
	case r.Refusal != nil && r.Refusal.Limit != "": // the caller was not told which
		return r.Refusal.ErrorType, r.Refusal.Message + " (limit " + r.Refusal.Limit + ")"
	case r.Refusal != nil:
		return r.Refusal.ErrorType, r.Refusal.Message
	case r.Result.ErrorType != "":
		return r.Result.ErrorType, r.Result.Message
	case r.Result.Outcome == call.Interrupted:
		return "InternalServerException", "The gateway stopped before the call ended."
	}
	return "", ""
}

// answered reports whether the caller got an answer, or a part of one.
func (r *Record) answered() bool {
	return r.Result.Status/100 == 2 || r.Result.Outcome == call.Interrupted && len(r.Response.Bytes) > 0
}

// counts fills in the token counts where the model told them, or where what
// was delivered lets us estimate them. A reservation is neither.
func (r *Record) counts(v *awslog.Invocation) {
	u := r.Result.Usage
	if !u.Exact && (v.Output == nil || r.Result.Outcome == call.Interrupted) {
		return
	}
	v.Input.Tokens, v.Input.CacheRead, v.Input.CacheWrite = &u.Input, &u.CacheRead, &u.CacheWrite
	if v.Output != nil {
		v.Output.Tokens = &u.Output
	}
}

func (r *Record) identity() awslog.UserIdentity {
	if !r.known() {
		return awslog.UserIdentity{Type: "Unknown"}
	}
	p := &r.Principal
	return awslog.UserIdentity{
		Type: "IAMUser", PrincipalID: p.UserID, ARN: p.ARN(r.Account),
		AccountID: r.Account, AccessKeyID: p.Key, UserName: p.User,
	}
}

// parameters are the request's parameters without any text of the prompt.
func (r *Record) parameters() json.RawMessage {
	p := map[string]string{}
	if r.ModelAsked != "" {
		name := modelParameter[r.Operation]
		if name == "" {
			name = "modelId"
		}
		p[name] = r.ModelAsked
	}
	if strings.Contains(r.Operation, "Guardrail") && r.Guardrail != "" {
		id, version := splitGuardrail(r.Guardrail)
		p["guardrailIdentifier"] = id
		if version != "" {
			p["guardrailVersion"] = version
		}
	}
	if len(p) == 0 {
		return nil
	}
	b, _ := json.Marshal(p) // a map of strings always marshals
	return b
}

func (r *Record) additional() *awslog.AdditionalEventData {
	a := awslog.AdditionalEventData{InferenceRegion: r.inferenceRegion()}
	switch r.Principal.Scheme {
	case call.APIKey.String(), call.Token.String():
		a.CallWithBearerToken = true
	}
	if a == (awslog.AdditionalEventData{}) {
		return nil
	}
	return &a
}

func (r *Record) resources(kind string) []awslog.Resource {
	arn := r.ModelAsked
	switch {
	case kind == "AWS::Bedrock::Guardrail" && r.Guardrail != "":
		if arn, _ = splitGuardrail(r.Guardrail); !strings.HasPrefix(arn, "arn:") {
			arn = "arn:aws:bedrock:" + r.Region + ":" + r.Account + ":guardrail/" + arn
		}
	case kind == "AWS::Bedrock::Model" && arn != "" && !strings.HasPrefix(arn, "arn:"):
		arn = "arn:aws:bedrock:" + r.Region + "::foundation-model/" + arn
	}
	if !strings.HasPrefix(arn, "arn:") {
		return nil
	}
	return []awslog.Resource{{AccountID: r.Account, Type: kind, ARN: arn}}
}

// splitGuardrail splits "id:version"; the id may be an ARN.
func splitGuardrail(s string) (id, version string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// readOnly is CloudTrail's word for an operation: the ones that run a model
// are read-only there.
func readOnly(operation string) bool {
	for _, verb := range [...]string{"Converse", "Invoke", "ChatCompletions", "Responses", "Get", "List", "Count", "Apply"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}

// eventID derives the id of a call's CloudTrail event from the call's id: the
// same in every export, so that readers can drop duplicates. It is a UUID v8.
func eventID(id string) string {
	h := sha256.Sum256([]byte("gatehouse cloudtrail event " + id))
	h[6] = h[6]&0x0f | 0x80
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// jsonType is the content type in the log: that of the model's JSON, also for
// what went over the wire as a stream of it, or without a type.
func jsonType(contentType string) string {
	if contentType == "" || strings.HasPrefix(contentType, "application/vnd.amazon.eventstream") {
		return "application/json"
	}
	return contentType
}

// admits reports whether a body may be shown.
func (o RenderOptions) admits(b *Body) bool {
	return o.MaxBody == 0 || b.Size <= o.MaxBody
}

// plain shows a body that is one JSON value as it is.
func plain(b *Body) json.RawMessage {
	if !jsontext.Value(b.Bytes).IsValid() {
		return nil
	}
	return b.Bytes
}

// requestMetadata is the caller's own labels: a header of InvokeModel, a member
// of Converse.
func (r *Record) requestMetadata() map[string]string {
	var v struct {
		Labels map[string]string `json:"requestMetadata"`
	}
	err := error(nil)
	switch {
	case r.Metadata != "":
		err = jsonv2.Unmarshal([]byte(r.Metadata), &v.Labels)
	case r.Request.Whole() && strings.HasPrefix(r.Operation, "Converse"):
		err = jsonv2.Unmarshal(r.Request.Bytes, &v)
	}
	if err != nil {
		return nil
	}
	return v.Labels
}
