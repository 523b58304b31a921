package op

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var saveOp = Operator{
	Name: "save", Tier: 2,
	Form: "save [append] PATH",
	Help: "Writes the columns that are shown to a table, for lookup and cat: a CSV file in the directory of tables, whole or not at all. append adds the rows to those that are there, whose columns have to be the same. " +
		"It has to be the last stage, and is refused where no directory of tables is set.",
	Example: `count as calls by accountId | save "watch/accounts.csv"`,
	compile: compileSave,
}

const (
	maxSaved    = 64 << 20 // bytes of a table, as lookup reads them
	maxSavePath = 200
)

// saving is what a save runs.
type saving struct {
	dir, name string
	add       bool
	out       []core.Named // the columns to write; nil writes all
}

func compileSave(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	_, add := c.Word("append")
	where := c.Span()
	text, err := c.Path()
	if err != nil {
		return err
	}
	name, msg := saveName(tablePath(text))
	switch {
	case msg != "":
		return b.errorf(where, CodeValue, "%s", msg)
	case b.nested > 0 || b.n != len(b.q.Stages):
		return b.errorf(at, CodeValue, "save has to be the last stage")
	case b.env.SaveDir == "":
		return b.errorf(at, CodeUnsupported, "no directory of tables is set, so nothing can be saved here")
	}
	b.save(&saving{dir: b.env.SaveDir, name: name, add: add})
	return nil
}

// saveName is the file of a table, or what is wrong with its path.
func saveName(p string) (name, msg string) {
	if path.Ext(p) == "" {
		p += ".csv"
	}
	hidden := slices.ContainsFunc(strings.Split(p, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
	switch {
	case len(p) > maxSavePath:
		return "", "the path of the table is too long"
	case !filepath.IsLocal(p) || path.Clean(p) != p || hidden || strings.ContainsAny(p, "\\\x00"):
		return "", "the path of a table stays in the directory of tables\nwrite one such as watch/accounts.csv"
	case !strings.EqualFold(path.Ext(p), ".csv"):
		return "", "a table is saved as CSV\nwrite a path that ends in .csv"
	}
	return p, ""
}

// save puts the stage that writes on top. It passes the rows on.
func (b *builder) save(s *saving) {
	if b.dynamic {
		b.plan = &core.Host{In: sorted(b.plan, b.order), Name: "save", MaxRows: b.env.Limits.Rows, Run: s.run}
		return
	}
	var cols []column
	for _, c := range b.display() {
		n := core.Named{Name: c.name, Expr: c.read()}
		s.out = append(s.out, n)
		c.col.Name = n.Name
		cols = append(cols, c)
	}
	in := b.ordered(s.out, b.order)
	if o, ok := in.(*core.Sort); ok {
		b.order = o.Keys
	}
	h := &core.Host{In: in, Name: "save", Out: in.Cols(), MaxRows: b.env.Limits.Rows, Run: s.run}
	b.hosts[h] = host{reads: namesOf(s.out), out: func(in []core.Col) []core.Col { return in }}
	b.plan, b.cols, b.hidden = h, cols, in.Cols()[len(cols):]
}

func (s *saving) run(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
	lines := rows
	var head []string
	if s.out == nil {
		for _, c := range cols {
			head = append(head, c.Name)
		}
	} else {
		head, lines = namesOf(s.out), pick(cols, rows, s.out)
	}
	if err := s.write(head, lines); err != nil {
		return nil, nil, nil, fmt.Errorf("table %s: %w", s.name, err)
	}
	return cols, rows, nil, nil
}

// write puts the table beside its place and then there, so that who reads it
// sees the old or the new one.
func (s *saving) write(head []string, rows [][]any) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var buf bytes.Buffer
	if s.add {
		if err := s.begin(root, &buf, head); err != nil {
			return err
		}
	}
	if err := writeTable(&buf, head, rows); err != nil {
		return err
	}
	if dir := path.Dir(s.name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return replaceFile(root, s.name, buf.Bytes())
}

// begin starts with the table that is there, if there is one of these columns.
func (s *saving) begin(root *os.Root, buf *bytes.Buffer, head []string) error {
	fi, err := root.Stat(s.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Size() > maxSaved:
		return fmt.Errorf("it has more than %d MiB already", maxSaved>>20)
	}
	old, err := root.ReadFile(s.name)
	if err != nil {
		return err
	}
	have, err := csv.NewReader(bytes.NewReader(old)).Read()
	if err != nil {
		return fmt.Errorf("names of its columns: %w", err)
	}
	if !slices.EqualFunc(have, head, strings.EqualFold) {
		return fmt.Errorf("its columns are %s, not %s", strings.Join(have, ", "), strings.Join(head, ", "))
	}
	buf.Write(old)
	if !bytes.HasSuffix(old, []byte("\n")) {
		buf.WriteByte('\n')
	}
	return nil
}

// writeTable writes the rows, and the head in front of them when nothing is
// there yet.
func writeTable(buf *bytes.Buffer, head []string, rows [][]any) error {
	w := csv.NewWriter(buf)
	if buf.Len() == 0 {
		_ = w.Write(head) // a buffer takes all
	}
	for _, row := range rows {
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = savedCell(v)
		}
		_ = w.Write(line)
		if w.Flush(); buf.Len() > maxSaved {
			return fmt.Errorf("it would have more than %d MiB", maxSaved>>20)
		}
	}
	w.Flush()
	return w.Error()
}

func savedCell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
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

// replaceFile writes a file anew, by way of one beside it.
func replaceFile(root *os.Root, name string, data []byte) error {
	beside := path.Join(path.Dir(name), "."+path.Base(name)+".part")
	f, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is in the way: another save is writing the table, or one was cut short", beside)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(beside, name)
	}
	if err != nil {
		_ = root.Remove(beside) // what is wrong already counts
	}
	return err
}
