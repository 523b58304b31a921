package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatehouse/internal/lake"
)

// ChildOptions are those of OpenChildren.
type ChildOptions struct {
	Options
	// Args start this program again as a child: its main must end in
	// ServeChild(ctx, os.Stdin, os.Stdout).
	Args []string
	// Most is how many children there are at once, and so how many queries run;
	// others wait. 0 is 2.
	Most int
	// Queries is after how many a child is replaced; 0 is 32. What a query
	// leaves behind in a process ends with it.
	Queries int
	// Grace is how long a child may take to heed a bound before it is killed;
	// 0 is 3 s.
	Grace time.Duration
}

// Children is an engine whose queries run in processes of their own, so that
// none can take memory, time or the life of this one. A child is bounded from
// outside as DuckDB's own bounds may miss: by a limit on its memory half as
// large again as the query's budget, by a kill when the time is over, and by a
// low place among the machine's processes. A child that dies ends its query
// with an error that wraps lake.ErrEngine, or with a *lake.BudgetError where
// memory was the cause; the next query gets a new child.
type Children struct {
	o     ChildOptions
	path  string
	slots chan struct{} // one a running query

	mu     sync.Mutex
	idle   []*child
	all    map[*child]bool
	closed bool
}

var _ lake.Engine = (*Children)(nil)

// OpenChildren makes the engine. The first child starts with the first query.
func OpenChildren(o ChildOptions) (*Children, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%w: this program's own path: %w", lake.ErrEngine, err)
	}
	if o.Most <= 0 {
		o.Most = 2
	}
	if o.Queries <= 0 {
		o.Queries = 32
	}
	if o.Grace <= 0 {
		o.Grace = 3 * time.Second
	}
	if o.Threads <= 0 {
		o.Threads = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Children{o: o, path: path, slots: make(chan struct{}, o.Most), all: map[*child]bool{}}, nil
}

// Dialect names DuckDB's table of spellings.
func (c *Children) Dialect() string { return "duckdb" }

// Close kills all children. Queries that run end with an error.
func (c *Children) Close() error {
	c.mu.Lock()
	c.closed = true
	all := c.all
	c.all, c.idle = map[*child]bool{}, nil
	c.mu.Unlock()
	for ch := range all {
		ch.kill()
		<-ch.dead
	}
	return nil
}

// Query runs one statement in a child. It waits for a free one.
func (c *Children) Query(ctx context.Context, r lake.Request) (lake.Rows, error) {
	r.Budget = r.Budget.WithDefaults()
	if r.Budget.Threads <= 0 {
		r.Budget.Threads = c.o.Threads
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ch, err := c.take()
	if err != nil {
		<-c.slots
		return nil, err
	}
	rows := newRemote(ctx, c, ch, r)
	if err := rows.begin(); err != nil {
		rows.Close()
		return nil, err
	}
	return rows, nil
}

// take gives a warm child that still lives, or a new one.
func (c *Children) take() (*child, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: %w", lake.ErrEngine, errClosed)
	}
	for len(c.idle) > 0 {
		ch := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if ch.alive() {
			return ch, nil
		}
		delete(c.all, ch)
	}
	ch, err := startChild(c.path, c.o.Args, c.o.Temp)
	if err != nil {
		return nil, fmt.Errorf("%w: start a child: %w", lake.ErrEngine, err)
	}
	c.all[ch] = true
	return ch, nil
}

// give takes a child back, or ends it when it has served enough or is not fit.
func (c *Children) give(ch *child, fit bool) {
	ch.served++
	c.mu.Lock()
	keep := fit && !c.closed && ch.served < c.o.Queries && ch.alive()
	if keep {
		c.idle = append(c.idle, ch)
	} else {
		delete(c.all, ch)
	}
	c.mu.Unlock()
	if !keep {
		ch.kill()
	}
	<-c.slots
}

// child is one process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	errors tail
	temp   string // its own folder for what does not fit in memory, or ""
	served int
	dead   chan struct{} // closed once it is reaped

	mu sync.Mutex // guards writes to in
}

// startChild starts a process with an environment of its own: it needs none of
// ours, and ours may hold credentials. A group of its own keeps the terminal's
// signals from it.
func startChild(path string, args []string, temp string) (*child, error) {
	ch := &child{cmd: exec.Command(path, args...), dead: make(chan struct{})}
	if temp != "" {
		var err error
		if ch.temp, err = os.MkdirTemp(temp, "gatehouse-child-"); err != nil {
			return nil, err
		}
	}
	if err := ch.start(); err != nil {
		ch.removeTemp()
		return nil, err
	}
	return ch, nil
}

// removeTemp removes what a child that was killed could not.
func (ch *child) removeTemp() {
	if ch.temp != "" {
		_ = os.RemoveAll(ch.temp) // what stays is of no further use to anyone
	}
}

func (ch *child) start() error {
	ch.cmd.Env = []string{
		"GOMAXPROCS=" + strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/2)),
		"GOMEMLIMIT=256MiB", "GOTRACEBACK=none", "TZ=UTC",
	}
	ch.cmd.SysProcAttr = ownGroup()
	ch.cmd.Stderr = &ch.errors
	var err error
	if ch.in, err = ch.cmd.StdinPipe(); err != nil {
		return err
	}
	// A pipe of our own: exec's would be closed by Wait, below the reader.
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	ch.out, ch.cmd.Stdout = r, w
	err = ch.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	go func() {
		_ = ch.cmd.Wait() // how it ended is read from ProcessState
		ch.removeTemp()
		close(ch.dead)
	}()
	return nil
}

func (ch *child) alive() bool {
	select {
	case <-ch.dead:
		return false
	default:
		return true
	}
}

// kill ends the process; its pipes end with it.
func (ch *child) kill() {
	_ = ch.cmd.Process.Kill() // an error says that it is gone
	ch.in.Close()
	go func() {
		<-ch.dead
		ch.out.Close()
	}()
}

// send writes one frame.
func (ch *child) send(kind byte, payload []byte) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return writeFrame(ch.in, kind, payload)
}

// death says why the process ended. It must be ending.
func (ch *child) death(b lake.Budget) error {
	<-ch.dead
	said := ch.errors.String()
	for _, sign := range []string{"out of memory", "cannot allocate memory", "bad_alloc"} {
		if strings.Contains(said, sign) {
			return &lake.BudgetError{Spent: lake.SpentMemory, Budget: b}
		}
	}
	state := ch.cmd.ProcessState
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return fmt.Errorf("%w: its process was ended by signal %q; when the machine is short of memory it ends queries first", lake.ErrEngine, ws.Signal())
	}
	return fmt.Errorf("%w: its process ended with code %d", lake.ErrEngine, state.ExitCode())
}

// tail keeps the end of what a child says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxTail; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

var (
	errProtocol = errors.New("the child sent what is no answer")
	errClosed   = errors.New("the engine is closed")
)
