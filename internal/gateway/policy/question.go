package policy

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

// question is what policies are asked about one call: the request, and, as a
// cedar.EntityGetter, what is known of the principal, action and resource in
// it. Entities are made when a policy looks at them. A question is for one
// goroutine.
type question struct {
	cedar.Request
	principal       *call.Principal
	model           model.Ref
	user, requested *types.Entity
}

// The types of the schema.
const (
	userType      = "Gatehouse::User"
	teamType      = "Gatehouse::Team"
	modelType     = "Gatehouse::Model"
	providerType  = "Gatehouse::Provider"
	familyType    = "Gatehouse::Family"
	guardrailType = "Gatehouse::Guardrail"
	actionType    = "Action"
)

// catalog is the resource of the operations that list models.
var catalog = cedar.NewEntityUID("Gatehouse::Catalog", "models")

func (p *Policy) question(c *call.Call, now time.Time) *question {
	q := &question{principal: c.Principal, model: c.Model}
	q.Principal = cedar.NewEntityUID(userType, types.String(c.Principal.User))
	q.Action = cedar.NewEntityUID(actionType, types.String(c.Operation.Name))
	switch {
	case c.Model.Model != nil:
		q.Resource = cedar.NewEntityUID(modelType, types.String(c.Model.ID))
	case c.Target.Guardrail != "":
		q.Resource = cedar.NewEntityUID(guardrailType, types.String(guardrailID(c.Target.Guardrail)))
	default:
		q.Resource = catalog
	}
	if len(p.fields) > 0 {
		m := make(types.RecordMap, len(p.fields))
		for _, f := range p.fields {
			m[f.name] = f.value(&asked{c, now.UTC(), p.region})
		}
		q.Context = types.NewRecord(m)
	}
	return q
}

// of returns the same question about a model.
func (q question) of(ref model.Ref) *question {
	q.model, q.requested = ref, nil
	q.Resource = cedar.NewEntityUID(modelType, types.String(ref.ID))
	return &q
}

func (q *question) what() string {
	return string(q.Action.ID) + " of " + q.Resource.String() + " to " + q.Request.Principal.String()
}

// Get is the entity of a policy's principal, action or resource. Teams,
// providers and families have nothing but a name.
func (q *question) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	switch {
	case uid == q.Request.Principal:
		if q.user == nil {
			q.user = userEntity(uid, q.principal)
		}
		return *q.user, true
	case uid == q.Resource:
		if q.requested == nil {
			q.requested = resourceEntity(uid, q.model)
		}
		return *q.requested, true
	case uid == q.Action:
		action, ok := vocabulary().Actions[uid]
		return action.Entity, ok
	}
	return cedar.Entity{}, false
}

func userEntity(uid cedar.EntityUID, p *call.Principal) *cedar.Entity {
	team := types.String(p.Team)
	if team == "" {
		team = "default"
	}
	return &cedar.Entity{
		UID: uid, Parents: cedar.NewEntityUIDSet(cedar.NewEntityUID(teamType, team)),
		Attributes: types.NewRecord(types.RecordMap{
			"id": types.String(p.UserID), "user": types.String(p.User), "team": team,
			"key": types.String(p.Key), "scheme": types.String(p.Scheme.String()),
		}),
	}
}

func resourceEntity(uid cedar.EntityUID, ref model.Ref) *cedar.Entity {
	if uid.Type != modelType {
		return &cedar.Entity{UID: uid}
	}
	provider, family := types.String(ref.Provider), types.String(ref.Family)
	return &cedar.Entity{
		UID:        uid,
		Parents:    cedar.NewEntityUIDSet(cedar.NewEntityUID(providerType, provider), cedar.NewEntityUID(familyType, family)),
		Attributes: types.NewRecord(types.RecordMap{"provider": provider, "family": family, "geo": types.String(ref.Geo)}),
	}
}

// field is one attribute of the context.
type field struct {
	name  types.String
	value func(*asked) types.Value
}

type asked struct {
	*call.Call
	now    time.Time // UTC
	region string
}

// contextFields are all attributes, as the schema has them.
var contextFields = []field{
	{"ip", func(a *asked) types.Value { return address(a.IP) }},
	{"country", func(a *asked) types.Value { return types.String(a.Country) }},
	{"time", func(a *asked) types.Value { return types.NewDatetime(a.now) }},
	{"hour", func(a *asked) types.Value { return types.Long(a.now.Hour()) }},
	{"weekday", func(a *asked) types.Value { return types.Long((a.now.Weekday()+6)%7 + 1) }},
	{"region", func(a *asked) types.Value { return types.String(cmp.Or(a.Model.Region, a.region)) }},
	{"guardrail", func(a *asked) types.Value { return types.Boolean(guardrailOf(a.Call) != "") }},
	{"guardrailId", func(a *asked) types.Value { return types.String(guardrailOf(a.Call)) }},
	{"maxTokens", func(a *asked) types.Value { return types.Long(a.OutputBound()) }},
	{"inputTokens", func(a *asked) types.Value { return types.Long(a.InputEstimate) }},
	{"stream", func(a *asked) types.Value { return types.Boolean(a.Operation.Stream) }},
	{"tls", func(a *asked) types.Value { return types.Boolean(a.TLS != "") }},
}

func address(ip netip.Addr) types.Value {
	ip = ip.Unmap().WithZone("")
	return types.IPAddr(netip.PrefixFrom(ip, ip.BitLen()))
}

// guardrailOf is the id of the guardrail that Bedrock will apply to c: of
// Converse what the body says, of InvokeModel what the header says. Bedrock
// does not look into the other place, and so a policy must not.
func guardrailOf(c *call.Call) string {
	if c.Operation.Body != "converse" {
		return guardrailID(c.Guardrail[:max(0, strings.LastIndexByte(c.Guardrail, ':'))])
	}
	if c.Doc == nil {
		return ""
	}
	id, _ := c.Doc.String(c.Doc.Get(c.Doc.Get(0, "guardrailConfig"), "guardrailIdentifier"))
	return guardrailID(id)
}

// guardrailID is the id of a guardrail that is named by its id or its ARN.
func guardrailID(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// fieldsOf returns the attributes of the context that some of the rules read,
// so that a call pays for no others.
func fieldsOf(rules ruleSet) []field {
	var all bool
	read := map[types.String]bool{}
	for _, r := range rules {
		for _, c := range (*ast.Policy)(r.AST()).Conditions {
			ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
				name, ok := attribute(n)
				read[name] = read[name] || ok
				v, whole := n.(ast.NodeTypeVariable)
				all = all || whole && v.Name == "context"
				return !ok
			})
		}
	}
	var out []field
	for _, f := range contextFields {
		if all || read[f.name] {
			out = append(out, f)
		}
	}
	return out
}

// attribute is the name in `context.name` and `context has name`.
func attribute(n ast.IsNode) (types.String, bool) {
	var op ast.StrOpNode
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		op = n.StrOpNode
	case ast.NodeTypeHas:
		op = n.StrOpNode
	}
	v, ok := op.Arg.(ast.NodeTypeVariable)
	return op.Value, ok && v.Name == "context"
}
