package lake

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"gatehouse/internal/event"
)

// A Builder writes events to Parquet files of one folder, within bounded
// memory: rows are collected up to a row group, sorted by time, and written
// column by column. It belongs to one goroutine.
//
// After an error of Add or Flush other than a *RowError a builder is of no more
// use; the files that it was writing are then incomplete.
type Builder struct {
	o       BuilderOptions
	rows    rows
	tree    *tree // nil: no catalogue
	w       *parquet.GenericWriter[any]
	cells   [][]parquet.Value // a block of rows by column, between rows and w
	out     *output           // the open file, nil when none is
	file    File              // what is known of it
	started int               // files begun
	done    []File
}

// BuilderOptions say where a builder writes. Zero fields take the defaults.
type BuilderOptions struct {
	Dir  string
	FS   FS                 // the system's
	Name func(n int) string // of the n-th file; "000000.parquet" and so on
	// GroupRows and GroupBytes bound a row group, and GroupBytes the memory of
	// the builder; 122,880 rows and 64 MiB before compression.
	GroupRows, GroupBytes int
	// FileRows and FileBytes end a file at the next row group; 1 M rows and
	// 256 MiB after compression.
	FileRows, FileBytes int64
	// Sync makes the files' contents durable. Their names need FS.SyncDir.
	Sync bool
	// NoCatalogue leaves out the listing of paths.
	NoCatalogue bool
	// Level of zstd; the fastest.
	Level zstd.Level
	// Brief files live for one question. They are compressed less, for writing
	// in half the time what is read once or twice.
	Brief bool

	meta func() string // what the footer says of paths, for a lake
}

// pathsKey is under which the footer of a segment lists its paths.
const pathsKey = "gatehouse.paths"

// A File is one Parquet file of events.
type File struct {
	Path    string
	Strand  event.Strand // "" when it holds several
	Day     string       // 2026-03-01, UTC; "" when it holds several
	Rows    int64
	Bytes   int64
	MinTime time.Time
	MaxTime time.Time
	CRC     uint32 // CRC-32C of the whole file
}

// A RowError is an event that was not added; the builder goes on.
type RowError struct{ Err error }

func (e *RowError) Error() string { return e.Err.Error() }

// blockRows is how many rows are turned into columns at a time.
const blockRows = 256

// NewBuilder returns a builder. It touches nothing before the first Flush or
// full row group.
func NewBuilder(o BuilderOptions) *Builder {
	setDefault(&o.GroupRows, 122_880)
	setDefault(&o.GroupBytes, 64<<20)
	setDefault(&o.FileRows, 1<<20)
	setDefault(&o.FileBytes, 256<<20)
	setDefault(&o.Level, zstd.SpeedFastest)
	if o.FS == nil {
		o.FS = OSFS{}
	}
	if o.Name == nil {
		o.Name = func(n int) string { return fmt.Sprintf("%06d.parquet", n) }
	}
	b := &Builder{o: o, rows: rows{room: o.GroupBytes + o.GroupBytes/8}, cells: make([][]parquet.Value, numColumns)}
	for col := range b.cells {
		b.cells[col] = make([]parquet.Value, blockRows)
	}
	if !o.NoCatalogue {
		b.tree = newTree()
	}
	codec := compress.Codec(&zstd.Codec{Level: o.Level})
	if o.Brief {
		codec = &snappy.Codec{}
	}
	b.w = parquet.NewGenericWriter[any](io.Discard, writerOptions(codec)...)
	return b
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Add copies e. Its error is a *RowError when only e is at fault.
func (b *Builder) Add(e *event.Event) error {
	if err := b.rows.add(e); err != nil {
		return &RowError{err}
	}
	return b.added()
}

// copy adds a row of r.
func (b *Builder) copy(r *rows, row rowAt) error {
	b.rows.copy(r, row)
	return b.added()
}

// added lists the paths of the row that was just added, and writes the row
// group when it is full.
func (b *Builder) added() error {
	if b.tree != nil {
		b.tree.add(b.rows.raw(b.rows.at[len(b.rows.at)-1]))
	}
	if len(b.rows.at) >= b.o.GroupRows || len(b.rows.buf) >= b.o.GroupBytes {
		return b.flushGroup()
	}
	return nil
}

// Flush completes the files and returns them, with the catalogue of all that
// was added since the last Flush (empty under NoCatalogue). The builder can be
// used again.
func (b *Builder) Flush() ([]File, *Catalogue, error) {
	if err := b.flushGroup(); err != nil {
		return nil, nil, err
	}
	if err := b.closeFile(); err != nil {
		return nil, nil, err
	}
	files, c := b.done, new(Catalogue)
	if b.done = nil; b.tree != nil {
		c, b.tree = b.tree.catalogue(), newTree()
	}
	return files, c, nil
}

// Close gives up what was not flushed. It is for the path of errors.
func (b *Builder) Close() {
	if b.out != nil {
		b.out.h.Close()
		b.out = nil
	}
	b.rows = rows{}
}

func (b *Builder) flushGroup() error {
	if len(b.rows.at) == 0 {
		return nil
	}
	b.rows.sort()
	if err := b.openFile(); err != nil {
		return err
	}
	for at := 0; at < len(b.rows.at); at += blockRows {
		if err := b.writeBlock(b.rows.at[at:min(at+blockRows, len(b.rows.at))]); err != nil {
			return fmt.Errorf("write %s: %w", b.file.Path, err)
		}
	}
	if err := b.w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", b.file.Path, err)
	}
	b.note()
	b.rows.reset(b.o.GroupBytes + b.o.GroupBytes/4)
	if b.file.Rows >= b.o.FileRows || b.out.off >= b.o.FileBytes {
		return b.closeFile()
	}
	return nil
}

// note adds the sorted rows to what is known of the file.
func (b *Builder) note() {
	first, last := b.rows.at[0], b.rows.at[len(b.rows.at)-1]
	if t := time.UnixMilli(first.ms).UTC(); b.file.Rows == 0 || t.Before(b.file.MinTime) {
		b.file.MinTime = t
	}
	if t := time.UnixMilli(last.ms).UTC(); b.file.Rows == 0 || t.After(b.file.MaxTime) {
		b.file.MaxTime = t
	}
	b.file.Rows += int64(len(b.rows.at))
}

// writeBlock hands a block of rows to the writer, column by column.
func (b *Builder) writeBlock(block []rowAt) error {
	for col := range b.cells {
		clear(b.cells[col][:len(block)]) // null
	}
	for i, row := range block {
		b.rows.cells(row, func(col int, v parquet.Value) { b.cells[col][i] = v.Level(0, 1, col) })
	}
	for col, w := range b.w.ColumnWriters() {
		if err := writeColumn(w, b.cells[col][:len(block)], wide(col)); err != nil {
			return fmt.Errorf("column %s: %w", columnName(col), err)
		}
	}
	return nil
}

// writeColumn writes the values, of a wide column in steps of about a page: the
// writer looks at the size of its page between calls only.
func writeColumn(w *parquet.ColumnWriter, values []parquet.Value, wide bool) error {
	for len(values) > 0 {
		n, size := len(values), 0
		for i := 0; wide && i < n; i++ {
			if size += len(values[i].ByteArray()); size >= pageBytes {
				n = i + 1
			}
		}
		if _, err := w.WriteRowValues(values[:n]); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func (b *Builder) openFile() error {
	if b.out != nil {
		return nil
	}
	path := filepath.Join(b.o.Dir, b.o.Name(b.started))
	h, err := b.o.FS.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("make a segment: %w", err)
	}
	b.started++
	b.file = File{Path: path}
	b.out = &output{h: h}
	b.w.Reset(b.out)
	return nil
}

func (b *Builder) closeFile() error {
	if b.out == nil {
		return nil
	}
	if b.o.meta != nil {
		b.w.SetKeyValueMetadata(pathsKey, b.o.meta())
	}
	err := b.w.Close()
	if err == nil && b.o.Sync {
		err = b.out.h.Sync()
	}
	if cerr := b.out.h.Close(); err == nil {
		err = cerr
	}
	b.file.Bytes, b.file.CRC = b.out.off, b.out.crc
	b.out = nil
	if err != nil {
		return fmt.Errorf("write %s: %w", b.file.Path, err)
	}
	b.done = append(b.done, b.file)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// output makes a Handle a writer, with a checksum of what it wrote.
type output struct {
	h   Handle
	off int64
	crc uint32
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.h.WriteAt(p, o.off)
	o.crc = crc32.Update(o.crc, castagnoli, p[:n])
	o.off += int64(n)
	return n, err
}
