package duck

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// The pipes of a child carry frames: a letter, the length of the rest as 32
// bits, big-endian, and the rest.
//
//	to the child     Q  a statement, JSON (question); T frames follow, then G
//	                 T  rows of a table of the request: its number, then rows
//	                 G  go
//	                 C  cancel
//	from the child   H  columns of the result, JSON; rows follow
//	                 R  rows
//	                 P  progress, a float64
//	                 E  the end, JSON (ending); the child waits for the next Q
//
// Rows are cells in the order of the columns, each a kind and its value.
const (
	frameQuery, frameTemp, frameGo, frameCancel           = 'Q', 'T', 'G', 'C'
	frameHeader, frameRows, frameProgress, frameEnd       = 'H', 'R', 'P', 'E'
	frameHead                                             = 5
	maxFrame                                        int64 = 256 << 20
	batchBytes                                            = 128 << 10 // rows are sent when they are this many
)

// question is a request without the rows of its tables.
type question struct {
	Options Options
	SQL     string
	Files   []string
	Temps   []lake.Temp
	Budget  lake.Budget
	From    time.Time
	To      time.Time
}

// ending is how a query ended: well, when all is empty.
type ending struct {
	Spent   lake.Spent `json:",omitempty"` // a bound
	SQL     string     `json:",omitempty"` // the statement's fault
	Engine  string     `json:",omitempty"` // DuckDB's
	Stopped bool       `json:",omitempty"` // cancelled
}

func endingOf(err error) ending {
	var budget *lake.BudgetError
	var sql *lake.SQLError
	switch {
	case err == nil:
		return ending{}
	case errors.As(err, &budget):
		return ending{Spent: budget.Spent}
	case errors.As(err, &sql):
		return ending{SQL: sql.Message}
	case errors.Is(err, lake.ErrEngine):
		return ending{Engine: err.Error()}
	}
	return ending{Stopped: true}
}

func (e ending) err(b lake.Budget) error {
	switch {
	case e.Spent != "":
		return &lake.BudgetError{Spent: e.Spent, Budget: b}
	case e.SQL != "":
		return &lake.SQLError{Message: e.SQL}
	case e.Engine != "":
		return fmt.Errorf("%w: in a child: %s", lake.ErrEngine, e.Engine)
	case e.Stopped:
		return fmt.Errorf("%w: the query was stopped", lake.ErrEngine)
	}
	return nil
}

func writeFrame(w io.Writer, kind byte, payload []byte) error {
	if int64(len(payload)) > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", lake.ErrEngine, len(payload))
	}
	head := [frameHead]byte{kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// readFrame reads one frame into buf, which grows with the bytes that really
// arrive, not with the length that is claimed.
func readFrame(r io.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, buf, err
	}
	left := int64(binary.BigEndian.Uint32(head[1:]))
	if left > maxFrame {
		return 0, buf, fmt.Errorf("%w: a frame of %d bytes", errProtocol, left)
	}
	buf = buf[:0]
	for left > 0 {
		step := int(min(left, 1<<20))
		at := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return 0, buf, err
		}
		left -= int64(step)
	}
	return head[0], buf, nil
}

func writeJSON(w io.Writer, kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, text)
}

// appendCell adds one cell to a batch.
func appendCell(b []byte, v event.Value) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case event.Text:
		b = binary.AppendUvarint(b, uint64(len(v.S)))
		b = append(b, v.S...)
	case event.Int, event.Bool:
		b = binary.AppendVarint(b, v.N)
	case event.Float:
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.F))
	}
	return b
}

// cell reads one cell from the front of a batch.
func cell(b []byte) (v event.Value, rest []byte, err error) {
	if len(b) == 0 {
		return v, nil, errProtocol
	}
	v.Kind, b = event.Kind(b[0]), b[1:]
	switch v.Kind {
	case event.None:
	case event.Text:
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return v, nil, errProtocol
		}
		v.S, b = string(b[used:used+int(n)]), b[used+int(n):]
	case event.Int, event.Bool:
		n, used := binary.Varint(b)
		if used <= 0 {
			return v, nil, errProtocol
		}
		v.N, b = n, b[used:]
	case event.Float:
		if len(b) < 8 {
			return v, nil, errProtocol
		}
		v.F, b = math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:]
	default:
		return v, nil, errProtocol
	}
	return v, b, nil
}
