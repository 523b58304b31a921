package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/secretfile"
)

const (
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	keyB = "HxscGRoXGBUWExQREg8QDQ4LDAkKBwgFBgMEAQIAHh0="
)

func keys(t testing.TB, lines ...string) *Keys {
	t.Helper()
	k, err := ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestVectors: the box is C2SP's XAES-256-GCM. The two of the specification
// take either way through CMAC's subkey.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		fill            byte
		body, aad, want string
	}{
		{0x01, "XAES-256-GCM", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "XAES-256-GCM", "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		k := newKey(bytes.Repeat([]byte{v.fill}, keyLen))
		aead, nonce := k.derive([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
		if got := hex.EncodeToString(aead.Seal(nil, nonce, []byte(v.body), []byte(v.aad))); got != v.want {
			t.Errorf("key %#x: got %s, want %s", v.fill, got, v.want)
		}
	}
}

// TestOpen: a box opens under its key and for its entry only, as it was sealed.
func TestOpen(t *testing.T) {
	k, both, other := keys(t, keyA), keys(t, keyB, keyA), keys(t, keyB)
	for _, body := range []string{"", "x", strings.Repeat("prompt ", 10_000)} {
		box := k.Seal([]byte("head"), []byte(body), []byte("call 1"))[4:]
		if len(box) != len(body)+Overhead || len(body) > 1 && bytes.Contains(box, []byte(body)) {
			t.Fatalf("box of %d bytes for %d", len(box), len(body))
		}
		if got, err := both.Open([]byte("to: "), k.Current(), box, []byte("call 1")); err != nil || string(got) != "to: "+body {
			t.Errorf("open with the key as second: %.20q, %v", got, err)
		}
		for _, bad := range []struct {
			with    *Keys
			id      ID
			box     []byte
			context string
			want    error
		}{
			{other, k.Current(), box, "call 1", ErrNoKey},
			{nil, k.Current(), box, "call 1", ErrNoKey},
			{both, other.Current(), box, "call 1", ErrOpen},
			{k, k.Current(), box, "call 2", ErrOpen},
			{k, k.Current(), box[:len(box)-1], "call 1", ErrOpen},
			{k, k.Current(), box[:Overhead-1], "call 1", ErrOpen},
			{k, k.Current(), nil, "call 1", ErrOpen},
			{k, k.Current(), flip(box, 3), "call 1", ErrOpen},
			{k, k.Current(), flip(box, len(box)-1), "call 1", ErrOpen},
		} {
			if got, err := bad.with.Open([]byte("dst"), bad.id, bad.box, []byte(bad.context)); !errors.Is(err, bad.want) || string(got) != "dst" {
				t.Errorf("got %.20q, %v, want %v", got, err, bad.want)
			}
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestBoxesDiffer: one body twice gives two boxes.
func TestBoxesDiffer(t *testing.T) {
	k := keys(t, keyA)
	if bytes.Equal(k.Seal(nil, []byte("x"), nil), k.Seal(nil, []byte("x"), nil)) {
		t.Error("the same box twice")
	}
}

func TestKeyFile(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{keyA, ""},
		{"# ours\n\n" + keyA + "\r\n" + keyB + "\n", ""},
		{"", "no key"},
		{"# nothing\n", "no key"},
		{keyA + "\n" + keyA, "line 2: the key stands there twice"},
		{keyA[:43], "line 1: not 32 bytes in base64"},
		{keyA + "A", "line 1: not 32 bytes"},
		{strings.Replace(keyA, "A", "!", 1), "line 1: not 32 bytes"},
		{strings.Replace(keyA, "h8=", "h9=", 1), "line 1: not 32 bytes"}, // bits behind the last byte
		{"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", "line 1: not 32 bytes"},
		{strings.Repeat("A", 43) + "=", "line 1: the key is no random one"},
		{hex.EncodeToString(make([]byte, 32)), "line 1: not 32 bytes"},
	} {
		_, err := ParseKeys([]byte(tt.content))
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %v, want %q", tt.content, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "AAECAw") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestReadKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, tt := range []struct {
		mode os.FileMode
		text string
		want string
	}{{0o600, keyA, ""}, {0o400, keyA, ""}, {0o640, keyA, "chmod 600"}, {0o604, keyA, "chmod 600"},
		{0o600, strings.Repeat("#\n", secretfile.Max), "larger than"}, {0o600, "x", "line 1"}} {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeys(path); tt.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("mode %v: got %v, want %q", tt.mode, err, tt.want)
		}
	}
	for _, path := range []string{filepath.Dir(path), path + "-not", "/dev/null"} {
		if _, err := ReadKeys(path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// TestSecret: however keys are printed, none is shown.
func TestSecret(t *testing.T) {
	k := keys(t, keyA)
	js, _ := json.Marshal(struct{ K *Keys }{k})
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k)
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q %x", k, k, k, k, k, k), string(js), log.String(), fmt.Sprintf("%+v", struct{ K *Keys }{k})} {
		if strings.Contains(s, "0x1, 0x2") || strings.Contains(s, "1 2 3 4") || strings.Contains(s, "01020304") {
			t.Errorf("printed: %s", s)
		}
	}
}

// FuzzOpen: nothing but what was sealed opens, whatever the bytes.
func FuzzOpen(f *testing.F) {
	k := keys(f, keyA, keyB)
	f.Add([]byte("call"), k.Seal(nil, []byte("body"), []byte("call")))
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, context, box []byte) {
		for _, one := range k.list {
			if _, err := k.Open(nil, one.id, box, append(context, 0)); err == nil {
				t.Fatal("a forged box opens")
			}
		}
		sealed := k.Seal(nil, box, context)
		if got, err := k.Open(nil, k.Current(), sealed, context); err != nil || !bytes.Equal(got, box) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

// FuzzKeys: what is accepted has keys; what is not shows none in its error.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(keyA + "\n#\n" + keyB))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKeys(b); (err == nil) != (k != nil && len(k.list) > 0) {
			t.Fatalf("%v without an error", k)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := keys(b, keyA)
	for _, n := range []int{1 << 10, 32 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body, box := make([]byte, n), make([]byte, 0, n+Overhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				k.Seal(box, body, nil)
			}
		})
	}
}
