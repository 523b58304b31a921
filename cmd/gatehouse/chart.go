package main

import (
	"bufio"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/internal/query/core"
)

// chart draws a result as bars: a block for each series, in a block a bar for
// each row. Rows of a timeslice stand in order of time, with a line for each
// slice that has nothing; others stand as the query has them.
type chart struct {
	at, value int   // columns: the time (-1: none) and the number
	names     []int // columns that name a series, or a bar where there is no time
	zone      *time.Location
	width     int // of the longest bar
}

// maxBars bounds a chart; a result with more is a table.
const maxBars = 2000

func newChart(cols []core.Col, zone *time.Location) (*chart, error) {
	c := &chart{at: -1, value: -1, zone: zone, width: 50}
	for i, col := range cols {
		switch {
		case strings.EqualFold(col.Name, "_timeslice"):
			c.at = i
		case strings.EqualFold(col.Name, "_timeslice_end"):
		case col.Type.Number() && c.value < 0 && !strings.EqualFold(col.Name, "_messagetime"):
			c.value = i
		case col.Type == core.Text || col.Type == core.Bool:
			c.names = append(c.names, i)
		}
	}
	if c.value < 0 {
		return nil, usagef("--chart: the result has no number to draw: end the query with an aggregate such as `| count by _timeslice`")
	}
	return c, nil
}

type bar struct {
	at    int64
	label string
	value float64
	none  bool
}

func (p *program) printChart(r rows) (n int, err error) {
	c, err := newChart(r.cols, r.zone)
	if err != nil {
		return 0, err
	}
	series := map[string][]bar{}
	var order []string
	for row, fault := range r.each {
		if fault != nil {
			return n, fault
		}
		if n++; n > maxBars {
			return n, usagef("--chart: more than %d bars: use a longer timeslice, or `| limit`", maxBars)
		}
		name, b := c.bar(r.cols, row)
		if series[name] == nil {
			order = append(order, name)
		}
		series[name] = append(series[name], b)
	}
	w := bufio.NewWriter(p.stdout)
	fmt.Fprintln(w, clean(r.cols[c.value].Name))
	c.draw(w, order, series)
	return n, w.Flush()
}

// bar turns a row into the bar of a series.
func (c *chart) bar(cols []core.Col, row []any) (series string, b bar) {
	var names []string
	for _, i := range c.names {
		names = append(names, clean(cols[i].Name)+"="+clean(cellText(row[i])))
	}
	label := strings.Join(names, " ")
	switch v := row[c.value].(type) {
	case int64:
		b.value = float64(v)
	case float64:
		b.value = v
	default:
		b.none = true
	}
	if c.at < 0 {
		b.label = label
		return "", b
	}
	b.at, _ = row[c.at].(int64)
	return label, b
}

func (c *chart) draw(w *bufio.Writer, order []string, series map[string][]bar) {
	top := 0.0
	for _, bars := range series {
		for _, b := range bars {
			top = max(top, b.value)
		}
	}
	if c.at >= 0 {
		slices.Sort(order)
	}
	for _, name := range order {
		bars := series[name]
		if name != "" {
			fmt.Fprintln(w, name)
		}
		if c.at >= 0 {
			bars = c.slices(bars)
		}
		wide := 0
		for _, b := range bars {
			wide = max(wide, utf8.RuneCountInString(b.label))
		}
		for _, b := range bars {
			fmt.Fprintf(w, "  %s%s  %s\n", b.label, strings.Repeat(" ", wide-utf8.RuneCountInString(b.label)), c.text(b, top))
		}
	}
}

// slices puts the bars of a series in order of time and fills the gaps.
func (c *chart) slices(bars []bar) (out []bar) {
	slices.SortFunc(bars, func(a, b bar) int { return cmp.Compare(a.at, b.at) })
	step := int64(math.MaxInt64)
	for i := 1; i < len(bars); i++ {
		if d := bars[i].at - bars[i-1].at; d > 0 {
			step = min(step, d)
		}
	}
	for i, b := range bars {
		if i > 0 {
			for at := bars[i-1].at + step; at < b.at && len(out) < maxBars; at += step {
				out = append(out, bar{at: at, none: true})
			}
		}
		out = append(out, b)
	}
	for i := range out {
		out[i].label = time.UnixMilli(out[i].at).In(c.zone).Format("2006-01-02 15:04")
	}
	return out
}

// text is a bar in eighths of a character, with its number behind it.
func (c *chart) text(b bar, top float64) string {
	if b.none {
		return "·"
	}
	if top <= 0 || b.value <= 0 {
		return cellText(b.value)
	}
	eighths := int(math.Round(b.value / top * float64(c.width) * 8))
	line := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		line += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return line + " " + cellText(b.value)
}
