package guard

import (
	"bytes"
	"strings"
	"time"
)

// Numbers of people and cards. A checksum alone lets one number in ten or so
// through by chance, so those without a strict form must also be written as people write
// them, or stand behind their name.

// groups returns the runs of digits in the folded text. Numbers are looked for
// there, so that full width digits and invisible characters hide none.
func (s *scan) groups() []span {
	if len(s.digits) > 0 || s.fold.seen&hasDigits == 0 {
		return s.digits
	}
	for i := 0; i < len(s.fold.buf); i++ {
		if d := s.fold.buf[i]; d < '0' || d > '9' {
			continue
		}
		start := i
		for i < len(s.fold.buf) && '0' <= s.fold.buf[i] && s.fold.buf[i] <= '9' {
			i++
		}
		s.digits = append(s.digits, span{int32(start), int32(i)})
	}
	return s.digits
}

// number is a number as it stands in a text.
type number struct {
	digits []byte
	groups []span
	text   []byte // it stands in
	s      *scan
}

// mostGroups is how many groups people write a number in: the French one has seven.
const mostGroups = 7

// numbers makes a detector of numbers of low to high digits, in one group or in
// several with one separator between them.
func numbers(low, high int, is func(*number) bool) func([]span, *scan) []span {
	return func(dst []span, s *scan) []span {
		var digits [20]byte
		all := s.groups()
		for i := 0; i < len(all); i++ {
			if !freeLeft(s.fold.buf, int(all[i].start)) {
				continue
			}
			n := number{digits: digits[:0], text: s.fold.buf, s: s}
			for k := i; k < min(len(all), i+mostGroups) && len(n.digits)+int(all[k].end-all[k].start) <= high; k++ {
				if k > i && !joined(s.fold.buf, all[k-1], all[k]) {
					break
				}
				n.digits = append(n.digits, s.fold.buf[all[k].start:all[k].end]...)
				n.groups = all[i : k+1]
				if len(n.digits) >= low && freeRight(s.fold.buf, int(all[k].end)) && is(&n) {
					dst = append(dst, span{all[i].start, all[k].end})
					i = k
					break
				}
			}
		}
		return dst
	}
}

// joined reports whether one separator stands between two groups.
func joined(raw []byte, a, b span) bool {
	return b.start-a.end == 1 && bytes.IndexByte([]byte(" -./"), raw[a.end]) >= 0
}

// freeLeft and freeRight report whether a number may begin or end there: not in
// a word, a longer number, a fraction or an identifier.
func freeLeft(raw []byte, at int) bool {
	if at == 0 {
		return true
	}
	c := raw[at-1]
	return !alnum(c) && c != '_' && !(c == '.' && at > 1 && alnum(raw[at-2]))
}

func freeRight(raw []byte, at int) bool {
	return at >= len(raw) || !alnum(raw[at]) && raw[at] != '_'
}

// separated reports whether the groups have these lengths, and only sep between them.
func (n *number) separated(sep string, lengths ...int32) bool {
	if len(n.groups) != len(lengths) {
		return false
	}
	for i, g := range n.groups {
		if g.end-g.start != lengths[i] || i > 0 && strings.IndexByte(sep, n.text[g.start-1]) < 0 {
			return false
		}
	}
	return true
}

// named reports whether one of these words stands shortly before the number.
func (n *number) named(names ...string) bool {
	return n.s.named(n.groups[0].start, names...)
}

func (s *scan) named(at int32, names ...string) bool {
	before := s.fold.buf[max(at-60, 0):at]
	for _, name := range names {
		if bytes.Contains(before, []byte(name)) {
			return true
		}
	}
	return false
}

// isCard knows the prefixes and lengths of the large card schemes.
func isCard(n *number) bool {
	for i, g := range n.groups {
		if i > 0 && (n.text[g.start-1] == '.' || n.text[g.start-1] == '/') || i+1 < len(n.groups) && g.end-g.start < 4 {
			return false
		}
	}
	d := n.digits
	head := int(d[0]-'0')*1000 + int(d[1]-'0')*100 + int(d[2]-'0')*10 + int(d[3]-'0')
	return cardLength(head, len(d)) && luhn(d) && !same(d)
}

func cardLength(head, n int) bool {
	switch {
	case head/1000 == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case 51 <= head/100 && head/100 <= 55, 2221 <= head && head <= 2720: // Mastercard
		return n == 16
	case head/100 == 34, head/100 == 37: // American Express
		return n == 15
	case 300 <= head/10 && head/10 <= 305, head/100 == 36, head/100 == 38: // Diners
		return n == 14
	case head == 6011, head/100 == 65, 644 <= head/10 && head/10 <= 649: // Discover
		return n == 16
	case 3528 <= head && head <= 3589: // JCB
		return n == 16
	case head/100 == 62: // UnionPay
		return 16 <= n && n <= 19
	case head == 5018, head == 5020, head == 5038, head == 6304, head == 6759, head == 6761, head == 6763: // Maestro
		return 12 <= n && n <= 19
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// same reports whether all digits are one, as in examples and fillers.
func same(d []byte) bool { return len(bytes.Trim(d, string(d[:1]))) == 0 }

// weighted is the sum of the digits, each times its weight.
func weighted(d []byte, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += int(d[i]-'0') * w
	}
	return sum
}

func atoi(d []byte) int {
	v := 0
	for _, c := range d {
		v = v*10 + int(c-'0')
	}
	return v
}

func isSSN(n *number) bool {
	area, group, serial := atoi(n.digits[:3]), atoi(n.digits[3:5]), atoi(n.digits[5:])
	return (n.separated("-", 3, 2, 4) || n.separated(" ", 3, 2, 4) || len(n.groups) == 1 && n.named("ssn", "social security")) &&
		area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

func isSteuerID(n *number) bool {
	d := n.digits
	if d[0] == '0' || !(n.separated(" ", 2, 3, 3, 3) || n.named("steuer", "idnr", "tax id", "tin")) {
		return false
	}
	var count [10]int
	for _, c := range d[:10] {
		count[c-'0']++
	}
	distinct, most := 0, 0
	for _, k := range count {
		most = max(most, k)
		if k > 0 {
			distinct++
		}
	}
	if most > 3 || distinct < 8 || distinct > 9 {
		return false
	}
	product := 10
	for _, c := range d[:10] {
		sum := (int(c-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return (11-product)%10 == int(d[10]-'0')
}

func isNIR(n *number) bool {
	d := n.digits
	month := atoi(d[3:5])
	return (d[0] == '1' || d[0] == '2') && (1 <= month && month <= 12 || 20 <= month && month <= 42 || month >= 50) &&
		97-atoi(d[:13])%97 == atoi(d[13:])
}

func isBSN(n *number) bool {
	return n.named("bsn", "burgerservice", "sofi") && !same(n.digits) && weighted(n.digits, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0
}

func isCPF(n *number) bool {
	d := n.digits
	if same(d) || !(n.separated(".-", 3, 3, 3, 2) || n.named("cpf")) {
		return false
	}
	check := func(weights ...int) byte { return '0' + byte(weighted(d, weights...)*10%11%10) }
	return d[9] == check(10, 9, 8, 7, 6, 5, 4, 3, 2) && d[10] == check(11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
}

func isAadhaar(n *number) bool {
	return n.digits[0] >= '2' && (n.separated(" ", 4, 4, 4) || n.separated("-", 4, 4, 4) || n.named("aadhaar", "aadhar", "uidai")) && verhoeff(n.digits)
}

// verhoeff checks a number by the dihedral group of order ten.
func verhoeff(d []byte) bool {
	perm := [8][10]byte{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4}, {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
		{9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1}, {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
	}
	c := 0
	for i := range d {
		c = dihedral(c, int(perm[i%8][d[len(d)-1-i]-'0']))
	}
	return c == 0
}

// dihedral multiplies in the group of the turns and flips of a pentagon: 0 to 4
// are turns, 5 to 9 flips.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return (a+b)%5 + 5
	case b < 5:
		return (a-b+5)%5 + 5
	}
	return (a - b + 5) % 5
}

func isPESEL(n *number) bool {
	d := n.digits
	month := atoi(d[2:4])
	century := map[int]int{4: 1800, 0: 1900, 1: 2000, 2: 2100, 3: 2200}[month/20]
	date := time.Date(century+atoi(d[:2]), time.Month(month%20), atoi(d[4:6]), 0, 0, 0, 0, time.UTC)
	return len(n.groups) == 1 && month%20 >= 1 && month%20 <= 12 && date.Day() == atoi(d[4:6]) &&
		(10-weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10 == int(d[10]-'0')
}

// upper returns c as a capital letter, 0 when it is no letter.
func upper(c byte) byte {
	if !letter(c) {
		return 0
	}
	return c &^ 0x20
}

// findNINOs finds AB 12 34 56 C.
func findNINOs(dst []span, s *scan) []span {
	all := s.groups()
	for i := range all {
		start := int(all[i].start)
		if start > 0 && s.fold.buf[start-1] == ' ' {
			start--
		}
		if start < 2 || !freeLeft(s.fold.buf, start-2) {
			continue
		}
		a, b := upper(s.fold.buf[start-2]), upper(s.fold.buf[start-1])
		if a == 0 || b == 0 || strings.IndexByte("DFIQUV", a) >= 0 || strings.IndexByte("DFIOQUV", b) >= 0 || strings.Contains("BG GB KN NK NT TN ZZ", string([]byte{a, b})) {
			continue
		}
		digits, at := 0, int(all[i].start)
		for at < len(s.fold.buf) && digits < 6 && ('0' <= s.fold.buf[at] && s.fold.buf[at] <= '9' || s.fold.buf[at] == ' ' && digits%2 == 0) {
			if s.fold.buf[at] != ' ' {
				digits++
			}
			at++
		}
		if at < len(s.fold.buf) && s.fold.buf[at] == ' ' {
			at++
		}
		if digits == 6 && at < len(s.fold.buf) && s.fold.buf[at] >= 'A' && upper(s.fold.buf[at]) <= 'D' && freeRight(s.fold.buf, at+1) {
			dst = append(dst, span{int32(start - 2), int32(at + 1)})
		}
	}
	return dst
}

// findDNIs finds 12345678Z and X1234567L, whose letter is the number's remainder.
func findDNIs(dst []span, s *scan) []span {
	for _, g := range s.groups() {
		start, end := int(g.start), int(g.end)
		value := 0
		switch {
		case end-start == 8 && freeLeft(s.fold.buf, start):
			value = atoi(s.fold.buf[start:end])
		case end-start == 7 && start > 0 && freeLeft(s.fold.buf, start-1):
			k := strings.IndexByte("XYZ", upper(s.fold.buf[start-1]))
			if k < 0 {
				continue
			}
			value = k*1e7 + atoi(s.fold.buf[start:end])
			start--
		default:
			continue
		}
		if end < len(s.fold.buf) && s.fold.buf[end] == '-' {
			end++
		}
		if end < len(s.fold.buf) && upper(s.fold.buf[end]) == "TRWAGMYFPDXBNJZSQVHLCKE"[value%23] && freeRight(s.fold.buf, end+1) {
			dst = append(dst, span{int32(start), int32(end + 1)})
		}
	}
	return dst
}

// findCodici finds the sixteen characters of a codice fiscale.
func findCodici(dst []span, s *scan) []span {
	for _, g := range s.groups() {
		start := int(g.start) - 6
		if start < 0 || start+16 > len(s.fold.buf) || !freeLeft(s.fold.buf, start) || !freeRight(s.fold.buf, start+16) {
			continue
		}
		if isCodice(s.fold.buf[start : start+16]) {
			dst = append(dst, span{int32(start), int32(start + 16)})
		}
	}
	return dst
}

func isCodice(b []byte) bool {
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, c := range b {
		want := "LLLLLLDDLDDLDDDL"[i]
		if (want == 'L') != letter(c) || !alnum(c) {
			return false
		}
		v := int(upper(c)) - 'A'
		if want == 'D' {
			v = int(c - '0')
		}
		if i == 15 {
			return sum%26 == v
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return false
}

// findIBANs finds two letters and two check digits, with the rest in one piece
// or in groups of four.
func findIBANs(dst []span, s *scan) []span {
	for _, g := range s.groups() {
		start := int(g.start) - 2
		if start < 0 || !freeLeft(s.fold.buf, start) || upper(s.fold.buf[start]) == 0 || upper(s.fold.buf[start+1]) == 0 {
			continue
		}
		var b [34]byte
		n, end := 0, start
		for i := start; i < len(s.fold.buf) && n < len(b); i++ {
			c := s.fold.buf[i]
			if c == ' ' && n%4 == 0 && n > 0 {
				continue
			}
			if !alnum(c) {
				break
			}
			b[n], n, end = c, n+1, i+1
			if n >= 15 && freeRight(s.fold.buf, end) && isIBAN(b[:n]) {
				dst = append(dst, span{int32(start), int32(end)})
				break
			}
		}
	}
	return dst
}

func isIBAN(b []byte) bool {
	rem := 0
	for i := range b {
		c := b[(i+4)%len(b)]
		if letter(c) {
			rem = (rem*100 + int(upper(c)-'A') + 10) % 97
		} else {
			rem = (rem*10 + int(c-'0')) % 97
		}
	}
	return rem == 1
}

// findPhones finds numbers with a country code, and national ones in the forms
// of North America and of countries where they begin with 0.
func findPhones(dst []span, s *scan) []span {
	all := s.groups()
	for i := 0; i < len(all); i++ {
		start := int(all[i].start)
		plus := start > 0 && s.fold.buf[start-1] == '+'
		if plus {
			start--
		}
		if start > 0 && s.fold.buf[start-1] == '(' {
			start--
		}
		if !freeLeft(s.fold.buf, start) || start > 0 && s.fold.buf[start-1] == '-' {
			continue
		}
		digits, k := int(all[i].end-all[i].start), i
		for k+1 < len(all) && digits < 16 && all[k+1].start-all[k].end <= 2 && phoneGap(s.fold.buf[all[k].end:all[k+1].start]) {
			k++
			digits += int(all[k].end - all[k].start)
		}
		if freeRight(s.fold.buf, int(all[k].end)) && isPhone(s.fold.buf, all[i:k+1], plus, digits) {
			dst = append(dst, span{int32(start), all[k].end})
			i = k
		}
	}
	return dst
}

func phoneGap(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '-' && c != '.' && c != '(' && c != ')' && c != '/' {
			return false
		}
	}
	return true
}

func isPhone(raw []byte, g []span, plus bool, digits int) bool {
	size := func(i int) int32 { return g[i].end - g[i].start }
	switch {
	case plus:
		return 8 <= digits && digits <= 15
	case len(g) == 3 && size(0) == 3 && size(1) == 3 && size(2) == 4:
		return raw[g[0].start] >= '2'
	case raw[g[0].start] == '0' && len(g) >= 2:
		return 9 <= digits && digits <= 12 && size(0) >= 2 && raw[g[0].end] != '.'
	}
	return false
}
