// Package op gives the stages of a hunt their meaning: it reads each stage of a
// syntax.Query and lowers it to the typed core.
//
// An operator is one file beside its test, with one row of the table in op.go: a
// name, its form, help and example, and a function that reads the stage from a
// syntax.Cursor and changes a builder. The table drives dispatch, suggestions,
// completion and documentation. Functions (function*.go) and aggregates
// (aggregate.go) are rows of tables of their own.
//
// The builder (builder.go) is the state between two stages: the plan so far, the
// columns that a name may mean, whether rows are still records or already
// groups, the order of the rows, and what a run of parse stages has matched.
// Operators change it with few verbs: set, filter, aggregate, sort, limit.
//
// Stages in brackets work on a fork of the builder (join), queries in brackets on
// one of their own (subquery.go), and compare compiles the stages before it again
// for another time. What SQL cannot say is a core.Host: transactionize, merge,
// fillmissing, transpose, save.
//
// All convenience of the language ends here. Fields are found whatever their
// case (field.go), values compare by the rules of comparison.go, and a pattern
// becomes the cheapest primitive that has its meaning (match.go). Plans are
// pruned at the end (prune.go), so that a stage may carry all columns without
// thought: what nobody reads is not read from disk. A scan that compares paths of
// the record first looks for their values in its text (prefilter.go). Format
// prints a plan as text, which the tests keep and --explain shows.
//
// To add an operator: write its file with its row, put the row into Operators, and
// give it a file of queries in testdata (what they become, and the mistakes) and
// in testdata/rows (what they give over the records there).
//
// Values and comparison, in short: logic has two values and null compares false
// (so a != b, which is !(a = b), is true of a null). As soon as one side is a
// number or a number literal, texts compare as numbers, and one that is none is
// not equal, less or more. Two texts are equal when their bytes are, so that ids
// of twenty digits stay apart; for order they compare as numbers when both look
// like one.
//
// Compile is safe for concurrent use and returns trees that nobody changes.
package op
