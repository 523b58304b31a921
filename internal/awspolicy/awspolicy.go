// Package awspolicy writes the AWS policies that make the gateway the only way
// to Bedrock. A gate that can be walked around guards nothing: whoever has AWS
// credentials with bedrock:InvokeModel needs no Gatehouse key.
//
// [Documents] returns four of them, for the operator to apply:
//
//	role      what the gateway's own role may do, and no more
//	scp       for the organization: nobody else may run models
//	iam-deny  the same for groups, permission sets or boundaries
//	endpoint  the same for the VPC endpoint of bedrock-runtime
//
// Converse, ConverseStream and StartAsyncInvoke have no IAM action of their
// own; InvokeModel and InvokeModelWithResponseStream stand for them.
package awspolicy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"gatehouse/internal/bedrock/model"
)

// Options are what the policies are made for.
type Options struct {
	Roles     []string          // ARNs of the roles that may run models: the gateway's, then any others
	Regions   []string          // that the gateway calls
	Models    []string          // ids of models and geo profiles that it calls; none: all
	Profiles  map[string]string // ARN of an application profile, provisioned or custom model that it calls: the model's id
	Topics    []string          // ARNs of SNS topics that it writes to
	Endpoints []string          // vpce-…: only through these does the role run models; none: from anywhere
	Table     *model.Table      // nil: the embedded one
}

// Document is one policy.
type Document struct {
	Name    string
	Purpose string // in sentences, for people
	JSON    string
}

// AWS's limits, in characters. Those of identity policies do not count spaces.
const (
	maxSCP      = 5120
	maxManaged  = 6144
	maxEndpoint = 20480
)

var (
	roleRE     = regexp.MustCompile(`^arn:(aws|aws-[a-z-]+):iam::([0-9]{12}):role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	endpointRE = regexp.MustCompile(`^vpce-[0-9a-f]{8,17}$`)
)

// Documents returns the policies, or says what in o is no good. Nothing is
// guessed: a policy that denies everybody but a role that does not exist stops
// all work with Bedrock.
func Documents(o Options) ([]Document, error) {
	w, err := newWriter(o)
	if err != nil {
		return nil, err
	}
	resources, err := w.resources()
	if err != nil {
		return nil, err
	}
	docs := []Document{
		w.document("role", purposeRole, w.allowed(resources)),
		w.document("scp", purposeSCP, []statement{w.deny("")}),
		w.document("iam-deny", purposeIAM, []statement{w.deny("")}),
		w.document("endpoint", purposeEndpoint, []statement{w.allowEndpoint(), w.deny("*")}),
	}
	for i, limit := range []int{maxManaged, maxSCP, maxManaged, maxEndpoint} {
		text := docs[i].JSON
		if limit == maxManaged {
			text = strings.Map(dropSpace, text)
		}
		if len(text) > limit {
			return nil, fmt.Errorf("the policy %s has %d characters and AWS takes %d: name fewer models, or none for all", docs[i].Name, len(text), limit)
		}
	}
	return docs, nil
}

func dropSpace(r rune) rune {
	if unicode.IsSpace(r) {
		return -1
	}
	return r
}

const (
	purposeRole = "What the gateway's role may do, and no more. Attach it to the role as its only policy for Bedrock."

	purposeSCP = "Nobody but the gateway's role runs models. Attach it to the root or to organizational units, first to one for trial. " +
		"It does not hold for the organization's management account and for service-linked roles. aws:PrincipalArn of an assumed role is " +
		"the ARN of the role, so all sessions of the role are meant, and no user or role of that name in another account. Agents, " +
		"knowledge bases and batch jobs run models under service roles of their own: they stop too, unless named with a further --role-arn."

	purposeIAM = "The same without an organization: attach it to every group and role, or put it into their permissions boundary. " +
		"The gateway's role is excepted, so that it may be attached to all."

	purposeEndpoint = "Policy of the VPC endpoints of bedrock-runtime and bedrock: through them, only the gateway's role reaches Bedrock, " +
		"whatever credentials somebody has brought into the network. It says nothing of calls that do not pass the endpoint."
)

// writer is Options that have been checked.
type writer struct {
	Options
	partition, account string
}

func newWriter(o Options) (*writer, error) {
	if len(o.Roles) == 0 {
		return nil, fmt.Errorf("name the ARN of the gateway's role: arn:aws:iam::ACCOUNT:role/NAME")
	}
	if len(o.Regions) == 0 {
		return nil, fmt.Errorf("name a region")
	}
	for _, arn := range o.Roles {
		if !roleRE.MatchString(arn) {
			return nil, fmt.Errorf("%.80q is not the ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME, of a session the role it is of", arn)
		}
	}
	for _, id := range o.Endpoints {
		if !endpointRE.MatchString(id) {
			return nil, fmt.Errorf("%.80q is not the id of a VPC endpoint, vpce-…", id)
		}
	}
	if o.Table == nil {
		o.Table = model.Default()
	}
	m := roleRE.FindStringSubmatch(o.Roles[0])
	return &writer{o, m[1], m[2]}, nil
}

// policy and statement are the JSON of a policy, its keys in the usual order.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal string `json:",omitempty"`
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

func (w *writer) document(name, purpose string, statements []statement) Document {
	b, err := json.MarshalIndent(policy{"2012-10-17", statements}, "", "  ")
	if err != nil {
		panic("awspolicy: " + err.Error()) // texts always encode
	}
	return Document{name, purpose, string(b)}
}

// runs are the actions that run a model, and routes every other way to one:
// agents and flows, batch jobs, knowledge bases, Bedrock's own API keys, which
// need no role at all, and the Mantle endpoint.
var (
	runs   = []string{"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
	routes = []string{
		"bedrock:Invoke*", "bedrock:CreateModelInvocationJob", "bedrock:RetrieveAndGenerate*", "bedrock:CallWithBearerToken",
		"bedrock-mantle:CreateInference", "bedrock-mantle:CallWithBearerToken",
	}
)

// deny closes the routes to everybody but the roles.
func (w *writer) deny(principal string) statement {
	return statement{
		Sid: "OnlyTheGatewayRunsModels", Effect: "Deny", Principal: principal, Action: routes, Resource: []string{"*"},
		Condition: map[string]map[string][]string{"ArnNotLike": {"aws:PrincipalArn": w.Roles}},
	}
}

func (w *writer) allowEndpoint() statement {
	return statement{
		Sid: "TheGateway", Effect: "Allow", Principal: "*", Action: []string{"bedrock:*"}, Resource: []string{"*"},
		Condition: map[string]map[string][]string{"ArnLike": {"aws:PrincipalArn": w.Roles}},
	}
}

// allowed is the policy of the gateway's role.
func (w *writer) allowed(r resources) []statement {
	var out []statement
	add := func(sid string, actions, on []string, condition map[string]map[string][]string) {
		if len(on) > 0 {
			out = append(out, statement{Sid: sid, Effect: "Allow", Action: actions, Resource: on, Condition: condition})
		}
	}
	add("Models", append([]string{"bedrock:CountTokens", "bedrock:GetFoundationModel"}, runs...), r.models, nil)
	add("Profiles", append([]string{"bedrock:GetInferenceProfile"}, runs...), r.profiles, nil)
	add("ModelsBehindProfiles", runs, r.behind, map[string]map[string][]string{"ArnLike": {"bedrock:InferenceProfileArn": r.profiles}})
	add("Guardrails", []string{"bedrock:ApplyGuardrail"}, w.each("guardrail/*"), nil)
	add("Lists", []string{"bedrock:ListFoundationModels", "bedrock:ListInferenceProfiles"}, []string{"*"},
		map[string]map[string][]string{"StringEquals": {"aws:RequestedRegion": w.Regions}})
	add("Messages", []string{"sns:Publish"}, w.Topics, nil)
	if len(w.Endpoints) > 0 {
		out = append(out, statement{Sid: "OnlyThroughTheEndpoint", Effect: "Deny", Action: runs, Resource: []string{"*"},
			Condition: map[string]map[string][]string{"StringNotEquals": {"aws:SourceVpce": w.Endpoints}}})
	}
	return out
}

// each is a resource of the account in each region.
func (w *writer) each(name string) []string {
	var out []string
	for _, region := range w.Regions {
		out = append(out, w.arn(region, w.account, name))
	}
	return out
}

func (w *writer) arn(region, account, name string) string {
	return "arn:" + w.partition + ":bedrock:" + region + ":" + account + ":" + name
}

// resources are the ARNs of what is called: models by their own id, profiles,
// and the models in other regions that profiles lead to.
type resources struct{ models, profiles, behind []string }

// destinations are the regions that a geo profile may lead to, more widely than
// today's lists, since AWS adds to them. The models behind a global profile
// have an ARN without a region as well.
var destinations = map[string][]string{
	"us": {"us-*"}, "us-gov": {"us-gov-*"}, "eu": {"eu-*"}, "apac": {"ap-*"}, "jp": {"ap-northeast-*"},
	"au": {"ap-southeast-*"}, "in": {"ap-south-*"}, "ca": {"ca-*"}, "sa": {"sa-*"}, "global": {"*", ""},
}

func (w *writer) resources() (resources, error) {
	r := resources{profiles: slices.Sorted(maps.Keys(w.Profiles))}
	if len(w.Models) == 0 {
		for _, region := range w.Regions {
			r.models = append(r.models, w.arn(region, "", "foundation-model/*"))
		}
		r.profiles = append(r.profiles, w.each("inference-profile/*")...)
		r.behind = []string{w.arn("*", "", "foundation-model/*"), w.arn("", "", "foundation-model/*")}
		return r, nil
	}
	for _, id := range w.Models {
		if err := w.model(&r, id); err != nil {
			return r, err
		}
	}
	for _, arn := range r.profiles {
		if id, own := w.Profiles[arn]; own {
			ref, err := w.Table.Resolve(id)
			if err != nil {
				return r, fmt.Errorf("unknown model %.80q behind %.80q", id, arn)
			}
			r.behind = append(r.behind, w.arn("*", "", "foundation-model/"+ref.ID))
		}
	}
	return r, nil
}

func (w *writer) model(r *resources, id string) error {
	ref, err := w.Table.Resolve(id)
	if err != nil || ref.Account != "" || ref.Region != "" {
		return fmt.Errorf("unknown model %.80q: see `gatehouse models list`", id)
	}
	name := "foundation-model/" + ref.ID
	if ref.Geo == "" {
		for _, region := range w.Regions {
			r.models = append(r.models, w.arn(region, "", name))
		}
		return nil
	}
	r.profiles = append(r.profiles, w.each("inference-profile/"+id)...)
	for _, region := range destinations[ref.Geo] {
		r.behind = append(r.behind, w.arn(region, "", name))
	}
	return nil
}
