package op

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// TestTables: every row of the tables says what it is for, and the examples are
// queries.
func TestTables(t *testing.T) {
	tab := newTable()
	for _, o := range Operators {
		if o.Form == "" || o.Help == "" || o.Example == "" {
			t.Errorf("operator %q is not explained", o.Name)
		}
		e := env()
		e.Lookup = func(string) (*Table, error) {
			return &Table{Columns: []core.Col{{Name: "id", Type: core.Text}, {Name: "owner", Type: core.Text}, {Name: "tier", Type: core.Text}}}, nil
		}
		q, err := syntax.Parse("* | " + o.Example)
		if err == nil {
			_, err = Compile(q, e)
		}
		if err != nil && !strings.Contains(err.Error(), "--") { // what needs more than a query says so
			t.Errorf("%s: example %s: %v", o.Name, o.Example, err)
		}
		if o.Name != "" && tab.named(o.Name) != o {
			t.Errorf("two operators are called %s", o.Name)
		}
	}
	for name, f := range tab.functions {
		if f.Form == "" || f.Help == "" || f.lower == nil {
			t.Errorf("function %s is not explained", name)
		}
	}
	for _, a := range Aggregates {
		if a.Form == "" || a.Help == "" || a.lower == nil {
			t.Errorf("aggregate %s is not explained", a.Name)
		}
	}
	for op, name := range opNames {
		if name == "" {
			t.Errorf("op %d has no name in printed plans", op)
		}
	}
}

// TestExplain: what each stage reads and makes.
func TestExplain(t *testing.T) {
	q, err := syntax.Parse("_index=sec_record_* bedrock | eventname as e | timeslice 1h | count as n by e, _timeslice | where N > 1")
	if err != nil {
		t.Fatal(err)
	}
	res, err := Compile(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range res.Stages {
		got += s.Text + ": " + strings.Join(s.Reads, " ") + " -> " + strings.Join(s.Makes, " ") + "\n"
	}
	want := `_index=sec_record_* bedrock: _index _raw -> ` + `
eventname as e: eventname -> e
timeslice 1h: _messagetime -> _timeslice _timeslice_end
count as n by e, _timeslice: e _timeslice -> e _timeslice n
where N > 1: N -> ` + "\n"
	if got != want || res.Timeslice != "_timeslice" || res.Raw {
		t.Errorf("got %v %v\n%s\nwant\n%s", res.Timeslice, res.Raw, got, want)
	}
}

// TestElsewhere: no hint of another language stands in the way of what is here.
func TestElsewhere(t *testing.T) {
	tab := newTable()
	for name := range elsewhere {
		if tab.named(name) != nil || tab.functions[name] != nil || tab.aggregates[name] != nil {
			t.Errorf("%s is an operator or function here", name)
		}
	}
	for name := range elsewhereFunctions {
		if tab.functions[name] != nil || tab.aggregates[name] != nil {
			t.Errorf("%s is a function here", name)
		}
	}
}

// TestAbsent: what warns of a field that no record has is told apart.
func TestAbsent(t *testing.T) {
	q, err := syntax.Parse("_strand=mars | where [subquery: nosuch=1 | compose eventName] | count by nowhere")
	if err != nil {
		t.Fatal(err)
	}
	res, err := Compile(q, env())
	if err != nil {
		t.Fatal(err)
	}
	var absent []bool
	for _, w := range res.Warnings {
		absent = append(absent, w.Absent)
	}
	if !slices.Equal(absent, []bool{false, true, true}) {
		t.Errorf("got %v of %v", absent, res.Warnings)
	}
}
