package telemetry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"gatehouse/internal/event"
)

// DeadLetters keeps what could not be read: one JSON object a line, in a file
// of at most deadBytes, with the file before it beside. A disk that takes no
// more costs letters, never the path; Lost counts them.
type DeadLetters struct {
	mu   sync.Mutex
	dir  string
	file *os.File
	size int64
	lost int64
	now  func() time.Time
}

const (
	deadBytes = 64 << 20
	deadName  = "dead.jsonl"
	deadOld   = "dead.1.jsonl"
)

// letter is a line of the file. Body is text, or base64 where the bytes are none.
type letter struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Name   string    `json:"name"`
	Record int64     `json:"record,omitzero"`
	Line   int64     `json:"line,omitzero"`
	Offset int64     `json:"offset"`
	Code   string    `json:"code"`
	Reason string    `json:"reason"`
	Text   string    `json:"text,omitzero"`
	Base64 string    `json:"base64,omitzero"`
}

// OpenDead opens the dead letters in dir, which it makes when missing.
func OpenDead(dir string) (*DeadLetters, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d := &DeadLetters{dir: dir, now: time.Now}
	return d, d.open()
}

func (d *DeadLetters) open() (err error) {
	if d.file, err = os.OpenFile(filepath.Join(d.dir, deadName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	d.size, err = d.file.Seek(0, io.SeekEnd)
	return err
}

// Add writes one letter.
func (d *DeadLetters) Add(source string, p event.Problem) {
	l := letter{
		Time: d.now().UTC(), Source: source, Name: p.Origin.Name, Record: p.Origin.Record, Line: p.Origin.Line,
		Offset: p.Offset, Code: p.Code, Reason: p.Reason,
	}
	if b := p.Bytes[:min(len(p.Bytes), event.MaxProblemBytes)]; utf8.Valid(b) {
		l.Text = string(b)
	} else {
		l.Base64 = base64.StdEncoding.EncodeToString(b)
	}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(l); err != nil {
		return // a struct of texts and numbers always encodes
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.size+int64(line.Len()) > deadBytes {
		d.turn()
	}
	n, err := d.file.Write(line.Bytes())
	d.size += int64(n)
	if err != nil {
		d.lost++
	}
}

// turn begins a new file.
func (d *DeadLetters) turn() {
	d.file.Close()
	if err := os.Rename(d.file.Name(), filepath.Join(d.dir, deadOld)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.lost++
	}
	if d.open() != nil {
		d.lost++
	}
}

// Lost is how many letters could not be written.
func (d *DeadLetters) Lost() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// Close ends the writing.
func (d *DeadLetters) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file.Close()
}

// counter counts what is read of a delivery.
type counter struct {
	r   io.Reader
	n   int64
	all *atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if c.all != nil {
		c.all.Add(int64(n))
	}
	return n, err
}
