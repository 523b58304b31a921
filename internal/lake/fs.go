package lake

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the file system under a lake. All methods may be called from several
// goroutines. Errors wrap the system's.
type FS interface {
	// Open opens a file; flag is of package os. Files are made with mode 0600.
	Open(name string, flag int) (Handle, error)
	// List returns the base names in dir, sorted.
	List(dir string) ([]string, error)
	// Rename replaces what stands at the new name, in one step.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes what was made, renamed and removed in dir durable.
	SyncDir(dir string) error
	// Lock takes dir for this opener alone, or fails at once with ErrInUse.
	Lock(dir string) (io.Closer, error)
}

// A Handle is an open file of an FS.
type Handle = interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Sync makes data and size durable. The name needs SyncDir.
	Sync() error
}

// ErrInUse is wrapped by Open when another process writes the lake.
var ErrInUse = errors.New("in use by another process")

// OSFS is the operating system's file system.
type OSFS struct{}

type osFile struct{ *os.File }

// Open implements FS.
func (OSFS) Open(name string, flag int) (Handle, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// List implements FS.
func (OSFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Rename implements FS.
func (OSFS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OSFS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements FS.
func (OSFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock implements FS with flock(2) on the file "lock" in dir. The lock goes
// with the process, however it ends.
func (OSFS) Lock(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
