package account

import "strings"

// CanonicalEmail returns the one spelling of an e-mail address under which an
// account is kept. It takes ASCII only, so that no two spellings that Unicode
// calls equivalent can name two accounts, and a part of what mail allows: the
// local part is letters, digits and _+=.- with no dot at an end or two in a
// row; the domain is two or more labels of letters, digits and inner hyphens,
// the last one not all digits. Letters are lowered. Nothing is trimmed: an
// address with a space or a final dot is refused.
func CanonicalEmail(s string) (string, error) {
	const max = 254
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > max || !localPart(local) || !domainName(domain) {
		return "", invalid("invalid_email", "The "+badEmail)
	}
	return strings.ToLower(s), nil
}

const badEmail = "e-mail address is not one we take: use letters, digits and _+=.- before the @, and a full domain name after it"

func localPart(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && s[0] != '.' && s[len(s)-1] != '.' &&
		!strings.Contains(s, "..") && every(s, nameByte)
}

func domainName(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || every(labels[len(labels)-1], digit) {
		return false
	}
	for _, l := range labels {
		if len(l) < 1 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || !every(l, labelByte) {
			return false
		}
	}
	return true
}

// canonicalName is the same for any user name: an e-mail address, or letters,
// digits and _+=.- as an administrator may choose for a program.
func canonicalName(s string) (string, error) {
	if strings.Contains(s, "@") {
		name, err := CanonicalEmail(s)
		if err != nil {
			err = invalid("invalid_email", "the "+badEmail)
		}
		return name, err
	}
	if !label(s) {
		return "", invalid("invalid_name", "a user name is an e-mail address, or 1 to 64 letters, digits and _+=.-")
	}
	return strings.ToLower(s), nil
}

// label is the form of names and teams, which stand in ARNs.
func label(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && every(s, nameByte)
}

func checkTeam(s string) error {
	if s != "" && !label(s) {
		return invalid("invalid_team", "a team is 1 to 64 letters, digits and _+=.-")
	}
	return nil
}

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func digit(c byte) bool     { return c-'0' <= 9 }
func letter(c byte) bool    { return c|0x20-'a' <= 25 }
func labelByte(c byte) bool { return digit(c) || letter(c) || c == '-' }
func nameByte(c byte) bool  { return labelByte(c) || strings.IndexByte("_+=.", c) >= 0 }
