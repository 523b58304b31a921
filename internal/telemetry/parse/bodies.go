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

	"github.com/valyala/fastjson"

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
		if there := r.Doc.Get(m.side, m.body); address == "" || there != nil && there.Type() != fastjson.TypeNull {
			continue
		}
		body, err := s.body(address, len(r.JSON))
		if err != nil {
			s.fail(s.at, NoBody, fmt.Sprintf("%s: %v", address, err), r.JSON)
			continue
		}
		r.JSON = appendBody(nil, r.Doc, m.side, m.body, body)
		if r.Doc, err = p.json.ParseBytes(r.JSON); err != nil {
			return // cannot be: both were checked
		}
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

// appendBody appends the record with a body as the first member of its side,
// in place of the null that may stand there.
func appendBody(dst []byte, record *fastjson.Value, side, member string, body []byte) []byte {
	dst = append(dst, '{')
	n := 0
	record.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, key), ':')
		if string(key) != side || v.Type() != fastjson.TypeObject {
			dst = appendJSON(dst, v)
			return
		}
		dst = append(append(appendText(append(dst, '{'), []byte(member)), ':'), body...)
		v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			if string(key) != member {
				dst = append(appendText(append(dst, ','), key), ':')
				dst = appendJSON(dst, v)
			}
		})
		dst = append(dst, '}')
	})
	return append(dst, '}')
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
