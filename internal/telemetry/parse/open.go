package parse

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxWrappings bounds archives inside archives.
const maxWrappings = 4

// unwrapped is a stream without what it was wrapped in. Nothing of it is held
// but windows of decompression, so that a small file which unpacks to a huge
// one costs time and no memory.
type unwrapped struct {
	io.Reader
	closers []func()
}

// open takes off archives and encodings, as their first bytes tell. It reads
// pieces of size bytes.
func open(r io.Reader, size int) (*unwrapped, error) {
	u := &unwrapped{}
	for range maxWrappings {
		b := bufio.NewReaderSize(r, size)
		head, err := b.Peek(4)
		if err != nil && err != io.EOF && len(head) == 0 {
			return u, err
		}
		u.Reader = b
		switch {
		case bytes.HasPrefix(head, []byte("\x1f\x8b")):
			z, err := gzip.NewReader(b)
			if err != nil {
				return u, err
			}
			r = z
		case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
			z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
			if err != nil {
				return u, err
			}
			u.closers = append(u.closers, z.Close)
			r = z
		default:
			u.Reader = decoded(b, head)
			return u, nil
		}
	}
	u.Reader = r
	return u, nil
}

func (u *unwrapped) close() {
	for _, f := range u.closers {
		f()
	}
}

// decoded reads text of PowerShell's and others' making as UTF-8.
func decoded(b *bufio.Reader, head []byte) io.Reader {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), len(head) > 3 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return utf16(b, unicode.LittleEndian)
	case bytes.HasPrefix(head, []byte("\xfe\xff")), len(head) > 3 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return utf16(b, unicode.BigEndian)
	}
	return b
}

func utf16(b *bufio.Reader, e unicode.Endianness) io.Reader {
	return transform.NewReader(b, unicode.UTF16(e, unicode.UseBOM).NewDecoder())
}
