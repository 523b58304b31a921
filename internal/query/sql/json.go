package sql

import (
	"maps"
	"slices"
	"strconv"

	"gatehouse/internal/query/core"
)

// A record's text is parsed for each path that is read from it, unless the paths
// are asked for at once. So where expressions of one selection read two paths or
// more of a column, a selection below gives all of them as one list, and the
// expressions take their elements.

// ready gives a selection like s that has the texts of JSON which the
// expressions read, where it pays.
func (p *Printer) ready(s *selection, cols []core.Col, reads []*core.Expr) (*selection, error) {
	if p.d.JSON == nil {
		return s, nil
	}
	docs, paths, err := p.jsonReads(s, reads)
	if err != nil {
		return nil, err
	}
	var items, names []string
	texts := map[string]string{}
	for _, doc := range docs {
		if len(paths[doc]) < 2 {
			continue
		}
		name := "json_" + strconv.Itoa(p.n+1) + "_" + strconv.Itoa(len(names)+1) + "_"
		names, items = append(names, name), append(items, p.d.JSON(doc, paths[doc])+" AS "+name)
		for i, path := range paths[doc] {
			texts[doc+path] = fill(p.d.Nth, []string{name}, "$N", strconv.Itoa(i+1))
		}
	}
	if len(items) == 0 {
		return s, nil
	}
	below := *s
	below.cols = slices.Concat(s.cols, s.extra, items)
	out, err := p.over(p.cte(&below), cols)
	if err != nil {
		return nil, err
	}
	maps.Copy(texts, s.json)
	out.json, out.extra = texts, slices.Concat(s.extra, names)
	return out, nil
}

// jsonReads lists the columns that the expressions read JSON from, and the
// quoted paths of each that s does not have ready.
func (p *Printer) jsonReads(s *selection, reads []*core.Expr) (docs []string, paths map[string][]string, err error) {
	paths = map[string][]string{}
	for _, e := range reads {
		core.Walk(e, func(e *core.Expr) {
			if e.Op != core.JSONGet || e.Args[0].Op != core.Column || err != nil {
				return
			}
			doc, path := "", ""
			if doc, err = p.d.Ident(e.Args[0].Name); err != nil {
				return
			}
			if path, err = quotedPath(p.d, e.Path); err != nil {
				return
			}
			if _, have := s.json[doc+path]; have || slices.Contains(paths[doc], path) {
				return
			}
			if paths[doc] == nil {
				docs = append(docs, doc)
			}
			paths[doc] = append(paths[doc], path)
		})
	}
	return docs, paths, err
}
