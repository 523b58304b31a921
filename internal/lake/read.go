package lake

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"gatehouse/internal/event"
)

// source is a segment being read in order, for merging. Files are read by the
// names of their columns, so that one written with another table of columns
// can be read too; columns that are gone are left out, _raw has their values.
type source struct {
	h       Handle
	file    *parquet.File
	cols    []int // by column of the file: the column here, -1 for none
	group   int   // the next row group
	left    int   // rows of the present one that are not decoded
	readers []*columnReader
	rows    rows // decoded and not yet taken
	at      int
}

// batchRows are decoded at a time.
const batchRows = 64

// errDamaged is wrapped when a file is not what was written, rather than not
// to be had at the moment.
var errDamaged = errors.New("damaged")

// openSource opens a segment after comparing its checksum.
func openSource(fsys FS, dir string, s segment) (*source, error) {
	h, err := fsys.Open(filepath.Join(dir, s.Name), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is missing", errDamaged)
	}
	if err != nil {
		return nil, err
	}
	src := &source{h: h}
	if err := src.begin(s); err != nil {
		h.Close()
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return src, nil
}

func (s *source) begin(seg segment) error {
	if err := checkFile(s.h, seg.Bytes, seg.CRC); err != nil {
		return err
	}
	f, err := parquet.OpenFile(s.h, seg.Bytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	s.file = f
	for _, path := range f.Schema().Columns() {
		col := -1
		if f, ok := event.Lookup(path[0]); ok {
			col = int(f)
		}
		if path[0] == RawColumn {
			col = rawField
		}
		s.cols = append(s.cols, col)
	}
	return nil
}

// checkFile tells whether a file is as it was written.
func checkFile(h Handle, size int64, crc uint32) error {
	n, err := h.Size()
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: it has %d bytes and should have %d", errDamaged, n, size)
	}
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, io.NewSectionReader(h, 0, n)); err != nil {
		return err
	}
	if sum.Sum32() != crc {
		return fmt.Errorf("%w: its checksum differs from the one it was written with", errDamaged)
	}
	return nil
}

func (s *source) close() {
	s.closeGroup()
	s.h.Close()
}

// paths is the catalogue of the segment, empty when it has none.
func (s *source) paths() *Catalogue {
	text, _ := s.file.Lookup(pathsKey)
	c, err := decodePaths(text)
	if err != nil {
		return new(Catalogue)
	}
	return c
}

// peek returns the next row, and false at the end. take moves on.
func (s *source) peek() (rowAt, bool, error) {
	for s.at >= len(s.rows.at) {
		more, err := s.fill()
		if err != nil || !more {
			return rowAt{}, false, err
		}
	}
	return s.rows.at[s.at], true, nil
}

func (s *source) take() { s.at++ }

// fill decodes the next rows.
func (s *source) fill() (bool, error) {
	s.rows.reset(8 << 20)
	s.at = 0
	for s.left == 0 {
		if s.group == len(s.file.RowGroups()) {
			return false, nil
		}
		s.openGroup()
	}
	n := min(s.left, batchRows)
	for _, r := range s.readers {
		if err := r.read(n); err != nil {
			return false, fmt.Errorf("column %s: %w", columnName(r.col), err)
		}
	}
	for i := range n {
		s.decode(i)
	}
	s.left -= n
	return true, nil
}

// openGroup starts reading the next row group: only the columns that have
// values in it, which are a third in most strands.
func (s *source) openGroup() {
	s.closeGroup()
	g := s.file.RowGroups()[s.group]
	for i, chunk := range g.ColumnChunks() {
		meta := &s.file.Metadata().RowGroups[s.group].Columns[i].MetaData
		if s.cols[i] >= 0 && (meta.Statistics.NullCount < meta.NumValues || meta.NumValues == 0) {
			s.readers = append(s.readers, &columnReader{col: s.cols[i], pages: chunk.Pages()})
		}
	}
	s.left = int(g.NumRows())
	s.group++
}

func (s *source) closeGroup() {
	for _, r := range s.readers {
		r.close()
	}
	s.readers = s.readers[:0]
}

// decode turns the i-th row of a batch into one of ours.
func (s *source) decode(i int) {
	r := &s.rows
	from := len(r.buf)
	var ms int64
	var raw []byte
	for _, c := range s.readers {
		v := c.batch[i]
		switch {
		case v.IsNull():
		case c.col == rawField:
			raw = v.ByteArray()
		default:
			if c.col == int(event.MessageTime) {
				ms = v.Int64()
			}
			r.buf = appendParquet(r.buf, c.col, v)
		}
	}
	r.end(from, ms, raw)
}

// columnReader reads one column of a row group, a batch at a time. A batch is
// good until the next.
type columnReader struct {
	col    int
	pages  parquet.Pages
	values parquet.ValueReader // of the last page in held
	held   []parquet.Page      // pages that the batch points into
	batch  [batchRows]parquet.Value
}

func (c *columnReader) read(n int) error {
	for len(c.held) > 1 || c.values == nil && len(c.held) > 0 {
		parquet.Release(c.held[0])
		c.held = c.held[1:]
	}
	for got := 0; got < n; {
		if c.values == nil {
			p, err := c.pages.ReadPage()
			if err != nil {
				return err
			}
			c.held, c.values = append(c.held, p), p.Values()
		}
		m, err := c.values.ReadValues(c.batch[got:n])
		got += m
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || m == 0 {
			c.values = nil
		}
	}
	return nil
}

func (c *columnReader) close() {
	for _, p := range c.held {
		parquet.Release(p)
	}
	c.pages.Close()
}

func appendParquet(b []byte, col int, v parquet.Value) []byte {
	switch kind := event.Columns[col].Kind; {
	case kind == event.Text && v.Kind() == parquet.ByteArray:
		return appendText(b, col, v.ByteArray())
	case kind == event.Int && v.Kind() == parquet.Int64:
		return appendNumber(b, col, uint64(v.Int64()))
	case kind == event.Float && v.Kind() == parquet.Double:
		return appendNumber(b, col, math.Float64bits(v.Double()))
	case kind == event.Bool && v.Kind() == parquet.Boolean && v.Boolean():
		return appendNumber(b, col, 1)
	case kind == event.Bool && v.Kind() == parquet.Boolean:
		return appendNumber(b, col, 0)
	}
	return b // the column has had another kind
}

// ids calls f with the id of each row.
func (s *source) ids(f func(event.ID)) error {
	for col, to := range s.cols {
		if to != int(event.MessageID) {
			continue
		}
		for _, g := range s.file.RowGroups() {
			if err := pageIDs(g.ColumnChunks()[col].Pages(), f); err != nil {
				return err
			}
		}
	}
	return nil
}

func pageIDs(pages parquet.Pages, f func(event.ID)) error {
	defer pages.Close()
	values := make([]parquet.Value, 1024)
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for r := p.Values(); ; {
			n, err := r.ReadValues(values)
			for _, v := range values[:n] {
				var id event.ID
				if _, err := hex.Decode(id[:], v.ByteArray()[:min(len(v.ByteArray()), 2*len(id))]); err == nil {
					f(id)
				}
			}
			if err != nil || n == 0 {
				break
			}
		}
		parquet.Release(p)
	}
}
