package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	region = "us-east-1"
	// Host of every signed request: proxies pass it on, so that one signature
	// serves the direct peer and both plain proxies.
	host = "bedrock-runtime.us-east-1.amazonaws.com"
	// The model's colon is escaped, as the SDKs send it.
	modelPath = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/"
)

// signed returns a whole HTTP/1.1 request, ready to be written any number of
// times while its signature is young.
func signed(creds aws.Credentials, operation string, body []byte) ([]byte, error) {
	r, err := http.NewRequest("POST", "http://"+host+modelPath+operation, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), "bedrock", region, time.Now()); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", modelPath, operation, host, len(body))
	r.Header.Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}

// converse is a Converse body of about size bytes.
func converse(size int) []byte {
	const head, tail = `{"messages":[{"role":"user","content":[{"text":"`, `"}]}],"inferenceConfig":{"maxTokens":200}}`
	words := strings.Repeat("Where is Lake Naivasha, and how deep is it? ", size/40+1)
	return []byte(head + words[:size-len(head)-len(tail)] + tail)
}

// conn is one keep-alive connection. It does as little as a client can, so that
// the load takes little of the core it shares.
type conn struct {
	c       net.Conn
	r       *bufio.Reader
	body    []byte // of the last answer
	in, out int64  // bytes
}

func dial(ctx context.Context, address string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 64<<10)}, nil
}

func (c *conn) close() { c.c.Close() }

var (
	contentLength = []byte("content-length:")
	chunked       = []byte("transfer-encoding: chunked")
)

// call sends a request and reads the whole answer, which must be a 200 that
// has want in it.
func (c *conn) call(request, want []byte) error {
	if err := c.send(request); err != nil {
		return err
	}
	status, length, err := c.head()
	if err != nil {
		return err
	}
	c.body = c.body[:0]
	if length >= 0 {
		err = c.take(length)
	} else {
		err = c.chunks(nil)
	}
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("status %d: %.300s", status, c.body)
	case !bytes.Contains(c.body, want):
		return fmt.Errorf("a wrong answer: %.300s", c.body)
	}
	return nil
}

func (c *conn) send(request []byte) error {
	n, err := c.c.Write(request)
	c.out += int64(n)
	return err
}

// head reads the status line and the header; length is -1 for chunks.
func (c *conn) head() (status, length int, err error) {
	length = -1
	isChunked := false
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		c.in += int64(len(line))
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first && len(line) > 12:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, 0, err
			}
		case len(line) == 0:
			if length < 0 && !isChunked {
				return 0, 0, errors.New("an answer with neither length nor chunks")
			}
			return status, length, nil
		case len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return 0, 0, err
			}
		case bytes.EqualFold(line, chunked):
			isChunked = true
		}
	}
}

// take appends n bytes to the body.
func (c *conn) take(n int) error {
	old := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.r, c.body[old:])
	c.in += int64(n)
	return err
}

// chunks appends all chunks to the body and tells of each, if asked.
func (c *conn) chunks(each func()) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return err
		}
		if n == 0 {
			return c.trailers()
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil {
			return err
		}
		if each != nil {
			each()
		}
	}
}

// trailers reads to the empty line behind the last chunk.
func (c *conn) trailers() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		c.in += int64(len(line))
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

// stream sends a request for a stream and returns when each of its frames had
// arrived whole, from the moment of sending.
func (c *conn) stream(request, want []byte, at []time.Duration) ([]time.Duration, error) {
	start := time.Now()
	if err := c.send(request); err != nil {
		return nil, err
	}
	status, length, err := c.head()
	if err != nil {
		return nil, err
	}
	c.body = c.body[:0]
	next := 0 // where the next frame begins
	seen := func() {
		now := time.Since(start)
		for len(c.body)-next >= 4 {
			n := int(binary.BigEndian.Uint32(c.body[next:]))
			if n <= 0 || len(c.body)-next < n {
				return
			}
			next += n
			at = append(at, now)
		}
	}
	if length >= 0 {
		err = c.take(length)
		seen()
	} else {
		err = c.chunks(seen)
	}
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("status %d: %.300s", status, c.body)
	case next != len(c.body) || len(at) == 0:
		return nil, fmt.Errorf("a stream of %d frames with %d bytes over", len(at), len(c.body)-next)
	case !bytes.Contains(c.body, want):
		return nil, errors.New("a stream without the frame that the emulator gave when asked directly")
	}
	return at, nil
}
