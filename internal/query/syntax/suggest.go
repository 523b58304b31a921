package syntax

import "strings"

// Suggest returns the one of among that word was most likely meant to be, or ""
// when none is near: at most two letters changed, missing, added or swapped (one
// of a word of three letters or less), or a third of the word's. Case does not
// count.
func Suggest(word string, among []string) string {
	const longest = 64 // nobody mistypes longer ones
	w := []rune(strings.ToLower(word))
	if len(w) == 0 || len(w) > longest {
		return ""
	}
	best, found := max(2, len(w)/3)+1, ""
	if len(w) <= 3 { // two letters of foo make top of it
		best = min(2, len(w)) // something of the word must be right
	}
	for _, candidate := range among {
		c := []rune(strings.ToLower(candidate))
		if len(c) > longest {
			continue
		}
		if d := distance(w, c); d < best {
			best, found = d, candidate
		}
	}
	return found
}

// distance counts the letters to change, add, leave out or swap with the next to
// get from a to b.
func distance(a, b []rune) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
