package arrive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFiles bounds how many files one source looks at.
const maxFiles = 1_000_000

// found is a file that a source looks at.
type found struct {
	path   string
	id     string
	size   int64
	mod    int64 // ns since 1970
	change int64
	stream bool // no plain file: a pipe that was named
	moved  bool // it lies in a folder that was not here at the last look
}

// finder looks for files.
type finder struct {
	each    func(found) error    // an error ends the search
	problem func(error)          // what cannot be looked at
	folder  func(id string) bool // whether a folder is new; may be nil
	n       int
}

// boring are objects that AWS writes beside records, by a part of their name,
// and perhaps a second part behind it.
var boring = []struct{ part, then string }{
	{"/CloudTrail-Digest/", ""},                // signed lists of trail files
	{"_CloudTrail-Digest_", ""},                // the same, taken out of their folder
	{"/BedrockModelInvocationLogs/", "/data/"}, // bodies that records refer to
	{"amazon-bedrock-logs-permission-check", ""},
}

// skipped reports whether a file or object holds no records, by its name.
func skipped(name string) bool {
	name = "/" + filepath.ToSlash(name)
	for _, b := range boring {
		if _, rest, ok := strings.Cut(name, b.part); ok && strings.Contains(rest, b.then) {
			return true
		}
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	return base == "" || base[0] == '.' // a folder's marker; a file that is being written
}

// find goes through all that the paths stand for: files, folders with all that
// is in them, globs.
func (f *finder) find(paths []string) error {
	for _, p := range paths {
		if err := f.path(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) path(p string) error {
	names := []string{p}
	if _, err := os.Lstat(p); err != nil && strings.ContainsAny(p, "*?[") {
		if names, err = filepath.Glob(p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if len(names) == 0 {
			f.problem(fmt.Errorf("%s: no file has such a name", p))
		}
	}
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			f.problem(err)
			continue
		case info.IsDir():
			err = f.walk(name)
		default:
			err = f.file(name, info, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) file(path string, info fs.FileInfo, moved bool) error {
	if f.n++; f.n > maxFiles {
		return fmt.Errorf("more than %d files; name folders one by one", maxFiles)
	}
	found := look(path, info)
	found.moved = moved
	return f.each(found)
}

// walk finds plain files only: whoever may write into a folder could otherwise
// point at files that only we may read.
func (f *finder) walk(dir string) error {
	moved := "" // the new folder that we are in
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			f.problem(err)
			return nil
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && (!d.Type().IsRegular() || skipped(path)):
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			f.problem(err)
			return nil
		}
		inside := moved != "" && strings.HasPrefix(path, moved)
		if !d.IsDir() {
			return f.file(path, info, inside)
		}
		if id, _ := inode(path, info); f.folder != nil && f.folder(id) && !inside {
			moved = path + string(filepath.Separator)
		}
		return nil
	})
}

func look(path string, info fs.FileInfo) found {
	f := found{path: path, size: info.Size(), mod: info.ModTime().UnixNano(), stream: !info.Mode().IsRegular()}
	f.id, f.change = inode(path, info)
	return f
}
