// Package core is the small typed language that hunts and rules are lowered to,
// and that every back end prints: closures, SQL for DuckDB, SQL for ClickHouse.
//
// The language of hunters is full of convenience: a text that looks like a
// number compares as one, null is less than nothing, a name has no case. All of
// that is decided before this package (in query/op) and spelled out here. A
// primitive has one type, one rule for null and one for the edges, and a back
// end that prints a primitive decides nothing. Each has a property test that
// all back ends agree.
//
// # Types
//
// Bool, Int (int64), Float (float64, never NaN or infinite), Text (UTF-8), List
// (of Text). Every value of every type may be null, save for the results of
// predicates, below.
//
// # Null
//
// Logic has two values. A predicate (marked P in the table of ops) is never
// null: with a null argument it is false. And, Or and Not take predicates only,
// so Not(EqText(a, b)) is true when a is null. What is not a predicate is null
// when any of its arguments is (strict), unless its row says otherwise.
//
// # Plans
//
// A Plan is a tree of relational nodes over the table of events. Rows have no
// order but what a node states; the lowering names the order wherever one is
// meant. The package imports the standard library only and keeps no state;
// trees are not changed once built and may be shared.
package core

import (
	"regexp"
	"time"
)

// Type is the type of an expression or column.
type Type uint8

const (
	Null Type = iota // the constant null, and columns that are null in every row
	Bool
	Int
	Float
	Text
	List
)

func (t Type) String() string { return [...]string{"null", "bool", "int", "float", "text", "list"}[t] }

// Number says that t is Int or Float.
func (t Type) Number() bool { return t == Int || t == Float }

// Expr is one node of an expression. Which fields it uses depends on Op.
type Expr struct {
	Op   Op
	Type Type
	Args []*Expr

	Name string  // Column: its name, exactly as the input has it
	Path []Step  // JSONGet
	S    string  // constants, patterns, units
	N    int64   // constants of Int and Bool (0 or 1), groups, counts
	F    float64 // constants of Float
	Re   *Regex
	Set  []string  // InText
	Nums []float64 // InNum
	Rep  []RepPart // ReplaceRe
	Zone *time.Location
}

// Step is one step into JSON: a key, or an index when Key is "" and Index >= 0.
type Step struct {
	Key   string
	Index int // -1 for a key
}

// Regex is an expression in RE2's syntax as Go, DuckDB and ClickHouse read it:
// no lookaround, no backreference; . does not match \n; $ is the end of the
// text. Source holds no named groups: groups are numbered.
type Regex struct {
	Source string
	Go     *regexp.Regexp
	// All are literals that every matching text holds: the prefilter. They
	// may be empty. A back end may test them first.
	All []string
}

// RepPart is a piece of a replacement: a literal, or a group when Group >= 0.
type RepPart struct {
	Lit   string
	Group int
}

// Op is a primitive.
type Op uint8

const (
	// Leaves.
	Const    Op = iota // of Type, from S, N or F; Null type: null
	Column             // Name
	JSONGet            // (Text doc) Path: text of the value there; null when absent, JSON null, or doc is no JSON. Objects and arrays as JSON text without spaces, integers as written, true and false. Of two equal keys the first. Half a surrogate pair is U+FFFD, or the doc is no JSON: back ends differ, and parse leaves none in a record. A number with a fraction or exponent is as written or in any spelling that reads back as the same Float: back ends differ there. As Type: Int and Float only where the catalogue has seen nothing else.
	JSONFold           // (Text doc) S: the value at the dotted name whatever its case; exact first. Closures only.

	// Null and choice.
	IsNull   // P (x)
	IsTrue   // P (Bool x): false for null
	If       // (P c, a, b): a and b of one type
	Coalesce // (a, b, …): the first that is not null

	// Logic, of predicates.
	And // P (p, q, …)
	Or  // P (p, q, …)
	Not // P (p)

	// Comparison. Texts compare by their bytes. An Int beside a Float compares as a Float.
	EqNum  // P (number, number)
	LtNum  // P
	LeNum  // P
	EqText // P (Text, Text)
	LtText // P
	LeText // P
	InText // P (Text x) Set
	InNum  // P (number x) Nums

	// Conversion.
	ToNum   // (Text) Float: [+-]?digits[.digits][e[+-]digits] and nothing around it, |x| finite; else null
	ToFloat // (Int) Float; (Bool) 1 or 0
	ToInt   // (Float) Int: towards zero; null beyond ±2^63
	ToText  // (any) Text: Int in decimal; integral Float below 2^53 as Int; other Float with the fewest digits that read back, in decimals from 1e-4 to below 1e16, else as 1.5e-07, 1e+16; Bool true or false; List joined by \n

	// Arithmetic, of Floats. A result that is not finite is null.
	Add  // (a, b)
	Sub  // (a, b)
	Mul  // (a, b)
	Div  // (a, b): by zero null
	Mod  // (a, b): sign of a; by zero null
	Math // S names it: abs ceil floor sqrt cbrt exp expm1 log log10 log1p sin cos tan asin acos atan sinh cosh tanh (x); pow atan2 hypot min max (x, y); round (x, digits), half away from zero, digits cut to a whole number; more digits than x has leave it, and -400 make it 0. hypot is finite where its result is. log is the natural one

	// Text. Positions and lengths count code points.
	Length    // (Text) Int
	Lower     // (Text): Unicode simple case
	Upper     // (Text)
	Trim      // (Text): space, \t, \n, \r at both ends
	Substr    // (Text s, Int from, Int n): from 0; beyond the end is cut; negative from or n is null
	Concat    // (Text, …)
	Contains  // P (Text s, Text sub)
	HasPrefix // P (Text s, Text p)
	HasSuffix // P (Text s, Text p)
	Replace   // (Text s, Text old, Text new): all; old "" leaves s
	Glob      // P (Text s, Text pattern): * is any text, the whole s, cased. For patterns from data; constant ones are lowered further
	MatchRe   // P (Text s) Re: anywhere in s
	ExtractRe // (Text s) Re, N group: of the first match; null without a match; a group that took no part is ""
	ReplaceRe // (Text s) Re, Rep: all matches, left to right
	FindAllRe // (Text s) Re, N group: List of that group in every match, "" where it took no part; [] without a match. A match that is empty does not count
	SplitPart // (Text s, Text sep) N: the Nth piece, from 1; null beyond the last. A text without sep, or any text for sep "", is one piece
	Base64Enc // (Text)
	Base64Dec // (Text): standard or URL alphabet, padded or not; null when it is none or not UTF-8
	URLEnc    // (Text): all but unreserved as %XX
	URLDec    // (Text): %XX and + ; bad escapes stay as they are; null when the result is not UTF-8
	HexEnc    // (Text): lower-case hex of its bytes
	HexDec    // (Text): null when it is no hex or not UTF-8
	IntToHex  // (Int): lower-case, two's complement
	HexToInt  // (Text): up to 16 digits, two's complement; else null
	Hash      // (Text) S: md5, sha1, sha2_256, lower-case hex

	// Lists.
	ListHas // P (List, Text)
	ListLen // (List) Int

	// JSON texts.
	JSONLen // (Text) Int: elements of an array; null when it is none
	JSONHas // P (Text, Text v): the array has v as a string, or as a number or boolean written so

	// Addresses.
	IPv4Num // (Text) Int: dotted quad without leading zeros; else null
	IsIPv6  // P (Text): RFC 4291's forms, without a zone

	// Time, in ms since 1970. A time outside of the years 1 to 9999 is null to
	// these, as argument and as result, save for the start of a bucket; so is a
	// bucket that is wider than all of them.
	TimeBucket // (Int ms) N width in ms, Zone: start of the bucket; buckets stand at multiples of the width from local midnight of 1970-01-01, days and weeks at local midnights: with L = ms + offset(ms) rounded down to the width, L - offset(L - offset(ms))
	FormatTime // (Int ms) S pattern (letters of Java's SimpleDateFormat, but SSS, SSSSSS and SSSSSSSSS are so many digits of the second's fraction, and no other count of S is there), Zone
	ParseTime  // (Text) S pattern, Zone: Int ms, or null. SSS reads one to three digits of the fraction: 5 is 500 ms

	NumOps
)

// Predicate says that an op's result is never null.
func (o Op) Predicate() bool {
	switch o {
	case IsNull, IsTrue, And, Or, Not, EqNum, LtNum, LeNum, EqText, LtText, LeText, InText, InNum,
		Contains, HasPrefix, HasSuffix, Glob, MatchRe, ListHas, JSONHas, IsIPv6:
		return true
	}
	return false
}
