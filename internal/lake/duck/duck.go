// Package duck runs SQL over the Parquet files of a lake with DuckDB, in this
// process (Open) or in children that the process starts (OpenChildren).
//
// Every query gets a database of its own, in memory, and it is gone when the
// query's rows are closed. It holds one view, "events", over the files that the
// request names, typed by the table of fields whatever the files hold; the
// request's small tables; and nothing else. Before the statement is looked at,
// the database is shut: it may read the named files and no other, write none,
// reach no network, load no extension and change no setting. The statement must
// be one SELECT, by DuckDB's own word and not by ours.
//
// A query that wants too much ends in a *lake.BudgetError: DuckDB counts its
// memory itself, time is kept here and ends in an interrupt, and rows are
// counted as they are read. In a child the machine bounds what those bounds
// miss; see child.go.
//
// It is the only package that links DuckDB, and so the only one that needs cgo.
// A build without it still has this package, whose engine says so.
package duck

// Options of an engine.
type Options struct {
	// Temp is a folder for what does not fit in memory; "" spills nothing.
	Temp string
	// MaxTemp bounds that folder, in bytes; 0 is 4 GiB.
	MaxTemp int64
	// Threads is what a request that names none gets; 0 is all.
	Threads int
}
