package policy

import (
	"fmt"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"gatehouse/internal/bedrock/model"
)

// names are the models, providers and families there are. A policy that names
// another would never apply: of a forbid nobody would ever notice.
type names struct {
	table *model.Table
	known map[cedar.EntityUID]bool
}

func namesOf(t *model.Table) names {
	n := names{t, map[cedar.EntityUID]bool{}}
	for _, m := range t.All() {
		ref, err := t.Resolve(m.ID)
		if err != nil {
			continue
		}
		n.known[cedar.NewEntityUID(modelType, cedar.String(ref.ID))] = true
		n.known[cedar.NewEntityUID(providerType, cedar.String(m.Provider))] = true
		n.known[cedar.NewEntityUID(familyType, cedar.String(m.Family))] = true
	}
	return n
}

// check returns what is wrong with a name, empty if nothing is.
func (n names) check(uid cedar.EntityUID) string {
	switch uid.Type {
	case modelType, providerType, familyType:
	default:
		return ""
	}
	if n.known[uid] {
		return ""
	}
	if ref, err := n.table.Resolve(string(uid.ID)); err == nil && uid.Type == modelType {
		return fmt.Sprintf("%s never applies: a model goes by its base id, %s::%q", uid, modelType, ref.ID)
	}
	return fmt.Sprintf("%s is unknown: see `gatehouse models list`", uid)
}

// literals are the entities that p names.
func literals(p *ast.Policy) (uids []cedar.EntityUID) {
	for _, scope := range []ast.IsScopeNode{p.Principal, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			uids = append(uids, s.Entity)
		case ast.ScopeTypeIn:
			uids = append(uids, s.Entity)
		case ast.ScopeTypeIsIn:
			uids = append(uids, s.Entity)
		}
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if v, ok := n.(ast.NodeValue); ok {
				if uid, ok := v.Value.(cedar.EntityUID); ok {
					uids = append(uids, uid)
				}
			}
			return true
		})
	}
	return uids
}
