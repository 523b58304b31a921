package telemetry

import (
	"context"
	"errors"
	"os"
	"sync"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// Scratch is a sink for the length of one question: Parquet files in a folder
// of its own, without a lake. Hunts over plain files and the tail of a lake
// that is not sealed yet are read through it.
type Scratch struct {
	dir  string
	from map[string]string

	mu        sync.Mutex
	build     *lake.Builder
	seen      map[event.ID]struct{}
	has       func(event.ID) (bool, error)
	files     []lake.File
	catalogue *lake.Catalogue
	unseen    bool // more ids than maxSeen: duplicates may count twice
	refused   int64
}

// maxSeen bounds the memory of ids, at some 40 bytes each.
const maxSeen = 8 << 20

// NewScratch makes a scratch below the folder for temporary files. Sources begin
// at the cursors of from; events that has knows are left out. Both may be nil. Close removes
// the files.
func NewScratch(from map[string]string, has func(event.ID) (bool, error)) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "gatehouse-hunt-")
	if err != nil {
		return nil, err
	}
	return &Scratch{
		dir: dir, from: from, build: lake.NewBuilder(lake.BuilderOptions{Dir: dir, Brief: true}),
		seen: map[event.ID]struct{}{}, has: has,
	}, nil
}

// Append implements [Sink].
func (s *Scratch) Append(events []*event.Event, _ map[string]string) (added, duplicates int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		_, known := s.seen[e.ID]
		if !known && s.has != nil {
			if known, err = s.has(e.ID); err != nil {
				return added, duplicates, err
			}
		}
		if known {
			duplicates++
			continue
		}
		if len(s.seen) < maxSeen {
			s.seen[e.ID] = struct{}{}
		} else {
			s.unseen = true
		}
		if err := s.build.Add(e); err != nil {
			if one := (*lake.RowError)(nil); errors.As(err, &one) {
				s.refused++
				continue
			}
			return added, duplicates, err
		}
		added++
	}
	return added, duplicates, nil
}

// Seal implements [Sink]: it ends the writing.
func (s *Scratch) Seal(context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalogue == nil {
		s.files, s.catalogue, err = s.build.Flush()
		s.seen = nil
	}
	return err
}

// Cursors implements [Sink]: sources begin where NewScratch was told.
func (s *Scratch) Cursors() map[string]string { return s.from }

// Files are the Parquet files and the catalogue of their paths, after Seal.
func (s *Scratch) Files() ([]lake.File, *lake.Catalogue) { return s.files, s.catalogue }

// Whole reports whether every duplicate was found.
func (s *Scratch) Whole() bool { return !s.unseen }

// Refused is how many events were too large to be kept.
func (s *Scratch) Refused() int64 { return s.refused }

// Close removes the files.
func (s *Scratch) Close() error {
	s.build.Close()
	return os.RemoveAll(s.dir)
}
