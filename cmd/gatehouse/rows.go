package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/query/core"
)

// rows is the result of a query: columns that are known when it runs, and cells
// of nil, bool, int64, float64, string and []string.
type rows struct {
	cols []core.Col
	each iter.Seq2[[]any, error]
	zone *time.Location // of times in tables
}

// printRows writes a result in the format asked for, as it arrives, and counts.
func (p *program) printRows(r rows) (n int, err error) {
	w := bufio.NewWriterSize(p.stdout, 64<<10)
	var out rowWriter
	switch p.format {
	case formatJSON, formatJSONL:
		out = &jsonRows{w: w, cols: r.cols, lines: p.format == formatJSONL}
	case formatCSV:
		out = &csvRows{w: csv.NewWriter(w), cols: r.cols}
	default:
		out = &tableRows{w: w, cols: r.cols, zone: r.zone}
	}
	for row, fault := range r.each {
		if err = fault; err == nil {
			err = out.row(row)
		}
		if err != nil {
			break
		}
		n++
	}
	if end := out.end(); err == nil { // what was read stays readable
		err = end
	}
	if end := w.Flush(); err == nil {
		err = end
	}
	return n, err
}

type rowWriter interface {
	row([]any) error
	end() error
}

// jsonRows writes an array of objects, or an object a line. Members stand in
// the order of the columns; nulls are written.
type jsonRows struct {
	w     *bufio.Writer
	cols  []core.Col
	lines bool
	n     int
	buf   []byte
}

func (j *jsonRows) row(row []any) error {
	b := j.buf[:0]
	switch {
	case j.lines:
	case j.n == 0:
		b = append(b, "[\n  "...)
	default:
		b = append(b, ",\n  "...)
	}
	j.n++
	b = append(b, '{')
	for i, c := range j.cols {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, c.Name)
		value, err := json.Marshal(row[i], jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return err
		}
		b = append(append(b, ':'), escapeJSON(value)...)
	}
	b = append(b, '}')
	if j.lines {
		b = append(b, '\n')
	}
	j.buf = b
	_, err := j.w.Write(b)
	return err
}

func (j *jsonRows) end() (err error) {
	switch {
	case j.lines:
	case j.n == 0:
		_, err = j.w.WriteString("[]\n")
	default:
		_, err = j.w.WriteString("\n]\n")
	}
	return err
}

type csvRows struct {
	w    *csv.Writer
	cols []core.Col
	n    int
	line []string
}

func (c *csvRows) head() {
	for _, col := range c.cols {
		c.line = append(c.line, cell(col.Name))
	}
	c.w.Write(c.line)
}

func (c *csvRows) row(row []any) error {
	if c.n == 0 {
		c.head()
	}
	c.n++
	for i, v := range row {
		switch v.(type) {
		case string, []string:
			c.line[i] = cell(stripped(cellText(v)))
		default:
			c.line[i] = cellText(v)
		}
	}
	return c.w.Write(c.line)
}

func (c *csvRows) end() error {
	if c.n == 0 {
		c.head()
	}
	c.w.Flush()
	return c.w.Error()
}

// tableRows aligns columns by the first rows, and keeps the lines of a cell
// under each other. Cells wider than maxCell are cut, and say so.
type tableRows struct {
	w     *bufio.Writer
	cols  []core.Col
	zone  *time.Location
	held  [][]string
	wide  []int
	begun bool
}

const (
	maxCell  = 120
	maxLines = 40
	aligned  = 500 // rows that the widths are taken from
)

func (t *tableRows) row(row []any) error {
	cells := make([]string, len(row))
	for i, v := range row {
		cells[i] = t.cell(t.cols[i].Name, v)
	}
	if t.begun {
		t.write(cells)
		return nil
	}
	if t.held = append(t.held, cells); len(t.held) == aligned {
		t.begin()
	}
	return nil
}

func (t *tableRows) end() error {
	if !t.begun {
		t.begin()
	}
	return nil
}

func (t *tableRows) begin() {
	t.begun = true
	head := make([]string, len(t.cols))
	t.wide = make([]int, len(t.cols))
	for i, c := range t.cols {
		head[i] = clean(c.Name)
	}
	for _, cells := range append([][]string{head}, t.held...) {
		for i, c := range cells {
			for line := range strings.SplitSeq(c, "\n") {
				t.wide[i] = max(t.wide[i], utf8.RuneCountInString(line))
			}
		}
	}
	t.write(head)
	for _, cells := range t.held {
		t.write(cells)
	}
	t.held = nil
}

// write prints one row, as many lines as its tallest cell has.
func (t *tableRows) write(cells []string) {
	for more := true; more; {
		more = false
		line := ""
		for i, c := range cells {
			first, rest, ok := strings.Cut(c, "\n")
			cells[i], more = rest, more || ok
			line += first
			if pad := t.wide[i] - utf8.RuneCountInString(first) + 2; i < len(cells)-1 && pad > 0 {
				line += strings.Repeat(" ", pad)
			}
		}
		t.w.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (t *tableRows) cell(name string, v any) string {
	if ms, ok := v.(int64); ok && isTime(name, ms) {
		return time.UnixMilli(ms).In(t.zone).Format("2006-01-02 15:04:05.999Z07:00")
	}
	var lines []string
	for line := range strings.SplitSeq(cellText(v), "\n") {
		if len(lines) == maxLines {
			lines = append(lines, "…")
			break
		}
		if line = clean(line); utf8.RuneCountInString(line) > maxCell {
			line = string([]rune(line)[:maxCell-1]) + "…"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// isTime tells of a number that is a moment in ms: of this century, in a column
// whose name says so.
func isTime(name string, ms int64) bool {
	const from, to = 978_307_200_000, 4_102_444_800_000 // 2001, 2100
	name = strings.ToLower(name)
	return ms >= from && ms < to && slices.ContainsFunc([]string{"time", "first", "last", "since", "until"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// cellText is a value as text: numbers without a needless point, lists a line each.
func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, "\n")
	case float64:
		if v == float64(int64(v)) && v < 1<<53 && v > -1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// stripped is s without what a terminal acts on; its lines stay.
func stripped(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && hidden(r) {
			return -1
		}
		return r
	}, s)
}
