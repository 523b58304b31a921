package lake

import (
	"errors"
	"fmt"

	"gatehouse/internal/event"
)

// IDs tells which events a snapshot holds. A reader that goes on where the
// cursors end is told some events again, and leaves them out by it. It belongs
// to one goroutine.
type IDs struct{ runs []*run }

// IDs opens the ids of the snapshot, which are files of the lake like any other.
func (s *Snapshot) IDs() (*IDs, error) {
	ids, room := new(IDs), int64(0) // few ids are looked up: filters do not pay
	for _, e := range s.runs {
		r, err := openRun(s.fsys, s.dir, e, &room)
		if err != nil {
			ids.Close()
			return nil, fmt.Errorf("open ids: %w", err)
		}
		ids.runs = append(ids.runs, r)
	}
	return ids, nil
}

// Has reports whether the event is in the snapshot.
func (s *IDs) Has(id event.ID) (bool, error) {
	for _, r := range s.runs {
		if _, ok, err := r.find(id); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// Close closes the files.
func (s *IDs) Close() error {
	var errs []error
	for _, r := range s.runs {
		errs = append(errs, r.h.Close())
	}
	return errors.Join(errs...)
}
