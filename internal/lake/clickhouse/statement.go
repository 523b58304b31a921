package clickhouse

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// mark stands before each row of a result, as a column of its own.
const mark = 0xA5

// rawColumn is the record's own text, which stands beside the table of fields.
const rawColumn = "_raw"

// sqlTypes are the types of the columns of "events".
var sqlTypes = map[event.Kind]string{event.None: "Nullable(String)", event.Text: "Nullable(String)", event.Int: "Nullable(Int64)",
	event.Float: "Nullable(Float64)", event.Bool: "Nullable(Bool)"}

// statement puts the request's text where only one SELECT can stand, after the
// tables that it may name.
func (e *Engine) statement(r lake.Request) (string, error) {
	if err := refuse(r.SQL); err != nil {
		return "", err
	}
	events, err := e.source.events(r.Files)
	if err != nil {
		return "", fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	var b strings.Builder
	b.WriteString(`WITH "events" AS (` + within(events, r) + ")")
	for i, t := range r.Temps {
		if strings.EqualFold(t.Name, "events") {
			return "", fmt.Errorf("%w: a table of the request is called events", lake.ErrEngine)
		}
		b.WriteString(",\n" + ident(t.Name) + " AS (SELECT " + tempItems(t) + " FROM " + tempName(i) + ")")
	}
	fmt.Fprintf(&b, "\nSELECT toUInt8(%d), * FROM (\n%s\n) LIMIT %d", mark, strings.TrimRight(r.SQL, "; \t\r\n"), r.Budget.Rows+1)
	return b.String(), nil
}

// within keeps the events within the bounds of the request's time.
func within(events string, r lake.Request) string {
	at := ident(event.MessageTime.String())
	var bounds []string
	if !r.From.IsZero() {
		bounds = append(bounds, fmt.Sprintf("%s >= %d", at, r.From.UnixMilli()))
	}
	if !r.To.IsZero() {
		bounds = append(bounds, fmt.Sprintf("%s < %d", at, r.To.UnixMilli()))
	}
	if len(bounds) == 0 {
		return events
	}
	return "SELECT * FROM (" + events + ") WHERE " + strings.Join(bounds, " AND ")
}

// columns lists name and type of each column of "events".
func columns() (names, types []string) {
	for f := range event.NumFields {
		names, types = append(names, event.Columns[f].Name), append(types, sqlTypes[event.Columns[f].Kind])
	}
	return append(names, rawColumn), append(types, sqlTypes[event.Text])
}

// selected are the columns as a list of quoted names.
func selected() string {
	names, _ := columns()
	for i, n := range names {
		names[i] = ident(n)
	}
	return strings.Join(names, ", ")
}

// structure is the columns as a table function takes them. Files of another
// release may lack some; those are null.
func structure() string {
	names, types := columns()
	for i, n := range names {
		names[i] = ident(n) + " " + types[i]
	}
	return strings.Join(names, ", ")
}

// events is the SELECT behind the table of events.
func (s source) events(files []string) (string, error) {
	if s.table != "" {
		return "SELECT " + selected() + " FROM " + tableName(s.table) + " FINAL", nil
	}
	if len(files) == 0 {
		return "SELECT " + selected() + " FROM null(" + literal(structure()) + ")", nil
	}
	glob, err := s.glob(files)
	if err != nil {
		return "", err
	}
	return "SELECT " + selected() + " FROM " + s.function(glob), nil
}

func (s source) function(glob string) string {
	tail := ", 'Parquet', " + literal(structure()) + ")"
	switch {
	case s.files != "":
		return "file(" + literal(glob) + tail
	case s.collection != "":
		return "s3(" + ident(s.collection) + ", url = " + literal(glob) + ", format = 'Parquet', structure = " + literal(structure()) + ")"
	case s.key[0] != "":
		return "s3(" + literal(glob) + ", " + literal(s.key[0]) + ", " + literal(s.key[1]) + tail
	}
	return "s3(" + literal(glob) + tail
}

// glob names all files at once: what they have after the root, in braces.
func (s source) glob(files []string) (string, error) {
	tails := make([]string, len(files))
	for i, f := range files {
		tail, err := s.tail(f)
		if err != nil {
			return "", err
		}
		if tail == "" || strings.ContainsAny(tail, "{}*?,") {
			return "", fmt.Errorf("the file name %q cannot be given to the server", tail)
		}
		tails[i] = tail
	}
	base := strings.TrimSuffix(s.files+s.s3, "/") + "/"
	if len(tails) == 1 {
		return base + tails[0], nil
	}
	return base + "{" + strings.Join(tails, ",") + "}", nil
}

// tail is what a file's name has after the root.
func (s source) tail(name string) (string, error) {
	if s.root == "" {
		return "", errors.New("the DSN names no root, so that the server's name of a file is not known")
	}
	if strings.HasPrefix(s.root, "s3://") {
		tail, ok := strings.CutPrefix(name, strings.TrimSuffix(s.root, "/")+"/")
		if !ok {
			return "", fmt.Errorf("the file %q is not below the root", name)
		}
		return tail, nil
	}
	tail, err := filepath.Rel(s.root, name)
	if err != nil || !filepath.IsLocal(tail) {
		return "", fmt.Errorf("the file %q is not below the root", name)
	}
	return filepath.ToSlash(tail), nil
}

// tableName quotes a table's name, or a database's and a table's.
func tableName(name string) string {
	database, table, two := strings.Cut(name, ".")
	if !two {
		return ident(name)
	}
	return ident(database) + "." + ident(table)
}

func tempName(i int) string { return "temp_" + strconv.Itoa(i) + "_" }

// tempItems are the columns of a small table by their names. Lists are sent as
// JSON; a list that is null is the array of one NULL, as the dialect has it.
func tempItems(t lake.Temp) string {
	items := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		from := "c" + strconv.Itoa(i)
		if c.List {
			from = "if(isNull(" + from + "), CAST([NULL] AS Array(Nullable(String))), JSONExtract(coalesce(" + from + ", ''), 'Array(Nullable(String))'))"
		}
		items[i] = from + " AS " + ident(c.Name)
	}
	return strings.Join(items, ", ")
}

var escapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "`", "\\`", "\x00", `\0`)

func literal(s string) string { return "'" + escapes.Replace(s) + "'" }
func ident(s string) string   { return `"` + escapes.Replace(s) + `"` }
