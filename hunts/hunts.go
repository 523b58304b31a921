// Package hunts holds the hunts that are shipped, a file each.
//
// A file says what its hunt finds and misses, and where its sample data is
// (testdata/hunts): query.ParseSaved has the form. To add one, write the file
// and its samples; test/hunts runs it.
package hunts

import "embed"

// Files are the hunts, as ID.yaml.
//
//go:embed *.yaml
var Files embed.FS
