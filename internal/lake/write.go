package lake

import (
	"errors"
	"io"
	"iter"
	"math"

	"gatehouse/internal/event"
)

// Write writes events as one Parquet file to w, in row groups that are each
// sorted by time, and returns their catalogue. Options of files do not apply.
// An event that is too large to be kept ends it.
func Write(w io.Writer, events iter.Seq[*event.Event], o BuilderOptions) (*Catalogue, error) {
	o.FS, o.FileRows, o.FileBytes, o.Sync = single{w}, math.MaxInt64, math.MaxInt64, false
	b := NewBuilder(o)
	defer b.Close()
	for e := range events {
		if err := b.Add(e); err != nil {
			return nil, err
		}
	}
	if b.started == 0 { // a file without rows is a file too
		if err := b.openFile(); err != nil {
			return nil, err
		}
	}
	_, c, err := b.Flush()
	return c, err
}

// single is an FS that is one stream, opened once and written from its start.
type single struct{ w io.Writer }

var errStream = errors.New("a stream is only written")

func (s single) Open(string, int) (Handle, error)       { return s, nil }
func (s single) WriteAt(p []byte, _ int64) (int, error) { return s.w.Write(p) }
func (s single) ReadAt([]byte, int64) (int, error)      { return 0, errStream }
func (s single) Size() (int64, error)                   { return 0, errStream }
func (s single) Close() error                           { return nil }
func (s single) Sync() error                            { return nil }
func (s single) List(string) ([]string, error)          { return nil, errStream }
func (s single) Rename(string, string) error            { return errStream }
func (s single) Remove(string) error                    { return errStream }
func (s single) SyncDir(string) error                   { return errStream }
func (s single) Lock(string) (io.Closer, error)         { return nil, errStream }
