package query

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ReadSaved reads the hunts of a folder, a file ID.yaml each, in the order of
// their names. What is wrong with files is told of in bad, and stops no other
// hunt; err is that the folder cannot be read.
func ReadSaved(folder fs.FS) (list []*Saved, bad SavedErrors, err error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		s, wrong := readSaved(folder, e)
		if wrong != nil {
			bad = append(bad, wrong...)
			continue
		}
		list = append(list, s)
	}
	return list, bad, nil
}

func readSaved(folder fs.FS, e fs.DirEntry) (*Saved, SavedErrors) {
	wrong := func(format string, args ...any) SavedErrors {
		return SavedErrors{{e.Name(), 1, 1, fmt.Sprintf(format, args...)}}
	}
	if fi, err := e.Info(); err == nil && fi.Size() > maxSavedFile {
		return nil, wrong("the file is larger than %d KiB", maxSavedFile>>10)
	}
	data, err := fs.ReadFile(folder, e.Name())
	if err != nil {
		return nil, wrong("%v", err)
	}
	s, err := ParseSaved(e.Name(), data)
	var mistakes SavedErrors
	if errors.As(err, &mistakes) {
		return nil, mistakes
	}
	return s, nil
}
