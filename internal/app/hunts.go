package app

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/hunts"
	"gatehouse/internal/query"
)

// Hunts are the shipped hunts by id, with those of a folder of own content
// added, or in the place of shipped ones of the same id. No folder: "".
func Hunts(content string) ([]*query.Saved, error) {
	byID := map[string]*query.Saved{}
	errs := []error{readHunts(byID, hunts.Files, ".")}
	if content != "" {
		dir := filepath.Join(content, "hunts")
		if _, err := os.Stat(dir); err == nil {
			errs = append(errs, readHunts(byID, os.DirFS(dir), "."))
		} else if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	list := make([]*query.Saved, 0, len(byID))
	for _, s := range byID {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *query.Saved) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

const maxHuntFile = 1 << 20

func readHunts(byID map[string]*query.Saved, from fs.FS, dir string) error {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		if fi, err := e.Info(); err != nil || fi.Size() > maxHuntFile {
			errs = append(errs, errors.New(e.Name()+": is larger than 1 MiB"))
			continue
		}
		b, err := fs.ReadFile(from, e.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := query.ParseSaved(e.Name(), b)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		byID[s.ID] = s
	}
	return errors.Join(errs...)
}
