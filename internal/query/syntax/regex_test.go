package syntax

import (
	"slices"
	"strings"
	"testing"
)

// regexes tells what becomes of a regular expression: the RE2 text, or behind a
// dash what the error says.
var regexes = map[string]string{
	`<input>(?<user_prompt>.*)<\/input>`: `<input>(?P<user_prompt>.*)</input>`,
	`s3\:\/\/(?<bucketName>.*)\/`:        `s3://(?P<bucketName>.*)/`,
	`(?P<a>x)(?:y)(z)`:                   `(?P<a>x)(?:y)(z)`,
	`(?i:^aws)`:                          `(?i:^aws)`,
	`a\,b \"c\" \_ \-`:                   `a\,b "c" _ \-`,
	`[^\/]*$`:                            `[^/]*$`,
	`[\:\]\-]`:                           `[\:\]\-]`,
	`[]a]`:                               `[]a]`,
	`[[:alpha:]](?=`:                     "-lookahead",
	`\Q(?=\E`:                            `\Q(?=\E`,
	`\p{L}+\x{1F600}`:                    `\p{L}+\x{1F600}`,
	`a*?b+?c??d{2}?`:                     `a*?b+?c??d{2}?`,
	`a\++`:                               `a\++`,
	`{+`:                                 `{+`,
	`(?=x)`:                              "-lookahead",
	`(?!x)`:                              "-negative lookahead",
	`(?<=x)`:                             "-lookbehind",
	`(?<!x)`:                             "-negative lookbehind",
	`(?>x)`:                              "-atomic",
	`(?#x)`:                              "-comment",
	`(?x) a`:                             "-the flag x",
	`(a)\1`:                              "-backreference",
	`(?<a>x)\k<a>`:                       "-backreference",
	`a*+`:                                "-possessive",
	`a++`:                                "-possessive",
	`a?+`:                                "-possessive",
	`a{1,2}+`:                            "-possessive",
	`\h`:                                 "-horizontal blank",
	`\R`:                                 "-any line break",
	`[a&&b]`:                             "-intersect",
	`(`:                                  "-missing closing )",
	`[`:                                  "-missing closing ]",
	`*`:                                  "-missing argument",
	`a**`:                                "-invalid nested",
	`(?<a>x)(?<a>y)`:                     "-two groups have the name a",
	`a\`:                                 "-trailing backslash",
	`((a{100}){100}){3}`:                 "-",
	`(\p{L}{300}){3}`:                    "-too large",
}

func TestCheckRegex(t *testing.T) {
	for src, want := range regexes {
		got, _, err := CheckRegex(src)
		message, refused := strings.CutPrefix(want, "-")
		switch {
		case refused && err == nil:
			t.Errorf("%s became %s, want %q", src, got, message)
		case refused && !strings.Contains(err.(*Error).Message, message):
			t.Errorf("%s: %q, want %q", src, err, message)
		case !refused && err != nil:
			t.Errorf("%s: %v", src, err)
		case !refused && got != want:
			t.Errorf("%s became %s, want %s", src, got, want)
		}
	}
	if _, _, err := CheckRegex(strings.Repeat("a", maxRegex+1)); err == nil {
		t.Error("one that is too long was taken")
	}
	_, names, err := CheckRegex(`(?<a>x)(y)(?P<b>z)`)
	if want := []string{"a", "", "b"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("names %q, %v; want %q", names, err, want)
	}
}
