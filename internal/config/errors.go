package config

import (
	"fmt"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	File string // the file, or the flag (`--listen`) that holds the value
	Line int    // from 1; 0: the key is not in the file
	Col  int    // from 1, in characters
	What string // what is wrong
	Next string // what to do
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Col)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.What)
	if e.Next != "" {
		b.WriteString(": " + e.Next)
	}
	return b.String()
}

// Errors are all mistakes of a configuration, in the order of the file.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Nearest returns the word closest to got, or "" when none is close.
func Nearest(got string, words []string) string {
	best, least := "", len(got)/3+2
	for _, w := range words {
		if d := distance(strings.ToLower(got), w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b. Both are short.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	var before, prev []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
