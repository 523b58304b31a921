// Package policy decides whether a principal may make a call at all. How much
// a principal may call is gateway/limit's question.
//
// It is asked twice. [Policy.Enter], before authentication: is the client's
// network and country served? [Policy.Check], once all of the call is known:
// what the key itself allows (its expiry, networks, operations and models),
// then what the policies say.
//
// Policies are written in Cedar: who (a user, of a team) may do what (an
// operation) with what (a model, of a provider and a family), when the
// circumstances are right (address, country, time, guardrail and more). The
// whole vocabulary is schema.cedarschema. A forbid wins over any permit, and
// what nothing permits is refused. A policy that cannot be evaluated refuses,
// whether it forbids or permits. [New] checks policies against the schema, so
// that a name spelled wrong is an error then and not a hole later.
//
// Without files of its own a gateway runs default.cedar, which permits
// everything that keys allow; a set of that meaning is never evaluated.
//
// A policy with the annotation @mode("observe"), or all of them with
// Options.Observe, refuses nothing: what it would have refused is noted in the
// call. The lists of addresses and countries, and keys, are always enforced.
package policy

import (
	"net/netip"
	"time"

	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

// Options are what a Policy decides by.
type Options struct {
	Networks  Networks
	Countries Countries
	Geo       func(netip.Addr) string // country of an address, empty if unknown; nil: no database

	Files   []File       // of Cedar policies; none: the shipped one
	Models  *model.Table // of the gateway; nil: the embedded one
	Region  string       // of the gateway
	Observe bool         // note what the policies would refuse, and let it pass
}

// Policy never changes and is safe for concurrent use. To change policies,
// make a new one and exchange the pointer.
type Policy struct {
	networks  Networks
	countries Countries
	geo       func(netip.Addr) string
	models    *model.Table
	region    string

	open     bool    // the policies permit everything: they are not evaluated
	enforced ruleSet // what refuses; nil: nothing does
	trial    ruleSet // all policies, where some are only observed; otherwise nil
	fields   []field // of the context that some policy reads
}

// New returns the Policy of o. The error is [Errors] where policies are wrong,
// with all that is wrong with them.
func New(o Options) (*Policy, error) {
	if err := o.Countries.check(o.Geo); err != nil {
		return nil, err
	}
	if o.Models == nil {
		o.Models = model.Default()
	}
	if len(o.Files) == 0 {
		o.Files = []File{{"default.cedar", shipped}}
	}
	rules, err := load(o.Files, o.Models)
	if err != nil {
		return nil, err
	}
	p := &Policy{networks: o.Networks, countries: o.Countries, geo: o.Geo, models: o.Models, region: o.Region}
	p.use(rules, o.Observe)
	return p, nil
}

// use divides the rules into those that are enforced and those that are not.
func (p *Policy) use(rules ruleSet, observe bool) {
	p.open = len(rules) == 1 && rules[0].permitsAll() && !rules[0].observed
	p.fields = fieldsOf(rules)
	if observe {
		p.trial = rules
		return
	}
	for _, r := range rules {
		if r.observed {
			p.trial = rules
		} else {
			p.enforced = append(p.enforced, r)
		}
	}
}

// Check returns nil when c's principal may make c now.
func (p *Policy) Check(c *call.Call, now time.Time) *call.Refusal {
	if ref := checkKey(c, now); ref != nil || p.open {
		return ref
	}
	if c.Model.Model == nil && c.Target.Model != "" && len(p.enforced) > 0 {
		return call.PolicyDenied.With("policies cannot be asked about a model that is not known")
	}
	q := p.question(c, now)
	if d := p.enforced.ask(q); d != nil {
		return call.PolicyDenied.With(d.why)
	}
	if d := p.trial.ask(q); d != nil {
		c.Notes = append(c.Notes, call.Note{Stage: "policy", Name: d.policy, Action: "refuse", Observe: true, Detail: d.why})
	}
	return nil
}
