// Package query is the hunting language front to back: Compile turns the text of
// a hunt into a plan, Run asks an engine for its rows. The work is done below, in
// the order of the packages: syntax reads, op gives meaning, core is what is
// meant, sql and eval print it for what runs it.
package query

import (
	"strings"

	"gatehouse/internal/lake"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/syntax"
)

// Compile reads a query and lowers it to a plan. The error is of type
// syntax.Errors: the first mistakes of the scope and of each stage, in the order
// of the text; Render prints it with carets. Compile is safe for concurrent use.
func Compile(src string, env *op.Env) (*op.Result, error) {
	q, parseErr := syntax.Parse(src)
	if q == nil {
		return nil, parseErr
	}
	res, err := op.Compile(q, env)
	if err := syntax.Join(parseErr, err); err != nil {
		return nil, err
	}
	return res, nil
}

// Catalogue makes what a lake knows of its records' paths what queries are
// compiled with.
func Catalogue(c *lake.Catalogue) op.Catalogue { return catalogue{c} }

type catalogue struct{ c *lake.Catalogue }

func (c catalogue) Names() []string { return c.c.Names("") }

// Resolve finds the paths that a name may mean. An element of a list of plain
// values is in no catalogue: the list is, and its index is taken as it stands.
func (c catalogue) Resolve(name string) []op.Path {
	for list, index := name, ""; ; {
		if found := c.paths(list, index); len(found) > 0 {
			return found
		}
		at := strings.LastIndexByte(list, '[')
		if at < 0 {
			break
		}
		list, index = list[:at], list[at:]+index
	}
	if c.c.Overflow {
		return []op.Path{{Steps: op.Steps(name), Type: core.Text}}
	}
	return nil
}

// paths are those of the name with what stands behind it.
func (c catalogue) paths(name, behind string) []op.Path {
	var out []op.Path
	for _, p := range c.c.Resolve(name) {
		path := op.Path{Type: core.Text}
		for _, s := range p.Steps {
			path.Steps = append(path.Steps, core.Step{Key: s.Key, Index: s.Index})
		}
		if behind != "" {
			path.Steps = append(path.Steps, op.Steps(behind)...)
		} else if p.Kinds.Total() == p.Kinds[lake.Number] {
			path.Type = core.Float
		}
		out = append(out, path)
	}
	return out
}
