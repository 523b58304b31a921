//go:build cgo

package duck

import (
	"fmt"
	"os"
	"strings"

	db "github.com/duckdb/duckdb-go-bindings"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// database is one in-memory database with one connection.
type database struct {
	db   db.Database
	conn db.Connection
	temp string // a folder of its own, for what does not fit in memory
}

// openDatabase makes an empty database with its bounds set and all doors open.
//
// DuckDB lets statements read what stands in its folder for temporary files, so
// each database gets one of its own, which nothing else is in.
func openDatabase(b lake.Budget, o Options) (*database, error) {
	d := &database{}
	if o.Temp != "" {
		var err error
		if d.temp, err = os.MkdirTemp(o.Temp, "gatehouse-query-"); err != nil {
			return nil, fmt.Errorf("%w: %w", lake.ErrEngine, err)
		}
		o.Temp = d.temp
	}
	if err := d.open(b, o); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *database) open(b lake.Budget, o Options) error {
	var config db.Config
	if db.CreateConfig(&config) == db.StateError {
		return fmt.Errorf("%w: no configuration", lake.ErrEngine)
	}
	defer db.DestroyConfig(&config)
	for _, s := range settings(b, o) {
		if db.SetConfig(config, s[0], s[1]) == db.StateError {
			return fmt.Errorf("%w: setting %s to %q is refused", lake.ErrEngine, s[0], s[1])
		}
	}
	var message string
	if db.OpenExt("", &d.db, config, &message) == db.StateError {
		return fmt.Errorf("%w: %s", lake.ErrEngine, message)
	}
	if db.Connect(d.db, &d.conn) == db.StateError {
		return fmt.Errorf("%w: no connection", lake.ErrEngine)
	}
	return nil
}

// settings are those of a new database. Rows of a result that an ORDER BY and
// LIMIT choose are read late, wide columns after the choice: by default DuckDB
// does so for 50 rows at most.
func settings(b lake.Budget, o Options) [][2]string {
	return [][2]string{
		{"threads", fmt.Sprint(b.Threads)},
		{"memory_limit", fmt.Sprintf("%dKiB", b.Memory>>10)},
		{"temp_directory", o.Temp},
		{"max_temp_directory_size", fmt.Sprintf("%dKiB", o.MaxTemp>>10)},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_persistent_secrets", "false"},
	}
}

// shut closes the doors: what follows reads the files and changes no setting.
func (d *database) shut(files []string, b lake.Budget) error {
	for _, s := range []string{
		"SET TimeZone = 'UTC'",
		fmt.Sprintf("SET late_materialization_max_rows = %d", b.Rows+1),
		"SET enable_progress_bar = true",
		"SET enable_progress_bar_print = false",
		"SET allowed_paths = " + list(files),
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if err := d.exec(s); err != nil {
			return err
		}
	}
	return nil
}

// close frees the database and all it holds. Nothing may run in it.
func (d *database) close() {
	if d.conn.Ptr != nil {
		db.Disconnect(&d.conn)
	}
	if d.db.Ptr != nil {
		db.Close(&d.db)
	}
	if d.temp != "" {
		os.RemoveAll(d.temp)
	}
}

// exec runs a statement of ours to its end.
func (d *database) exec(statement string) error {
	var res db.Result
	defer db.DestroyResult(&res)
	if db.Query(d.conn, statement, &res) == db.StateError {
		return typed(db.ResultError(&res))
	}
	return nil
}

// sqlTypes are the types of the columns of "events".
var sqlTypes = map[event.Kind]string{event.None: "VARCHAR", event.Text: "VARCHAR", event.Int: "BIGINT", event.Float: "DOUBLE", event.Bool: "BOOLEAN"}

// rawColumn is the record's own text, which stands beside the table of fields.
const rawColumn = "_raw"

// between is the condition that keeps events within the bounds of a request.
func between(r lake.Request) string {
	var bounds []string
	if !r.From.IsZero() {
		bounds = append(bounds, fmt.Sprintf("%s >= %d", ident(event.MessageTime.String()), r.From.UnixMilli()))
	}
	if !r.To.IsZero() {
		bounds = append(bounds, fmt.Sprintf("%s < %d", ident(event.MessageTime.String()), r.To.UnixMilli()))
	}
	if len(bounds) == 0 || len(r.Files) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(bounds, " AND ")
}

// createEvents makes the view that statements know as the table of events. Files
// of another release may lack columns or have them of another type: those are
// null, or cast.
func (d *database) createEvents(r lake.Request) error {
	files := r.Files
	have, err := d.describe(files)
	if err != nil {
		return err
	}
	var items []string
	add := func(name, want string) {
		q := ident(name)
		switch have[strings.ToLower(name)] {
		case want:
			items = append(items, q)
		case "":
			items = append(items, "CAST(NULL AS "+want+") AS "+q)
		default:
			items = append(items, "TRY_CAST("+q+" AS "+want+") AS "+q)
		}
	}
	for f := range event.NumFields {
		add(event.Columns[f].Name, sqlTypes[event.Columns[f].Kind])
	}
	add(rawColumn, "VARCHAR")
	from := " WHERE false"
	if len(files) > 0 {
		from = " FROM read_parquet(" + list(files) + ", union_by_name = true)"
	}
	return d.exec("CREATE VIEW events AS SELECT " + strings.Join(items, ", ") + from + between(r))
}

// describe gives the types of the columns that the files have, by lower-case
// name.
func (d *database) describe(files []string) (map[string]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var stmt db.PreparedStatement
	defer db.DestroyPrepare(&stmt)
	if db.Prepare(d.conn, "SELECT * FROM read_parquet("+list(files)+", union_by_name = true)", &stmt) == db.StateError {
		return nil, typed(db.PrepareError(stmt))
	}
	names := map[db.Type]string{db.TypeVarchar: "VARCHAR", db.TypeBigInt: "BIGINT", db.TypeDouble: "DOUBLE", db.TypeBoolean: "BOOLEAN"}
	have := map[string]string{}
	for i := range db.PreparedStatementColumnCount(stmt) {
		name, ok := names[db.PreparedStatementColumnType(stmt, i)]
		if !ok {
			name = "other"
		}
		have[strings.ToLower(db.PreparedStatementColumnName(stmt, i))] = name
	}
	return have, nil
}

// list is a list of text literals.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = literal(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// literal and ident quote as DuckDB reads: doubling is the only escape. A NUL
// would end the statement, so it is left out; no file has one in its name.
func literal(s string) string {
	return "'" + strings.NewReplacer("'", "''", "\x00", "").Replace(s) + "'"
}

func ident(s string) string {
	return `"` + strings.NewReplacer(`"`, `""`, "\x00", "").Replace(s) + `"`
}
