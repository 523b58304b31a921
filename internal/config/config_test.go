package config

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var opt = cmp.Comparer(func(a, b Prefix) bool { return a == b })

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, err := Load("testdata/bad.yaml")
	var es Errors
	if !errors.As(err, &es) {
		t.Fatalf("Load = %v, want Errors", err)
	}
	golden(t, "bad.golden", es.Error()+"\n")
}

// What is left of a file without its mistakes: half a limit or channel would
// say something else, so it goes as a whole.
func TestRest(t *testing.T) {
	got, err := load("x.yaml", []byte(`
regoin: eu-west-1
region: mars
account_id: "012345678901"
limits:
- {name: a, per: [user], measure: requests, max: 1, window: 60s}
- {name: b, per: [user, nobody], measure: requests, max: 1, window: 60s}
- {name: c, per: [user], measure: requests, max: 2, window: 90s, notify: [nowhere]}
prices: {unpriced: ceiling, "amazon.nova-lite-v1:0": {input: cheap}}
guard: {packs: [], rules: [gone.yaml], actions: {url: bleck, card: off}}
notify: {half: {kind: slack}}
`), nil)
	var es Errors
	if !errors.As(err, &es) || len(es) != 8 {
		t.Fatalf("load = %v, want 8 mistakes", err)
	}
	want := Default()
	want.AccountID, want.Prices.Unpriced, want.Guard.Packs = "012345678901", "ceiling", []string{}
	want.Guard.Actions = map[string]string{"card": "off"}
	a := defaultLimit()
	a.Name, a.Per, a.Measure, a.Max, a.Window = "a", []string{"user"}, "requests", "1", "60s"
	want.Limits = []Limit{a}
	if diff := cmp.Diff(want, got, opt); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGood(t *testing.T) {
	c, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen, want.AdminListen, want.TLS.Mode = "0.0.0.0:8443", "0.0.0.0:8444", "auto"
	want.AccountID, want.Region = "012345678901", "eu-west-1"
	want.Upstream = Upstream{"https://vpce-1.example", []string{"eu-west-1", "us-gov-west-1"}, seconds(90), seconds(3600)}
	want.Registration = Registration{"open", []string{}, true, 1}
	want.Chat = Chat{"anthropic.claude-3-haiku-20240307-v1:0", "/prod"}
	want.Record.Bodies = "hash"
	l := defaultLimit()
	l.Name, l.Per, l.Measure, l.Max, l.Window, l.RefuseAs = "requests", []string{"user", "model"}, "requests", "10", "1d12h", "quota"
	l.Match.Models, l.Match.Schemes = []string{"anthropic.*"}, []string{"token"}
	want.Limits = []Limit{l}
	want.Prices.Models["anthropic.claude-3-haiku-20240307-v1:0"] = Price{Input: "0.00025", Output: "0.00125", CacheRead: "7.5e-05"}
	want.Profiles["arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"] = "amazon.nova-lite-v1:0"
	want.Network.Allow = prefixes("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")
	want.Network.TrustedProxies = prefixes("127.0.0.1/32")
	if diff := cmp.Diff(want, c, opt); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := l.Window.Duration(); got != 36*time.Hour {
		t.Errorf("Window(1d12h).Duration() = %v, want 36h", got)
	}
}

func prefixes(ss ...string) []Prefix {
	var ps []Prefix
	for _, s := range ss {
		ps = append(ps, Prefix(netip.MustParsePrefix(s)))
	}
	return ps
}

// TestDocument: what is printed explains every key and is read back to the
// same value.
func TestDocument(t *testing.T) {
	golden(t, "default.golden", string(Default().Document()))
	for _, file := range []string{"", "testdata/good.yaml"} {
		want, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := load("again.yaml", want.Document(), nil)
		if err != nil {
			t.Fatalf("read back %q: %v\n%s", file, err, want.Document())
		}
		if diff := cmp.Diff(want, got, opt); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file, diff)
		}
	}
}

// TestSample: the limit that is shown as a comment is one, with the defaults in
// the keys that may be left out.
func TestSample(t *testing.T) {
	var sample strings.Builder
	_, lines, found := strings.Cut(string(Default().Document()), "# limits:\n")
	if !found {
		t.Fatal("there is no sample of a limit")
	}
	sample.WriteString("limits:\n")
	for line := range strings.Lines(lines) {
		rest, ok := strings.CutPrefix(line, "# ")
		if !ok {
			break
		}
		sample.WriteString(rest)
	}
	c, err := load("sample.yaml", []byte(sample.String()), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, &sample)
	}
	short, err := load("short.yaml", []byte("limits: [{name: requests, per: [user], measure: requests, max: 100, window: 60s}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(short, c, opt); diff != "" {
		t.Errorf("(-short +sample):\n%s", diff)
	}
}

// TestErrorsOfferWhatWorks: no error proposes a key or a word that this version
// refuses.
func TestErrorsOfferWhatWorks(t *testing.T) {
	for in, want := range map[string]string{
		"limits: [{measure: token}]":       `limits[0].measure "token" is unknown: did you mean "tokens"?`,
		"limits: [{per: [countries]}]":     `did you mean "country"?`,
		"limits: [{on_store_error: x}]":    `"x" is unknown: write one of deny, local_share, allow`,
		"record: {bodies: redact}":         "write one of full, redacted, hash, off",
		"wholly_unknown: 1":                "known here: account_id, admin_listen, alarms, audit, chat, guard, hunt, ingest_listen, limit_store, limits, listen, mode, network, notify, oidc, policy, prices, profiles, record, region, registration, telemetry, tls, upstream",
		"#" + strings.Repeat("x", maxFile): "shorten it",
		"audit: {mode: best_effort}":       `audit.mode "best_effort" is not available in this version: write strict`,
	} {
		_, err := load("x.yaml", []byte(in), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %s", in, err, want)
		}
	}
}

// TestEveryKeyIsDocumented: a key without documentation is a mistake of ours.
func TestEveryKeyIsDocumented(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for sf := range typ.Fields() {
			if sf.Tag.Get("doc") == "" && !strings.HasSuffix(sf.Tag.Get("json"), ",embed") {
				t.Errorf("%s.%s has no documentation", typ, sf.Name)
			}
			for ft := sf.Type; ft.PkgPath() == typ.PkgPath() || ft.Kind() == reflect.Slice; {
				if ft.Kind() == reflect.Slice {
					ft = ft.Elem()
					continue
				}
				if ft.Kind() == reflect.Struct && ft != reflect.TypeFor[Prefix]() {
					walk(ft)
				}
				break
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

func TestFlags(t *testing.T) {
	flags := []Flag{{"--listen", "listen", "[::1]:9000"}, {"--tls", "tls.mode", "auto"}, {"--upstream", "upstream.kind", "bedrock"}}
	c, err := Load("", flags...)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "[::1]:9000" || c.TLS.Mode != "auto" || c.Upstream.Kind != "bedrock" {
		t.Errorf("flags did not override: %+v", c)
	}
	for _, tt := range []struct {
		flag Flag
		want string
	}{
		{Flag{"--listen", "listen", "0.0.0.0:80"}, `--listen: listen: registration is open and others can reach 0.0.0.0:80`},
		{Flag{"--tls", "tls.mode", "of"}, `--tls: tls.mode "of" is unknown: did you mean "off"?`},
		{Flag{"--ingest-listen", "ingest_listen", "0.0.0.0:1"}, `--ingest-listen: ingest_listen: 0.0.0.0:1 can be reached by others and has no TLS`},
		{Flag{"--ingest-listen", "ingest_listen", "127.0.0.1:8080"}, `--ingest-listen: ingest_listen: is the address of another listener too`},
		{Flag{"--admin-listen", "admin_listen", "gate.example:1"}, `--admin-listen: admin_listen: gate.example:1 can be reached by others and has no TLS`},
		{Flag{"--admin-listen", "admin_listen", "127.0.0.1:8080"}, `--admin-listen: admin_listen: is the address of listen too`},
	} {
		if _, err := Load("", tt.flag); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %s…", tt.flag.Name, tt.flag.Value, err, tt.want)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "g.yaml")
	if err := os.WriteFile(file, []byte("tls: {mode: files, cert: cert.pem, key: key.pem}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "cert.pem"); c.TLS.Cert != want {
		t.Errorf("cert = %s, want %s: names start at the configuration's directory", c.TLS.Cert, want)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestBombs: small files that stand for large values, or that keep a parser
// busy, are refused before they are parsed.
func TestBombs(t *testing.T) {
	for name, in := range map[string]string{
		"alias":    "a: &a [x]\nb: [*a, *a]\n",
		"merge":    "a: {<<: {x: 1}}\n",
		"tag":      "listen: !!binary aGk=\n",
		"depth":    strings.Repeat("[", 100_000),
		"braces":   strings.Repeat("{a: ", 60_000),
		"size":     "#" + strings.Repeat("x", maxFile),
		"document": "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n",
		"list":     "- a\n",
		"scalar":   "hello\n",
		"syntax":   "listen: [\n",
		"nul":      "listen: \"\\0\"\n",
		"key":      "? [a]\n: b\n",
	} {
		start := time.Now()
		if _, err := load("x.yaml", []byte(in), nil); err == nil {
			t.Errorf("%s is accepted", name)
		} else if !strings.HasPrefix(err.Error(), "x.yaml") {
			t.Errorf("%s: %v, want the file's name first", name, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestEmptyFileIsDefault(t *testing.T) {
	for _, in := range []string{"", "\n", "# nothing\n", "---\n", "{}"} {
		c, err := load("x.yaml", []byte(in), nil)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if diff := cmp.Diff(Default(), c, opt); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]string{
		"60s": "1m", "15m": "15m", "30d": "30d", "24h": "1d", "1d12h": "36h", "90m": "1h30m", "36500d": "36500d", "1.5s": "1.5s",
		"": "", "0s": "", "-1s": "", "+1s": "", "d": "", "-1d": "", "1d1d": "", "5": "", "1y": "", "36501d": "", "1e3s": "", "12h1d": "", "876001h": "", "99999999999999999999h": "",
	} {
		got := ""
		if d, err := ParseDuration(in); err == nil {
			got = Duration(d).String()
		}
		if got != want {
			t.Errorf("ParseDuration(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/bad.yaml", "testdata/good.yaml", "testdata/default.golden"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("limits: [{name: a, per: [user], measure: requests, max: 1, window: 60s}]"))
	f.Add([]byte("a: &a\n- *a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := load("", data, nil)
		if err != nil {
			return
		}
		got, err := load("", c.Document(), nil)
		if err != nil {
			t.Fatalf("what was printed is not read back: %v\n%s", err, c.Document())
		}
		if diff := cmp.Diff(c, got, opt); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
