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

// find calls each for every file that the paths stand for: files, folders with
// all that is in them, globs. An error of each ends it. What cannot be looked at
// is told to problem.
func find(paths []string, each func(found) error, problem func(error)) error {
	n := 0
	counted := func(f found) error {
		if n++; n > maxFiles {
			return fmt.Errorf("more than %d files; name folders one by one", maxFiles)
		}
		return each(f)
	}
	for _, p := range paths {
		if err := findIn(p, counted, problem); err != nil {
			return err
		}
	}
	return nil
}

func findIn(p string, each func(found) error, problem func(error)) error {
	names := []string{p}
	if _, err := os.Lstat(p); err != nil && strings.ContainsAny(p, "*?[") {
		if names, err = filepath.Glob(p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if len(names) == 0 {
			problem(fmt.Errorf("%s: no file has such a name", p))
		}
	}
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			problem(err)
			continue
		case info.IsDir():
			err = walk(name, each, problem)
		default:
			err = each(look(name, info))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walk finds plain files only: whoever may write into a folder could otherwise
// point at files that only we may read.
func walk(dir string, each func(found) error, problem func(error)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			problem(err)
			return nil
		}
		if d.IsDir() && path != dir && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || skipped(path) {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			problem(err)
			return nil
		}
		return each(look(path, info))
	})
}

func look(path string, info fs.FileInfo) found {
	f := found{path: path, size: info.Size(), mod: info.ModTime().UnixNano(), stream: !info.Mode().IsRegular()}
	f.id, f.change = inode(path, info)
	return f
}
