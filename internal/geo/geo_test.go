package geo

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/testkit/mmdb"
)

func maxmind(code string) mmdb.Map {
	return mmdb.Map{"country": mmdb.Map{"iso_code": code, "names": mmdb.Map{"en": "a country"}}}
}

var world = mmdb.Encode("Test-Country", map[netip.Prefix]mmdb.Map{
	netip.MustParsePrefix("81.2.69.0/24"):     maxmind("GB"),
	netip.MustParsePrefix("89.160.20.0/23"):   {"country": mmdb.Map{"iso_code": "SE"}, "autonomous_system_number": 29518, "autonomous_system_organization": "Bredband2 AB"},
	netip.MustParsePrefix("9.9.9.9/32"):       {"country_code": "US", "country": "United States"},
	netip.MustParsePrefix("5.9.0.0/16"):       {"country": "DE"},
	netip.MustParsePrefix("6.0.0.0/8"):        {"registered_country": mmdb.Map{"iso_code": "FR"}},
	netip.MustParsePrefix("7.0.0.0/8"):        maxmind("de"),
	netip.MustParsePrefix("8.0.0.0/8"):        maxmind("DEU"),
	netip.MustParsePrefix("10.0.0.0/8"):       maxmind("CH"),
	netip.MustParsePrefix("127.0.0.0/8"):      maxmind("CH"),
	netip.MustParsePrefix("2a02:cfc0::/29"):   maxmind("NO"),
	netip.MustParsePrefix("2001:db8:1::/112"): {"country": 7, "autonomous_system_number": "x"},
})

func TestLookup(t *testing.T) {
	db, err := Parse(world)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]Place{
		"81.2.69.142":        {Country: "GB"},
		"::ffff:81.2.69.142": {Country: "GB"},
		"81.2.70.1":          {},
		"89.160.20.112":      {Country: "SE", ASN: 29518, Organization: "Bredband2 AB"},
		"89.160.21.255":      {Country: "SE", ASN: 29518, Organization: "Bredband2 AB"},
		"9.9.9.9":            {Country: "US"},
		"5.9.1.1":            {Country: "DE"},
		"6.1.1.1":            {}, // registered somewhere is not used there
		"7.1.1.1":            {},
		"8.1.1.1":            {},
		"10.1.1.1":           {}, // whatever a database claims
		"127.0.0.1":          {},
		"169.254.169.254":    {},
		"::1":                {},
		"fe80::1%eth0":       {},
		"2a02:cfc0::1":       {Country: "NO"},
		"2a02:cfc8::1":       {},
		"2001:db8:1::1":      {},
		"0.0.0.0":            {},
		"255.255.255.255":    {},
	} {
		if got := db.Lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Lookup(%s) = %+v, want %+v", addr, got, want)
		}
	}
	if got := db.Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("Lookup of no address = %+v, want nothing", got)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	asn := mmdb.Encode("Test-ASN", map[netip.Prefix]mmdb.Map{netip.MustParsePrefix("81.2.69.0/24"): {"autonomous_system_number": 1}})
	for name, tt := range map[string]struct {
		content []byte
		want    string // in the error; empty: none
	}{
		"world.mmdb": {content: world},
		"asn.mmdb":   {asn, `type "Test-ASN" without countries`},
		"empty.mmdb": {[]byte{}, "invalid MaxMind DB file"},
		"text.mmdb":  {[]byte("countries: all"), "invalid MaxMind DB file"},
		"cut.mmdb":   {world[bytes.LastIndex(world, []byte("\xab\xcd\xef")):], "metadata"},
		"none.mmdb":  {mmdb.Encode("Test-Country", nil), "without countries"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, tt.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s): %v, want %q", name, err, tt.want)
		}
	}
	if db, err := OpenASN(filepath.Join(dir, "asn.mmdb")); err != nil || db.Lookup(netip.MustParseAddr("81.2.69.1")).ASN != 1 {
		t.Errorf("OpenASN: %v", err)
	}
	if _, err := OpenASN(filepath.Join(dir, "none.mmdb")); err == nil || !strings.Contains(err.Error(), "without networks") {
		t.Errorf("OpenASN of a database without networks: %v", err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "missing.mmdb")} {
		if _, err := Open(path); err == nil {
			t.Errorf("Open(%s) took it", path)
		}
	}
}

// A file that is overwritten while it is in use changes nothing.
func TestOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.mmdb")
	if err := os.WriteFile(path, world, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if got := db.Country(netip.MustParseAddr("81.2.69.142")); got != "GB" {
		t.Errorf("after the file was cut: %q, want GB", got)
	}
}

// A tree in which both branches of every node lead to the next has 2^120 empty
// leaves; without a bound, opening it would not end.
func TestEndlessTree(t *testing.T) {
	b := mmdb.Encode("Test-Country", map[netip.Prefix]mmdb.Map{netip.MustParsePrefix("2a02::/120"): maxmind("NO")})
	for node := range 120 {
		b[6*node], b[6*node+1], b[6*node+2] = 0, 0, byte(node+1)
		copy(b[6*node+3:6*node+6], b[6*node:])
	}
	if _, err := Parse(b); err == nil {
		t.Error("taken")
	}
}

// The country of a call is looked up before authentication.
func TestLookupAllocates(t *testing.T) {
	db, err := Parse(world)
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr("81.2.69.142")
	if n := testing.AllocsPerRun(100, func() { db.Country(ip) }); n > 2 {
		t.Errorf("a lookup allocates %v times, want at most 2", n)
	}
}

func BenchmarkCountry(b *testing.B) {
	db, err := Parse(world)
	if err != nil {
		b.Fatal(err)
	}
	ip := netip.MustParseAddr("81.2.69.142")
	b.ReportAllocs()
	for b.Loop() {
		db.Country(ip)
	}
}

// A damaged database is refused or knows nothing, and stops nobody's server.
func FuzzParse(f *testing.F) {
	f.Add(world, uint32(0x51024501))
	f.Add(mmdb.Encode("Test-Country", nil), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, addr uint32) {
		db, err := Parse(bytes.Clone(b))
		if err != nil {
			return
		}
		p := db.Lookup(netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}))
		if p.Country != "" && !isCode(p.Country) {
			t.Errorf("country %q", p.Country)
		}
	})
}
