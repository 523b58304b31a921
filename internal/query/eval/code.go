package eval

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// hashes are the functions of Hash by name.
var hashes = map[string]func(string) string{
	"md5":      func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) },
	"sha1":     func(s string) string { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]) },
	"sha2_256": func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) },
}

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

var urlToStandard = strings.NewReplacer("-", "+", "_", "/")

// decodeBase64 reads either alphabet. Padding, where there is any, must be right.
func decodeBase64(s string) (string, bool) {
	bare := strings.TrimRight(s, "=")
	if pad := len(s) - len(bare); pad > 2 || pad > 0 && len(s)%4 != 0 || strings.ContainsAny(s, "\r\n") { // Go skips line breaks
		return "", false
	}
	b, err := base64.RawStdEncoding.DecodeString(urlToStandard.Replace(bare))
	return string(b), err == nil && utf8.Valid(b)
}

const hexDigits = "0123456789abcdef"

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func encodeHex(s string) string { return hex.EncodeToString([]byte(s)) }

func decodeHex(s string) (string, bool) {
	b, err := hex.DecodeString(s)
	return string(b), err == nil && utf8.Valid(b)
}

// hexToInt reads 1 to 16 digits, two's complement when there are 16.
func hexToInt(s string) (int64, bool) {
	if len(s) > 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return int64(n), err == nil
}

// encodeURL escapes all but the unreserved characters of RFC 3986.
func encodeURL(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("-._~", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

const upperHex = "0123456789ABCDEF"

// decodeURL reads %XX and +. What is not UTF-8 then is null.
func decodeURL(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			c = byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return string(b), utf8.Valid(b)
}

// ipv4Num reads a dotted quad without leading zeros.
func ipv4Num(s string) (int64, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return int64(b[0])<<24 | int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3]), true
}

// isIPv6 takes every form of RFC 4291, and no zone.
func isIPv6(s string) (bool, bool) {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == "", true
}
