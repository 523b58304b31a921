package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	ImportPath                    string // of build output
}

// goTest runs go test and counts what it did. The output of a test is shown
// when it fails; a test that skips itself is a skip with its own words.
func (r *runner) goTest(t *tally, env []string, args ...string) error {
	cmd := exec.CommandContext(r.ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := counter{tally: t, output: map[string]*strings.Builder{}}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		c.add(e)
	}
	if err := cmd.Wait(); err != nil && t.failed == 0 {
		return fmt.Errorf("go test: %w", err) // a build that broke, or a crash outside a test
	}
	return lines.Err()
}

// counter turns go test's events into a tally.
type counter struct {
	tally  *tally
	output map[string]*strings.Builder // by package and test
}

func (c *counter) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if c.output[key] == nil {
			c.output[key] = &strings.Builder{}
		}
		c.output[key].WriteString(e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "pass", "fail", "skip":
		c.finish(e, key)
		delete(c.output, key)
	}
}

func (c *counter) finish(e event, key string) {
	said := ""
	if b := c.output[key]; b != nil {
		said = b.String()
	}
	if e.Test == "" {
		c.finishPackage(e, said)
		return
	}
	tallies := []*tally{c.tally}
	if g := group(e.Test); g != "" {
		tallies = append(tallies, c.tally.group(g))
	}
	for _, t := range tallies {
		switch e.Action {
		case "pass":
			t.passed++
		case "fail":
			t.failed++
		case "skip":
			t.skip(strings.TrimPrefix(e.Package, "gatehouse/")+" "+e.Test, reason(said))
		}
	}
	if e.Action == "fail" {
		fmt.Print(said)
	}
}

func (c *counter) finishPackage(e event, said string) {
	switch e.Action {
	case "fail":
		fmt.Printf("FAIL %s (%.1fs)\n%s", e.Package, e.Elapsed, said)
		if c.tally.failed == 0 {
			c.tally.failed++ // it did not build, or died outside a test
		}
	case "pass":
		fmt.Printf("ok   %s (%.1fs)\n", e.Package, e.Elapsed)
	}
}

// group is the client a test of the matrix belongs to: TestMatrix/boto3/…
func group(test string) string {
	rest, ok := strings.CutPrefix(test, "TestMatrix/")
	name, _, cell := strings.Cut(rest, "/")
	if !ok || !cell {
		return ""
	}
	return name
}

// reason is what a skipped test said, without the test framework's lines.
func reason(said string) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, words, ok := strings.Cut(line, ".go:"); ok {
			_, line, _ = strings.Cut(words, ": ")
		}
		return line
	}
	return "no reason given"
}
