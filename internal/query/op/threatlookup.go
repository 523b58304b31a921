package op

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var threatlookupOp = Operator{
	Name: "threatlookup", Also: []string{"threatip"}, Tier: 2,
	Form: `threatlookup [singleIndicator] [source="NAME"] FIELD`,
	Help: "Adds what the list of threats says of an address, domain, URL or hash: _threatlookup.confidence, .threat_type, .actors, .source, .indicator, .type, .id, .valid_from and .valid_until, null when it is not listed. " +
		"Of several entries the one of most confidence counts.",
	Example: "threatlookup sourceIPAddress | where _threatlookup.confidence > 50",
	compile: compileThreatlookup,
}

const threatPrefix = "_threatlookup."

// indicator is the column of the list that the field is looked up in.
const indicator = "indicator"

// threatFields are the columns of the list of threats. It may lack some.
var threatFields = []core.Col{
	{Name: "actors", Type: core.Text}, {Name: "confidence", Type: core.Int}, {Name: "id", Type: core.Text},
	{Name: indicator, Type: core.Text}, {Name: "source", Type: core.Text}, {Name: "threat_type", Type: core.Text},
	{Name: "type", Type: core.Text}, {Name: "valid_from", Type: core.Text}, {Name: "valid_until", Type: core.Text},
}

func compileThreatlookup(b *builder, c *syntax.Cursor) error {
	source, err := readThreatOptions(c)
	if err != nil {
		return err
	}
	f, err := c.Field()
	if err != nil {
		return err
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	list := &Table{Columns: threatFields}
	if b.env.Threats == nil {
		b.warn("there is no list of threats to look %s up in", f.Name)
	} else if t, err := b.env.Threats(); err != nil {
		return b.errorf(f.Span(), CodeValue, "list of threats: %v", err)
	} else {
		list.Rows = threatRows(t, source)
	}
	s := &lookupStage{table: list, path: "of threats"}
	for i, col := range threatFields {
		s.out = append(s.out, lookupOut{column: col.Name, name: threatPrefix + col.Name, at: f.Span()})
		if col.Name == indicator {
			s.on = []lookupKey{{do(core.Lower, toText(x)), i}}
		}
	}
	return b.join(s)
}

// readThreatOptions reads what may stand in front of the field.
func readThreatOptions(c *syntax.Cursor) (source string, err error) {
	for {
		mark := c.Mark()
		word, _ := c.Word("singleIndicator", "source")
		switch {
		case word == "singleIndicator" && !c.Done():
		case word == "source" && c.Punct('='):
			if source, err = c.String(); err != nil {
				return "", err
			}
		default: // a field may be called so
			c.Reset(mark)
			return source, nil
		}
	}
}

// threatRows are the entries of a source, or of all, as threatFields has their
// columns: of each indicator the one of most confidence.
func threatRows(t *Table, source string) [][]any {
	var index []int
	for _, col := range threatFields {
		index = append(index, slices.IndexFunc(t.Columns, func(c core.Col) bool { return strings.EqualFold(c.Name, col.Name) }))
	}
	best := map[string]int{}
	var out [][]any
	for _, line := range t.Rows {
		row := make([]any, len(threatFields))
		for i, at := range index {
			if at >= 0 && at < len(line) && line[at] != nil {
				row[i] = threatCell(line[at], threatFields[i].Type)
			}
		}
		key, _ := row[3].(string)
		if key == "" || source != "" && !strings.EqualFold(fmt.Sprint(row[4]), source) {
			continue
		}
		key = strings.ToLower(key)
		if i, ok := best[key]; !ok {
			best[key] = len(out)
			out = append(out, row)
		} else if confidence(row) > confidence(out[i]) {
			out[i] = row
		}
	}
	return out
}

func threatCell(v any, t core.Type) any {
	s := fmt.Sprint(v)
	if t != core.Int {
		return s
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || f != f || f < -1<<31 || f > 1<<31 {
		return nil
	}
	return int64(f)
}

func confidence(row []any) int64 {
	n, _ := row[1].(int64)
	return n
}
