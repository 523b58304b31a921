package parse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"gatehouse/internal/event"
)

// Bedrock keeps a body of more than 100 KB, or one that is not JSON, in S3 and
// puts its address into the record. fetchBodies puts the body where it would
// stand in the record otherwise.

// bodyMembers are the members that hold an address, and where the body goes.
var bodyMembers = [...]struct{ side, address, body string }{
	{"input", "inputBodyS3Path", "inputBodyJson"},
	{"output", "outputBodyS3Path", "outputBodyJson"},
}

// fetchBodies replaces r by the same record with the bodies it refers to. One
// that cannot be had is a problem, and the record goes without it.
func (s *scanner) fetchBodies(r *event.Raw) {
	p := s.level(maxEnvelopes + 1)
	for _, m := range bodyMembers {
		address := string(text(r.Doc.Get(m.side, m.address)))
		if address == "" || r.Doc.Get(m.side, m.body) != nil {
			continue
		}
		body, err := s.body(address, len(r.JSON))
		if err != nil {
			s.fail(s.at, NoBody, fmt.Sprintf("%s: %v", address, err), r.JSON)
			continue
		}
		p.text = splice(p.text[:0], r.JSON, m.side, m.body, body)
		doc, err := p.json.ParseBytes(p.text)
		if err != nil {
			s.fail(s.at, NoBody, fmt.Sprintf("%s: %v", address, err), r.JSON)
			continue
		}
		r.JSON, r.Doc = bytes.Clone(p.text), doc
	}
}

// body fetches a body as JSON.
func (s *scanner) body(address string, used int) ([]byte, error) {
	b, err := s.o.Bodies(s.o.Context, address)
	if err != nil {
		return nil, err
	}
	u, err := open(bytes.NewReader(b), smallWindow)
	defer u.close()
	if err != nil {
		return nil, err
	}
	room := max(s.o.MaxRecord-used, 0)
	if b, err = io.ReadAll(io.LimitReader(u, int64(room)+1)); err != nil {
		return nil, err
	}
	if len(b) > room {
		return nil, fmt.Errorf("longer than the %d MiB of one record", s.o.MaxRecord>>20)
	}
	b, err = new(parser).clean(bytes.TrimSpace(b), s.o.MaxRecord)
	return b, err
}

// splice appends record with the member body of side set to value.
func splice(dst, record []byte, side, body string, value []byte) []byte {
	// The record is JSON and has the side as an object of its own: its brace is
	// the one behind the last member of that name at the outermost level.
	i := memberOf(record, side)
	dst = append(append(append(dst, record[:i]...), '"'), body...)
	dst = append(append(dst, '"', ':'), value...)
	return append(append(dst, ','), record[i:]...)
}

// memberOf is the offset behind the brace of the object that an outermost
// member of record has for value.
func memberOf(record []byte, name string) int {
	c := checker{b: record}
	c.next()
	for c.i++; c.next() == '"'; {
		from := c.i
		c.text()
		key := record[from+1 : c.i-1]
		c.next()
		c.i++
		if c.next() == '{' && string(key) == name {
			return c.i + 1
		}
		c.value(1)
		c.next()
		c.i++
	}
	return len(record)
}

// Folder is a BodySource that reads copies of buckets from a folder: the object
// s3://bucket/key is the file bucket/key in it, or key, in a copy of that one
// bucket. No address leads out of the folder, not by way of links either.
func Folder(dir string) BodySource {
	return func(_ context.Context, uri string) ([]byte, error) {
		at, ok := strings.CutPrefix(uri, "s3://")
		bucket, key, found := strings.Cut(at, "/")
		if !ok || !found || bucket == "" || key == "" {
			return nil, errors.New("not the address of an object")
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		f, err := root.Open(path.Join(bucket, path.Clean("/"+key)))
		if errors.Is(err, os.ErrNotExist) {
			f, err = root.Open(strings.TrimPrefix(path.Clean("/"+key), "/"))
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
			return nil, errors.New("is no file")
		}
		return io.ReadAll(io.LimitReader(f, maxBodyFile))
	}
}

// maxBodyFile bounds the file of one body.
const maxBodyFile = 64 << 20

// Skip reports whether the object at a key of S3, or a file at a path, holds no
// records: digests of trails, the bodies that records of the invocation log
// refer to, and what is left by a check of permissions.
func Skip(key string) bool {
	return strings.Contains(key, "CloudTrail-Digest") || strings.HasSuffix(key, "amazon-bedrock-logs-permission-check") ||
		strings.Contains(key, "BedrockModelInvocationLogs/") && strings.Contains(key, "/data/")
}
