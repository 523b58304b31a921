package admin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestScanEndsWithItsClient: a scan whose client is gone stops, and the next
// one, which waited for it, runs.
func TestScanEndsWithItsClient(t *testing.T) {
	o, f := options(&bytes.Buffer{})
	f.ended = make(chan struct{})
	c, err := Dial(context.Background(), serveSocket(t, o))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = c.Usage(ctx, UsageQuery{TZ: "Europe/Rome"}, func(Scan) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if rows, err := c.Usage(context.Background(), UsageQuery{}, nil); err != nil || len(rows) != 2 {
		t.Errorf("the next scan: %v, %v, want two rows", rows, err)
	}
	<-f.ended
}

// TestScanOutlivesTheReadTimeout: the time in which a request must arrive is
// not the time in which it must be answered.
func TestScanOutlivesTheReadTimeout(t *testing.T) {
	o, f := options(&bytes.Buffer{})
	f.ended = make(chan struct{})
	dir := t.TempDir()
	l, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: SocketHandler(o), ReadTimeout: 30 * time.Millisecond, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.Serve(l)
	defer s.Close()
	c, err := Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go c.Usage(ctx, UsageQuery{TZ: "Europe/Rome"}, nil)
	select {
	case <-f.ended:
		t.Error("the server's read timeout ended the scan")
	case <-time.After(300 * time.Millisecond): // ten times what would end it
	}
	cancel()
	<-f.ended
}

// TestBrokenScan: what broke inside stays inside, and no part is taken for the whole.
func TestBrokenScan(t *testing.T) {
	var log lockedText
	o, _ := options(&bytes.Buffer{})
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	c, err := Dial(context.Background(), serveSocket(t, o))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Usage(context.Background(), UsageQuery{TZ: "Europe/Paris"}, nil)
	if err == nil || strings.Contains(err.Error(), "planted") || !strings.Contains(log.String(), "planted internal detail") {
		t.Errorf("got %v and the log %q, want an error here and its cause there", err, log.String())
	}
}

// lockedText is what several goroutines wrote.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
