// Package disk is a file system in memory for tests. It forgets at a crash
// what was not synced, names included, and it can be full, broken or slow.
//
// A test that only kills a process proves nothing about syncing: the kernel
// keeps what was written. Here Sync and SyncDir are the only things that make
// anything last. What was not synced is lost by Crash, or, if the disk has a
// seed, survives in an arbitrary part: every unsynced sector and every name
// on its own, as real disks have it.
//
//	d := disk.New(seed)
//	d.Hook(func(op disk.Op) error { … })    // fail, stall or count operations
//	…                                       // use d as the FS of the thing under test
//	d.Crash()                               // all open files are dead from here on
//	…                                       // open again, check
package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

const sector = 512

// File is what Open returns. It is an alias so that Disk fits the interfaces
// of packages that this one does not know.
type File = interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	Allocate(n int64) error
	Punch(off, n int64) error
}

// ErrCrashed is what files return that were opened before a crash.
var ErrCrashed = errors.New("disk: crashed")

// Kind is what an operation does.
type Kind string

// The operations a hook sees.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Remove   Kind = "remove"
	SyncDir  Kind = "syncdir"
	Allocate Kind = "allocate"
	Punch    Kind = "punch"
)

// Op is one operation that changes the disk.
type Op struct {
	Kind Kind
	Name string // path of the file or directory
	Off  int64
	N    int64
}

// Disk is the file system. Its methods may be called from any goroutine.
type Disk struct {
	mu       sync.Mutex
	rand     *rand.Rand // nil: nothing unsynced survives
	boot     int        // counts crashes
	capacity int64      // 0: endless
	names    map[string]*inode
	durable  map[string]*inode // names as of the last SyncDir
	locks    map[string]int    // boot at which a directory was locked
	hook     func(Op) error
	syncs    int
}

// inode is a file's content: as it reads, as it is on the disk, and what is in between.
type inode struct {
	data    []byte
	safe    []byte
	pending []change
}

// change is a write of b at off, or, if b is nil, a truncation to off.
type change struct {
	off int64
	b   []byte
}

// New returns an empty disk. With seed 0, Crash loses all that was not synced.
func New(seed uint64) *Disk {
	d := &Disk{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]int{}}
	if seed != 0 {
		d.rand = rand.New(rand.NewPCG(seed, 0))
	}
	return d
}

// Hook makes f see each operation before it happens, from the goroutine that
// does it. An error of f is the operation's result: a failed Sync loses what
// it should have made durable for good, as Linux does. f may block, and may
// call any method of the disk; a call of Crash makes the operation fail.
func (d *Disk) Hook(f func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// SetCapacity sets the disk's size in bytes; 0 is endless.
func (d *Disk) SetCapacity(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = n
}

// Crash cuts the power: open files are dead, locks are free, and the disk
// holds what was synced, and with a seed some of what was not.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	for name, n := range d.names {
		if d.durable[name] != n && d.chance() { // made, and its name survives unsynced
			d.durable[name] = n
		}
	}
	for name := range d.durable {
		if d.names[name] == nil && d.chance() { // removed, and that survives unsynced
			delete(d.durable, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		d.lose(d.durable[name])
	}
	d.names = maps.Clone(d.durable)
}

func (d *Disk) chance() bool { return d.rand != nil && d.rand.IntN(2) == 0 }

func (d *Disk) seldom() bool { return d.rand != nil && d.rand.IntN(4) == 0 }

// lose decides what of an inode's unsynced changes survives.
func (d *Disk) lose(n *inode) {
	all := d.seldom()
	for _, c := range n.pending {
		switch {
		case all:
			n.safe = c.apply(n.safe)
		case c.b == nil:
			if d.chance() {
				n.safe = c.apply(n.safe)
			}
		default:
			n.safe = d.tear(n.safe, c)
		}
	}
	n.pending = nil
	n.data = bytes.Clone(n.safe)
}

// tear applies an arbitrary choice of a write's sectors.
func (d *Disk) tear(b []byte, c change) []byte {
	if d.seldom() {
		b = change{c.off + int64(len(c.b)), []byte{}}.apply(b) // only the file's length
	}
	for at := int64(0); at < int64(len(c.b)); {
		end := min(((c.off+at)/sector+1)*sector-c.off, int64(len(c.b)))
		if d.chance() {
			b = change{c.off + at, c.b[at:end]}.apply(b)
		}
		at = end
	}
	return b
}

func (c change) apply(b []byte) []byte {
	if c.b == nil {
		return resize(b, c.off)
	}
	if end := c.off + int64(len(c.b)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.b)
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// Synced says whether some file that would survive a crash now contains b.
func (d *Disk) Synced(b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.durable {
		if bytes.Contains(n.safe, b) {
			return true
		}
	}
	return false
}

// Syncs counts the files' syncs so far.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Bytes returns a copy of a file's content, nil if there is no such file.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.names[name]; n != nil {
		return bytes.Clone(n.data)
	}
	return nil
}

// Put makes a durable file, or replaces its content.
func (d *Disk) Put(name string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &inode{data: bytes.Clone(b), safe: bytes.Clone(b)}
	d.names[name], d.durable[name] = n, n
}

// begin runs the hook, which must be without the lock, and returns with the
// lock held. It fails if the hook does, or if the disk crashed since boot.
func (d *Disk) begin(boot int, op Op) error {
	d.mu.Lock()
	hook := d.hook
	d.mu.Unlock()
	var err error
	if hook != nil {
		err = hook(op)
	}
	d.mu.Lock()
	if d.boot != boot {
		return ErrCrashed
	}
	return err
}

func (d *Disk) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boot
}

// Open opens a file with the flags of package os.
func (d *Disk) Open(name string, flag int) (File, error) {
	boot := d.now()
	d.mu.Lock()
	n := d.names[name]
	d.mu.Unlock()
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil:
		var err error
		if n, err = d.create(boot, name); err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
	return &file{d: d, n: n, name: name, boot: boot}, nil
}

func (d *Disk) create(boot int, name string) (*inode, error) {
	err := d.begin(boot, Op{Kind: Create, Name: name})
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := new(inode)
	d.names[name] = n
	return n, nil
}

// List returns the names in dir, sorted.
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remove removes a name; its content lives on in open files.
func (d *Disk) Remove(name string) error {
	err := d.begin(d.now(), Op{Kind: Remove, Name: name})
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	return nil
}

// SyncDir makes the names in dir durable.
func (d *Disk) SyncDir(dir string) error {
	err := d.begin(d.now(), Op{Kind: SyncDir, Name: dir})
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	in := func(name string) bool { return filepath.Dir(name) == filepath.Clean(dir) }
	maps.DeleteFunc(d.durable, func(name string, _ *inode) bool { return in(name) && d.names[name] == nil })
	for name, n := range d.names {
		if in(name) {
			d.durable[name] = n
		}
	}
	return nil
}

// Lock takes dir until it is closed or the disk crashes.
func (d *Disk) Lock(dir string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if boot, taken := d.locks[dir]; taken && boot == d.boot {
		return nil, &fs.PathError{Op: "lock", Path: dir, Err: syscall.EWOULDBLOCK}
	}
	d.locks[dir] = d.boot
	return unlock{d, dir, d.boot}, nil
}

type unlock struct {
	d    *Disk
	dir  string
	boot int
}

func (u unlock) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	if u.d.locks[u.dir] == u.boot {
		delete(u.d.locks, u.dir)
	}
	return nil
}

// Free returns the bytes that are left, and the capacity.
func (d *Disk) Free(string) (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity == 0 {
		return 1 << 50, 1 << 50, nil
	}
	return max(d.left(), 0), d.capacity, nil
}

func (d *Disk) left() int64 {
	left := d.capacity
	for _, n := range d.names {
		left -= int64(len(n.data))
	}
	return left
}

// file is an open file.
type file struct {
	d    *Disk
	n    *inode
	name string
	boot int
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.boot != f.d.boot {
		return 0, ErrCrashed
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes what there is room for.
func (f *file) WriteAt(b []byte, off int64) (int, error) {
	err := f.d.begin(f.boot, Op{Write, f.name, off, int64(len(b))})
	defer f.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n := int64(len(b))
	if grow := off + n - int64(len(f.n.data)); f.d.capacity > 0 && grow > 0 {
		n -= max(grow-max(f.d.left(), 0), 0)
	}
	if n = max(n, 0); n > 0 {
		f.change(change{off, bytes.Clone(b[:n])})
	}
	if n < int64(len(b)) {
		return int(n), &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return int(n), nil
}

// change is a change that is not yet durable. f.d.mu is held.
func (f *file) change(c change) {
	f.n.data = c.apply(f.n.data)
	f.n.pending = append(f.n.pending, c)
}

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.boot != f.d.boot {
		return 0, ErrCrashed
	}
	return int64(len(f.n.data)), nil
}

func (f *file) Truncate(size int64) error {
	err := f.d.begin(f.boot, Op{Truncate, f.name, size, 0})
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	f.change(change{off: size})
	return nil
}

func (f *file) Sync() error {
	err := f.d.begin(f.boot, Op{Kind: Sync, Name: f.name})
	defer f.d.mu.Unlock()
	if err == nil {
		f.d.syncs++
		for _, c := range f.n.pending {
			f.n.safe = c.apply(f.n.safe)
		}
	}
	if f.boot == f.d.boot {
		f.n.pending = nil
	}
	return err
}

func (f *file) Allocate(n int64) error {
	err := f.d.begin(f.boot, Op{Kind: Allocate, Name: f.name, N: n})
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	if f.d.capacity > 0 && n-int64(len(f.n.data)) > f.d.left() {
		return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
	}
	f.change(change{off: n})
	return nil
}

// Punch writes zeros: that is how a hole reads.
func (f *file) Punch(off, n int64) error {
	err := f.d.begin(f.boot, Op{Punch, f.name, off, n})
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	f.change(change{off, make([]byte, n)})
	return nil
}

func (f *file) Close() error { return nil }
