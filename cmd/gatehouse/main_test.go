package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"gatehouse/internal/sim/emulator"
	"gatehouse/test/process"
)

var update = flag.Bool("update", false, "rewrite the golden files and the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": main})
}

// TestScripts runs the program as its users do: testdata/*.txtar are scripts
// of commands and what they must print.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"capture": capture,
			"code":    code,
			"http":    ask,
			"start":   start,
			"drain":   drain,
		},
	})
}

// capture NAME REGEXP sets a variable to the expression's group in the last
// standard output.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no %s in the output", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// code N COMMAND ARGS… runs a command that must exit with N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND ARGS…")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// start NAME VERB ARGS… starts a server, waits until it is ready, and sets NAME
// to its URL and NAME_ADMIN to that of its admin API.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME VERB ARGS…")
	}
	bin, err := exec.LookPath("gatehouse")
	ts.Check(err)
	// The directory is changed by a shell, which the program then replaces.
	command := append([]string{"sh", "-c", `cd "$0" && exec "$@"`, ts.MkAbs("."), bin}, args[1:]...)
	p, err := process.Start(context.Background(), command, append(os.Environ(), "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="))
	ts.Check(err)
	ts.Defer(p.Kill)
	ts.Setenv(args[0], p.URL())
	if m := regexp.MustCompile(`admin=(\S+)`).FindStringSubmatch(p.Stderr()); m != nil {
		ts.Setenv(args[0]+"_ADMIN", m[1])
	}
	processes.Store(ts.MkAbs(args[0]), p)
}

// processes are the servers that scripts run, by directory and name.
var processes sync.Map

// drain NAME stops a server, which must end well; what it wrote to standard
// error is then the standard output.
func drain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: drain NAME")
	}
	v, ok := processes.LoadAndDelete(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("there is no server %s", args[0])
	}
	p := v.(*process.Process)
	ts.Check(p.Stop())
	io.WriteString(ts.Stdout(), p.Stderr())
}

// http METHOD URL [HEADER…] [@BODY] sends a request; status and body are the
// standard output.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [HEADER…] [@BODY]")
	}
	var body string
	headers := args[2:]
	if n := len(headers); n > 0 && strings.HasPrefix(headers[n-1], "@") {
		headers, body = headers[:n-1], headers[n-1][1:]
	}
	req, err := http.NewRequest(args[0], args[1], strings.NewReader(body))
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"))
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// TestHelp holds the help of every verb in review.
func TestHelp(t *testing.T) {
	var out strings.Builder
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		fmt.Fprintf(&out, "$ gatehouse %s\n", strings.Join(append(path, "--help"), " "))
		var stderr bytes.Buffer
		if got := run(context.Background(), append(path, "--help"), nil, nil, &out, &stderr); got != exitFine || stderr.Len() > 0 {
			t.Errorf("help of %v: exit code %d, %s", path, got, &stderr)
		}
		out.WriteString("\n")
		for _, sub := range c.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	walk((&program{}).root(), nil)
	path := filepath.Join("testdata", "help.golden")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReadme: what the README has one type is a verb with flags and arguments
// that it takes.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	verbs := 0
	for _, block := range regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if block[1] == "yaml" { // internal/app tests it
			continue
		}
		for line := range strings.Lines(block[2]) {
			if command, ok := strings.CutPrefix(line, "gatehouse "); ok {
				command, _, _ = strings.Cut(command, "#")
				verbs++
				if err := parses(strings.Fields(command)); err != nil {
					t.Errorf("gatehouse %s: %v", command, err)
				}
			}
		}
	}
	if verbs < 10 {
		t.Errorf("found %d verbs in the README", verbs)
	}
}

// parses tells whether a command line is one, without running it.
func parses(args []string) error {
	c, rest, err := (&program{}).root().Find(args)
	if err != nil {
		return err
	}
	if c.HasSubCommands() {
		return fmt.Errorf("%s is a group of verbs", c.CommandPath())
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

// TestEmulateHelp: the kinds of faults and the examples in the help are the
// emulator's own.
func TestEmulateHelp(t *testing.T) {
	_, err := emulator.ParseFault("no-such-kind")
	_, kinds, found := strings.Cut(fmt.Sprint(err), "want one of ")
	if !found {
		t.Fatalf("the emulator does not list its kinds: %v", err)
	}
	words := strings.Fields(faultHelp)
	for _, kind := range strings.Fields(kinds) {
		if !slices.Contains(words, kind) {
			t.Errorf("the help does not name the fault %q", kind)
		}
	}
	for line := range strings.Lines(faultHelp) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "--fault "); ok && !strings.HasPrefix(text, "is a") {
			if _, err := emulator.ParseFault(text); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := emulator.LoadScript([]byte(scriptExample)); err != nil {
		t.Error(err)
	}
}

// row is what the tests of the output print.
type row struct {
	Text  string    `json:"text"`
	List  []string  `json:"list"`
	Time  time.Time `json:"time,omitzero"`
	Count int       `json:"count"`
}

// TestUntrustedText: what callers wrote neither drives the terminal nor runs in
// a spreadsheet, in any format.
func TestUntrustedText(t *testing.T) {
	hostile := []string{
		"a\x1b[31mred", "c1\u009b31m", "bell\x07", "line\r\nend\ttab", "\u202egnp.exe", "zero\u200bwidth", "tag\U000e0041",
		"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1", "\x1b=1", "bad\xffbyte", "nul\x00",
	}
	for _, f := range []format{formatTable, formatJSON, formatJSONL, formatCSV} {
		for _, s := range hostile {
			if f != formatTable && f != formatCSV && !utf8.ValidString(s) {
				continue // refused by the encoder
			}
			for _, v := range []any{[]row{{Text: s, List: []string{s, s}}}, row{Text: s, List: []string{s}}} {
				var out bytes.Buffer
				p := &program{stdout: &out, format: f}
				if err := p.print(v, "text", "list"); err != nil {
					t.Errorf("%s %q: %v", f, s, err)
					continue
				}
				for _, r := range out.String() {
					if r != '\n' && hidden(r) {
						t.Errorf("%s %q: %q in %q", f, s, r, out.String())
					}
				}
				if f == formatCSV {
					noFormula(t, out.String())
				}
			}
		}
	}
}

func noFormula(t *testing.T, text string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if regexp.MustCompile(`^ *[=+@＝-]`).MatchString(cell) {
				t.Errorf("the cell %q of %q is a formula", cell, text)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	rows := []row{{"a", []string{"x", "y"}, time.Unix(0, 0), 1}, {"b,\"c\"", nil, time.Time{}, 0}}
	for _, tt := range []struct {
		format format
		v      any
		want   string
	}{
		{formatTable, rows, "TEXT   LIST  COUNT\na      x, y  1\nb,\"c\"  -     0\n"},
		{formatTable, []row{{"a", []string{"v", "w", "x", "y"}, time.Time{}, 1}}, "TEXT  LIST      COUNT\na     v, w, +2  1\n"},
		{formatTable, []row{}, "TEXT  LIST  COUNT\n"},
		{formatTable, rows[0], "text   a\nlist   x, y\ntime   1970-01-01T00:00:00Z\ncount  1\n"},
		{formatCSV, rows, "text,list,time,count\na,\"x, y\",1970-01-01T00:00:00Z,1\n\"b,\"\"c\"\"\",,,0\n"},
		{formatCSV, row{Text: "-1", Count: -1}, "text,list,time,count\n'-1,,,-1\n"},
		{formatCSV, []row{}, "text,list,time,count\n"},
		{formatJSONL, rows[1:], `{"text":"b,\"c\"","list":[],"count":0}` + "\n"},
		{formatJSON, []row{}, "[]\n"},
	} {
		var out bytes.Buffer
		p := &program{stdout: &out, format: tt.format}
		if err := p.print(tt.v, "text", "list", "count"); err != nil || out.String() != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.format, out.String(), err, tt.want)
		}
	}
}

// What is printed again and again is JSON a line, so that a program can tell
// one time from the next.
func TestWatched(t *testing.T) {
	var out bytes.Buffer
	p := &program{stdout: &out, format: formatJSON, watching: true}
	for _, rows := range [][]row{{{Text: "a", Count: 1}, {Text: "b"}}, {}} {
		if err := p.print(rows); err != nil {
			t.Fatal(err)
		}
	}
	if want := `[{"text":"a","list":[],"count":1},{"text":"b","list":[],"count":0}]` + "\n[]\n"; out.String() != want {
		t.Errorf("got %s want %s", &out, want)
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		r    timeRange
		want string // from to, or part of the error
	}{
		{timeRange{tz: "UTC"}, "- -"},
		{timeRange{tz: "UTC", last: "24h"}, "2026-11-21T12:00:00Z -"},
		{timeRange{tz: "UTC", from: "-7d", to: "-1h30m"}, "2026-11-15T12:00:00Z 2026-11-22T10:30:00Z"},
		{timeRange{tz: "UTC", from: "2026-11-01", to: "now"}, "2026-11-01T00:00:00Z 2026-11-22T12:00:00Z"},
		{timeRange{tz: "Europe/Berlin", from: "2026-11-01 10:00"}, "2026-11-01T09:00:00Z -"},
		{timeRange{tz: "Europe/Berlin", from: "2026-11-01T10:00:00Z"}, "2026-11-01T10:00:00Z -"},
		{timeRange{tz: "Moon"}, "--tz: unknown time zone"},
		{timeRange{tz: "UTC", from: "yesterday"}, "--from: bad time"},
		{timeRange{tz: "UTC", to: "-1y"}, "--to: bad duration"},
		{timeRange{tz: "UTC", last: "soon"}, "--last: bad duration"},
		{timeRange{tz: "UTC", last: "-24h"}, "--last: bad duration"},
		{timeRange{tz: "UTC", from: "-1h", to: "-2h"}, "is not before"},
	} {
		from, to, err := tt.r.span(now)
		got := show(from) + " " + show(to)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %s, want %s", tt.r, got, tt.want)
		}
	}
}

func show(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
