package lake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// A change is what one commit does to the lake.
type change struct {
	edit        func(m *manifest) // of a copy of the manifest; may be nil
	add, remove []*Catalogue
	done        func() // after it has happened, with l.mu held; may be nil
}

// commit makes a change durable and visible, whole. It also drops the files of
// failed attempts and removes those whose grace is over.
func (l *Lake) commit(c change) error {
	l.commMu.Lock()
	defer l.commMu.Unlock()
	m, expired, strays := l.draft(c)
	if err := m.write(l.o.FS, l.o.Dir); err != nil {
		l.paths = newSums(&Catalogue{Paths: l.m.Paths, Overflow: l.m.Overflow})
		return fmt.Errorf("commit: %w", err)
	}
	l.mu.Lock()
	l.m, l.strays = m, l.strays[strays:]
	if c.done != nil {
		c.done()
	}
	l.mu.Unlock()
	for _, d := range expired {
		if err := l.o.FS.Remove(filepath.Join(l.o.Dir, d.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.o.Log.Warn("a file that is not needed could not be removed; it is tried again", "file", d.Name, "error", err)
			l.stray(d.Name)
		}
	}
	return nil
}

// draft makes the next manifest. It returns the files that it forgets, and how
// many strays it drops.
func (l *Lake) draft(c change) (m *manifest, expired []droppedFile, strays int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.o.Now()
	m = l.m.clone()
	m.Generation++
	m.Next = l.next
	m.Dropped = slices.DeleteFunc(m.Dropped, func(d droppedFile) bool {
		if l.expired(d, now) {
			expired = append(expired, d)
			return true
		}
		return false
	})
	m.drop(now.UnixMilli(), l.strays...)
	if c.edit != nil {
		c.edit(m)
	}
	for _, p := range c.add {
		l.paths.add(p)
	}
	for _, p := range c.remove {
		l.paths.remove(p)
	}
	if len(c.add)+len(c.remove) > 0 {
		all := l.paths.catalogue()
		m.Paths, m.Overflow = all.Paths, all.Overflow
	}
	return m, expired, len(l.strays)
}

// drop leaves files to their grace.
func (m *manifest) drop(ms int64, names ...string) {
	for _, name := range names {
		m.Dropped = append(m.Dropped, droppedFile{name, ms})
	}
}

// Segments list their paths in their footer, so that a catalogue of many can
// be counted down when one of them goes.
func encodePaths(c *Catalogue) string {
	b, err := json.Marshal(storedCatalogue{c.Paths, c.Overflow})
	if err != nil {
		panic(err) // of strings and numbers
	}
	return string(b)
}

func decodePaths(s string) (*Catalogue, error) {
	var c storedCatalogue
	err := json.Unmarshal([]byte(s), &c)
	return &Catalogue{Paths: c.Paths, Overflow: c.Overflow}, err
}

type storedCatalogue struct {
	Paths    []Path `json:"paths"`
	Overflow bool   `json:"overflow,omitempty"`
}
