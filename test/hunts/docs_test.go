package hunts_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
)

var update = flag.Bool("update", false, "write the tables of docs/hunting.md anew")

const page = "../../docs/hunting.md"

// TestTablesOfTheDocs keeps the tables of docs/hunting.md as the program has
// them. Each stands between <!-- name --> and <!-- /name -->.
func TestTablesOfTheDocs(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range map[string]string{
		"operators":  operatorTable(),
		"aggregates": aggregateTable(),
		"functions":  functionTable(),
		"fields":     fieldTable(),
		"hunts":      huntTable(t),
	} {
		open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok1 := strings.Cut(text, open)
		was, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Errorf("the page has no place %s", name)
			continue
		}
		if was != table && !*update {
			t.Errorf("the table %s is out of date: go test ./test/hunts -update", name)
		}
		text = before + open + table + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHuntOfTheDocs reads the hunt that the page shows how to write.
func TestHuntOfTheDocs(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	if _, err := query.ParseSaved("denied-often.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
}

// rows makes a table. What would end a cell is escaped.
func rows(head string, list [][]string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s\n%s\n", head, "|"+strings.Repeat("---|", strings.Count(head, "|")-1))
	for _, cells := range list {
		for _, c := range cells {
			b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// code marks what is written as it stands.
func code(s string) string {
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

func operatorTable() string {
	b := &strings.Builder{}
	for _, o := range op.Operators {
		name := cmp.Or(o.Name, o.Form)
		fmt.Fprintf(b, "#### %s\n\n```\n%s\n```\n%s\n", name, o.Form, o.Help)
		if len(o.Also) > 0 {
			fmt.Fprintf(b, "Also written `%s`.\n", strings.Join(o.Also, "`, `"))
		}
		fmt.Fprintf(b, "```\n| %s\n```\n\n", o.Example)
	}
	return b.String()
}

func aggregateTable() string {
	var list [][]string
	for _, a := range op.Aggregates {
		list = append(list, []string{code(a.Form), a.Help, code(cmp.Or(a.As, "_f_pct_50"))})
	}
	return rows("| aggregate | what | column without `as` |", list)
}

func functionTable() string {
	var list [][]string
	for _, f := range op.Functions() {
		list = append(list, []string{code(f.Form), f.Help})
	}
	return rows("| function | what |", list)
}

func fieldTable() string {
	var list [][]string
	for _, c := range event.Columns {
		list = append(list, []string{code(c.Name), c.Kind.String(), c.Help})
	}
	return rows("| field | type | what |", list)
}

func huntTable(t *testing.T) string {
	var list [][]string
	all := shipped(t)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		h := all[id]
		var parameters []string
		for _, p := range h.Parameters {
			parameters = append(parameters, p.Name+"="+p.Default)
		}
		strands := make([]string, len(h.Strands))
		for i, s := range h.Strands {
			strands[i] = string(s)
		}
		list = append(list, []string{code(id), h.Title, strings.Join(strands, ", "), h.Seed, strings.Join(parameters, " ")})
	}
	return rows("| hunt | what it finds | strands | twin of | parameters |", list)
}
