package policy

import (
	"iter"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// rule is one policy.
type rule struct {
	*cedar.Policy
	id       cedar.PolicyID // its @id, otherwise where it stands
	where    string         // file:line:column
	observed bool
}

// permitsAll reports whether r permits whatever is asked.
func (r rule) permitsAll() bool {
	p := (*ast.Policy)(r.AST())
	return r.Effect() == cedar.Permit && len(p.Conditions) == 0 &&
		p.Principal == ast.IsPrincipalScopeNode(ast.ScopeTypeAll{}) &&
		p.Action == ast.IsActionScopeNode(ast.ScopeTypeAll{}) &&
		p.Resource == ast.IsResourceScopeNode(ast.ScopeTypeAll{})
}

// ruleSet is policies in the order of their files.
type ruleSet []rule

// All makes a ruleSet a cedar.PolicyIterator.
func (s ruleSet) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range s {
			if !yield(r.id, r.Policy) {
				return
			}
		}
	}
}

// denial is why a ruleSet refuses: the policy to look at, if it is one, and
// the reason in words.
type denial struct{ policy, why string }

// ask returns nil when s permits what q asks. An empty set is not enforced and
// refuses nothing; New makes no set that could be empty by mistake.
func (s ruleSet) ask(q *question) *denial {
	if len(s) == 0 {
		return nil
	}
	decision, diagnostic := cedar.Authorize(s, q, q.Request)
	switch {
	case len(diagnostic.Errors) > 0:
		e := diagnostic.Errors[0]
		return s.denial(e.PolicyID, "cannot be evaluated: "+e.Message)
	case decision == cedar.Allow:
		return nil
	case len(diagnostic.Reasons) > 0:
		return s.denial(diagnostic.Reasons[0].PolicyID, "forbids "+q.what())
	case q.Resource == catalog: // each element of the list is asked about by itself
		return nil
	}
	return &denial{"default", "no policy permits " + q.what()}
}

func (s ruleSet) denial(id cedar.PolicyID, what string) *denial {
	name := string(id)
	for _, r := range s {
		if r.id == id && r.where != name {
			name += " (" + r.where + ")"
		}
	}
	return &denial{string(id), "policy " + name + " " + what}
}
