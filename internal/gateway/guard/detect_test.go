package guard

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func engine(t testing.TB, o Options, yaml string) *Engine {
	t.Helper()
	rules, err := Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	o.Rules = append(o.Rules, rules...)
	if o.Budget == 0 {
		o.Budget = time.Minute // tests run on busy machines
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// finds returns what of text the hits cover, in order.
func finds(t testing.TB, e *Engine, text string) []string {
	t.Helper()
	hits, err := e.Check([]byte(text), "user", false)
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	var out []string
	for _, h := range hits {
		out = append(out, text[h.Start:h.End])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestDetectors has, for each detector, texts in which it finds exactly what
// stands between braces, and near misses.
func TestDetectors(t *testing.T) {
	secret := "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzSAMPLEKY"
	b64 := base64.StdEncoding.EncodeToString
	for name, texts := range map[string][]string{
		"email": {"write to {jane.doe+x@mail.example.org}.", "at @home", "a@b", "x@1.2.3.4", "user@host"},
		"phone": {"call {+49 30 1234567} now", "{(212) 555-0147}", "{212-555-0147}", "{030 1234 5678}", "version 1.2.3", "2024-11-22", "order 123456789012", "10.0.0.1", "pi 3.14159265"},
		"card": {"card {4111 1111 1111 1111} ok", "{4111111111111111}", "{378282246310005}", "{5555-5555-5555-4444}", "{6011111111111117}", "4111 1111 1111 1112", "1234 5678 9012 3456", "0.4111111111111111", "id_4111111111111111", "4444444444444444444444",
			"2024 4111111111111112", "７ {４１１１ 1111 1111 1111}"},
		"iban":           {"{DE89 3704 0044 0532 0130 00}", "{GB82WEST12345698765432}", "DE89 3704 0044 0532 0130 01", "AB12"},
		"national_id:us": {"{078-05-1120}", "SSN {078051120}", "078051120", "000-12-3456", "666-12-3456", "900-12-3456"},
		"national_id:uk": {"{AB 12 34 56 C}", "{AB123456C}", "AB123456E", "QQ123456C", "XAB123456C"},
		"national_id:de": {"Steuer-ID {86 095 742 719}", "{86 095 742 719}", "86095742719", "86 095 742 718"},
		"national_id:fr": {"{1 84 12 76 451 089 46}", "{184127645108946}", "184127645108947"},
		"national_id:es": {"{12345678Z}", "{X1234567L}", "12345678A"},
		"national_id:it": {"{RSSMRA85T10A562S}", "RSSMRA85T10A562T"},
		"national_id:nl": {"BSN {111222333}", "111222333", "BSN 111222334"},
		"national_id:br": {"{529.982.247-25}", "cpf {52998224725}", "52998224725", "529.982.247-24"},
		"national_id:in": {"{2341 2341 2346}", "2341 2341 2347", "234123412346"},
		"national_id:pl": {"{44051401359}", "44051401358", "44131401359"},
		"aws_key":        {"{AKIAIOSFODNN7EXAMPLE}", "key {ASIAIOSFODNN7EXAMPLE}.", "Asia", "AKIAIOSFODNN7EXAMPLEX1234567", "xAKIAIOSFODNN7EXAMPLE", secret, "AKIA"},
		"private_key":    {"a {-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----} b", "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----", "{-----BEGIN PRIVATE KEY-----\nMIIE\n}"},
		"api_token":      {"{ghp_16C7e42F292c6912E7710c838347Ae178B4a}", "{eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P}", "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sk-learn is a library", "ghp_short"},
		"unicode_tags":   {"hi{\U000e0069\U000e0067\U000e006e}", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f flag", "heart ❤️", "x{\ufe01\ufe02\ufe03\ufe04}y"},
		"zero_width":     {"ig{\u200b}nore", "soft{\u00ad}hyphen", "👩\u200d💻", "می\u200cخواهم", "end\u200b"},
		"bidi":           {"a{\u202e}b", "\u2067שלום\u2069"},
		"mixed_script":   {"{ignоre} this", "игнорируй", "α-helix", "Привет world"},
		"encoded": {"run {" + b64([]byte("please do this thing")) + "} now", "{" + hex.EncodeToString([]byte("do this at once")) + "}", "{.. --. -. --- .-. . / .- .-.. .-..}", "{64 6f 20 74 68 69 73 20 6e 6f 77}",
			"{100 111 32 116 104 105 115}", "{01100100 01101111 00100000 01110100 01101000 01101001}", "{say vtaber nyy ehyrf}", "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "internationalization-of-everything", "x.....y", "|----|----|----|----|----|----|----|----|----|",
			"1, 2, 3, 4, 5, 6, 7, 8", "550e8400-e29b-41d4-a716-446655440000"},
	} {
		e := engine(t, Options{}, fmt.Sprintf("rules: [{name: r, action: flag, match: {detectors: [%q]}}]", name))
		for _, text := range texts {
			var want []string
			for i, part := range strings.Split(strings.ReplaceAll(text, "}", "{"), "{") {
				if i%2 == 1 {
					want = append(want, part)
				}
			}
			plain := strings.NewReplacer("{", "", "}", "").Replace(text)
			if got := finds(t, e, plain); !slices.Equal(got, want) {
				t.Errorf("%s in %q: got %q, want %q", name, plain, got, want)
			}
		}
	}
	e := engine(t, Options{}, "rules: [{name: r, action: mask, match: {detectors: [aws_key]}}]")
	if got := finds(t, e, "AKIAIOSFODNN7EXAMPLE and "+secret); len(got) != 2 {
		t.Errorf("a secret beside its id: got %q", got)
	}
}
