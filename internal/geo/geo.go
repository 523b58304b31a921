// Package geo tells the country of a client address, from a database in
// MaxMind's format (.mmdb): GeoLite2 and GeoIP2 Country, City and Enterprise,
// DB-IP, IPinfo and whoever writes the same fields.
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
	Country string // two upper-case letters (ISO 3166-1); empty if unknown
	ASN     uint32 // number of the network's operator; 0 if unknown or not in this database
}

// DB is an open database. It never changes and is safe for concurrent use.
type DB struct{ r *maxminddb.Reader }

// maxFile is above every published database of countries or cities.
const maxFile = 512 << 20

// Open reads a database. A file that is not one, that is too large or that
// knows no countries is an error.
func Open(path string) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readFile(f)
	if err != nil {
		return nil, fmt.Errorf("address database %s: %w", path, err)
	}
	db, err := Parse(b)
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
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, err
	}
	db := &DB{r}
	if !db.knowsCountries() {
		return nil, fmt.Errorf("a database of type %.64q without countries", r.Metadata.DatabaseType)
	}
	return db, nil
}

// knowsCountries looks for a country among the first networks, so that a
// database of something else is found when it is configured and not when it
// has let the first stranger in or kept the first caller out. Networks without
// data count, or a damaged tree that leads back into itself would have no end.
func (db *DB) knowsCountries() bool {
	const enough = 100_000
	n := 0
	for result := range db.r.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if result.Err() != nil || country(result) != "" {
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
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return Place{}
	}
	result := db.r.Lookup(ip)
	if !result.Found() {
		return Place{}
	}
	p := Place{Country: country(result)}
	if result.DecodePath(&p.ASN, "autonomous_system_number") != nil {
		p.ASN = 0
	}
	return p
}

// Country is Lookup for the country alone.
func (db *DB) Country(ip netip.Addr) string { return db.Lookup(ip).Country }

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
