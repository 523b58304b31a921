package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
)

// P17: every route needs credentials, limits and a record, except the few that
// are listed here with their reason.
func TestRoutes(t *testing.T) {
	none := func(http.ResponseWriter, *http.Request) {}
	g := New(Options{Rules: &Rules{}, BasePath: "/prod", Chat: ChatRoutes{none, none, none, none}})
	exceptions := map[string]string{
		"GET /healthz":                     "load balancers have no credentials; it tells one bit and records nothing",
		"POST /prod/v1/auth/user/register": "who registers has no account yet; limited by address, recorded as an account event",
		"POST /prod/v1/auth/user/login":    "who logs in shows a password; limited by address and name, recorded as an account event",
		"GET /prod/v1/prompts":             "needs a login token, which the handler verifies; reads only the caller's own and costs no model call",
	}
	routes := g.Routes()
	for _, r := range routes {
		name := r.Method + " " + r.Path
		if _, ok := exceptions[name]; ok {
			delete(exceptions, name)
			continue
		}
		if (r.Auth != Caller && r.Auth != Through) || !r.Limits || r.Audit != Calls {
			t.Errorf("%s: auth %s, limits %v, audit %s: an unlisted exception", name, r.Auth, r.Limits, r.Audit)
		}
		if r.Operation != nil && r.handler != nil {
			t.Errorf("%s has a handler beside the pipeline", name)
		}
	}
	for name := range exceptions {
		t.Errorf("exception %s is no route", name)
	}
	if want := len(bedrock.Operations) + 5; len(routes) != want {
		t.Errorf("%d routes, want %d: all operations of the wire and five of our own", len(routes), want)
	}
}

// The package comment lists the stages in the order in which the code calls them.
func TestStageOrder(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "gateway.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(f.Doc.Text()) {
		if word, ok := strings.CutPrefix(line, "\t"); ok {
			listed = append(listed, strings.Fields(word)[0])
		}
	}
	bodies := map[string]*ast.BlockStmt{}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			bodies[fn.Name.Name] = fn.Body
		}
	}
	var called []string
	var walk func(name string)
	walk = func(name string) {
		var deferred []ast.Node
		visit := func(n ast.Node) bool {
			if d, ok := n.(*ast.DeferStmt); ok {
				deferred = append(deferred, d.Call)
				return false
			}
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := c.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			stage := strings.ToUpper(s.Sel.Name[:1]) + s.Sel.Name[1:]
			switch {
			case slices.Contains(listed, stage) && !slices.Contains(called, stage):
				called = append(called, stage)
			case s.Sel.Name == "enter" || s.Sel.Name == "serve" || s.Sel.Name == "admitted":
				walk(s.Sel.Name)
			}
			return true
		}
		ast.Inspect(bodies[name], visit)
		for _, d := range deferred {
			ast.Inspect(d, visit)
		}
	}
	walk("ServeHTTP")
	if !slices.Equal(called, listed) {
		t.Errorf("the comment lists\n%s\nthe code calls\n%s", listed, called)
	}
}

func TestCheckQuery(t *testing.T) {
	list := bedrock.OperationOf("ListFoundationModels")
	converse := bedrock.OperationOf("Converse")
	for _, tt := range []struct {
		op    *bedrock.Operation
		query string
		ok    bool
	}{
		{converse, "", true}, {converse, "a=1", false}, {converse, "a=1;b=2", false}, {converse, "x=%zz", false}, {converse, "&", false},
		{list, "byProvider=amazon", true}, {list, "byProvider=Amazon%20x&byOutputModality=TEXT", true},
		{list, "byProvider=a&byProvider=b", false}, {list, "byProvider=a;b", false}, {list, "byProvider=a+b", false},
		{list, "byProvider=%", false}, {list, "byProvider=\xc3\xa9", false}, {list, "hidden=1", false}, {list, "byProvider=a&", false},
		{list, strings.Repeat("a=1&", 10001) + "hidden=1", false},
	} {
		if ref := checkQuery(tt.query, tt.op); (ref == nil) != tt.ok {
			t.Errorf("%s?%.40s: refused %v, want ok %v", tt.op.Name, tt.query, ref, tt.ok)
		}
	}
}

// Each refusal is a whole answer in Bedrock's dialect, by both ways of writing it.
func TestRefusal(t *testing.T) {
	c := &call.Call{RequestID: "r", ID: "c"}
	raw := string(rawRefusal(c, call.LengthRequired))
	for _, want := range []string{"HTTP/1.1 411 Length Required\r\n", "Connection: close\r\n", "x-amzn-RequestId: r\r\n", "x-gatehouse-call-id: c\r\n", "x-amzn-ErrorType: ValidationException", `{"message":"`} {
		if !strings.Contains(raw, want) {
			t.Errorf("raw reply lacks %q:\n%s", want, raw)
		}
	}
}
