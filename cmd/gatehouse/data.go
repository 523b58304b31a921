package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/app"
)

// uses gives a verb the flag that names the data directory.
func (p *program) uses(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&p.data, "data", "gatehouse-data", "data directory")
	c.MarkFlagDirname("data")
	return c
}

// with calls do with the data directory: through the socket of the server that
// runs on it, or opened for this call.
func (p *program) with(ctx context.Context, do func(admin.API) error) error {
	if err := p.exists(); err != nil {
		return err
	}
	c, err := admin.Dial(ctx, p.data)
	if err == nil {
		return do(c)
	}
	if !errors.Is(err, admin.ErrNoServer) {
		return fmt.Errorf("%w: is this the directory of another user's server?", err)
	}
	d, err := app.OpenData(ctx, p.data)
	if err != nil {
		return p.inUse(err, "wait for it, or stop it")
	}
	err = do(d)
	return errors.Join(err, d.Close())
}

// exists reports a data directory that is none. Only serve makes one: a
// mistyped name, or another folder, must not look like one without users.
func (p *program) exists() error {
	_, err := os.Stat(filepath.Join(p.data, admin.StateFile))
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil // there, or not to be seen by us, which opening it will say
	}
	what := "there is no directory " + p.data
	if _, err := os.Lstat(p.data); err == nil {
		what = p.data + " is no data directory: it has no " + admin.StateFile
	}
	return usagef("%s: name the server's with --data, or make one with `gatehouse serve --data %s`", what, p.data)
}

// inUse says once that another process has the data directory, and what to do
// next. Other errors stay as they are.
func (p *program) inUse(err error, next string) error {
	if errors.Is(err, app.ErrInUse) {
		return fmt.Errorf("the data directory %s is in use by another process: %s", p.data, next)
	}
	return err
}
