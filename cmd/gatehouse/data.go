package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

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
// runs on it, or opened for this call. It is made when it is missing only if
// create says so, since a mistyped name should not look like an empty one.
func (p *program) with(ctx context.Context, create bool, do func(admin.API) error) error {
	c, err := admin.Dial(ctx, p.data)
	if err == nil {
		return do(c)
	}
	if !errors.Is(err, admin.ErrNoServer) {
		return fmt.Errorf("%w: is this the directory of another user's server?", err)
	}
	if err := p.exists(); err != nil && !create {
		return err
	}
	d, err := app.OpenData(ctx, p.data)
	if errors.Is(err, app.ErrInUse) {
		return fmt.Errorf("%w: wait for it, or stop it", err)
	}
	if err != nil {
		return err
	}
	err = do(d)
	return errors.Join(err, d.Close())
}

// exists reports a data directory that is not there.
func (p *program) exists() error {
	if _, err := os.Stat(p.data); errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no data directory %s: name one with --data, or start `gatehouse serve`", p.data)
	}
	return nil
}
