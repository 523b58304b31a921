package lake

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func catalogueOf(records ...string) *Catalogue {
	t := newTree()
	for _, r := range records {
		t.add([]byte(r))
	}
	return t.catalogue()
}

// list prints a catalogue, one path a line: spelling, kinds with counts.
func list(c *Catalogue) string {
	var b strings.Builder
	for _, p := range c.Paths {
		b.WriteString(spell(p.Steps))
		for k, n := range p.Kinds {
			if n > 0 {
				fmt.Fprintf(&b, " %v=%d", Kind(k), n)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestCatalogueLists(t *testing.T) {
	for _, c := range []struct{ name, records, want string }{
		{"kinds", `{"n":-1.5e3,"t":"x","b":true,"o":{},"a":[],"z":null}`,
			"a array=1\nb bool=1\nn number=1\no object=1\nt text=1\n"},
		{"several kinds", `{"n":1}` + "\n" + `{"n":"1"}` + "\n" + `{"n":2}`, "n number=2 text=1\n"},
		{"columns are left out, what is below them is not", `{"eventName":"a","model":{"x":1},"Action":"b"}`, "model.x number=1\n"},
		{"flat arrays are one text", `{"a":[1,"b",null,true]}`, "a array=1\n"},
		{"arrays of objects by index", `{"a":[{"x":1},2,{"y":2}]}`,
			"a array=1\na[0] object=1\na[0].x number=1\na[2] object=1\na[2].y number=1\n"},
		{"arrays of arrays", `{"a":[[{"x":1}]]}`, "a array=1\na[0] array=1\na[0][0] object=1\na[0][0].x number=1\n"},
		{"keys with dots, quotes and nothing", `{"a.b":1,"a":{"b":2},"q\"":3,"":4,"[0]":5}`,
			"\"\" number=1\n\"[0]\" number=1\n\"a.b\" number=1\n\"q\\\"\" number=1\na object=1\na.b number=1\n"},
		{"escapes", `{"\u0061\n":"\\\"","b\\":"\\"}`, "\"b\\\\\" text=1\na\n text=1\n"},
		{"space", " {\t\"a\" :\r [ { \"b\" : 1 } , 2 ] } ", "a array=1\na[0] object=1\na[0].b number=1\n"},
		{"the order of keys does not matter", `{"a":1,"b":2,"c":3}` + "\n" + `{"c":1,"a":2,"b":3}`, "a number=2\nb number=2\nc number=2\n"},
	} {
		if got := list(catalogueOf(strings.Split(c.records, "\n")...)); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestCatalogueIsBounded(t *testing.T) {
	var many, deep strings.Builder
	many.WriteString(`{"x":1`)
	for i := range MaxPaths {
		fmt.Fprintf(&many, `,"k%d":%d`, i, i)
	}
	many.WriteString(`}`)
	deep.WriteString(strings.Repeat(`{"d":`, 1000) + "1" + strings.Repeat("}", 1000))
	long := `{"` + strings.Repeat("k", maxKey+1) + `":1}`
	for name, record := range map[string]string{"many": many.String(), "deep": deep.String(), "long": long} {
		c := catalogueOf(record, `{"x":1}`)
		if !c.Overflow || len(c.Paths) > MaxPaths {
			t.Errorf("%s: %d paths, overflow %v", name, len(c.Paths), c.Overflow)
		}
		if len(c.Resolve("x")) == 0 {
			t.Errorf("%s: x is not listed", name)
		}
	}
	c := catalogueOf(`{"a":[` + strings.Repeat(`{"x":1},`, 40) + `1]}`)
	if len(c.Resolve("a[15].x")) != 1 || len(c.Resolve("a[16].x")) != 0 {
		t.Error("want indices below 16")
	}
}

func TestCatalogueResolves(t *testing.T) {
	c := catalogueOf(`{"a":{"Name":1,"name":2},"b.c":1,"b":{"c":1}}`, `{"b":{"c":2}}`, `{"A":{"NAME":3}}`)
	for name, want := range map[string]string{
		"a.name": "a.name",               // exact
		"a.NAME": "a.Name a.name A.NAME", // by no case, none exact
		"A.NAME": "A.NAME",
		"b.c":    `b.c "b.c"`, // seen twice, seen once
		"none":   "",
	} {
		var got []string
		for _, p := range c.Resolve(name) {
			got = append(got, spell(p.Steps))
		}
		slices.Sort(got)
		sorted := strings.Fields(want)
		slices.Sort(sorted)
		if !slices.Equal(got, sorted) {
			t.Errorf("%s: got %q, want %q", name, got, sorted)
		}
	}
	if got := spell(c.Resolve("b.c")[0].Steps); got != "b.c" {
		t.Errorf("the path that is seen most comes first; got %s", got)
	}
	if got := fmt.Sprint(c.Names("B")); got != "[b b.c]" {
		t.Errorf("names with b: got %s", got)
	}
}

func TestSumsGoUpAndDown(t *testing.T) {
	a, b := catalogueOf(`{"x":1,"y":"t"}`), catalogueOf(`{"x":"t"}`)
	s := newSums(a)
	s.add(b)
	if got := list(s.catalogue()); got != "x number=1 text=1\ny text=1\n" {
		t.Errorf("both: got %s", got)
	}
	s.remove(a)
	if got := list(s.catalogue()); got != list(b) {
		t.Errorf("one taken away: got %s", got)
	}
	s.remove(b)
	if got := s.catalogue(); len(got.Paths) != 0 {
		t.Errorf("both taken away: got %s", list(got))
	}
}

func FuzzTree(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":1}],"c\"":"\\"}`, `{"a":`, `[`, `"`, `{"a"}`, `{"":{"":[[]]}}`, `{]`, `[}`, `{"a":}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := catalogueOf(string(b), string(b))
		for _, p := range c.Paths {
			back, err := unspell(spell(p.Steps))
			if err != nil || !slices.Equal(back, p.Steps) {
				t.Fatalf("%v: spelled %q, read back %v, %v", p.Steps, spell(p.Steps), back, err)
			}
		}
	})
}

func FuzzUnspell(f *testing.F) {
	for _, s := range []string{"a.b[0].c", `"a.b"."".c`, `a..b`, `[`, `"`, `[16]`, `a[-1]`, `"\xff"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := unspell(s)
		if err != nil {
			return
		}
		if back, err := unspell(spell(steps)); err != nil || !slices.Equal(back, steps) {
			t.Fatalf("%q: %v, then %v, %v", s, steps, back, err)
		}
	})
}
