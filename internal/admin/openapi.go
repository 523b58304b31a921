package admin

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
)

// OpenAPI returns the OpenAPI 3.1 document, made from the table of routes and
// the types in it.
func OpenAPI() map[string]any {
	g := generator{schemas: map[string]any{}}
	paths := map[string]any{}
	for i := range routes {
		r := &routes[i]
		item, ok := paths[r.path].(map[string]any)
		if !ok {
			item = map[string]any{}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = g.operation(r)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title":       "Gatehouse admin API",
			"version":     "1",
			"description": "Served on the admin listener, with the admin token, and on the socket in the data directory, without.",
		},
		"servers": []any{
			map[string]any{"url": "/", "description": "Where this document was served."},
			map[string]any{"url": "http://" + config.Default().AdminListen, "description": "The default of admin_listen."},
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         g.schemas,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer", "description": "The content of admin.token in the data directory."}},
		},
		"security": []any{map[string]any{"token": []any{}}},
	}
}

// generator collects the schemas that operations refer to.
type generator struct{ schemas map[string]any }

func (g *generator) operation(r *route) map[string]any {
	status := r.status
	if status == 0 {
		status = 200
	}
	op := map[string]any{
		"operationId": r.name,
		"summary":     r.summary,
		"responses": map[string]any{
			strconv.Itoa(status): map[string]any{"description": "Done.", "content": g.answer(r)},
			"default":            map[string]any{"description": "Not done.", "content": g.content(Error{})},
		},
	}
	if params := g.params(r); len(params) > 0 {
		op["parameters"] = params
	}
	if r.body != nil {
		op["requestBody"] = map[string]any{"required": true, "content": g.content(r.body)}
	}
	if r.open {
		op["security"] = []any{}
	}
	return op
}

func (g *generator) params(r *route) []any {
	var out []any
	for s := range strings.SplitSeq(r.path, "/") {
		if strings.HasPrefix(s, "{") {
			out = append(out, map[string]any{"name": strings.Trim(s, "{}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for _, p := range r.query {
		schema := map[string]any{"type": "string"}
		if p.words != nil {
			schema["enum"], schema["default"] = p.words, p.words[0]
		}
		out = append(out, map[string]any{"name": p.name, "in": "query", "description": p.doc, "schema": schema})
	}
	return out
}

// answer is what a route answers: a value, or lines of it.
func (g *generator) answer(r *route) map[string]any {
	switch r.answer.(type) {
	case text:
		return map[string]any{"text/plain": map[string]any{"schema": map[string]any{"type": "string"}}}
	case stream:
	default:
		return g.content(r.answer)
	}
	schema := map[string]any{"type": "object"}
	if r.line != nil {
		schema = g.schema(reflect.TypeOf(r.line))
	}
	return map[string]any{"application/x-ndjson": map[string]any{"schema": schema}}
}

func (g *generator) content(v any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": g.schema(reflect.TypeOf(v))}}
}

func (g *generator) schema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return g.schema(t.Elem())
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem())}
	case t.Kind() == reflect.Struct:
		return g.object(t)
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object"}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	}
	return map[string]any{"type": "integer"}
}

func (g *generator) object(t reflect.Type) map[string]any {
	ref := map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	if g.schemas[t.Name()] != nil {
		return ref
	}
	props, required := map[string]any{}, []string{}
	for _, sf := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous || name == "-" {
			continue
		}
		p := g.schema(sf.Type)
		if doc := sf.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		props[name] = p
		if opts != "omitzero" {
			required = append(required, name)
		}
	}
	g.schemas[t.Name()] = map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	return ref
}
