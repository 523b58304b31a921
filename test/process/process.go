// Package process builds the program and runs it as a process of its own, for
// tests and measurements that need it whole: real sockets, real files, a real
// kill. It knows the command line and nothing else of Gatehouse.
//
// A [Process] is started with [Start], which returns once the program has
// written its line beginning with "ready" to standard error; the address of
// that line is [Process.URL]. Every process is told to stop when the context
// ends.
package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds the wait for the ready line: a recovery of a large
// journal on a busy machine included.
const startTimeout = time.Minute

// Build compiles cmd/gatehouse to the file out. It runs in any folder of the
// module.
func Build(ctx context.Context, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "gatehouse/cmd/gatehouse")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build gatehouse: %w\n%s", err, msg)
	}
	return nil
}

// Process is a running gatehouse.
type Process struct {
	cmd    *exec.Cmd
	ready  string
	exited chan struct{} // closed once err is set
	err    error

	mu     sync.Mutex
	stderr bytes.Buffer
}

// Start runs command, which is a gatehouse verb that serves, and waits until it
// is ready. Prefixes such as taskset are allowed, as long as they replace
// themselves by the program.
func Start(ctx context.Context, command []string, env []string) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), exited: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 10 * time.Second
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go p.read(out, ready)
	select {
	case p.ready = <-ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s: %v\n%s", strings.Join(command, " "), p.err, p.Stderr())
	case <-time.After(startTimeout):
		p.Kill()
		return nil, fmt.Errorf("%s: not ready in %v\n%s", strings.Join(command, " "), startTimeout, p.Stderr())
	}
}

// read keeps what the program says, and waits for its end.
func (p *Process) read(out io.Reader, ready chan<- string) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.stderr.WriteString(line)
		p.mu.Unlock()
		if strings.HasPrefix(line, "ready") {
			select {
			case ready <- strings.TrimSpace(line):
			default:
			}
		}
		if err != nil {
			break
		}
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

// PID is the process id of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// URL returns the address that the program serves, which its ready line gives
// first, as in "ready http://127.0.0.1:8080 admin=http://127.0.0.1:8081".
func (p *Process) URL() string {
	for field := range strings.FieldsSeq(p.ready) {
		if strings.HasPrefix(field, "http") {
			return field
		}
	}
	return ""
}

// Stderr returns what the program has said so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Kill ends the process as a power cut would: SIGKILL, nothing flushed.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// Stop asks the process to drain and waits for its end.
func (p *Process) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.err
	case <-time.After(startTimeout):
		p.Kill()
		return errors.New("the program did not stop when asked")
	}
}

// Run executes a gatehouse verb that ends by itself and returns its standard
// output.
func Run(ctx context.Context, bin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// Key is a credential of a user, in both its forms.
type Key struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	APIKey          string `json:"api_key"`
}

// CreateKey adds a user and a key of that user to the data directory, by way
// of the command line.
func CreateKey(ctx context.Context, bin, data, user string) (Key, error) {
	if _, err := Run(ctx, bin, "user", "add", user, "--data", data); err != nil {
		return Key{}, err
	}
	out, err := Run(ctx, bin, "key", "create", "--name", user, "--user", user, "--json", "--data", data)
	if err != nil {
		return Key{}, err
	}
	var k Key
	if err := json.Unmarshal(out, &k); err != nil {
		return Key{}, fmt.Errorf("key create printed %q: %w", out, err)
	}
	if k.AccessKeyID == "" || k.SecretAccessKey == "" || k.APIKey == "" {
		return Key{}, errors.New("key create printed a key without a part")
	}
	return k, nil
}
