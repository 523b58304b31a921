// Package query is the hunting language front to back: Compile turns the text of
// a hunt into a plan, Run asks an engine for its rows. The work is done below, in
// the order of the packages: syntax reads, op gives meaning, core is what is
// meant, sql and eval print it for what runs it.
package query

import (
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/syntax"
)

// Compile reads a query and lowers it to a plan. The error is of type
// syntax.Errors: the first mistake of the scope and of each stage, in the order
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
