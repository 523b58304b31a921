// Package lake keeps events as Parquet files and says what is in them.
//
// A lake is one folder:
//
//	manifest                          what the lake consists of, as of the last commit
//	STRAND.DAY.NUMBER.parquet         a segment: events of one strand and UTC day, by time
//	NUMBER.ids                        a run: sorted ids of events, for telling duplicates
//	lock                              held by the one process that writes
//
// Nothing is changed in place. A commit writes new files, syncs them and their
// names, and renames a new manifest over the old one: before the rename the
// lake is as it was, after it all of the change is there. Seal commits what was
// appended together with the cursors of the inputs, so that whoever reads an
// input again from Cursors loses nothing and doubles nothing. Merge and Retain
// commit segments in the place of others.
//
// One process writes (Open), any number read (Load), without waiting for each
// other. A reader goes by the manifest and never by the folder: a file that was
// merged or retired stays for a grace period, for readers that loaded an
// earlier manifest, and its events stand in two files as long.
//
// All files have one schema (schema.go): the columns of event.Columns and the
// record's own text, _raw. For names that are not columns the manifest has a
// Catalogue of the paths that records have. A Builder writes such files and
// collects such a catalogue; the lake uses it, and so does whoever wants to
// query files that are in no lake. An Engine (engine.go) runs SQL over them.
package lake
