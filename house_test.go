// Package gatehouse_test checks the rules of the house: which package may
// import which, and the habits that a reader of any file may rely on.
//
// The table of packages below is the map of the program. To add a package, add
// its row: the layer it belongs to and, in a few words, what it is for. A
// package imports lower layers only, so the layer follows from what it needs:
//
//	0 vocabulary   words and codecs; may import layer 0
//	1 mechanism    one hard thing each, knowing nothing of its users
//	2 stages       the steps of a path; they never import each other
//	3 paths        what runs the stages in order
//	4 wiring       builds the parts from the configuration
//	5 commands     flags in, exit code out
package gatehouse_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "gatehouse"

// row is one package of the house.
type row struct {
	layer int
	why   string
}

var house = map[string]row{
	"internal/apikey":              {0, "the form of our API keys, for whoever makes or reads one"},
	"internal/awslog":              {0, "the shapes of AWS's records, written by ledger and read by parsers"},
	"internal/bedrock":             {0, "Bedrock's wire vocabulary: operations, bodies by family, usage, errors"},
	"internal/bedrock/eventstream": {0, "binary frames in and out, nothing else"},
	"internal/bedrock/model":       {0, "the table of models: id, family, price, limits"},
	"internal/call":                {0, "the words of the request path"},
	"internal/event":               {0, "the words of the event path"},
	"internal/query/core":          {0, "the typed primitives that hunts are lowered to"},
	"internal/query/syntax":        {0, "the text of a hunt as a tree"},
	"internal/geo":                 {0, "address to country"},
	"internal/secretfile":          {0, "small files that only their owner may read"},
	"internal/seal":                {0, "bodies encrypted under the keys of a key file"},
	"internal/testkit/mmdb":        {0, "databases of addresses, for tests"},
	"guards":                       {0, "the shipped rules of the guard"},
	"internal/sigv4":               {0, "sign and verify, without a lookup or an HTTP server"},
	"internal/strictjson":          {0, "JSON read strictly, with the offsets that edits need"},

	"internal/awspolicy":    {1, "AWS policies that close the ways round the gateway"},
	"internal/metrics":      {1, "counts for Prometheus and for alarms"},
	"internal/oidc":         {1, "tokens of outside issuers"},
	"internal/outbound":     {1, "the one HTTP client that may leave the machine"},
	"internal/config":       {1, "the one configuration file; stages get their own Options instead"},
	"internal/journal":      {1, "append-only segments; knows nothing of what it carries"},
	"internal/ledger":       {1, "the one codec of admit, part and result records"},
	"internal/sim/emulator": {1, "a Bedrock that is not AWS; never the gateway"},
	"internal/store":        {1, "the storage seams and their contracts"},
	"internal/lake":         {1, "events as Parquet segments, and the seam to engines"},
	"internal/query/op":     {1, "the operators, one file each"},
	"internal/query/sql":    {1, "core as SQL, a table a dialect"},
	"internal/query/eval":   {1, "core as closures"},

	"internal/alarm":            {2, "alarms on metrics, with CloudWatch's meaning"},
	"internal/notify":           {2, "messages to people and programs"},
	"internal/gateway/guard":    {2, "may these texts pass"},
	"internal/store/redis":      {2, "the counts of limits in a shared server"},
	"internal/account":          {2, "users, keys and tokens; meets the lookups that auth declares"},
	"internal/gateway/auth":     {2, "who is calling"},
	"internal/gateway/limit":    {2, "how much"},
	"internal/gateway/policy":   {2, "may this principal do this at all"},
	"internal/gateway/read":     {2, "the body, strictly"},
	"internal/gateway/record":   {2, "admit and result into the journal"},
	"internal/gateway/upstream": {2, "re-sign, forward, stream back"},
	"internal/store/sqlite":     {2, "the storage seams on SQLite"},
	"internal/testkit/disk":     {0, "a disk that forgets what was not synced, for tests of the journal and its users"},
	"internal/store/storetest":  {2, "the conformance suite of every store"},

	"internal/query":               {2, "the language front to back: compile and run"},
	"internal/lake/duck":           {2, "DuckDB, in the process or in a child"},
	"internal/lake/clickhouse":     {2, "ClickHouse over HTTP"},
	"internal/telemetry/arrive":    {2, "bytes in, with their place"},
	"internal/telemetry/parse":     {2, "bytes to records"},
	"internal/telemetry/normalise": {2, "records to events"},
	"internal/telemetry/value":     {0, "values of JSON records as text"},
	"internal/query/querytest":     {2, "the conformance suite of whatever runs core"},
	"hunts":                        {0, "the shipped hunts"},

	"bedrocklimit":       {3, "the limiter as SDK middleware, for programs without the gateway"},
	"internal/admin":     {3, "the admin API and its socket"},
	"internal/chat":      {3, "the chat API, a client of the gateway's own path"},
	"internal/gateway":   {3, "the request path: the stages in their order"},
	"internal/telemetry": {3, "the event path: the stages in their order"},

	"internal/app": {4, "builds the parts and joins them"},

	"bench":          {5, "the benchmark; drives built programs over sockets"},
	"cmd/gatehouse":  {5, "main: one file a verb"},
	"test/guardeval": {5, "what the guard finds, and what it should not have"},
	"test/process":   {0, "starts the built program for the tests that need it whole"},
	"test/run":       {5, "make test: the stages and their table"},
}

// noCode are the folders whose packages are tests only.
var noCode = map[string]string{
	"":             "the rules of the house",
	"test/clients": "real clients against the built program",
	"test/hunts":   "the shipped hunts over their samples",
	"test/chdb":    "ClickHouse's engine behind its HTTP interface",
	"test/crash":   "kill -9 against the built program",
}

// beside are the imports within a layer that are meant, and why.
var beside = map[[2]string]string{
	{"internal/ledger", "internal/journal"}: "the kinds of its entries are the journal's numbers",
}

// onlyLayer0 are packages of a higher layer that may import nothing but
// vocabulary, and why.
var onlyLayer0 = map[string]string{
	"internal/sim/emulator": "it stands for AWS, so what it shares with the gateway would be tested against itself",
	"internal/journal":      "it must stay readable with no other part of the program at hand",
}

// testOnly are packages that only _test.go files import.
var testOnly = map[string]string{
	"internal/testkit/disk":    "fakes have no place in the program",
	"internal/store/storetest": "a conformance suite imports testing",
	"internal/query/querytest": "a conformance suite imports testing",
}

// heavy are libraries that one package alone may know, and why; also is the
// package that measures it as a peer.
var heavy = map[string]struct{ importer, why, also string }{
	"github.com/duckdb/duckdb-go-bindings": {"internal/lake/duck", "it takes a minute to build, and queries run in its child", "bench"},
	"modernc.org/sqlite":                   {"internal/store/sqlite", "a second user would go round the seam", ""},
	"github.com/spf13/cobra":               {"cmd/gatehouse", "flags stop at the command", ""},
	"golang.org/x/crypto/argon2":           {"internal/account", "passwords are hashed in one place", ""},
}

// pkg is what go list tells of one package.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

func (p pkg) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestImportDirection(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		from := p.rel()
		seen[from] = true
		if len(p.GoFiles)+len(p.CgoFiles) == 0 {
			if noCode[from] == "" {
				t.Errorf("%s holds tests only and is not in noCode", p.ImportPath)
			}
			continue
		}
		at, ok := house[from]
		if !ok {
			t.Errorf("%s is not in the table: add its layer and what it is for", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			checkHeavy(t, from, imp)
			if to, ours := strings.CutPrefix(imp, module+"/"); ours {
				checkImport(t, from, at, to)
			}
		}
	}
	for name := range house {
		if !seen[name] {
			t.Errorf("%s is in the table and not in the tree", name)
		}
	}
}

func checkImport(t *testing.T, from string, at row, to string) {
	t.Helper()
	target, ok := house[to]
	switch {
	case !ok: // reported for the package itself
	case testOnly[to] != "":
		t.Errorf("%s imports %s outside a test: %s", from, to, testOnly[to])
	case to == "internal/app" && from != "cmd/gatehouse":
		t.Errorf("%s imports the wiring", from)
	case at.layer == 0 && target.layer == 0: // a ring does not compile
	case target.layer == at.layer && beside[[2]string{from, to}] != "":
	case target.layer >= at.layer:
		t.Errorf("%s (layer %d: %s) imports %s (layer %d: %s); only lower layers may be imported",
			from, at.layer, at.why, to, target.layer, target.why)
	case onlyLayer0[from] != "" && target.layer > 0:
		t.Errorf("%s imports %s, but may import vocabulary only: %s", from, to, onlyLayer0[from])
	case path(from) != "" && path(to) != "" && path(from) != path(to):
		t.Errorf("%s imports %s: gateway and telemetry meet in journal, ledger, respond and lake only", from, to)
	}
}

// path tells to which of the two paths a package belongs.
func path(name string) string {
	for _, p := range []string{"internal/gateway", "internal/telemetry"} {
		if name == p || strings.HasPrefix(name, p+"/") {
			return p
		}
	}
	return ""
}

func checkHeavy(t *testing.T, from, imp string) {
	t.Helper()
	for lib, h := range heavy {
		if (imp == lib || strings.HasPrefix(imp, lib+"/")) && from != h.importer && from != h.also {
			t.Errorf("%s imports %s, which belongs to %s: %s", from, imp, h.importer, h.why)
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles)+len(p.CgoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// source is one Go file of the module, nested modules included.
type source struct {
	path string
	data []byte
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", ".venv", "bin", "out", "gatehouse-data":
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		data, err := os.ReadFile(path)
		all = append(all, source{path, data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFormatted(t *testing.T) {
	for _, s := range sources(t) {
		want, err := format.Source(s.data)
		if err != nil {
			t.Errorf("%s: %v", s.path, err)
		} else if !bytes.Equal(s.data, want) {
			t.Errorf("%s is not gofmt'd", s.path)
		}
	}
}

// sqlCalls are the methods of database/sql whose argument is a statement.
var sqlCalls = map[string]bool{
	"Exec": true, "ExecContext": true, "Query": true, "QueryContext": true, "QueryRow": true,
	"QueryRowContext": true, "Prepare": true, "PrepareContext": true,
}

// TestSQLIsConstant refuses statements put together at run time: by Sprintf,
// by joining with anything that is not a literal, or by way of a variable that
// was made so.
func TestSQLIsConstant(t *testing.T) {
	all := sources(t)
	constants := map[string]map[string]bool{} // by folder
	for _, s := range all {
		dir := filepath.Dir(s.path)
		if constants[dir] == nil {
			constants[dir] = map[string]bool{}
		}
		if f, err := parser.ParseFile(token.NewFileSet(), s.path, s.data, 0); err == nil {
			addConstants(f, constants[dir])
		}
	}
	for _, s := range all {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, s.path, s.data, 0)
		if err != nil {
			t.Errorf("%s: %v", s.path, err)
			continue
		}
		if !imports(f, "database/sql") {
			continue
		}
		for _, pos := range builtSQL(f, constants[filepath.Dir(s.path)]) {
			t.Errorf("%s: the SQL statement is built at run time; bind its values instead", fset.Position(pos))
		}
	}
}

func imports(f *ast.File, path string) bool {
	for _, i := range f.Imports {
		if i.Path.Value == `"`+path+`"` {
			return true
		}
	}
	return false
}

func addConstants(f *ast.File, names map[string]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, spec := range d.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names {
					names[id.Name] = true
				}
			}
		}
		return true
	})
}

// builtSQL returns where the file hands a built string to a statement method.
func builtSQL(f *ast.File, constants map[string]bool) []token.Pos {
	made := map[string]bool{} // names assigned from a built string, file-wide on purpose
	ast.Inspect(f, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
			for i, rhs := range a.Rhs {
				if id, ok := a.Lhs[i].(*ast.Ident); ok && built(rhs, nil, constants) {
					made[id.Name] = true
				}
			}
		}
		return true
	})
	var found []token.Pos
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sqlCalls[sel.Sel.Name] {
			i := 0
			if strings.HasSuffix(sel.Sel.Name, "Context") {
				i = 1
			}
			if i < len(call.Args) && built(call.Args[i], made, constants) {
				found = append(found, call.Args[i].Pos())
			}
		}
		return true
	})
	return found
}

// built tells whether e is a call of Sprint or its kin, a join with a part that
// is not constant, or one of the names in made.
func built(e ast.Expr, made, constants map[string]bool) bool {
	switch e := e.(type) {
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && strings.HasPrefix(sel.Sel.Name, "Sprint")
	case *ast.BinaryExpr:
		return e.Op == token.ADD && !constant(e, constants)
	case *ast.Ident:
		return made[e.Name]
	}
	return false
}

func constant(e ast.Expr, constants map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return constants[e.Name]
	case *ast.BinaryExpr:
		return constant(e.X, constants) && constant(e.Y, constants)
	}
	return false
}

// TestBuiltSQL proves that the check above sees what it is for.
func TestBuiltSQL(t *testing.T) {
	for src, want := range map[string]int{
		`db.Query("select 1")`:                                0,
		`db.Query("select " + "1")`:                           0,
		`db.QueryContext(ctx, "select ?", x)`:                 0,
		`db.Exec(fmt.Sprintf("drop %s", x))`:                  1,
		`db.Exec("drop " + x)`:                                1,
		`q := fmt.Sprintf("drop %s", x); tx.ExecContext(c,q)`: 1,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package p; func f() {"+src+"}", 0)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		addConstants(f, names)
		if got := len(builtSQL(f, names)); got != want {
			t.Errorf("%s: %d statements built at run time, want %d", src, got, want)
		}
	}
}
