//go:build !linux

package journal

func (f osFile) Sync() error { return f.File.Sync() }

func (f osFile) Allocate(n int64) error { return writeZeros(f, 0, n) }

func (f osFile) Punch(off, n int64) error { return nil }
