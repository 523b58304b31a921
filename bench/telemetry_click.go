package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/clickhouse"
)

// click is ClickHouse with the rows in a table of its own: the engine of the
// chdb package behind the server that the tests have (test/chdb).
type click struct {
	engine  lake.Engine
	version string
	pid     int
	stop    func()
}

// chdbPython is the Python that has chdb, or "".
func chdbPython() string {
	if python := os.Getenv("GATEHOUSE_CHDB"); python != "" {
		return python
	}
	python := filepath.Join("test", "chdb", ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return ""
	}
	python, _ = filepath.Abs(python)
	return python
}

// startClick starts it and loads the files. The server has this process's core.
func startClick(ctx context.Context, python string, files []string) (c *click, err error) {
	cmd := exec.CommandContext(ctx, python, "server.py")
	cmd.Dir, cmd.Stderr = filepath.Join("test", "chdb"), os.Stderr
	in, err := cmd.StdinPipe() // the server ends when it does
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: %w", err)
	}
	c = &click{pid: cmd.Process.Pid, stop: func() { in.Close(); cmd.Process.Kill(); cmd.Wait() }}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: %w", err)
	}
	address := strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	e, err := clickhouse.Open(clickhouse.Options{DSN: address + "/?table=bench"})
	if err != nil {
		return nil, err
	}
	c.engine = e
	if err := e.Load(ctx, files); err != nil {
		return nil, err
	}
	c.version, err = one(ctx, e, "SELECT version()")
	return c, err
}

// run measures one hunt in the time of the server's processor.
func (c *click) run(ctx context.Context, h hunter, text string) (answer, float64, error) {
	before, err := cpu(c.pid)
	if err != nil {
		return answer{}, 0, err
	}
	h.engine, h.files = c.engine, nil
	a, err := h.hunt(ctx, text)
	if err != nil {
		return a, 0, fmt.Errorf("ClickHouse: %w", err)
	}
	after, err := cpu(c.pid)
	return a, (after - before).Seconds(), err
}
