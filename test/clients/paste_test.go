package clients_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/test/process"
)

// TestPaste does what a reader of the first page does: start the program with
// no configuration, paste the block that it prints into a shell, and call it
// from there with a client of one's own.
func TestPaste(t *testing.T) {
	if os.Getenv("GATEHOUSE_CLIENTS") == "" {
		t.Skip("real clients run with GATEHOUSE_CLIENTS=1: make test installs them and sets it")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "gatehouse")
	if err := process.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	p := launch(t, []string{bin, "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"})
	block := pasted(p)
	t.Run("block", func(t *testing.T) { checkAnswer(t, shell(t, dir, block)) })
	t.Run("aws-sdk-js", func(t *testing.T) { checkLine(t, shell(t, dir, block+"\nexec node js/aws.js Converse")) })
	t.Run("boto3", func(t *testing.T) {
		checkLine(t, shell(t, dir, block+"\nexec python/.venv/bin/python python/client.py Converse"))
	})
}

// pasted waits for the indented block that follows the ready line.
func pasted(p *process.Process) string {
	for range 100 {
		var b strings.Builder
		for line := range strings.Lines(p.Stderr()) {
			if strings.HasPrefix(line, "  ") {
				b.WriteString(line)
			}
		}
		if strings.Contains(b.String(), "curl") {
			return b.String()
		}
		time.Sleep(20 * time.Millisecond) // another process writes it
	}
	return ""
}

// shell runs a script as a fresh shell would.
func shell(t *testing.T, home, script string) string {
	t.Helper()
	if script == "" {
		t.Fatal("the program printed no block to paste")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_EC2_METADATA_DISABLED=true",
		"NODE_NO_WARNINGS=1", "GATEHOUSE_TEST_MODEL=" + sound, "GATEHOUSE_TEST_PROMPT=" + prompt}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func checkAnswer(t *testing.T, out string) {
	t.Helper()
	var r result
	if err := r.read([]byte(strings.TrimSpace(out))); err != nil || r.Text == "" || r.Output == 0 {
		t.Errorf("the block printed %q: %v", out, err)
	}
}

// checkLine reads the last line: the block's own call prints before it.
func checkLine(t *testing.T, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var r result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil || !r.OK || r.Text == "" {
		t.Errorf("the client printed %q: %v", out, err)
	}
}
