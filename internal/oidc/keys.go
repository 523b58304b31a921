package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/strictjson"
)

const (
	maxJWKS    = 256 << 10
	maxKeys    = 64
	minRSABits = 2048
	maxRSABits = 8192 // verifying with longer keys is a way to burn our time
)

// methods are the algorithms that can be accepted. There is none with a
// symmetric key: the keys of an issuer are public.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": pss(jwt.SigningMethodPS256), "PS384": pss(jwt.SigningMethodPS384), "PS512": pss(jwt.SigningMethodPS512),
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "EdDSA": jwt.SigningMethodEdDSA,
}

// pss is a method that wants salts as long as the hash, as RFC 7518 does; the
// library takes any.
func pss(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: m.Options}
}

// keySet is the keys of an issuer as they were fetched. It never changes.
type keySet struct {
	byKID   map[string]key
	fetched time.Time
}

type key struct {
	public crypto.PublicKey
	algs   []string // that it may verify
}

// parseKeys reads a JWKS. Keys that are not for verifying, of kinds we do not
// know or without a usable kid are left out, and so are two with the same kid.
func parseKeys(b []byte) (map[string]key, error) {
	var d claims
	if err := d.Parse(b, strictjson.Options{Depth: 8, MaxNodes: 1 << 14}); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	list := d.Get(0, "keys")
	if d.Kind(list) != strictjson.Array || d.Len(list) > maxKeys {
		return nil, fmt.Errorf("keys: not a list of at most %d", maxKeys)
	}
	out, seen := map[string]key{}, map[string]bool{}
	for n := d.First(list); n != strictjson.None; n = d.Next(n) {
		kid, _ := d.String(d.Get(n, "kid"))
		k, err := parseKey(&d, n)
		if err == nil && kid != "" && len(kid) <= maxKID && !seen[kid] {
			out[kid] = k
		} else if seen[kid] {
			delete(out, kid)
		}
		seen[kid] = true
	}
	if len(out) == 0 {
		return nil, errors.New("keys: none that can verify a token")
	}
	return out, nil
}

func parseKey(d *claims, n strictjson.Node) (key, error) {
	if use := d.Get(n, "use"); d.Kind(use) != strictjson.Missing && !d.Is(use, "sig") {
		return key{}, errors.New("not for signatures")
	}
	if ops := d.Get(n, "key_ops"); d.Kind(ops) != strictjson.Missing && !hasElement(d, ops, "verify") {
		return key{}, errors.New("not for verifying")
	}
	k, err := publicKey(d, n)
	if err != nil {
		return key{}, err
	}
	if alg := d.Get(n, "alg"); d.Kind(alg) != strictjson.Missing {
		k.algs = slices.DeleteFunc(k.algs, func(a string) bool { return !d.Is(alg, a) })
	}
	if len(k.algs) == 0 {
		return key{}, errors.New("of an algorithm that is not supported")
	}
	return k, nil
}

func hasElement(d *claims, list strictjson.Node, s string) bool {
	for n := d.First(list); n != strictjson.None; n = d.Next(n) {
		if d.Is(n, s) {
			return true
		}
	}
	return false
}

func publicKey(d *claims, n strictjson.Node) (key, error) {
	part := func(name string) []byte {
		s, _ := d.String(d.Get(n, name))
		b, _ := decode(s)
		return b
	}
	kty, _ := d.String(d.Get(n, "kty"))
	crv, _ := d.String(d.Get(n, "crv"))
	switch {
	case kty == "RSA":
		return rsaKey(part("n"), part("e"))
	case kty == "EC" && crv == "P-256":
		return ecKey(elliptic.P256(), 32, part("x"), part("y"), "ES256")
	case kty == "EC" && crv == "P-384":
		return ecKey(elliptic.P384(), 48, part("x"), part("y"), "ES384")
	case kty == "OKP" && crv == "Ed25519" && len(part("x")) == ed25519.PublicKeySize:
		return key{ed25519.PublicKey(part("x")), []string{"EdDSA"}}, nil
	}
	return key{}, errors.New("of a kind that is not supported")
}

func rsaKey(modulus, exponent []byte) (key, error) {
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < minRSABits || n.BitLen() > maxRSABits || e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 {
		return key{}, errors.New("an RSA key that is too short, too long or has a bad exponent")
	}
	return key{&rsa.PublicKey{N: n, E: int(e.Int64())}, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}}, nil
}

func ecKey(curve elliptic.Curve, size int, x, y []byte, alg string) (key, error) {
	if len(x) != size || len(y) != size {
		return key{}, errors.New("a point of the wrong size")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return key{}, err
	}
	return key{public, []string{alg}}, nil
}
