package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the file system under a journal. All methods may be called from
// several goroutines. Errors wrap the system's (syscall.ENOSPC, fs.ErrNotExist),
// and where a file or directory cannot be opened, an fs.PathError with Op "open".
type FS interface {
	// Open opens a file; flag is of package os. Files are made with mode 0600.
	Open(name string, flag int) (File, error)
	// List returns the base names in dir, sorted.
	List(dir string) ([]string, error)
	Remove(name string) error
	// SyncDir makes what was created in and removed from dir durable.
	SyncDir(dir string) error
	// Lock takes dir for this opener alone, or fails at once: with ErrInUse where
	// another has it.
	Lock(dir string) (io.Closer, error)
	// Free returns the bytes this process may still use, and the size, of dir's file system.
	Free(dir string) (free, total int64, err error)
}

// File is an open file of an FS. It is an alias so that an FS can be written
// without importing this package.
type File = interface {
	io.ReaderAt
	io.WriterAt // a failed write may have written a part
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes data and size durable (fdatasync). The name needs SyncDir.
	Sync() error
	// Allocate makes the file n bytes long with blocks that are its own.
	Allocate(n int64) error
	// Punch gives back the blocks of a range that holds zeros. It may do nothing.
	Punch(off, n int64) error
}

// OSFS is the operating system's file system.
type OSFS struct{}

// osFile embeds for ReadAt, WriteAt, Truncate, Close and Name.
type osFile struct{ *os.File }

// Open implements FS.
func (OSFS) Open(name string, flag int) (File, error) {
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

// Free implements FS.
func (OSFS) Free(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(st.Bsize)
	return int64(st.Bavail) * unit, int64(st.Blocks) * unit, nil
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// writeZeros overwrites a range.
func writeZeros(f io.WriterAt, off, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		w, err := f.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(w), n-int64(w)
	}
	return nil
}
