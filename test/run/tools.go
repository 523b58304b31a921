package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// tool is something a later stage needs: how to tell that it is there, the
// Debian packages that bring it, and what is made of it from a lock file.
type tool struct {
	name   string
	probe  func(r *runner) error
	debian []string
	make   func(r *runner) error
}

var toolTable = []tool{
	{"node", onPath("node", "npm"), []string{"nodejs", "npm"}, (*runner).npm},
	{"python", (*runner).pythonVenv, []string{"python3", "python3-venv"}, (*runner).pip},
	{"chdb", (*runner).pythonVenv, []string{"python3", "python3-venv"}, (*runner).chdb},
	{"curl", onPath("curl"), []string{"curl"}, nil},
	{"nginx", onPath("nginx"), []string{"nginx-light"}, nil},
	{"redis-server", onPath("redis-server"), []string{"redis-server"}, nil},
	{"taskset", onPath("taskset"), []string{"util-linux"}, nil},
	{"go client", nil, nil, (*runner).goClient},
}

// tools probes first, then installs what is missing.
func tools(r *runner, t *tally) error {
	for _, tool := range toolTable {
		if err := r.provide(tool); err != nil {
			r.missing[tool.name] = err.Error()
			t.skip("tool "+tool.name, err.Error())
			continue
		}
		fmt.Println("ready:", tool.name)
		t.passed++
	}
	return nil
}

func (r *runner) provide(t tool) error {
	if t.probe != nil {
		if err := t.probe(r); err != nil {
			if err := r.apt(t.debian, err); err != nil {
				return err
			}
			if err := t.probe(r); err != nil {
				return err
			}
		}
	}
	if t.make == nil {
		return nil
	}
	return t.make(r)
}

func onPath(names ...string) func(*runner) error {
	return func(*runner) error {
		for _, n := range names {
			if _, err := exec.LookPath(n); err != nil && !isFile("/usr/sbin/"+n) {
				return fmt.Errorf("%s is not installed", n)
			}
		}
		return nil
	}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// apt installs Debian packages, when this is Debian and we may.
func (r *runner) apt(packages []string, why error) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w, and installing %v needs root on Debian", why, packages)
	}
	os.Setenv("DEBIAN_FRONTEND", "noninteractive")
	if err := r.command(".", "apt-get", "update", "-q"); err != nil {
		return err
	}
	return r.command(".", "apt-get", append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)...)
}

const (
	jsDir     = "test/clients/js"
	pythonDir = "test/clients/python"
	chdbDir   = "test/chdb"
)

func (r *runner) npm() error {
	return r.once(filepath.Join(jsDir, "package-lock.json"), filepath.Join(jsDir, "node_modules"), func() error {
		return r.command(jsDir, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	})
}

func (r *runner) pythonVenv() error {
	if err := exec.CommandContext(r.ctx, "python3", "-c", "import venv, ensurepip").Run(); err != nil {
		return errors.New("python3 with venv is not installed")
	}
	return nil
}

func (r *runner) pip() error { return r.venv(pythonDir) }

// chdb is ClickHouse's engine, half a gigabyte of it, and nothing that it asks
// for beside: it needs none of that here.
func (r *runner) chdb() error { return r.venv(chdbDir, "--no-deps") }

// venv makes the Python of a folder from its lock file.
func (r *runner) venv(dir string, args ...string) error {
	venv, lock := filepath.Join(dir, ".venv"), filepath.Join(dir, "requirements.txt")
	return r.once(lock, venv, func() error {
		if err := r.command(".", "python3", "-m", "venv", "--clear", venv); err != nil {
			return err
		}
		return r.command(".", filepath.Join(venv, "bin", "pip"), append([]string{"install", "-q", "--disable-pip-version-check",
			"--require-hashes", "-r", lock}, args...)...)
	})
}

// goClient builds the Go client, which is a module with a go.sum of its own.
func (r *runner) goClient() error {
	bin, err := filepath.Abs("bin/goclient")
	if err != nil {
		return err
	}
	return r.command(goClient, "go", "build", "-o", bin, ".")
}

// once runs make unless dir was made from the very same lock file.
func (r *runner) once(lock, dir string, make func() error) error {
	data, err := os.ReadFile(lock)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	stamp, want := filepath.Join(dir, ".made-from"), hex.EncodeToString(sum[:])
	if got, err := os.ReadFile(stamp); err == nil && string(got) == want {
		return nil
	}
	if err := make(); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}
