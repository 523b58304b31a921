package arrive

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"
)

// position is how far one file is read. Files are known by their inode, so that
// a log which is renamed keeps its place; and by a hash of their beginning, so
// that an inode used again, or a log cut and grown past its place, does not.
type position struct {
	Path   string `json:"p"` // as it was called last, for people
	Size   int64  `json:"s"` // at the last look
	Mod    int64  `json:"m"`
	Change int64  `json:"c"`
	Off    int64  `json:"o"`           // everything before is delivered
	Tail   int64  `json:"t,omitempty"` // and so is an unfinished line, up to here
	Whole  bool   `json:"w,omitempty"` // it was no log when it was delivered
	Head   uint64 `json:"h"`
	HeadN  int64  `json:"n"` // bytes that Head is of

	since time.Time // when it was first seen as it is; not stored
}

// waits says that the file has more than was delivered.
func (p *position) waits() bool { return max(p.Off, p.Tail) < p.Size }

const (
	cursorVersion = 1
	maxPositions  = 1024     // in a cursor, but for files that are only just there
	maxCursor     = 16 << 20 // bytes of a cursor that is read
	headBytes     = 1024
)

// positions is the cursor of files. Files that are not listed and changed last
// at Floor or before have been read.
type positions struct {
	Version int                  `json:"v"`
	Floor   int64                `json:"floor,omitempty"`
	Files   map[string]*position `json:"files,omitempty"` // by inode
}

func parsePositions(cursor string) (*positions, error) {
	p := &positions{Version: cursorVersion}
	if cursor != "" {
		if len(cursor) > maxCursor {
			return nil, errors.New("cursor is too long")
		}
		if err := json.Unmarshal([]byte(cursor), p); err != nil {
			return nil, fmt.Errorf("cursor: %w", err)
		}
	}
	if p.Version != cursorVersion {
		return nil, fmt.Errorf("cursor is of version %d, want %d", p.Version, cursorVersion)
	}
	for id, f := range p.Files {
		if f == nil || f.Off < 0 || f.HeadN < 0 || f.HeadN > headBytes {
			delete(p.Files, id) // the file is read anew
		}
	}
	if p.Files == nil {
		p.Files = make(map[string]*position)
	}
	return p, nil
}

func (p *positions) cursor() string {
	b, _ := json.Marshal(p) // numbers and strings
	return string(b)
}

// done reports whether an unlisted file was read and forgotten since.
func (p *positions) done(f *found) bool { return p.Files[f.id] == nil && f.change <= p.Floor }

// forget drops files that are gone.
func (p *positions) forget(seen map[string]bool) {
	for id := range p.Files {
		if !seen[id] {
			delete(p.Files, id)
		}
	}
}

// shrink drops the files that changed longest ago, where there are too many, but
// none that changed at before or later: another may have changed before it and
// not have been seen yet. A file that waits keeps all behind it.
func (p *positions) shrink(before int64) {
	ids := slices.Collect(maps.Keys(p.Files))
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(p.Files[a].Change, p.Files[b].Change) })
	for _, id := range ids[:max(len(ids)-maxPositions, 0)] {
		f := p.Files[id]
		if f.waits() || f.Change >= before {
			return
		}
		p.Floor = max(p.Floor, f.Change)
		delete(p.Files, id)
	}
}

// head hashes the beginning of a file, at most n bytes.
func head(r io.ReaderAt, n int64) (sum uint64, read int64, err error) {
	h := fnv.New64a()
	read, err = io.Copy(h, io.NewSectionReader(r, 0, min(n, headBytes)))
	return h.Sum64(), read, err
}
