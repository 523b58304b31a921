package syntax

import (
	"slices"
	"strings"
	"testing"
)

func TestExpr(t *testing.T) {
	for src, want := range map[string]string{
		// precedence, loosest first
		`a ? b : c ? d : e`:      `(? a b (? c d e))`,
		`a or b ? 1 : 2`:         `(? (or a b) 1i 2i)`,
		`a or b and c`:           `(or a (and b c))`,
		`a || b && c`:            `(or a (and b c))`,
		`(a OR b) AND c`:         `(and (or a b) c)`,
		`not a = 1 and b`:        `(and (not (= a 1i)) b)`,
		`!a = 1`:                 `(not (= a 1i))`,
		`!(a) && !b`:             `(and (not a) (not b))`,
		`NOT NOT a`:              `(not (not a))`,
		`a + 1 = b * 2`:          `(= (+ a 1i) (* b 2i))`,
		`a - b - c`:              `(- (- a b) c)`,
		`a - (b - c)`:            `(- a (- b c))`,
		`a + b * c % d`:          `(+ a (% (* b c) d))`,
		`-a * b`:                 `(* (- a) b)`,
		`a - -5`:                 `(- a (- 5i))`,
		`--5`:                    `(- (- 5i))`,
		`2015-03-15`:             `(- (- 2015i 3i) 15i)`,
		`a==1`:                   `(= a 1i)`,
		`a<>1`:                   `(!= a 1i)`,
		`a >= 1 and b <= 2`:      `(and (>= a 1i) (<= b 2i))`,
		`a contains "x"`:         `(contains a "x")`,
		`a in ("x", "y")`:        `(in a "x" "y")`,
		`a not in (1, b)`:        `(not-in a 1i b)`,
		`a NOT IN (1)`:           `(not-in a 1i)`,
		`a matches "x*"`:         `(matches a "x*")`,
		`a matches b`:            `(matches a b)`,
		`a matches concat(b)`:    `(matches a (concat b))`,
		`where_ = true`:          `(= where_ true)`,
		`a = TRUE or b = Null`:   `(or (= a true) (= b null))`,
		`now() - _messageTime`:   `(- (now) _messageTime)`,
		`iF(a, 1,` + "\n" + `2)`: `(iF a 1i 2i)`,

		// a slash divides behind a value and opens a regular expression elsewhere
		`a / b / c`:               `(/ (/ a b) c)`,
		`f(a)/2`:                  `(/ (f a) 2i)`,
		`(a)/2/b`:                 `(/ (/ a 2i) b)`,
		`1/2`:                     `(/ 1i 2i)`,
		`%"a"/2`:                  `(/ %a 2i)`,
		`a matches /x|y/`:         `(matches a /x|y/)`,
		`a matches /\//`:          `(matches a /\//)`,
		`replace(a, /,/," ")`:     `(replace a /,/ " ")`,
		`a matches /)|(?:]/`:      ``,
		`matches / 2 = 1`:         `(= (/ matches 2i) 1i)`,
		`a = matches and b`:       `(and (= a matches) b)`,
		`a matches /(?<n>x)/`:     `(matches a /(?<n>x)/)`,
		`a /* b */ / c // d`:      `(/ a c)`,
		`a matches /x/ or b / 2`:  `(or (matches a /x/) (/ b 2i))`,
		`a matches /https?:\/\//`: `(matches a /https?:\/\//)`,

		// a percent sign takes the remainder behind a value and opens a name elsewhere
		`a % b`:                    `(% a b)`,
		`a%b`:                      `(% a b)`,
		`a % %"b c"`:               `(% a %b c)`,
		`5 %b`:                     `(% 5i b)`,
		`%fields.reason = 1`:       `(= %fields.reason 1i)`,
		`%users[2].a.b = 1`:        `(= %users[2].a.b 1i)`,
		`%"a\"b" = 1`:              `(= %a"b 1i)`,
		`%"a.b[0].c" % 2`:          `(% %a.b[0].c 2i)`,
		`a.b.c = _threatlookup.x1`: `(= a.b.c _threatlookup.x1)`,

		// strings keep backslashes
		`a = "s3\:\/\/\d \"x\" \\"`: `(= a "s3\\:\\/\\/\\d \"x\" \\\\")`,
		`a = “curly”`:               `(= a "curly")`,
		`a = "“kept”"`:              `(= a "“kept”")`,
		`a = "x | y // z /* "`:      `(= a "x | y // z /* ")`,
		"a = \"two\nlines\"":        `(= a "two\nlines")`,

		// keywords are names where a name may stand
		`count = by and values = on`: `(and (= count by) (= values on))`,
		`sum(in) = as`:               `(= (sum in) as)`,
		`by in (first, last)`:        `(in by first last)`,

		// subqueries
		`[subquery: a | b] / 2`: `(/ [,: term:a | 1:b] 2i)`,
		`[subquery from=(-1d) to=now : x=1 or y | where a="b" | compose u]`: `[-1d,now: (or field:x=1 term:y) | 1:where 1:a 8:= 3:b | 1:compose 1:u]`,
		`!([subquery: _index=x* | compose u keywords]) and a`:               `(and (not [,: field*:_index=x* | 1:compose 1:u 1:keywords]) a)`,
		`a[0] = 1`:                         ``,
		`a = b = c`:                        ``,
		`a < b > c`:                        ``,
		`a not matches /x/`:                ``,
		`a in ()`:                          ``,
		`a in b`:                           ``,
		`a b`:                              ``,
		`a ? b`:                            ``,
		`(a`:                               ``,
		`a)`:                               ``,
		`f(a`:                              ``,
		`f(,)`:                             ``,
		`a = 'x'`:                          ``,
		`a = 'long'`:                       ``,
		`a and`:                            ``,
		``:                                 ``,
		`a = 10.0.0.1`:                     ``,
		`a..b = 1`:                         ``,
		`a matches /x`:                     ``,
		`a = "x`:                           ``,
		`a ^ b`:                            ``,
		`[subquery: a | b`:                 ``,
		`[x]`:                              ``,
		`a matches /(?=x)/`:                ``,
		`%"" = 1`:                          ``,
		strings.Repeat("(", 101):           ``,
		strings.Repeat("!", 200) + "a":     ``,
		strings.Repeat("-", 200) + "a":     ``,
		strings.Repeat("a or ", 600) + "a": ``,
	} {
		e, err := parseExpr(src)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s was read as %s, want a mistake", src, dump(e))
		case want == "":
		case err != nil:
			t.Errorf("%s: %v", src, err)
		case dump(e) != want:
			t.Errorf("%s is %s, want %s", src, dump(e), want)
		default:
			again(t, e)
		}
	}
}

func TestNumbers(t *testing.T) {
	for src, want := range map[string]Num{
		"7":                   {7, 7, true, ""},
		"1.5":                 {1.5, 0, false, ""},
		".5":                  {.5, 0, false, ""},
		"1e3":                 {1000, 0, false, ""},
		"1E-2":                {.01, 0, false, ""},
		"2.5e+1":              {25, 0, false, ""},
		"9223372036854775807": {9223372036854775807, 9223372036854775807, true, ""},
		"9223372036854775808": {9223372036854775808, 0, false, ""},
		"9223372036854775k":   {9223372036854775807, 9223372036854775000, true, "k"},
		"92233720368547758k":  {92233720368547758e3, 0, false, "k"},
		"3k":                  {3000, 3000, true, "k"},
		"3K":                  {3000, 3000, true, "K"},
		"3M":                  {3e6, 3e6, true, "M"},
		"3G":                  {3e9, 3e9, true, "G"},
		"3B":                  {3e9, 3e9, true, "B"},
		"3T":                  {3e12, 3e12, true, "T"},
		"3P":                  {3e15, 3e15, true, "P"},
		"1Ki":                 {1024, 1024, true, "Ki"},
		"1Mi":                 {1 << 20, 1 << 20, true, "Mi"},
		"1Gi":                 {1 << 30, 1 << 30, true, "Gi"},
		"1Ti":                 {1 << 40, 1 << 40, true, "Ti"},
		"1Pi":                 {1 << 50, 1 << 50, true, "Pi"},
		"5ns":                 {4.9999999999999996e-06, 0, false, "ns"},
		"5us":                 {5e-3, 0, false, "us"},
		"5ms":                 {5, 5, true, "ms"},
		"1.5s":                {1500, 1500, true, "s"},
		"2m":                  {120e3, 120e3, true, "m"},
		"4h":                  {4 * 3600e3, 4 * 3600e3, true, "h"},
		"1d":                  {86400e3, 86400e3, true, "d"},
		"1w":                  {7 * 86400e3, 7 * 86400e3, true, "w"},
	} {
		e, err := parseExpr(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		l := e.(*Literal)
		if got := (Num{l.Number, l.Int, l.IsInt, l.Unit}); got != want {
			t.Errorf("%s is %+v, want %+v", src, got, want)
		}
		again(t, e)
	}
	for _, src := range []string{"4x", "1h30m", "1.2.3", "5min", "1e999", "1.", "0x10", "1kk"} {
		if e, err := parseExpr(src); err == nil {
			t.Errorf("%s was read as %s, want a mistake", src, dump(e))
		}
	}
}

func TestFieldNames(t *testing.T) {
	e, err := parseExpr(`if(A.b matches /x/, %"c d", a.B) in (sum, f(-sum)) ? g : null or [subquery: * | compose z]`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A.b", "c d", "sum", "g"}
	if got := FieldNames(e); !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
}
