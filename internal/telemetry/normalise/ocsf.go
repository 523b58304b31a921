package normalise

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/value"
)

// OCSF appends e as one object of the Open Cybersecurity Schema Framework: API
// Activity (6003) for what AWS and our gateway told, with its AI operation
// profile where a model was called, and Process Activity (1007) for endpoints.
// doc is the record that e was made of. The schema has no class for numbers,
// so events of the metrics strand are an error.
func OCSF(e *event.Event, doc *fastjson.Value, dst []byte) ([]byte, error) {
	switch e.Strand {
	case event.Endpoint:
		return appendProcessActivity(dst, e, doc), nil
	case event.Management, event.Data, event.Invocation, event.Gateway:
		return appendAPIActivity(dst, e, doc), nil
	}
	return dst, fmt.Errorf("OCSF has no class for events of strand %q", e.Strand)
}

// apiActivities are the activities of API Activity, and the beginnings of the
// names of operations that are one.
var apiActivities = []struct {
	id    int64
	name  string
	verbs []string
}{
	{1, "Create", []string{"Create", "Put", "Add", "Register", "Start", "Run", "Import", "Copy"}},
	{3, "Update", []string{"Update", "Modify", "Set", "Attach", "Associate", "Enable", "Tag", "Prepare"}},
	{4, "Delete", []string{"Delete", "Remove", "Detach", "Disassociate", "Disable", "Terminate", "Untag", "Stop"}},
	{2, "Read", []string{"Get", "List", "Describe", "Lookup", "Head", "BatchGet", "Retrieve", "Search"}},
}

// apiActivity tells what an operation does. Running a model is none of the
// four, though AWS calls it read-only.
func apiActivity(e *event.Event) (int64, string) {
	action := e.Text(event.Action)
	if runsModel(action) {
		return 99, "Invoke"
	}
	for _, a := range apiActivities {
		for _, v := range a.verbs {
			if strings.HasPrefix(action, v) {
				return a.id, a.name
			}
		}
	}
	if e.Values[event.ReadOnly].N == 1 {
		return 2, "Read"
	}
	return 99, "Other"
}

func runsModel(action string) bool {
	return strings.HasPrefix(action, "Invoke") || strings.HasPrefix(action, "Converse") || action == "CreateInference"
}

func appendAPIActivity(dst []byte, e *event.Event, doc *fastjson.Value) []byte {
	id, name := apiActivity(e)
	ai := e.Values[event.Model].Kind == event.Text && runsModel(e.Text(event.Action))
	o := ocsfObject{dst: append(dst, '{')}
	o.number("activity_id", id)
	o.text("activity_name", name)
	o.number("category_uid", 6)
	o.text("category_name", "Application Activity")
	o.number("class_uid", 6003)
	o.text("class_name", "API Activity")
	o.number("type_uid", 600300+id)
	o.text("type_name", "API Activity: "+name)
	o.number("severity_id", 1)
	o.number("time", e.Time.UnixMilli())
	o.apiMetadata(e, doc, ai)
	o.object("cloud", func() {
		o.text("provider", "AWS")
		o.text("region", e.Text(event.CloudRegion))
		o.object("account", func() { o.text("uid", firstOf(e, event.RecipientAccountID, event.AccountID)) })
	})
	o.api(e, doc)
	o.apiActor(e, doc)
	o.object("src_endpoint", func() {
		switch ip, name := e.Text(event.SrcDeviceIP), e.Text(event.SourceIPAddress); {
		case ip != "":
			o.text("ip", ip)
		case name != "":
			o.text("domain", name) // a service, for someone
		default:
			o.text("name", "unknown") // the invocation log has none, the schema asks for something
		}
		o.member("uid", doc.Get("vpcEndpointId"))
	})
	o.object("http_request", func() { o.text("user_agent", e.Text(event.HTTPUserAgent)) })
	o.apiResources(e, doc)
	if s := e.Values[event.Success]; s.Kind == event.Bool {
		o.number("status_id", 2-s.N)
		o.text("status", [...]string{"Failure", "Success"}[s.N])
	}
	if ai {
		o.aiOperation(e)
	}
	o.unmapped(doc)
	return append(o.dst, '}')
}

func (o *ocsfObject) apiMetadata(e *event.Event, doc *fastjson.Value, ai bool) {
	product := map[event.Strand]string{event.Invocation: "Bedrock model invocation log", event.Gateway: "Gatehouse"}[e.Strand]
	vendor := "AWS"
	switch {
	case product == "":
		product = "CloudTrail"
	case e.Strand == event.Gateway:
		vendor = "Gatehouse"
	}
	o.object("metadata", func() {
		o.text("version", "1.8.0")
		o.text("uid", firstOf(e, event.EventID, event.CallID, event.RequestID))
		o.text("event_code", e.Text(event.EventType))
		o.name("profiles")
		o.dst = append(o.dst, `["cloud"`...)
		if ai {
			o.dst = append(o.dst, `,"ai_operation"`...)
		}
		o.dst = append(o.dst, ']')
		o.object("product", func() {
			o.text("name", product)
			o.text("vendor_name", vendor)
			o.member("version", doc.Get("eventVersion"))
			o.object("feature", func() { o.text("name", e.Text(event.EventCategory)) })
		})
	})
}

func (o *ocsfObject) api(e *event.Event, doc *fastjson.Value) {
	o.object("api", func() {
		o.text("operation", e.Text(event.Action))
		o.object("service", func() { o.text("name", e.Text(event.Application)) })
		o.object("request", func() {
			o.text("uid", e.Text(event.RequestID))
			o.member("data", doc.Get("requestParameters"))
		})
		o.object("response", func() {
			o.text("error", e.Text(event.ErrorCode))
			o.text("message", e.Text(event.ErrorMessage))
			o.member("data", doc.Get("responseElements"))
		})
	})
}

func (o *ocsfObject) apiActor(e *event.Event, doc *fastjson.Value) {
	context := doc.Get("userIdentity", "sessionContext")
	o.object("actor", func() {
		o.object("user", func() {
			o.text("uid", firstOf(e, event.IdentityARN, event.UserUsername))
			o.text("uid_alt", e.Text(event.IdentityPrincipalID))
			o.text("name", e.Text(event.IdentityUserName))
			o.text("type", e.Text(event.IdentityType))
			o.text("credential_uid", e.Text(event.IdentityAccessKeyID))
			o.object("account", func() { o.text("uid", firstOf(e, event.IdentityAccountID, event.AccountID)) })
		})
		o.object("session", func() {
			o.text("issuer", e.Text(event.UserRole))
			if v := context.Get("attributes", "creationDate"); v != nil {
				if t, ok := Time(v); ok {
					o.number("created_time", t.UnixMilli())
				}
			}
			switch string(text(context.Get("attributes", "mfaAuthenticated"))) {
			case "true", "false":
				o.name("is_mfa")
				o.dst = append(o.dst, text(context.Get("attributes", "mfaAuthenticated"))...)
			}
		})
		o.member("invoked_by", doc.Get("userIdentity", "invokedBy"))
	})
}

func (o *ocsfObject) apiResources(e *event.Event, doc *fastjson.Value) {
	list := doc.GetArray("resources")
	if len(list) == 0 && e.Text(event.Resource) == "" {
		return
	}
	o.name("resources")
	o.dst = append(o.dst, '[')
	for i, r := range list {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst = append(o.dst, '{')
		o.member("uid", firstMember(r, "ARN", "arn"))
		o.member("type", r.Get("type"))
		o.object("owner", func() {
			o.object("account", func() { o.member("uid", r.Get("accountId")) })
		})
		o.dst = append(o.dst, '}')
	}
	if len(list) == 0 {
		o.dst = append(o.dst, '{')
		o.text("uid", e.Text(event.Resource))
		o.dst = append(o.dst, '}')
	}
	o.dst = append(o.dst, ']')
}

// aiOperation appends the members of the AI operation profile.
func (o *ocsfObject) aiOperation(e *event.Event) {
	model := e.Text(event.Model)
	provider, _, known := strings.Cut(model, ".")
	if !known {
		provider = "unknown" // an id of one's own; the schema asks for something
	}
	o.object("ai_model", func() {
		o.text("ai_provider", provider)
		o.text("name", model)
		o.text("uid", e.Text(event.ModelID))
	})
	in, out := e.Values[event.InputTokenCount], e.Values[event.OutputTokenCount]
	in.N += e.Values[event.CacheReadTokenCount].N + e.Values[event.CacheWriteTokenCount].N
	o.object("message_context", func() {
		o.text("uid", e.Text(event.RequestID))
		o.number("ai_role_id", 2) // Assistant
		o.object("service", func() { o.text("name", e.Text(event.Application)) })
		o.text("prompt_text", e.Text(event.PromptText))
		o.text("response_text", e.Text(event.ResponseText))
		o.integer("prompt_tokens", in)
		o.integer("completion_tokens", out)
		if in.Kind == event.Int && out.Kind == event.Int {
			o.number("total_tokens", in.N+out.N)
		}
	})
}

// mapped are the members of records that have a place of their own above.
var mapped = map[string]bool{
	"eventTime": true, "timestamp": true, "eventName": true, "eventSource": true, "eventID": true, "eventType": true,
	"eventVersion": true, "eventCategory": true, "userIdentity": true, "awsRegion": true, "sourceIPAddress": true,
	"userAgent": true, "errorCode": true, "errorMessage": true, "requestParameters": true, "responseElements": true,
	"requestID": true, "requestId": true, "recipientAccountId": true, "resources": true, "vpcEndpointId": true,
	"accountId": true, "region": true, "operation": true, "modelId": true, "identity": true,
}

// unmapped appends the rest of the record.
func (o *ocsfObject) unmapped(doc *fastjson.Value) {
	o.object("unmapped", func() {
		doc.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			if !mapped[string(key)] {
				o.member(string(key), v)
			}
		})
	})
}

// member appends a value of the record; null and nothing are left out.
func (o *ocsfObject) member(name string, v *fastjson.Value) {
	if v == nil || v.Type() == fastjson.TypeNull {
		return
	}
	o.name(name)
	o.dst = value.Append(o.dst, v)
}

func firstMember(v *fastjson.Value, names ...string) *fastjson.Value {
	for _, n := range names {
		if m := v.Get(n); m != nil {
			return m
		}
	}
	return nil
}

// firstOf is the first text among columns that is not empty.
func firstOf(e *event.Event, fields ...event.Field) string {
	for _, f := range fields {
		if s := e.Text(f); s != "" {
			return s
		}
	}
	return ""
}
