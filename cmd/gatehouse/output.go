package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// format is how data is printed. It is a flag's value.
type format string

// The formats.
const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatJSONL format = "jsonl"
	formatCSV   format = "csv"
)

var formats = []string{string(formatTable), string(formatJSON), string(formatJSONL), string(formatCSV)}

func (f *format) String() string { return string(*f) }

func (f *format) Type() string { return strings.Join(formats, "|") }

func (f *format) Set(s string) error {
	if !slices.Contains(formats, s) {
		return fmt.Errorf("write one of %s", strings.Join(formats, ", "))
	}
	*f = format(s)
	return nil
}

// prints gives a verb the flags that choose the format.
func (p *program) prints(c *cobra.Command) *cobra.Command {
	p.format = formatTable
	c.Flags().Var(&p.format, "format", "how data is printed")
	c.Flags().BoolFunc("json", "short for --format json", func(string) error { return p.format.Set("json") })
	c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// print writes v, a struct or a slice of structs, in the format asked for. The
// names choose the columns of a table of several rows; the other formats hold
// everything.
func (p *program) print(v any, names ...string) error {
	switch p.format {
	case formatJSON:
		return printJSON(p.stdout, v, !p.watching)
	case formatJSONL:
		return each(v, func(row reflect.Value) error { return printJSON(p.stdout, row.Interface(), false) })
	case formatCSV:
		return printCSV(p.stdout, v)
	}
	if reflect.TypeOf(v).Kind() == reflect.Slice {
		return printTable(p.stdout, v, names)
	}
	return printRecord(p.stdout, v)
}

func each(v any, do func(reflect.Value) error) error {
	rows := reflect.ValueOf(v)
	if rows.Kind() != reflect.Slice {
		return do(rows)
	}
	for i := range rows.Len() {
		if err := do(rows.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, v any, indent bool) error {
	opts := []json.Options{json.Deterministic(true)}
	if indent {
		opts = append(opts, jsontext.WithIndent("  "))
	}
	b, err := json.Marshal(v, opts...)
	if err != nil {
		return err
	}
	_, err = w.Write(append(escapeJSON(b), '\n'))
	return err
}

// escapeJSON writes as \u what JSON allows but a terminal acts on. Such
// characters can stand in strings only.
func escapeJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x7f && hidden(r) }) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		if r >= 0x7f && hidden(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// column is a field of the rows that are printed.
type column struct {
	name  string // the field's JSON name
	index []int
}

func columnsOf(t reflect.Type) []column {
	var cs []column
	for _, sf := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.Anonymous && name != "-" {
			cs = append(cs, column{name, sf.Index})
		}
	}
	return cs
}

func printCSV(w io.Writer, v any) error {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	cs := columnsOf(t)
	cw := csv.NewWriter(w)
	row := make([]string, len(cs))
	for i, c := range cs {
		row[i] = c.name
	}
	cw.Write(row)
	each(v, func(r reflect.Value) error {
		for i, c := range cs {
			v := r.FieldByIndex(c.index)
			if row[i] = text(v); !v.CanInt() {
				row[i] = cell(row[i])
			}
		}
		return cw.Write(row)
	})
	cw.Flush()
	return cw.Error()
}

// cell keeps a spreadsheet from taking text for a formula, also behind spaces
// and in the wide forms of East Asian input.
func cell(s string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " "))
	if strings.ContainsRune("=+-@＝＋－＠", first) {
		return "'" + s
	}
	return s
}

func printTable(w io.Writer, v any, names []string) error {
	all := columnsOf(reflect.TypeOf(v).Elem())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var cs []column
	for _, name := range names {
		cs = append(cs, all[slices.IndexFunc(all, func(c column) bool { return c.name == name })])
	}
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(names, "\t")))
	each(v, func(r reflect.Value) error {
		cells := make([]string, len(cs))
		for i, c := range cs {
			if cells[i] = short(r.FieldByIndex(c.index)); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
		return nil
	})
	return tw.Flush()
}

// printRecord writes one row as names and values, leaving out the empty ones.
func printRecord(w io.Writer, v any) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r := reflect.ValueOf(v)
	for _, c := range columnsOf(r.Type()) {
		if s := text(r.FieldByIndex(c.index)); s != "" {
			fmt.Fprintf(tw, "%s\t%s\n", c.name, s)
		}
	}
	return tw.Flush()
}

// text is a field's value for tables and CSV, on one line, without what a
// terminal acts on.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.UTC().Format(time.RFC3339)
	case []string:
		return clean(strings.Join(x, ", "))
	case map[string]int64:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, fmt.Sprintf("%s %d", name, x[name]))
		}
		return clean(strings.Join(parts, ", "))
	}
	return clean(fmt.Sprint(v.Interface()))
}

// short is text for a table of several rows: the first two of a list, and how
// many follow.
func short(v reflect.Value) string {
	const most = 2
	if list, ok := v.Interface().([]string); ok && len(list) > most {
		return clean(fmt.Sprintf("%s, +%d", strings.Join(list[:most], ", "), len(list)-most))
	}
	return text(v)
}

// clean strips control characters (C0, C1, DEL) and those that reorder or hide
// text. Line ends stay, as spaces.
func clean(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case hidden(r):
			return -1
		}
		return r
	}, s)
}

// hidden tells whether r is a control character, one that changes the
// direction of text, or one that shows nothing.
func hidden(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	case r == 0x61c, r == 0xfeff:
		return true
	}
	return r >= 0xe0000 && r <= 0xe007f
}
