// Package geo tells the country of a client address, and whose network it is
// in, from databases in MaxMind's format (.mmdb): GeoLite2 and GeoIP2 Country,
// City, Enterprise and ASN, DB-IP, IPinfo and whoever writes the same fields.
//
// A [DB] is read whole when it is opened, so that a file which is overwritten
// later cannot change or crash a running server; to take a new file, open it
// and drop the old DB. Nothing is asked over a network.
//
// An address has no country when the database does not know it. Loopback,
// private, link-local and other addresses that are not routed are never looked
// up and have none either, whatever a database claims of them.
package geo

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Place is what a database says of an address.
type Place struct {
	Country      string // two upper-case letters (ISO 3166-1); empty if unknown
	ASN          uint32 // number of the network's operator; 0 if unknown or not in this database
	Organization string // the operator's name; likewise
}

// DB is an open database. It never changes and is safe for concurrent use.
type DB struct{ r *maxminddb.Reader }

// maxFile is above every published database of countries or cities.
const maxFile = 512 << 20

// Open reads a database. A file that is not one, that is too large or that
// knows no countries is an error.
func Open(path string) (*DB, error) { return open(path, Parse) }

// OpenASN is Open for a database of networks, which need not know countries.
func OpenASN(path string) (*DB, error) { return open(path, ParseASN) }

func open(path string, parse func([]byte) (*DB, error)) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readFile(f)
	if err != nil {
		return nil, fmt.Errorf("address database %s: %w", path, err)
	}
	db, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("address database %s: %w", path, err)
	}
	return db, nil
}

func readFile(f *os.File) ([]byte, error) {
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, errors.New("is no file")
	case fi.Size() > maxFile:
		return nil, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	}
	b := make([]byte, fi.Size())
	_, err = io.ReadFull(f, b)
	return b, err
}

// Parse is Open for the bytes of a file, which it keeps.
func Parse(b []byte) (*DB, error) {
	return parse(b, "countries", func(r maxminddb.Result) bool { return country(r) != "" })
}

// ParseASN is OpenASN for the bytes of a file, which it keeps.
func ParseASN(b []byte) (*DB, error) {
	return parse(b, "networks", func(r maxminddb.Result) bool { return asn(r) != 0 })
}

func parse(b []byte, what string, has func(maxminddb.Result) bool) (*DB, error) {
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, err
	}
	db := &DB{r}
	if !db.knows(has) {
		return nil, fmt.Errorf("a database of type %.64q without %s", r.Metadata.DatabaseType, what)
	}
	return db, nil
}

// knows looks for what is wanted among the first networks, so that a
// database of something else is found when it is configured and not when it
// has let the first stranger in or kept the first caller out. Networks without
// data count, or a damaged tree that leads back into itself would have no end.
func (db *DB) knows(has func(maxminddb.Result) bool) bool {
	const enough = 100_000
	n := 0
	for result := range db.r.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if result.Err() != nil || has(result) {
			return result.Err() == nil
		}
		if n++; n == enough {
			break
		}
	}
	return false
}

// Lookup tells the place of ip. An IPv4 address may be given as an IPv4-mapped
// one. What cannot be read counts as unknown: rules of countries then refuse.
func (db *DB) Lookup(ip netip.Addr) Place {
	result, ok := db.find(ip)
	if !ok {
		return Place{}
	}
	p := Place{Country: country(result), ASN: asn(result)}
	if p.ASN != 0 && result.DecodePath(&p.Organization, "autonomous_system_organization") != nil {
		p.Organization = ""
	}
	return p
}

// Country is Lookup for the country alone.
func (db *DB) Country(ip netip.Addr) string {
	result, ok := db.find(ip)
	if !ok {
		return ""
	}
	return country(result)
}

func (db *DB) find(ip netip.Addr) (r maxminddb.Result, found bool) {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return r, false
	}
	r = db.r.Lookup(ip)
	return r, r.Found()
}

func asn(r maxminddb.Result) (n uint32) {
	if r.DecodePath(&n, "autonomous_system_number") != nil {
		return 0
	}
	return n
}

// paths are where databases have the code of the country: MaxMind and DB-IP,
// then the two forms of IPinfo. Where an address is registered
// (registered_country) is not where it is used, and no substitute.
var paths = [][]any{{"country", "iso_code"}, {"country_code"}, {"country"}}

func country(r maxminddb.Result) string {
	for _, path := range paths {
		var code string
		if r.DecodePath(&code, path...) == nil && isCode(code) {
			return code
		}
	}
	return ""
}

func isCode(s string) bool {
	return len(s) == 2 && s[0]-'A' < 26 && s[1]-'A' < 26
}
