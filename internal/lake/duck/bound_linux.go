package duck

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// niceness and oomScore put queries behind everything else on the machine: for
// the processor, and first in line when memory is short.
const (
	niceness = 10
	oomScore = "800"
)

// ownGroup starts a child as the leader of a group of processes.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// stepBack lowers this process's place. Niceness belongs to threads, and Go has
// started some: the group reaches all of them, and later ones inherit it.
func stepBack() error {
	if syscall.Getpgrp() != syscall.Getpid() {
		return nil // no child of OpenChildren: the group is someone else's
	}
	if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness); err != nil {
		return fmt.Errorf("set niceness: %w", err)
	}
	// A container may forbid it, which costs a preference and no bound.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0)
	return nil
}

// boundMemory bounds the memory that this process may have written to: half
// again what DuckDB itself counts, and room for the program. The soft limit
// moves from query to query.
func boundMemory(budget int64) error {
	const program = 512 << 20
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &l); err != nil {
		return fmt.Errorf("read the limit of memory: %w", err)
	}
	l.Cur = min(uint64(budget+budget/2+program), l.Max)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &l); err != nil {
		return fmt.Errorf("set the limit of memory: %w", err)
	}
	return nil
}
