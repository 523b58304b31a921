package arrive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is a folder that a script changes while a source watches it, in virtual
// time. The times of files are set to it too.
type world struct {
	t     *testing.T
	dir   string
	base  time.Time
	begun time.Time
	sink  *sink
	stop  func()
	seen  int
	o     FilesOptions
}

func newWorld(t *testing.T, dir string, base time.Time) *world {
	w := &world{t: t, dir: dir, base: base, begun: time.Now(), sink: newSink()}
	w.o = FilesOptions{Paths: []string{dir}, Watch: true, Now: w.now}
	w.start()
	return w
}

func (w *world) now() time.Time { return w.base.Add(time.Since(w.begun)) }

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	src := NewFiles(w.o)
	go func() {
		defer close(done)
		w.sink.run(w.t, ctx, src)
	}()
	w.stop = func() { cancel(); <-done }
}

func (w *world) touch(path string) {
	if err := os.Chtimes(path, w.now(), w.now()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name, text string, flag int) {
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
	f.Close()
	w.touch(path)
}

// step does one line of a script.
func (w *world) step(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	name, text, _ := strings.Cut(rest, " ")
	text = strings.ReplaceAll(text, `\n`, "\n")
	path := filepath.Join(w.dir, name)
	var err error
	switch verb {
	case "write":
		w.put(name, text, os.O_EXCL)
	case "append":
		w.put(name, text, os.O_APPEND)
	case "cut":
		w.put(name, text, os.O_TRUNC)
	case "gzip":
		w.put(name, string(packed(text)), os.O_EXCL)
	case "rename":
		err = os.Rename(path, filepath.Join(w.dir, text))
	case "remove":
		err = os.Remove(path)
	case "link":
		err = os.Symlink(text, path)
	case "restart":
		w.stop()
		w.sink.crash()
		w.start()
	case "wait":
		var d time.Duration
		if d, err = time.ParseDuration(rest); err == nil {
			time.Sleep(d) // virtual
			synctest.Wait()
		}
	case "want":
		w.want(rest)
	default:
		err = fmt.Errorf("unknown verb")
	}
	if err != nil {
		w.t.Fatalf("%s: %v", line, err)
	}
}

// want compares what was delivered since the last want, in any order.
func (w *world) want(text string) {
	w.t.Helper()
	var want []string
	sep := " "
	if strings.Contains(text, " | ") || !strings.Contains(text, "} {") {
		sep = " | "
	}
	for _, l := range strings.Split(text, sep) {
		if l != "" {
			want = append(want, l)
		}
	}
	got, n := w.sink.since(w.seen)
	w.seen = n
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("delivered %q, want %q", got, want)
	}
}

func TestWatchedFiles(t *testing.T) {
	scripts, err := filepath.Glob("testdata/files/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			text, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			dir, base := t.TempDir(), time.Now()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, dir, base)
				defer func() { w.stop() }()
				for i, line := range strings.Split(string(text), "\n") {
					if line == "" || line[0] == '#' {
						continue
					}
					was := t.Failed()
					w.step(line)
					if t.Failed() && !was {
						t.Errorf("%s:%d: %s", script, i+1, line)
					}
				}
			})
		})
	}
}

// TestFilesKilled kills at every delivery in turn, with a lake that seals
// seldom, while files grow and are renamed: no line is ever missing.
func TestFilesKilled(t *testing.T) {
	for seed := range uint64(20) {
		dir, base := t.TempDir(), time.Now()
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, dir, base)
			w.o.Chunk = 64
			w.sink.sealEvery = 1 + r.IntN(4)
			want := map[string]bool{}
			for n := range 60 {
				line := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, strings.Repeat("x", r.IntN(100)))
				want[line] = true
				name := fmt.Sprintf("%d.log", r.IntN(3))
				switch path := filepath.Join(dir, name); r.IntN(6) {
				case 0:
					if os.Rename(path, fmt.Sprintf("%s.%d", path, n)) == nil && r.IntN(2) == 0 {
						w.put(fmt.Sprintf("%s.%d", name, n), "", os.O_APPEND)
					}
					w.put(name, line+"\n", os.O_APPEND)
				case 1:
					w.put(fmt.Sprintf("%d.json.gz", n), string(packed(line)), os.O_EXCL)
				default:
					w.put(name, line+"\n", os.O_APPEND)
				}
				if r.IntN(3) == 0 {
					w.step("wait 1s")
				}
				if r.IntN(5) == 0 {
					w.stop()
					w.sink.crash()
					w.sink.killAt = w.sink.n + 1 + r.IntN(3)
					w.start()
					w.step("wait 2s") // it may have been killed by now
					w.step("restart")
				}
			}
			w.step("wait 10s")
			w.stop()
			w.sink.seal()
			for line := range want {
				if w.sink.lines[line] == 0 {
					t.Errorf("seed %d: %s is missing", seed, line)
				}
			}
		})
	}
}

// TestFilesCursorIsBounded reads many files: those that changed long ago are
// covered by the floor, and a restart reads none of them again.
func TestFilesCursorIsBounded(t *testing.T) {
	dir, base := t.TempDir(), time.Now().Add(time.Hour) // the clock of the source: all files are old
	synctest.Test(t, func(t *testing.T) {
		for n := range 3000 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", n)), fmt.Appendf(nil, "{\"n\":%d}\n", n), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, dir, base)
		w.step("wait 10s")
		if _, n := w.sink.since(0); n != 3000 {
			t.Fatalf("%d lines, want 3000", n)
		}
		w.put("new.json", "{\"n\":-1}\n", os.O_EXCL)
		w.step("wait 5s")
		w.stop()
		p, err := parsePositions(w.sink.cursor)
		if err != nil || len(p.Files) > 2*maxPositions || p.Floor == 0 {
			t.Errorf("cursor of %d files, floor %d, %v; want at most %d", len(p.Files), p.Floor, err, 2*maxPositions)
		}
		before := w.sink.n
		w.start()
		w.step("wait 10s")
		w.stop()
		if again := w.sink.n - before; again > 0 {
			t.Errorf("%d deliveries after a restart, want none", again)
		}
	})
}

// TestFilesMovedFolder moves a folder here whose files are older than the floor.
func TestFilesMovedFolder(t *testing.T) {
	stage, base := t.TempDir(), time.Now().Add(time.Hour)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		put := func(path, text string) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		put(filepath.Join(stage, "a", "b", "old.json"), "{\"old\":1}\n")
		for n := range 1200 {
			put(filepath.Join(dir, fmt.Sprintf("%d.json", n)), fmt.Sprintf("{\"n\":%d}\n", n))
		}
		w := newWorld(t, dir, base)
		w.step("wait 5s")
		_, w.seen = w.sink.since(0)
		if err := os.Rename(filepath.Join(stage, "a"), filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		w.step("wait 5s")
		w.want(`{"old":1}`)
		w.step("wait 20s")
		w.want("")
		w.stop()
	})
}

func TestFilesOnce(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.json": "1", "b.json.gz": string(packed("2")), "sub/c.json": "3", "x.log": "4"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		paths string
		want  string
		err   string
	}{
		{"a folder", ".", "1 2 3 4", ""},
		{"a file", "x.log", "4", ""},
		{"a glob", "*.json*", "1 2", ""},
		{"standard input among others", "x.log - a.json", "4 in 1", ""},
		{"what is not there does not stop the rest", "gone.json *.none sub", "3", "gone.json: no such file"},
		{"a bad glob", "[", "", "syntax error in pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths []string
			for _, p := range strings.Fields(c.paths) {
				if p != "-" {
					p = filepath.Join(dir, p)
				}
				paths = append(paths, p)
			}
			s := newSink()
			err := NewFiles(FilesOptions{Paths: paths, Stdin: strings.NewReader("in")}).Run(t.Context(), "", s.deliver)
			if got := strings.Join(s.order, " "); got != c.want {
				t.Errorf("delivered %q, want %q", got, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if s.cursor != "" {
				t.Errorf("cursor %q, want none", s.cursor)
			}
		})
	}
}

// A deliver that fails ends the run with its own error.
func TestFilesStop(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, watch := range []bool{false, true} {
		src := NewFiles(FilesOptions{Paths: []string{dir}, Watch: watch})
		if err := src.Run(t.Context(), "", func(*Delivery) error { return errKilled }); err != errKilled {
			t.Errorf("watch %v: %v, want the error of deliver", watch, err)
		}
	}
}

func TestStateOfFiles(t *testing.T) {
	dir, base := t.TempDir(), time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, base)
		w.stop()
		w.o.Paths = append(w.o.Paths, filepath.Join(dir, "later"))
		src := NewFiles(w.o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.sink.run(t, ctx, src) }()
		w.step(`write a.log {"n":1}\n{"n"`)
		w.step("wait 1100ms")
		if s := src.State(); s.Bytes != 8 || s.Deliveries != 1 || s.Behind != 4 || !strings.Contains(s.Error, "later") {
			t.Errorf("state %+v; want 8 bytes, 1 delivery, 4 behind, the missing path as error", s)
		}
		w.step(`write later x\n`)
		w.step("wait 2s")
		if s := src.State(); s.Error != "" {
			t.Errorf("error %q stays after the path appeared", s.Error)
		}
		cancel()
		<-done
	})
}

func FuzzPositions(f *testing.F) {
	f.Add("")
	f.Add(`{"v":1,"floor":5,"files":{"a:b":{"p":"x","s":1,"m":2,"c":3,"o":4,"h":5,"n":6}}}`)
	f.Add(`{"v":1,"files":{"a":null,"b":{"o":-1}}}`)
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := parsePositions(cursor)
		if err != nil {
			return
		}
		p.shrink(1 << 62)
		q, err := parsePositions(p.cursor())
		if err != nil || len(q.Files) != len(p.Files) || q.Floor != p.Floor {
			t.Errorf("%q does not survive: %v", cursor, err)
		}
	})
}
