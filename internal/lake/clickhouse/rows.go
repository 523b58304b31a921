package clickhouse

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

const (
	maxColumns = 1 << 14
	maxName    = 64 << 10
	maxText    = 256 << 20 // one value
)

// rows reads a reply in RowBinaryWithNamesAndTypes. Nothing in it is trusted:
// lengths are bounded, types that are not known are refused by name, and a
// reply that ends within a row is an error.
type rows struct {
	q      *query
	in     *bufio.Reader
	cols   []lake.Col
	decode []decoder
	budget lake.Budget

	read   int64
	err    error
	over   bool
	closed bool
}

func (r *rows) Columns() []lake.Col { return r.cols }
func (r *rows) Err() error          { return r.err }

// header reads the names and types of the columns. The first is the mark.
func (r *rows) header() error {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return r.q.broken(err)
	}
	if n < 2 || n > maxColumns {
		return r.q.broken(fmt.Errorf("the reply has %d columns", n))
	}
	texts := make([]string, 2*n)
	for i := range texts {
		if texts[i], err = readText(r.in, maxName); err != nil {
			return r.q.broken(err)
		}
	}
	if texts[n] != "UInt8" {
		return r.q.broken(fmt.Errorf("the reply begins with a column of type %s", texts[n]))
	}
	for i := uint64(1); i < n; i++ {
		d, col, err := decoderOf(texts[n+i])
		if err != nil {
			return &lake.SQLError{Message: fmt.Sprintf("column %q: %v", texts[i], err)}
		}
		col.Name = texts[i]
		r.cols, r.decode = append(r.cols, col), append(r.decode, d)
	}
	return nil
}

// Next gives one row. Its texts are copies.
func (r *rows) Next(row []event.Value) bool {
	if r.closed || r.over || !r.begin() {
		r.over = true
		return false
	}
	if r.read == r.budget.Rows {
		r.over, r.err = true, &lake.BudgetError{Spent: lake.SpentRows, Budget: r.budget}
		return false
	}
	for i, d := range r.decode {
		v, err := d(r.in)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			r.over, r.err = true, r.q.broken(fmt.Errorf("row %d, column %q: %w", r.read+1, r.cols[i].Name, err))
			return false
		}
		row[i] = v
	}
	r.read++
	return true
}

// begin reads the mark of a row. Anything else is the text of an error that the
// server met after it had begun to answer.
func (r *rows) begin() bool {
	b, err := r.in.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		r.q.whole = true
		if r.q.caller.Err() != nil {
			r.err = r.q.caller.Err()
		}
		return false
	case err != nil:
		r.err = r.q.broken(err)
		return false
	case b == mark:
		return true
	}
	message, err := io.ReadAll(io.LimitReader(r.in, maxMessage))
	r.q.whole = err == nil && len(message) < maxMessage
	r.err = r.q.failure(0, string(b)+string(message))
	return false
}

// Close ends the query. It may be called again, and while rows are left.
func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.q.end()
	return nil
}

func readText(in *bufio.Reader, most uint64) (string, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return "", err
	}
	if n > most {
		return "", fmt.Errorf("a text of %d bytes", n)
	}
	return readN(in, n)
}

// readN reads n bytes, taking memory as they arrive.
func readN(in *bufio.Reader, n uint64) (string, error) {
	if n <= 64<<10 {
		b := make([]byte, n)
		_, err := io.ReadFull(in, b)
		return string(b), err
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err == nil && uint64(len(b)) < n {
		err = io.ErrUnexpectedEOF
	}
	return string(b), err
}
