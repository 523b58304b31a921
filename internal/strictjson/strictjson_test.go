package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func nested(depth int) string {
	return `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// TestRefuses walks the attack catalogue: each would be read in two ways by two
// readers, or not at all. The last column is part of the reason.
func TestRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, reason string }{
		{"B01 duplicate key", `{"messages":["benign"],"messages":["attack"]}`, "duplicate key"},
		{"B01 duplicate by escape", `{"messages":1,"m\u0065ssages":2}`, "duplicate key"},
		{"B01 duplicate, nested", `{"a":[{"b":{"c":1,"c":1}}]}`, "duplicate key"},
		{"B01 duplicate empty keys", `{"":1,"":2}`, "duplicate key"},
		{"B01 duplicate among many", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":2}`, "duplicate key"},
		{"B02 case", `{"Messages":1,"messages":2}`, "duplicate key"},
		{"B02 case, nested", `{"inferenceConfig":{"MAXTOKENS":1,"maxTokens":9}}`, "duplicate key"},
		{"B02 case among many", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"A":2}`, "duplicate key"},
		{"B02 case beyond ASCII", `{"é":1,"É":2}`, "duplicate key"},
		{"B03 Kelvin sign beside k", `{"to\u212aens":1,"tokens":2}`, "duplicate key"},
		{"B03 raw Kelvin sign", "{\"to\u212aens\":1,\"tokens\":2}", "duplicate key"},
		{"B03 long s beside s", `{"messages":1,"me\u017f\u017fages":2}`, "duplicate key"},
		{"B03 Kelvin sign among many", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"k":1,"\u212a":2}`, "duplicate key"},
		{"B04 invalid UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"B04 invalid UTF-8 in a key", "{\"\xff\":1}", "UTF-8"},
		{"B04 overlong", "{\"a\":\"\xc0\xaf\"}", "UTF-8"},
		{"B04 raw surrogate", "{\"a\":\"\xed\xa0\x80\"}", "UTF-8"},
		{"B04 truncated", "{\"a\":\"\xe2\x82\"}", "UTF-8"},
		{"B04 lone high surrogate", `{"a":"\ud800"}`, "surrogate"},
		{"B04 lone low surrogate", `{"a":"\udc00"}`, "surrogate"},
		{"B04 high and high", `{"a":"\ud800\ud800"}`, "surrogate"},
		{"B04 lone surrogate in a key", `{"\ud800":1}`, "surrogate"},
		{"B06 depth 33", nested(33), "deep"},
		{"B06 depth 33, objects", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "deep"},
		{"B06 depth 10,000", nested(10_000), "deep"},
		{"B06 depth 100,000", nested(100_000), "deep"},
		{"B06 depth 100,000, open", `{"a":` + strings.Repeat("[", 100_000), "deep"},
		{"B07 not finite", `{"a":1e400}`, "range"},
		{"B07 not finite, negative", `{"a":-1E400}`, "range"},
		{"B07 not finite, written out", `{"a":1` + strings.Repeat("0", 400) + `}`, "range"},
		{"B07 NaN", `{"a":NaN}`, ""},
		{"B07 Infinity", `{"a":-Infinity}`, ""},
		{"B08 trailing value", `{} 1`, "after"},
		{"B08 trailing comma", `{},`, "after"},
		{"B08 trailing NUL", "{}\x00", "after"},
		{"B08 two documents", `{}{}`, "after"},
		{"B08 BOM", "\ufeff{}", ""},
		{"B08 empty", ``, "end"},
		{"B08 white space", " \n", "end"},
		{"B08 null", `null`, "not an object"},
		{"B08 array", `[{}]`, "not an object"},
		{"B08 string", `"{}"`, "not an object"},
		{"B08 number", `0`, "not an object"},
		{"B08 cut", `{"a":[1,`, ""},
		{"too many values", `{"a":[` + strings.Repeat("0,", defaultNodes) + `0]}`, "too many"},
	} {
		data := []byte(c.in)
		var d Document
		err := d.Parse(data, Options{})
		var syn *SyntaxError
		if !errors.As(err, &syn) || !strings.Contains(syn.Reason, c.reason) {
			t.Errorf("%s: got %v, want a reason with %q", c.name, err, c.reason)
			continue
		}
		if syn.Offset < 0 || syn.Offset > len(data) {
			t.Errorf("%s: offset %d outside the document", c.name, syn.Offset)
		}
		if d.Kind(0) != Missing || d.Get(0, "a") != None {
			t.Errorf("%s: the refused document can be read", c.name)
		}
	}
}

// TestNotOurField is the other half of B03: alone, a look-alike is just a key
// that nobody asks for.
func TestNotOurField(t *testing.T) {
	for _, key := range []string{`to\u212aens`, "to\u212aens", "TOKENS", "tokens "} {
		var d Document
		if err := d.Parse([]byte(`{"`+key+`":5}`), Options{}); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if n := d.Get(0, "tokens"); n != None {
			t.Errorf("%s was read as tokens", key)
		}
	}
	var d Document
	if err := d.Parse([]byte(`{"\u0074okens":5}`), Options{}); err != nil || d.Get(0, "tokens") == None {
		t.Errorf("an escape of the very key must match: %v", err)
	}
}

// TestGrammar holds cases of each class of the JSON test suites, set into an
// object: y must be accepted, n refused, i is ours to choose.
func TestGrammar(t *testing.T) {
	for class, values := range map[string][]string{
		"y": {
			`0`, `-0`, `-0.0`, `1.5`, `-1e5`, `1E+2`, `1e-9`, `0e1`, `123456789012345678901234567890`, `1e308`, `1e-400`,
			`""`, `"a"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000"`, `"\u00e9"`, `"\ud83d\ude00"`, "\"\u2028\"", "\"\x7f\"", "\"\U0010ffff\"", "\"\uffff\"",
			`[]`, `[ ]`, `[[]]`, `[1,null,true,false,""]`, `{}`, `{"":0}`, `{"a":{"a":{}}}`, `{"a":1,"b":1}`, ` null `, "\t[\r\n1\t]\n", `"` + strings.Repeat("x", 1<<16) + `"`,
		},
		"n": {
			``, `,`, `]`, `}`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `[1:2]`, `[`, `[1`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a":1}}`,
			`01`, `-`, `+1`, `.5`, `5.`, `1.e1`, `1e`, `1e+`, `0x1`, `1_0`, `-01`, `--1`, `1a`, `Infinity`, `NaN`, `１`,
			`"`, `"a`, `'a'`, `"\a"`, `"\x41"`, `"\u12"`, `"\u12g4"`, `"\U00000041"`, `"\`, "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"\t\"",
			`tru`, `True`, `nul`, `NULL`, `undefined`, `/* c */ 1`, `1 // c`, `# c`, "\u00a01", "\u2060", "\v1", "\f1", `[1]x`, `<null>`,
		},
		"i": {`1e400`, `-1e400`, "\"\xff\"", `"\ud800"`, "\"\xed\xa0\x80\"", nested(600), "\"\xf4\x90\x80\x80\"", `"\udc00\ud800"`},
	} {
		for _, v := range values {
			var d Document
			err := d.Parse([]byte(`{"v":`+v+`}`), Options{})
			if accepted := err == nil; accepted != (class == "y") {
				t.Errorf("%s_ %.60q: got %v", class, v, err)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	var d Document
	for _, c := range []struct {
		in  string
		opt Options
		ok  bool
	}{
		{nested(32), Options{}, true},
		{nested(33), Options{Depth: 33}, true},
		{`{"a":[]}`, Options{Depth: 1}, false},
		{`{"a":1}`, Options{Depth: 1}, true},
		{`{"a":1,"b":2}`, Options{MaxNodes: 3}, true},
		{`{"a":1,"b":2}`, Options{MaxNodes: 2}, false},
		{`{"a":[1]}`, Options{MaxNodes: 2}, false},
	} {
		if err := d.Parse([]byte(c.in), c.opt); (err == nil) != c.ok {
			t.Errorf("%.40s %+v: got %v", c.in, c.opt, err)
		}
	}
}

func TestAccess(t *testing.T) {
	data := []byte(` {"s" : "a\u00e9\n", "plain":"x", "n":[1, -2.5,true,false,null ,{}], "o":{"k\n":{"deep":"v"}}} `)
	before := bytes.Clone(data)
	var d Document
	if err := d.Parse(data, Options{}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	dump(&out, &d, 0, "")
	want := `object 4 {"s" : "a\u00e9\n", "plain":"x", "n":[1, -2.5,true,false,null ,{}], "o":{"k\n":{"deep":"v"}}}
 "s" string 0 "a\u00e9\n" = "aé\n"
 "plain" string 0 "x" = "x"
 "n" array 6 [1, -2.5,true,false,null ,{}]
  number 0 1
  number 0 -2.5
  true 0 true
  false 0 false
  null 0 null
  object 0 {}
 "o" object 1 {"k\n":{"deep":"v"}}
  "k\n" object 1 {"deep":"v"}
   "deep" string 0 "v" = "v"
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if !bytes.Equal(data, before) {
		t.Error("Parse changed the data")
	}
	if n := d.Get(d.Get(0, "o"), "deep"); n != None {
		t.Errorf("Get looks below the children: %d", n)
	}
	if !d.Is(d.Get(0, "s"), "aé\n") || !d.Is(d.Get(0, "plain"), "x") || d.Is(d.Get(0, "n"), "x") || d.Is(None, "") {
		t.Error("Is")
	}
	key := d.KeyNode(d.First(d.Get(0, "o")))
	if s, ok := d.String(key); !ok || s != "k\n" || d.Kind(key) != String || string(d.Raw(key)) != `"k\n"` {
		t.Errorf("key node: %q %v %v %s", s, ok, d.Kind(key), d.Raw(key))
	}
	if d.KeyNode(0) != None || d.KeyNode(d.First(d.Get(0, "n"))) != None || d.KeyNode(None) != None {
		t.Error("KeyNode of what is no member")
	}
	for _, n := range []Node{None, -1 << 31, 1 << 30} {
		if s, ok := d.String(n); ok || s != "" || d.Kind(n) != Missing || d.Get(n, "a") != None || d.Len(n) != 0 || d.First(n) != None || d.Next(n) != None || d.Key(n) != "" {
			t.Errorf("node %d is not missing", n)
		}
		if start, end := d.Span(n); start != 0 || end != 0 {
			t.Errorf("node %d has span %d–%d", n, start, end)
		}
	}
}

func dump(w io.Writer, d *Document, n Node, indent string) {
	fmt.Fprintf(w, "%s", indent)
	if d.KeyNode(n) != None {
		fmt.Fprintf(w, "%q ", d.Key(n))
	}
	fmt.Fprintf(w, "%v %d %s", d.Kind(n), d.Len(n), d.Raw(n))
	if s, ok := d.String(n); ok {
		fmt.Fprintf(w, " = %q", s)
	}
	fmt.Fprintln(w)
	for c := d.First(n); c != None; c = d.Next(c) {
		dump(w, d, c, indent+" ")
	}
}

// TestInt is row B07: what else passes for a number of tokens.
func TestInt(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "1": 1, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		var d Document
		if err := d.Parse([]byte(`{"v":`+in+`}`), Options{}); err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Int(d.Get(0, "v")); !ok || got != want {
			t.Errorf("%s: got %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"1.0", "1.5", "1e3", "1E0", "-0", "-0.0", "9223372036854775808", "-9223372036854775809", "100000000000000000000", `"10"`, "true", "null", "[1]", "{}"} {
		var d Document
		if err := d.Parse([]byte(`{"v":`+in+`}`), Options{}); err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Int(d.Get(0, "v")); ok {
			t.Errorf("%s: got %d, want none", in, got)
		}
	}
	var d Document
	if _, ok := d.Int(0); ok {
		t.Error("an empty document has a number")
	}
}

func TestSplice(t *testing.T) {
	var d Document
	if err := d.Parse([]byte(`{"a":1,"b":"x"}`), Options{}); err != nil {
		t.Fatal(err)
	}
	start, end := d.Span(d.Get(0, "b"))
	got := d.Splice([]byte("> "), Edit{1, 1, `"c":2,`}, Edit{start, end, `"***"`})
	if want := `> {"c":2,"a":1,"b":"***"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := d.Splice(nil); string(got) != `{"a":1,"b":"x"}` {
		t.Errorf("without edits: got %s", got)
	}
}

// TestReuse checks that nothing of an earlier document shows in a later one.
func TestReuse(t *testing.T) {
	var d Document
	for i := range 3 {
		if err := d.Parse([]byte(`{"k\u0065y":"secret","b":[1,2,3]}`), Options{}); err != nil {
			t.Fatal(i, err)
		}
		if err := d.Parse([]byte(`{"a":tru}`), Options{}); err == nil {
			t.Fatal(i, "accepted")
		}
		if err := d.Parse([]byte(`{"c":1}`), Options{}); err != nil || d.Get(0, "key") != None || d.Len(0) != 1 || d.Key(1) != "c" {
			t.Fatal(i, err, d.Len(0), d.Key(1))
		}
	}
}

// TestResetFrees checks that one huge document does not stay in memory: neither
// the index of many values nor the copies of long keys.
func TestResetFrees(t *testing.T) {
	long := strings.Repeat("x", 2*keepBytes)
	for name, data := range map[string]string{
		"values":       `{"a":[` + strings.Repeat("0,", 2*keepNodes) + `0]}`,
		"escaped key":  `{"\u0061` + long + `":1}`,
		"key, in many": `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"` + long + `":1}`,
	} {
		var d Document
		if err := d.Parse([]byte(data), Options{}); err != nil {
			t.Fatal(name, err)
		}
		d.Reset()
		if d.Kind(0) != Missing || d.Data() != nil || cap(d.nodes)+cap(d.keys)+cap(d.scratch)+cap(d.table)+cap(d.spans) != 0 {
			t.Errorf("%s: after Reset %v, %d bytes, %d nodes, %d bytes of keys", name, d.Kind(0), len(d.Data()), cap(d.nodes), cap(d.keys)+cap(d.scratch))
		}
		if err := d.Parse([]byte(`{"a":1}`), Options{}); err != nil || d.Len(0) != 1 {
			t.Errorf("%s: parse after Reset: %v", name, err)
		}
	}
}

// TestManyMembers checks that an object with many keys costs time in proportion.
func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 100_000 {
		fmt.Fprintf(&b, `"key%d":0,`, i)
	}
	var d Document
	if err := d.Parse([]byte(b.String()+`"last":0}`), Options{}); err != nil {
		t.Error(err)
	}
	if err := d.Parse([]byte(b.String()+`"KEY77777":0}`), Options{}); err == nil {
		t.Error("accepted a key that differs in case")
	}
}

// FuzzParse compares with two other readers. What Parse accepts, encoding/json
// and a jsontext decoder that refuses duplicates accept too, and all see the
// same values.
// ourOwn are the reasons to refuse what is JSON for jsontext.
var ourOwn = map[string]bool{
	"not an object": true, "nested too deeply": true, "too many values": true, "number out of range": true,
	"duplicate key, or keys that differ only in case": true,
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":5}}`,
		`{"a":1,"A":2}`, `{"to\u212aens":1}`, `{"\ud83d\ude00":"\ud83d\ude00"}`, `{"a":[1e400,-0,1.5]}`, `{"a":{"a":{"a":[[[{}]]]}}}`,
		"{\"\xff\":0}", `{"a":"\ud800"}`, ` {"a" : [ ] } `, "\ufeff{}", `{"a":1}{"b":2}`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"\u212a":10,"k":11}`,
	} {
		f.Add([]byte(s))
	}
	var d Document
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		err := d.Parse(data, Options{})
		if !bytes.Equal(data, before) {
			t.Fatal("Parse changed the data")
		}
		if err != nil {
			var syn *SyntaxError
			if !errors.As(err, &syn) || syn.Offset < 0 || syn.Offset > len(data) {
				t.Fatalf("error %#v", err)
			}
			if !ourOwn[syn.Reason] && jsontext.Value(data).IsValid() {
				t.Fatalf("jsontext accepts %q, which was refused: %v", data, err)
			}
			return
		}
		if !jsontext.Value(data).IsValid() {
			t.Fatalf("jsontext refuses %q", data)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want map[string]any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if _, err := dec.Token(); err != io.EOF {
			t.Fatalf("encoding/json sees more: %v", err)
		}
		same(t, &d, 0, want)
		if got := d.Splice(nil); !bytes.Equal(got, data) {
			t.Fatalf("splice of nothing: %q", got)
		}
	})
}

// same fails unless n is what encoding/json decoded.
func same(t *testing.T, d *Document, n Node, want any) {
	t.Helper()
	ok := false
	switch want := want.(type) {
	case map[string]any:
		ok = d.Kind(n) == Object && d.Len(n) == len(want)
		for key, v := range want {
			same(t, d, d.Get(n, key), v)
		}
	case []any:
		ok = d.Kind(n) == Array && d.Len(n) == len(want)
		c := d.First(n)
		for _, v := range want {
			same(t, d, c, v)
			c = d.Next(c)
		}
		ok = ok && c == None
	case string:
		var got string
		got, ok = d.String(n)
		raw, _ := d.Bytes(n)
		ok = ok && got == want && string(raw) == want && d.Is(n, want)
	case json.Number:
		ok = d.Kind(n) == Number && string(d.Raw(n)) == want.String()
		if i, is := d.Int(n); is {
			w, err := want.Int64()
			ok = ok && err == nil && w == i
		}
	case bool:
		ok = d.Kind(n) == map[bool]Kind{true: True, false: False}[want]
	case nil:
		ok = d.Kind(n) == Null
	}
	if !ok {
		t.Fatalf("node %d is %v %s, encoding/json has %#v", n, d.Kind(n), d.Raw(n), want)
	}
}

// body makes a Converse body of about size bytes, in turns of a chat.
func body(size int) []byte {
	turn := `{"role":"user","content":[{"text":"` + strings.Repeat("What is the airspeed of a swallow? ", 6) + `\n"}]},` +
		`{"role":"assistant","content":[{"text":"` + strings.Repeat("African or European? ", 6) + `"}]}`
	turns := strings.Repeat(turn+",", max(size/len(turn)-1, 0)) + turn
	return []byte(`{"messages":[` + turns + `],"inferenceConfig":{"maxTokens":512,"temperature":0.7},"system":[{"text":"Be brief."}]}`)
}

func TestAllocations(t *testing.T) {
	var d Document
	data := body(32 << 10)
	if n := testing.AllocsPerRun(100, func() {
		if err := d.Parse(data, Options{}); err != nil {
			t.Fatal(err)
		}
		d.Int(d.Get(d.Get(0, "inferenceConfig"), "maxTokens"))
	}); n != 0 {
		t.Errorf("a reused document allocates %v times", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			var d Document
			data := body(size)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Parse(data, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
