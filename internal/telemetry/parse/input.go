package parse

import (
	"bytes"
	"cmp"
	"io"
)

// input is a window over a stream. What lies between keep and pos stays in the
// window however often it is filled; its user bounds that length.
type input struct {
	r              io.Reader
	first          int // size of the first window; 0: windowSize
	buf            []byte
	keep, pos, end int
	base           int64 // offset in the stream of buf[0]
	lines          int64 // line breaks before buf[counted]
	counted        int
	err            error // why no more can be read; io.EOF at the end
}

const (
	windowSize  = 256 << 10
	smallWindow = 4 << 10 // of what comes inside a record
)

// fill reads more behind end, and reports whether it did.
func (in *input) fill() bool {
	if in.err != nil {
		return false
	}
	if in.end == len(in.buf) {
		in.room()
	}
	for range 100 { // a reader may return nothing a few times
		n, err := in.r.Read(in.buf[in.end:])
		in.end += n
		in.err = err
		if n > 0 || err != nil {
			return n > 0
		}
	}
	in.err = io.ErrNoProgress
	return false
}

// room makes room behind end, by moving what is kept to the front or by
// doubling the window.
func (in *input) room() {
	in.count(in.keep)
	to := in.buf
	if in.keep < len(in.buf)/2 || len(in.buf) == 0 {
		to = make([]byte, max(cmp.Or(in.first, windowSize), 2*len(in.buf)))
	}
	copy(to, in.buf[in.keep:in.end])
	in.buf = to
	in.base += int64(in.keep)
	in.pos, in.end, in.counted, in.keep = in.pos-in.keep, in.end-in.keep, in.counted-in.keep, 0
}

// count brings the count of lines up to the byte at i.
func (in *input) count(i int) {
	if i > in.counted {
		in.lines += int64(bytes.Count(in.buf[in.counted:i], []byte{'\n'}))
		in.counted = i
	}
}

// here is the place of the byte at pos.
func (in *input) here() place {
	in.count(in.pos)
	return place{in.base + int64(in.pos), in.lines + 1}
}

// peek returns the next byte that is none of skip, without taking it.
func (in *input) peek(skip string) (byte, bool) {
	for {
		for in.pos < in.end {
			if c := in.buf[in.pos]; !isOneOf(c, skip) {
				return c, true
			}
			in.pos++
		}
		in.keep = in.pos
		if !in.fill() {
			return 0, false
		}
	}
}

func isOneOf(c byte, set string) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
