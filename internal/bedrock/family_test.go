package bedrock

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/strictjson"
	"github.com/google/go-cmp/cmp"
)

func parse(t testing.TB, data string) *strictjson.Document {
	t.Helper()
	d := new(strictjson.Document)
	if err := d.Parse([]byte(data), strictjson.Options{}); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return d
}

// TestTexts reads testdata/bodies: for each row one body with every member it
// knows. Strings and keys that begin with @ are texts and name their role,
// those with # are base64, those with ^ are links; all others are settings. An
// attack in any of the texts must be seen, and where it stands be known.
func TestTexts(t *testing.T) {
	for i := range Families {
		f := &Families[i]
		t.Run(f.Name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "bodies", f.Name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			d := parse(t, string(data))
			if names := unknownOf(f, d); names != nil {
				t.Errorf("unknown members: %q", names)
			}
			want := marked(t, data)
			if len(want) == 0 {
				t.Fatal("nothing is marked")
			}
			if diff := cmp.Diff(want, seen(f, d)); diff != "" {
				t.Errorf("(-marked +seen)\n%s", diff)
			}
		})
	}
}

// marked returns the marked strings of a body, sorted, found by another reader.
func marked(t *testing.T, data []byte) []string {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(any)
	mark := func(s string) {
		if s != "" && strings.Contains("@#^", s[:1]) {
			out = append(out, s)
		}
	}
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			mark(v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				mark(k)
				walk(e)
			}
		}
	}
	walk(v)
	slices.Sort(out)
	return out
}

// seen returns what the row shows: its texts with the role it gives them in
// place of the mark. Keys of free JSON that are not marked are left out, and
// tiers are as settings here.
func seen(f *Family, d *strictjson.Document) []string {
	var out []string
	f.Walk(d, func(c Class, n strictjson.Node, role string) {
		s, ok := d.String(n)
		if !ok {
			s = "(no string)"
		}
		_, text, found := strings.Cut(s, " ")
		switch {
		case c == Text && found && s[0] == '@':
			out = append(out, "@"+role+" "+text)
		case c == Text && n < 0, c == Tier:
		default:
			out = append(out, s)
		}
	})
	slices.Sort(out)
	return out
}

// unknownOf returns the keys of what the row does not know.
func unknownOf(f *Family, d *strictjson.Document) (names []string) {
	f.Walk(d, func(c Class, n strictjson.Node, _ string) {
		if c == Unknown {
			names = append(names, d.Key(n))
		}
	})
	return names
}

// TestBodiesAreRows checks that no body of testdata is left over.
func TestBodiesAreRows(t *testing.T) {
	files, err := filepath.Glob("testdata/bodies/*.json")
	if err != nil || len(files) != len(Families) {
		t.Errorf("%d bodies for %d rows (%v)", len(files), len(Families), err)
	}
	for i := range Families {
		for _, name := range append(Families[i].Aliases, Families[i].Name) {
			if FamilyOf(name) != &Families[i] {
				t.Errorf("%s: found in another row", name)
			}
		}
	}
	if FamilyOf("") != nil || FamilyOf("nobody") != nil {
		t.Error("found a row that is not there")
	}
}

// TestUnknown is row B12: what could carry text past us is reported, new
// numbers and switches are not.
func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		family, body string
		want         []string
	}{
		{"claude", `{"max_tokens":5,"messages":[],"new_number":1,"new_switch":true,"new_null":null}`, nil},
		{"claude", `{"new_text":"attack"}`, []string{"new_text"}},
		{"claude", `{"new_list":["attack"],"new_object":{"a":{"b":"attack"}}}`, []string{"new_list", "new_object"}},
		{"claude", `{"mcp_servers":[{"url":"https://evil"}]}`, []string{"mcp_servers"}},
		{"claude", `{"messages":[{"role":"user","content":[{"type":"new_block","payload":{"text":"attack"}}]}]}`, []string{"payload"}},
		{"claude", `{"messages":"attack"}`, []string{"messages"}},
		{"claude", `{"messages":[["attack"]]}`, []string{"messages"}},
		{"claude", `{"messages":[{"role":"user","content":{"type":"text","text":"one block, no list"}}]}`, nil},
		{"claude", `{"messages":[{"role":"user","content":[{"type":"text","text":{"nested":"attack"}}]}]}`, []string{"text"}},
		// Bodies of another family.
		{"titan-text", `{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"attack"}]}`, []string{"anthropic_version", "messages"}},
		{"llama", `{"inputText":"attack"}`, []string{"inputText"}},
		{"converse", `{"Messages":[{"role":"user"}]}`, []string{"Messages"}},
		{"converse", `{"me\u017f\u017fages":[{"role":"user"}]}`, []string{"meſſages"}},
		{"converse", `{"messages":[{"role":"user","content":[{"newBlock":{"text":"attack"}}]}]}`, []string{"newBlock"}},
		{"converse", `{"messages":[{"role":"user","content":[{"text":"a"},"attack"]}]}`, []string{"content"}},
		{"converse", `{"inferenceConfig":{"newSetting":5,"newText":"attack"}}`, []string{"newText"}},
		{"converse", `{"inferenceConfig":"attack"}`, []string{"inferenceConfig"}},
		{"count-tokens", `{"input":{"other":{"text":"attack"}}}`, []string{"other"}},
		{"apply-guardrail", `{"content":[{"text":"attack"}]}`, []string{"text"}},
		// Scalars and lists where something else is meant.
		{"converse", `{"messages":[1,{"role":"user"},true,null]}`, []string{"messages", "messages"}},
		{"converse", `{"messages":1}`, []string{"messages"}},
		{"converse", `{"inferenceConfig":[{"maxTokens":1000000000}],"serviceTier":[{"type":"attack"}],"messages":[{"role":"user","content":[{"text":["attack"]}]}]}`,
			[]string{"inferenceConfig", "serviceTier", "text"}},
		{"titan-text", `{"textGenerationConfig":[{"maxTokenCount":1000000000}],"inputText":["attack"]}`, []string{"textGenerationConfig", "inputText"}},
		{"titan-image", `{"imageGenerationConfig":[{"numberOfImages":10000}]}`, []string{"imageGenerationConfig"}},
		{"converse", `{"messages":[[{"role":"user","content":[{"text":"attack"}]}]]}`, []string{"messages"}},
		{"converse", `{"messages":[{"role":"user","content":[1]}],"system":[false],"toolConfig":{"tools":[0],"toolChoice":true}}`,
			[]string{"content", "system", "tools", "toolChoice"}},
		{"converse", `{"messages":[{"role":"user","content":[{"text":1},{"text":null},{"image":{"source":{"bytes":2}}},{"toolUse":{"input":3}}]}]}`,
			[]string{"text", "bytes"}},
		{"converse", `{"messages":[{"role":"user","content":[{"toolResult":{"content":[{"json":[1,[true]]},{"text":false}]}}]}]}`, []string{"text"}},
		{"converse", `{"inferenceConfig":5,"serviceTier":5,"performanceConfig":"attack"}`, []string{"inferenceConfig", "serviceTier", "performanceConfig"}},
		{"converse", `{"serviceTier":{"type":5},"additionalModelRequestFields":{"service_tier":{"type":"priority"},"a":[1,[2]]}}`, []string{"type", "service_tier"}},
		{"claude", `{"messages":[{"role":"user","content":7}],"system":[7],"tools":[7],"max_tokens":5}`, []string{"content", "system", "tools"}},
		{"claude", `{"messages":[{"role":"user","content":[{"type":"tool_result","content":[7]},{"type":"image","source":7}]}]}`, []string{"content", "source"}},
		{"openai", `{"prompt":[15496,995],"messages":[{"role":"user","content":[7,{"type":"text","text":7}]}],"service_tier":1}`,
			[]string{"prompt", "prompt", "content", "text", "service_tier"}},
		{"openai", `{"prompt":["attack","a"],"stop":["a"]}`, nil},
		{"openai", `{"messages":[{"role":"assistant","content":null,"refusal":null,"tool_calls":null}],"stop":[1],"logit_bias":{"5":1}}`, nil},
		{"llama", `{"prompt":7}`, []string{"prompt"}},
		{"titan-embed", `{"inputText":true}`, []string{"inputText"}},
		{"cohere-embed", `{"texts":["a",7],"images":[7]}`, []string{"texts", "images"}},
		{"rerank", `{"query":7,"documents":[7],"rank_fields":[7]}`, []string{"query", "rank_fields"}},
		{"stability-image", `{"text_prompts":[7]}`, []string{"text_prompts"}},
		{"count-tokens", `{"input":{"invokeModel":{"body":7},"converse":7}}`, []string{"body", "converse"}},
		{"apply-guardrail", `{"content":[7]}`, []string{"content"}},
	} {
		f, d := FamilyOf(c.family), parse(t, c.body)
		if diff := cmp.Diff(c.want, unknownOf(f, d)); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", c.family, c.body, diff)
		}
		saw := false
		f.Texts(d, func(n strictjson.Node, _ string) { saw = saw || d.Is(n, "attack") })
		if !saw && strings.Contains(c.body, `"attack"`) {
			t.Errorf("%s %s: the text is not shown", c.family, c.body)
		}
	}
}

// Every row refuses a number for each text, object and list of its body.
func TestScalars(t *testing.T) {
	for i := range Families {
		f := &Families[i]
		for key, s := range f.Body.members {
			if s.leaf == skip || s.leaf == free {
				continue
			}
			for _, value := range []string{"1", "true", "[false]", "[[]]"} {
				d := parse(t, `{"`+key+`":`+value+`}`)
				if diff := cmp.Diff([]string{key}, unknownOf(f, d)); diff != "" {
					t.Errorf("%s: %s of %s (-want +got)\n%s", f.Name, key, value, diff)
				}
			}
		}
	}
}

// TestTiers checks that whatever may have its own price is shown.
func TestTiers(t *testing.T) {
	for family, body := range map[string]string{
		"converse": `{"serviceTier":{"type":"!"},"performanceConfig":{"latency":"!"},"additionalModelRequestFields":{"service_tier":"!","x":{"service_tier":"no"}}}`,
		"claude":   `{"service_tier":"!"}`,
		"openai":   `{"service_tier":"!"}`,
	} {
		d := parse(t, body)
		n := 0
		FamilyOf(family).Walk(d, func(c Class, at strictjson.Node, _ string) {
			if c == Tier && d.Is(at, "!") {
				n++
			} else if c == Tier {
				t.Errorf("%s: %s is no tier", family, d.Raw(at))
			}
		})
		if want := strings.Count(body, "!"); n != want {
			t.Errorf("%s: %d tiers seen, want %d", family, n, want)
		}
	}
}

func TestMaxTokensNodes(t *testing.T) {
	for _, c := range []struct {
		family, body string
		want         []string
	}{
		{"claude", `{"max_tokens":5}`, []string{"5"}},
		{"claude", `{"Max_tokens":5,"max_completion_tokens":6}`, nil},
		{"claude", `{"max_tokens":null}`, nil},
		{"claude", `{"max_tokens":"10"}`, []string{`"10"`}}, // the caller refuses it
		{"claude-legacy", `{"max_tokens":5,"max_tokens_to_sample":6}`, []string{"6", "5"}},
		{"openai", `{"max_tokens":5,"max_completion_tokens":6}`, []string{"5", "6"}},
		{"nova", `{"inferenceConfig":{"max_new_tokens":5,"maxTokens":6}}`, []string{"6", "5"}},
		{"titan-text", `{"textGenerationConfig":{"maxTokenCount":7}}`, []string{"7"}},
		{"titan-text", `{"textGenerationConfig":7}`, nil},
		{"converse", `{"inferenceConfig":{"maxTokens":1}}`, []string{"1"}},
		{"converse", `{"inferenceConfig":{"maxTokens":1},"additionalModelRequestFields":{"max_tokens":2,"max_gen_len":3,"max_completion_tokens":4,"inferenceConfig":{"max_new_tokens":5},"textGenerationConfig":{"maxTokenCount":6},"maxTokens":7,"max_tokens_to_sample":8}}`,
			[]string{"1", "2", "8", "6", "5", "7", "4", "3"}},
		{"count-tokens", `{"input":{}}`, nil},
	} {
		d := parse(t, c.body)
		var got []string
		for n := range FamilyOf(c.family).MaxTokensNodes(d) {
			got = append(got, string(d.Raw(n)))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", c.family, c.body, diff)
		}
	}
	d := parse(t, `{"n":3,"additionalModelRequestFields":{"n":4,"num_generations":5}}`)
	if got := len(slices.Collect(FamilyOf("openai").MultiplesNodes(d))); got != 1 {
		t.Errorf("openai: %d multiples, want 1", got)
	}
	if got := len(slices.Collect(FamilyOf("converse").MultiplesNodes(d))); got != 2 {
		t.Errorf("converse: %d multiples, want 2", got)
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct{ family, body, want string }{
		{"claude", `{}`, `{"max_tokens":99}`},
		{"claude", `{"a":1}`, `{"max_tokens":99,"a":1}`},
		{"claude", ` { "max_tokens" : null }`, ` { "max_tokens" : 99 }`},
		{"converse", `{}`, `{"inferenceConfig":{"maxTokens":99}}`},
		{"converse", `{"inferenceConfig":{"topP":1}}`, `{"inferenceConfig":{"maxTokens":99,"topP":1}}`},
		{"converse", `{"inferenceConfig":{ }}`, `{"inferenceConfig":{"maxTokens":99 }}`},
		{"converse", `{"inferenceConfig":null,"b":2}`, `{"inferenceConfig":{"maxTokens":99},"b":2}`},
		{"converse", `{"inferenceConfig":{"maxTokens":null}}`, `{"inferenceConfig":{"maxTokens":99}}`},
		{"converse", `{"inferenceConfig":[]}`, ""},
		{"converse", `{"inferenceConfig":"x"}`, ""},
		{"converse", `{"inferenceConfig":{"maxTokens":{}}}`, ""},
		{"claude", `{"max_tokens":5}`, ""},
		{"rerank", `{}`, ""},
	} {
		d := parse(t, c.body)
		edit, ok := FamilyOf(c.family).Bound(d, 99)
		got := ""
		if ok {
			got = string(d.Splice(nil, edit))
		}
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.family, c.body, got, c.want)
		}
	}
	for i := range Families {
		f := &Families[i]
		d := parse(t, `{"x":1}`)
		edit, ok := f.Bound(d, 99)
		if ok != (len(f.MaxTokens) > 0) {
			t.Errorf("%s: bound written: %v", f.Name, ok)
		}
		if !ok {
			continue
		}
		after := parse(t, string(d.Splice(nil, edit)))
		nodes := slices.Collect(f.MaxTokensNodes(after))
		if len(nodes) != 1 || string(after.Raw(nodes[0])) != "99" {
			t.Errorf("%s: the bound in %s is not found again", f.Name, after.Data())
		}
	}
}

// FuzzFamilies checks that no body upsets a row, that texts are strings with a
// role, and that a bound which was written is the one that is read.
func FuzzFamilies(f *testing.F) {
	files, _ := filepath.Glob("testdata/bodies/*.json")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	var d strictjson.Document
	f.Fuzz(func(t *testing.T, data []byte) {
		if d.Parse(data, strictjson.Options{}) != nil {
			return
		}
		for i := range Families {
			row := &Families[i]
			row.Texts(&d, func(n strictjson.Node, role string) {
				if _, ok := d.String(n); !ok || role == "" {
					t.Errorf("%s: node %d of role %q", row.Name, n, role)
				}
			})
			row.UsageFromBody(&d)
			if len(slices.Collect(row.MaxTokensNodes(&d))) > 0 {
				continue
			}
			if edit, ok := row.Bound(&d, 7); ok {
				var after strictjson.Document
				if err := after.Parse(d.Splice(nil, edit), strictjson.Options{Depth: 40}); err == nil && len(slices.Collect(row.MaxTokensNodes(&after))) != 1 {
					t.Errorf("%s: bound lost in %s", row.Name, after.Data())
				}
			}
		}
	})
}

func BenchmarkTexts(b *testing.B) {
	data, err := os.ReadFile("testdata/bodies/converse.json")
	if err != nil {
		b.Fatal(err)
	}
	d, f := parse(b, string(data)), FamilyOf("converse")
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		f.Texts(d, func(strictjson.Node, string) { n++ })
	}
}
