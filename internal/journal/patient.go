package journal

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Open waits this long in all for a file descriptor, or memory for one: at the
// start of a busy machine that may pass.
const (
	openPatience = 5 * time.Second
	openPause    = 100 * time.Millisecond
)

// patient is an FS whose opening operations are tried again while nothing can
// be opened. It is for one goroutine.
type patient struct {
	FS
	ctx    context.Context
	waited time.Duration
}

// try does something until its error is none of too few files.
func (p *patient) try(do func() error) error {
	for {
		err := do()
		if err == nil || !noFiles(err) {
			return err
		}
		if p.waited >= openPatience {
			return fmt.Errorf("%w: %w: raise the limit of open files (ulimit -n), or close what holds them", ErrNoFiles, err)
		}
		t := time.NewTimer(openPause)
		select {
		case <-t.C:
			p.waited += openPause
		case <-p.ctx.Done():
			t.Stop()
			return p.ctx.Err()
		}
	}
}

func (p *patient) Open(name string, flag int) (f File, err error) {
	err = p.try(func() error { f, err = p.FS.Open(name, flag); return err })
	return f, err
}

func (p *patient) List(dir string) (names []string, err error) {
	err = p.try(func() error { names, err = p.FS.List(dir); return err })
	return names, err
}

func (p *patient) SyncDir(dir string) error {
	return p.try(func() error { return p.FS.SyncDir(dir) })
}

func (p *patient) Lock(dir string) (lock io.Closer, err error) {
	err = p.try(func() error { lock, err = p.FS.Lock(dir); return err })
	return lock, err
}
