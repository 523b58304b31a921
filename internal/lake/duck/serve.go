package duck

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// ServeChild is the main of a child: it answers questions from stdin on stdout,
// one after another, until stdin ends, which ends the process even while a
// query runs, so that no child outlives its parent. It lowers its own place
// among the machine's processes first.
func ServeChild(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	if err := stepBack(); err != nil {
		return fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	s := &server{out: bufio.NewWriterSize(stdout, 64<<10), asked: make(chan asked)}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	returned := make(chan struct{})
	defer close(returned)
	go func() {
		failed <- s.listen(ctx, stdin)
		stop()
		select {
		case <-returned:
		case <-time.After(orphanGrace):
			os.Exit(1)
		}
	}()
	var temp string
	defer func() { _ = os.RemoveAll(temp) }() // as its parent would, if it still could
	for {
		select {
		case q := <-s.asked:
			temp = q.Options.Temp
			if err := s.answer(q); err != nil {
				return err
			}
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// orphanGrace is how long a query may go on when the parent is gone.
const orphanGrace = 3 * time.Second

// asked is a question and the context that a C frame ends.
type asked struct {
	question
	ctx context.Context
}

// server is the child's side of the pipes.
type server struct {
	asked chan asked

	mu     sync.Mutex // guards out, which progress writes beside rows
	out    *bufio.Writer
	cancel context.CancelFunc
}

// listen reads frames until stdin ends.
func (s *server) listen(ctx context.Context, stdin io.Reader) error {
	in := bufio.NewReaderSize(stdin, 64<<10)
	var q question
	var buf []byte
	for {
		kind, payload, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		buf = payload[:0]
		switch kind {
		case frameQuery:
			q = question{}
			err = json.Unmarshal(payload, &q)
		case frameTemp:
			err = addRows(q.Temps, payload)
		case frameGo:
			s.asked <- asked{q, s.begin(ctx)}
			q = question{}
		case frameCancel:
			s.stop()
		default:
			err = errProtocol
		}
		if err != nil {
			return err
		}
	}
}

// begin makes the context of the query that is asked next. It is made here, so
// that a C frame right behind finds it.
func (s *server) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	return ctx
}

func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// addRows puts the rows of a T frame into its table.
func addRows(temps []lake.Temp, b []byte) error {
	n, used := binary.Uvarint(b)
	if used <= 0 || n >= uint64(len(temps)) || len(temps[n].Columns) == 0 {
		return errProtocol
	}
	t := &temps[n]
	for b = b[used:]; len(b) > 0; {
		row := make([]event.Value, len(t.Columns))
		for i := range row {
			var err error
			if row[i], b, err = cell(b); err != nil {
				return err
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return nil
}

// answer runs one query. Its error is one of the pipe.
func (s *server) answer(q asked) error {
	err := s.run(q)
	s.stop() // frees the context
	var broken *os.PathError
	if errors.As(err, &broken) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeJSON(s.out, frameEnd, endingOf(err)); err != nil {
		return err
	}
	return s.out.Flush()
}

func (s *server) run(q asked) error {
	if err := boundMemory(q.Budget.Memory); err != nil {
		return fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	e, err := Open(q.Options)
	if err != nil {
		return err
	}
	rows, err := e.Query(q.ctx, lake.Request{SQL: q.SQL, Files: q.Files, Temps: q.Temps, Budget: q.Budget, From: q.From, To: q.To, Progress: s.progress})
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := s.header(rows.Columns()); err != nil {
		return err
	}
	if err := s.rows(rows); err != nil {
		return err
	}
	return rows.Err()
}

func (s *server) header(cols []lake.Col) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeJSON(s.out, frameHeader, cols); err != nil {
		return err
	}
	return s.out.Flush()
}

func (s *server) rows(rows lake.Rows) error {
	row := make([]event.Value, len(rows.Columns()))
	var b []byte
	for rows.Next(row) {
		for _, v := range row {
			b = appendCell(b, v)
		}
		if len(b) > batchBytes {
			if err := s.send(frameRows, b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if len(b) == 0 {
		return nil
	}
	return s.send(frameRows, b)
}

func (s *server) send(kind byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFrame(s.out, kind, payload); err != nil {
		return err
	}
	return s.out.Flush()
}

// progress is called beside the query. An error shows at the next frame.
func (s *server) progress(done float64) {
	_ = s.send(frameProgress, binary.BigEndian.AppendUint64(nil, math.Float64bits(done)))
}
