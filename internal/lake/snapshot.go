package lake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatehouse/internal/event"
)

// A Snapshot is a lake as of one commit, for reading. Its files can be read for
// the writer's grace (15 minutes by default) whatever the writer does
// meanwhile; a reader that goes on for longer loads another. It is not changed
// once loaded.
type Snapshot struct {
	Generation int64
	Cursors    map[string]string // how far the inputs are in it
	Catalogue  *Catalogue
	Gaps       []Gap
	Damaged    []Damage // segments that are not among the files
	files      []File

	fsys FS
	dir  string
	runs []runEntry
}

// Damage is a segment that is missing or not as it was written.
type Damage struct {
	File   File
	Reason string
}

// Load reads the last commit of the lake in dir. It takes no lock. A folder
// without a lake gives an empty snapshot. Files that are missing, have another
// size, or were found wrong by a merge are Damaged; for more see Check.
func Load(dir string) (*Snapshot, error) { return load(OSFS{}, dir) }

func load(fsys FS, dir string) (*Snapshot, error) {
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil, err
	}
	if m == nil {
		m = new(manifest)
	}
	s := &Snapshot{
		Generation: m.Generation, Cursors: m.Cursors, Gaps: m.Gaps,
		Catalogue: &Catalogue{Paths: m.Paths, Overflow: m.Overflow},
		fsys:      fsys, dir: dir, runs: m.Runs,
	}
	for _, seg := range m.Segments {
		f, reason := seg.file(dir), seg.Damaged
		if err := present(fsys, f); err != nil && reason == "" {
			reason = err.Error()
		}
		if reason != "" {
			s.Damaged = append(s.Damaged, Damage{f, reason})
		} else {
			s.files = append(s.files, f)
		}
	}
	slices.SortStableFunc(s.files, func(a, b File) int { return a.MinTime.Compare(b.MinTime) })
	return s, nil
}

func (s segment) file(dir string) File {
	return File{
		Path: filepath.Join(dir, s.Name), Strand: s.Strand, Day: s.Day, Rows: s.Rows, Bytes: s.Bytes, CRC: s.CRC,
		MinTime: time.UnixMilli(s.MinTime).UTC(), MaxTime: time.UnixMilli(s.MaxTime).UTC(),
	}
}

func present(fsys FS, f File) error {
	h, err := fsys.Open(f.Path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer h.Close()
	if n, err := h.Size(); err != nil || n != f.Bytes {
		return fmt.Errorf("%s has %d bytes, should have %d", f.Path, n, f.Bytes)
	}
	return nil
}

// Files returns the files that may hold events of the strands (none: all) from
// a time to before another (zero: no bound), those of the earliest events
// first.
func (s *Snapshot) Files(strands []event.Strand, from, to time.Time) []File {
	var found []File
	for _, f := range s.files {
		if len(strands) > 0 && !slices.Contains(strands, f.Strand) ||
			!from.IsZero() && f.MaxTime.Before(from.Truncate(time.Millisecond)) ||
			!to.IsZero() && !f.MinTime.Before(to) {
			continue
		}
		found = append(found, f)
	}
	return found
}

// Check reads all files and returns those that are not as they were written,
// besides those that are Damaged already.
func (s *Snapshot) Check(ctx context.Context) ([]Damage, error) { return s.check(ctx, OSFS{}) }

func (s *Snapshot) check(ctx context.Context, fsys FS) (bad []Damage, err error) {
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return bad, err
		}
		h, err := fsys.Open(f.Path, os.O_RDONLY)
		if err == nil {
			err = checkFile(h, f.Bytes, f.CRC)
			h.Close()
		}
		if err != nil {
			bad = append(bad, Damage{f, err.Error()})
		}
	}
	return bad, nil
}

// Stats are counts of a lake open for writing.
type Stats struct {
	Segments   int
	Rows       int64 // sealed
	Bytes      int64
	Buffered   int // not sealed yet
	Appended   int64
	Refused    int64                     // too large to be kept
	Duplicates map[[2]event.Strand]int64 // told first by the one and then by the other strand, since Open
	Runs       int                       // files of ids
	IDs        int64
	Damaged    int
	Dropped    int // files in their grace
	Overflow   bool
}

// Stats counts.
func (l *Lake) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Segments: len(l.m.Segments), Buffered: len(l.buffer.ids), Appended: l.appended, Refused: l.refused,
		Duplicates: map[[2]event.Strand]int64{}, Runs: len(l.runs), Dropped: len(l.m.Dropped), Overflow: l.m.Overflow,
	}
	for pair, n := range l.dups {
		s.Duplicates[pair] = n
	}
	for _, seg := range l.m.Segments {
		s.Rows, s.Bytes = s.Rows+seg.Rows, s.Bytes+seg.Bytes
		if seg.Damaged != "" {
			s.Damaged++
		}
	}
	for _, r := range l.runs {
		s.IDs += r.Count
	}
	return s
}
