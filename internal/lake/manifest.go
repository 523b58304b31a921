package lake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/event"
)

// The names of a lake's files. All stand in one folder.
const (
	manifestName = "manifest"
	draftName    = "manifest.new" // renamed to the above: the commit point
	lockName     = "lock"
	segmentExt   = ".parquet"
	runExt       = ".ids"
)

// format is the version of the manifest and of what it refers to. A reader
// refuses a later one.
const format = 1

// maxManifest bounds the bytes of a manifest that is read.
const maxManifest = 256 << 20

// manifest is all that a lake consists of, as of one commit.
//
// Its file is one line, "gatehouse-lake VERSION CRC-32C", and JSON.
type manifest struct {
	Generation int64             `json:"generation"` // counts commits
	Next       int64             `json:"next"`       // number of the next file
	Cursors    map[string]string `json:"cursors,omitempty"`
	Segments   []segment         `json:"segments,omitempty"`
	Runs       []runEntry        `json:"runs,omitempty"`
	Strands    []event.Strand    `json:"strands,omitempty"` // by the number that runs know them by
	Dropped    []droppedFile     `json:"dropped,omitempty"`
	Gaps       []Gap             `json:"gaps,omitempty"`
	Paths      []Path            `json:"paths,omitempty"`
	Overflow   bool              `json:"paths_overflow,omitempty"`
}

// segment is a file of events of one strand and day.
type segment struct {
	Name    string       `json:"name"`
	Strand  event.Strand `json:"strand"`
	Day     string       `json:"day"`
	Rows    int64        `json:"rows"`
	Bytes   int64        `json:"bytes"`
	MinTime int64        `json:"min_ms"`
	MaxTime int64        `json:"max_ms"`
	CRC     uint32       `json:"crc"`
	Sealed  int64        `json:"sealed_ms"`
	Damaged string       `json:"damaged,omitempty"` // why it is left as it is
}

// runEntry is a file of the ids of events, for telling duplicates.
type runEntry struct {
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	MinDay int32  `json:"min_day"` // days since 1970
	MaxDay int32  `json:"max_day"`
}

// droppedFile is a file that readers of an earlier manifest may still use.
type droppedFile struct {
	Name string `json:"name"`
	At   int64  `json:"at_ms"`
}

// A Gap says that events were there and retention removed them.
type Gap struct {
	Strand event.Strand `json:"strand"`
	Reason string       `json:"reason"` // age or bytes
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Rows   int64        `json:"rows"`
	Bytes  int64        `json:"bytes"`
	At     time.Time    `json:"at"` // when it was last widened
}

// clone copies what a commit may change.
func (m *manifest) clone() *manifest {
	c := *m
	c.Cursors = maps.Clone(m.Cursors)
	c.Segments = slices.Clone(m.Segments)
	c.Runs = slices.Clone(m.Runs)
	c.Strands = slices.Clone(m.Strands)
	c.Dropped = slices.Clone(m.Dropped)
	c.Gaps = slices.Clone(m.Gaps)
	return &c
}

// names are the files that the manifest knows of.
func (m *manifest) names() map[string]bool {
	all := map[string]bool{}
	for _, s := range m.Segments {
		all[s.Name] = true
	}
	for _, r := range m.Runs {
		all[r.Name] = true
	}
	for _, d := range m.Dropped {
		all[d.Name] = true
	}
	return all
}

func (m *manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return withHead(body), nil
}

func withHead(body []byte) []byte {
	head := fmt.Sprintf("gatehouse-lake %d %08x\n", format, crc32.Checksum(body, castagnoli))
	return append([]byte(head), body...)
}

// ErrNewer is wrapped when a lake was written by a later version.
var ErrNewer = errors.New("written by a newer version of gatehouse; upgrade this one, or use another folder")

func decodeManifest(b []byte) (*manifest, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	var version int
	var crc uint32
	if _, err := fmt.Sscanf(string(head[:min(len(head), 64)]), "gatehouse-lake %d %x", &version, &crc); err != nil || !ok {
		return nil, errors.New("not a manifest of a lake")
	}
	if version > format {
		return nil, fmt.Errorf("format %d, where %d is known: %w", version, format, ErrNewer)
	}
	if crc32.Checksum(body, castagnoli) != crc {
		return nil, errors.New("damaged: its checksum differs")
	}
	m := new(manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

// check refuses what no lake writes: names that lead elsewhere, above all.
func (m *manifest) check() error {
	for name := range m.names() {
		ext := filepath.Ext(name)
		if ext != segmentExt && ext != runExt || strings.ContainsAny(name, `/\`) || name != filepath.Base(name) {
			return fmt.Errorf("odd file name %q", name)
		}
	}
	for _, s := range m.Segments {
		if s.Rows < 0 || s.Bytes < 0 || s.MinTime > s.MaxTime {
			return fmt.Errorf("segment %s has odd numbers", s.Name)
		}
	}
	for _, r := range m.Runs {
		if r.Count < 0 || r.MinDay > r.MaxDay {
			return fmt.Errorf("run %s has odd numbers", r.Name)
		}
	}
	return nil
}

// readManifest returns nil without an error where there is none.
func readManifest(fsys FS, dir string) (*manifest, error) {
	name := filepath.Join(dir, manifestName)
	b, err := readFile(fsys, name, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lake: %w", err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", name, err)
	}
	return m, nil
}

// write makes m the manifest of dir. Files that m refers to must be synced. On
// an error it is open which of the two manifests will be found.
func (m *manifest) write(fsys FS, dir string) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, draftName)
	if err := writeFile(fsys, draft, b); err != nil {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil { // names of segments before the name that refers to them
		return err
	}
	if err := fsys.Rename(draft, filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

func readFile(fsys FS, name string, limit int64) ([]byte, error) {
	h, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	n, err := h.Size()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", name, n, limit)
	}
	b := make([]byte, n)
	if _, err := h.ReadAt(b, 0); err != nil && n > 0 {
		return nil, err
	}
	return b, nil
}

// writeFile makes a file with content that is durable, its name is not yet.
func writeFile(fsys FS, name string, b []byte) error {
	h, err := fsys.Open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = h.WriteAt(b, 0)
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}

// MarshalJSON writes a path spelled out.
func (p Path) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedPath{spell(p.Steps), p.Kinds, p.Segments})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Path) UnmarshalJSON(b []byte) error {
	var s storedPath
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	steps, err := unspell(s.Path)
	*p = Path{steps, s.Kinds, s.Segments}
	return err
}

type storedPath struct {
	Path     string `json:"path"`
	Kinds    Kinds  `json:"kinds"`
	Segments int    `json:"segments"`
}
