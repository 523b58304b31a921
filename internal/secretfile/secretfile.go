// Package secretfile reads and writes the small files that hold secrets: keys,
// passwords, URLs that are as good as a password. Only their owner may read them;
// what others could read is refused, since it may be known already.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Max is how long such a file may be, in bytes.
const Max = 16 << 10

// Read reads a plain file that only its owner may read or write.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if m := info.Mode(); !m.IsRegular() || m.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds secrets and has mode %v: make it a plain file and run chmod 600 on it", path, m)
	}
	b, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err == nil && len(b) > Max {
		err = fmt.Errorf("%s is larger than %d bytes", path, Max)
	}
	return b, err
}

// Line is Read for a file of one line, without its end.
func Line(path string) (string, error) {
	b, err := Read(path)
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || strings.TrimSpace(rest) != "" {
		return "", fmt.Errorf("%s: it must hold one line and nothing else", path)
	}
	return line, nil
}

// Write replaces the file with one that only its owner may read. A crash leaves
// the old content or the new, never a part.
func Write(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
