package disk

import "io/fs"

// Rename is the kind of operation that hooks see of Disk.Rename; its Name is
// the new one.
const Rename Kind = "rename"

// Rename replaces what stands at the new name in one step. Until SyncDir, a
// crash may undo it; what it replaced is never lost without the new being
// there.
func (d *Disk) Rename(from, to string) error {
	err := d.begin(d.now(), Op{Kind: Rename, Name: to})
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	n := d.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	d.names[to] = n
	delete(d.names, from)
	return nil
}
