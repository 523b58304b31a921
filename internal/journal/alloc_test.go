//go:build !race

package journal_test

import (
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// TestAppendAllocates: next to nothing for a record. (The race detector makes sync.Pool forget.)
func TestAppendAllocates(t *testing.T) {
	o := inMemory(disk.New(0))
	o.FS = discard{o.FS}
	j, _ := open(t, o, nil)
	meta, body := make([]byte, 200), make([]byte, 1000)
	j.Append(2, meta, body, nil)
	if n := testing.AllocsPerRun(1000, func() { j.Append(2, meta, body, nil) }); n > 0.5 {
		t.Errorf("%v allocations for an append, want none", n)
	}
}

// discard is a disk whose files forget everything at once.
type discard struct{ journal.FS }

type discardFile struct{ journal.File }

func (d discard) Open(name string, flag int) (journal.File, error) {
	f, err := d.FS.Open(name, flag)
	return discardFile{f}, err
}
func (discardFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
