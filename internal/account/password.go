package account

import (
	_ "embed"
	"strings"
	"sync"
)

// Password rules: 12 to 128 bytes, no NUL, nothing cut off, nothing about
// kinds of characters, and not one that guessers try first.
const (
	minPassword = 12
	maxPassword = 128
)

// common.txt is a hand-made list: the words and short passwords that guessers
// begin with, and common passwords of at least 12 characters that follow from
// none of them. It is not a breach corpus; [guessable] derives the variants.
//
//go:embed common.txt
var commonText string

// common is the set of listed words and passwords, in lower case.
var common = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for l := range strings.Lines(commonText) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			set[l] = true
		}
	}
	return set
})

// checkPassword says whether a new password will do. name is the user's.
func checkPassword(password, name string) error {
	switch {
	case len(password) < minPassword || len(password) > maxPassword:
		return invalid("invalid_password", "A password has %d to %d bytes", minPassword, maxPassword)
	case strings.IndexByte(password, 0) >= 0:
		return invalid("invalid_password", "A password may not contain a NUL")
	case guessable(password, name):
		return invalid("common_password", "This password is too easy to guess. Choose another")
	}
	return nil
}

// guessable reports whether a password is on the list or follows from it or
// from the user's name by what people do to satisfy a rule: change case, swap
// letters for look-alikes, add digits and signs before or after, repeat it, or
// run along the keyboard.
func guessable(password, name string) bool {
	lower := strings.ToLower(password)
	local, _, _ := strings.Cut(name, "@")
	if lower == name || repeats(lower) || runs(lower) {
		return true
	}
	plain := lookAlikes.Replace(lower)
	core := strings.TrimFunc(lower, notLetter)
	for _, p := range [...]string{
		lower, plain, core, lookAlikes.Replace(core), strings.TrimFunc(plain, notLetter),
		lookAlikes.Replace(strings.TrimRightFunc(lower, notLetter)), lookAlikes.Replace(strings.TrimLeftFunc(lower, notLetter)),
	} {
		half := p[:len(p)/2]
		if common()[p] || p == local || half+half == p && common()[half] {
			return true
		}
	}
	return false
}

var lookAlikes = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

func notLetter(r rune) bool { return r < 'a' || r > 'z' }

// repeats reports whether s is one to four bytes over and over.
func repeats(s string) bool {
	for period := 1; period <= 4 && period < len(s); period++ { // lower case can be shorter
		if s[period:] == s[:len(s)-period] {
			return true
		}
	}
	return false
}

// runs reports whether s is made of long steps along one of the rows.
func runs(s string) bool {
	const long = 4
	for s != "" {
		n := 0
		for _, row := range rows {
			n = max(n, commonRun(s, row))
		}
		if n < long && n < len(s) {
			return false
		}
		s = s[n:]
	}
	return true
}

var rows = [...]string{
	"01234567890123456789", "09876543210987654321", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba",
	"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "azertyuiop", "poiuytrewq", "lkjhgfdsa", "mnbvcxz",
	"!@#$%^&*()_+", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.", "qazwsxedcrfvtgbyhnujmikolp",
}

// commonRun is the longest beginning of s that stands somewhere in row.
func commonRun(s, row string) (longest int) {
	for i := range row {
		n := 0
		for n < len(s) && i+n < len(row) && s[n] == row[i+n] {
			n++
		}
		longest = max(longest, n)
	}
	return longest
}
