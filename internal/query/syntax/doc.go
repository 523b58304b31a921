// Package syntax reads the text of a hunt: a scope that says where to look, then
// stages joined by pipes that each work on the rows of the one before.
//
//	_index=sec_record_endpoint             scope
//	| where commandLine matches /bedrock/  stage 1
//	| count by user_username               stage 2
//
// The work is split in two. Parse cuts the text into tokens, the scope's tree and
// the stages; it knows where a stage ends and nothing of what stages mean. The
// file of an operator then reads its own stage through a Cursor, and gets
// expressions, names, numbers and nested pipelines from it.
//
// What one character means depends on where it stands. In the scope almost
// anything is a search word, so a pasted URL or path needs no quotes. In a stage a
// slash divides after a value and opens a regular expression elsewhere; a percent
// sign takes the remainder after a value and opens a field name elsewhere. Since
// a pipe may stand inside a regular expression, the lexer settles this, by what
// it has just read: see lexer.operand.
//
// Keywords are contextual: count, by or matches are names wherever a name may
// stand. Names, keywords and operators are compared without case and kept as
// written. Strings keep every backslash but that of \", because most of them hold
// regular expressions.
//
// Mistakes are values of type Errors, each with its place. Parse goes on after a
// mistake and marks the stage, so that a caller can read the other stages and
// report the first mistake of each together. Everything is bounded: characters,
// words, stages, depth, operators, and the size of regular expressions.
//
// Every tree prints as text that reads back as the same tree. Nothing here is
// shared: trees may be read by many goroutines, a Cursor belongs to one.
package syntax
