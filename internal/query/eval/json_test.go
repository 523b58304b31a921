package eval_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
)

var text = core.C("a", core.Text)

// get evaluates e over the one text that it reads.
func get(t *testing.T, e *core.Expr, doc string) any {
	t.Helper()
	return values(t, e, []core.Col{{Name: "a", Type: core.Text}}, [][]any{{doc}})[0]
}

func fold(name string) *core.Expr {
	return &core.Expr{Op: core.JSONFold, Type: core.Text, Args: []*core.Expr{text}, S: name}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		doc, name string
		want      any
	}{
		{`{"eventName":"Put"}`, "eventname", "Put"},
		{`{"EventName":"no","eventname":"yes"}`, "eventname", "yes"},           // exact first
		{`{"EventName":"first","EVENTNAME":"second"}`, "eventname", "first"},   // else in the record's order
		{`{"EventName":null,"EVENTNAME":"second"}`, "eventname", "second"},     // null is absent
		{`{"userIdentity":{"ARN":"x"}}`, "USERIDENTITY.arn", "x"},              // every step
		{`{"a.b":"dotted","A":{"b":"deep"}}`, "a.b", "dotted"},                 // exact, though dotted
		{`{"A.B":"dotted","A":{"B":"deep"}}`, "a.b", "deep"},                   // levels before dots
		{`{"a":{"b.c":{"d":1}}}`, "a.b.c.d", "1"},                              // a key in the middle
		{`{"a":{"b":{}},"a.b":{"c":2}}`, "a.b.c", "2"},                         // the first way leads nowhere
		{`{"a":[{"B":1},{"b":[2,"x"]}]}`, "A[1].B[1]", "x"},                    // indices
		{`{"a":[[1,2],[3]]}`, "a[0][1]", "2"},                                  // one after the other
		{`[{"a":1}]`, "[0].a", "1"},                                            // from the top
		{`{"a":[1]}`, "a[1]", nil},                                             // beyond
		{`{"a":[1]}`, "a[01x]", nil},                                           // no index
		{`{"a":[1]}`, "a[-1]", nil},                                            //
		{`{"a":{"0":1}}`, "a[0]", nil},                                         // no array
		{`{"a":1}`, "a.b", nil},                                                // no object
		{`{"a":1}`, "a.", nil},                                                 // no name
		{`{"ab":1}`, "a", nil},                                                 // half a key
		{`{"a":{"b":[1, {"c" : "é"}]}}`, "A", `{"b":[1,{"c":"é"}]}`},           // as JSON text
		{`{"\u00e9":1}`, "É", "1"},                                             // letters of all alphabets
		{`{"a":`, "a", nil},                                                    // no JSON
		{`{"":1}`, "", `{"":1}`},                                               // the whole
		{strings.Repeat("[", 501) + strings.Repeat("]", 501), "[0]", nil},      // too deep
		{`{"a":"\ud83d\ude00\ud83d \udc00\u0000"}`, "a", "😀\ufffd \ufffd\x00"}, // halves of pairs
	} {
		if got := get(t, fold(c.name), c.doc); got != c.want {
			t.Errorf("%s of %s: got %#v, want %#v", c.name, c.doc, got, c.want)
		}
	}
}

// FuzzJSON holds the reader of documents against the standard library's.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"x\"\\\/\b\f\n\r\té😀"],"b":{}}`, ` [ ] `, `01`, `"\x"`, `1.`, `-`, `nul`, `{"a":1,}`, `{"a" 1}`, "\"\n\"", `[1 2]`, `{}{}`, ``} {
		f.Add(s)
	}
	whole := &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{text}}
	length := core.Do(core.JSONLen, text)
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.Count(s, "[")+strings.Count(s, "{") > 400 {
			return
		}
		var want any
		valid := decode(s, &want)
		got := get(t, whole, s)
		switch {
		case !valid || want == nil:
			if got != nil {
				t.Errorf("%q is %q, want null", s, got)
			}
		case reflect.TypeOf(want).Kind() == reflect.String && reflect.TypeOf(want) != reflect.TypeOf(json.Number("")):
			if got != want {
				t.Errorf("%q is %q, want %q", s, got, want)
			}
		default:
			var again any
			if !decode(got.(string), &again) || !reflect.DeepEqual(again, want) {
				t.Errorf("%q is %q, want the same", s, got)
			}
		}
		var n any
		if list, ok := want.([]any); ok {
			n = int64(len(list))
		}
		if got := get(t, length, s); got != n {
			t.Errorf("length of %q: got %v, want %v", s, got, n)
		}
	})
}

// decode reads one value and nothing behind it, numbers as written.
func decode(s string, v *any) bool {
	if !json.Valid([]byte(s)) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	return d.Decode(v) == nil
}

// TestDocuments: a row may read more documents than it keeps, and sees those of
// its own time only.
func TestDocuments(t *testing.T) {
	var list []*core.Expr
	for _, key := range strings.Split("abcdefgh", "") {
		nested := &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{text}, Path: []core.Step{{Key: key, Index: -1}}}
		list = append(list, &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{nested}, Path: []core.Step{{Key: "v", Index: -1}}})
	}
	e := core.Do(core.Concat, append(list, list...)...)
	f, err := eval.Compile(e, []core.Col{{Name: "a", Type: core.Text}})
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Row
	for _, suffix := range []string{"", "'"} {
		doc := map[string]string{}
		for _, key := range strings.Split("abcdefgh", "") {
			doc[key] = `{"v":"` + key + suffix + `"}`
		}
		raw, _ := json.Marshal(doc)
		r.Set([]eval.Value{eval.TextValue(string(raw))})
		all := "a" + suffix + "b" + suffix + "c" + suffix + "d" + suffix + "e" + suffix + "f" + suffix + "g" + suffix + "h" + suffix
		if got, _ := f.Text(&r); got != all+all {
			t.Errorf("got %s, want %s twice", got, all)
		}
	}
}
