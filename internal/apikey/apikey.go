// Package apikey holds the form of a Gatehouse API key:
//
//	gth_live_ID_SECRETSUM
//	          |  |      `- 6 base62 digits: CRC-32 of all that stands before it
//	          |  `- 32 base62 digits, random, about 190 bits
//	          `- 12 base62 digits, random: names the key, not secret
//
// The prefix makes a leaked key easy to find for secret scanners, and unlike
// anything AWS issues. The checksum lets a server refuse a mistyped or invented
// key before it looks anything up. Only the id and the SHA-256 of the secret
// are stored; 190 random bits need no slow hash.
package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"log/slog"
	"strings"
)

// Prefix begins every API key of this environment.
const Prefix = "gth_live_"

const (
	digits    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLen     = 12
	secretLen = 32
	sumLen    = 6
	keyLen    = len(Prefix) + idLen + len("_") + secretLen + sumLen
)

// Key is a whole API key, secret included. It prints as [redacted]; string(k)
// is the key itself, shown once to the person it was made for.
type Key string

const redacted = "[redacted]"

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// New returns a fresh key.
func New() Key {
	k := Prefix + Random(idLen) + "_" + Random(secretLen)
	return Key(k + checksum(k))
}

// Parse reads a key strictly. It returns the id, which shares s's memory, and
// the SHA-256 of the secret. It allocates nothing.
func Parse(s string) (id string, secretSHA256 [32]byte, ok bool) {
	if len(s) != keyLen || !strings.HasPrefix(s, Prefix) {
		return "", secretSHA256, false
	}
	id = s[len(Prefix) : len(Prefix)+idLen]
	rest := s[len(Prefix)+idLen:]
	secret, sum := rest[1:1+secretLen], rest[1+secretLen:]
	if rest[0] != '_' || !base62(id) || !base62(secret) || !sumMatches(s[:keyLen-sumLen], sum) {
		return "", secretSHA256, false
	}
	var b [secretLen]byte
	copy(b[:], secret)
	return id, sha256.Sum256(b[:]), true
}

// Random returns n random base62 digits.
func Random(n int) string {
	b := make([]byte, 0, n)
	var buf [64]byte
	for len(b) < n {
		rand.Read(buf[:])
		for _, c := range buf {
			// 248 = 4×62: the rest would make some digits likelier.
			if c < 248 && len(b) < n {
				b = append(b, digits[c%62])
			}
		}
	}
	return string(b)
}

func base62(s string) bool {
	for i := range len(s) {
		if c := s[i]; c-'0' > 9 && c-'A' > 25 && c-'a' > 25 {
			return false
		}
	}
	return true
}

func checksum(s string) string {
	b := sumDigits(s)
	return string(b[:])
}

func sumMatches(s, sum string) bool {
	b := sumDigits(s)
	return string(b[:]) == sum
}

func sumDigits(s string) (b [sumLen]byte) {
	v := ^uint32(0) // the plain algorithm: hash/crc32 would need s on the heap
	for i := range len(s) {
		v = crc32.IEEETable[byte(v)^s[i]] ^ v>>8
	}
	v = ^v
	for i := range b {
		b[sumLen-1-i] = digits[v%62]
		v /= 62
	}
	return b
}
