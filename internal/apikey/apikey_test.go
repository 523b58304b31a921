package apikey

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestNewParses(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		k := New()
		id, sum, ok := Parse(string(k))
		if !ok || len(k) != keyLen || !strings.HasPrefix(string(k), "gth_live_"+id+"_") {
			t.Fatalf("a new key of %d characters does not parse", len(k))
		}
		secret := string(k)[len(Prefix)+idLen+1 : keyLen-sumLen]
		if sum != sha256.Sum256([]byte(secret)) || seen[id] || seen[secret] {
			t.Fatal("the hash is not that of the secret, or a key came twice")
		}
		seen[id], seen[secret] = true, true
	}
}

// The layout is a contract: keys in use must parse for ever.
func TestLayout(t *testing.T) {
	const k = "gth_live_0123456789Ab_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
	id, _, ok := Parse(k + checksum(k))
	if !ok || id != "0123456789Ab" || checksum(k) != "3DSj6Q" {
		t.Errorf("got id %q, %v, checksum %s", id, ok, checksum(k))
	}
}

// J16, J17.
func TestParseRefuses(t *testing.T) {
	k := string(New())
	for i := range k {
		for _, c := range []byte{'_', '~', 0, k[i] ^ 1, k[i] ^ 0x20} {
			if c == k[i] {
				continue
			}
			if bad := k[:i] + string(rune(c)) + k[i+1:]; len(bad) == len(k) {
				if _, _, ok := Parse(bad); ok {
					t.Errorf("accepted with byte %d changed", i)
				}
			}
		}
	}
	other := strings.Replace(k[:len(k)-sumLen], "live", "test", 1)
	for _, bad := range []string{"", "gth_", "gth_live_", "gth_live_garbage", k[:len(k)-1], k + "0", " " + k, other + checksum(other), strings.ToUpper(k)} {
		if _, _, ok := Parse(bad); ok {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	k := string(New())
	if n := testing.AllocsPerRun(100, func() { Parse(k) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestKeyPrintsRedacted(t *testing.T) {
	k := New()
	j, _ := json.Marshal(map[string]any{"k": k})
	if s := fmt.Sprintf("%v %s %q %#v %+v %s %v", k, k, k, k, k, j, k.LogValue()); strings.Contains(s, string(k)[9:21]) {
		t.Errorf("printed: %s", s)
	}
}

func FuzzAPIKey(f *testing.F) {
	for _, s := range []string{string(New()), "gth_live_", "gth_", "", strings.Repeat("_", keyLen), Prefix + strings.Repeat("0", keyLen-len(Prefix))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, _, ok := Parse(s)
		if ok && (len(s) != keyLen || len(id) != idLen || !strings.HasPrefix(s, Prefix) || strings.Trim(s, digits+"_") != "") {
			t.Errorf("accepted %q", s)
		}
	})
}
