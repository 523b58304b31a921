package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is written is read back by its owner alone, whole or not at all.
func TestReadWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"one", "two", ""} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != text || info.Mode().Perm() != 0o600 {
			t.Errorf("got %q, %v, mode %v; want %q", got, err, info.Mode(), text)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What could be known to others, or is no such file, is refused without a word of it.
func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct{ path, want string }{
		"others may read": {write("a", "s3cret", 0o640), "chmod 600"},
		"a folder":        {dir, "plain file"},
		"too long":        {write("b", strings.Repeat("s3cret", Max), 0o600), "larger"},
		"missing":         {filepath.Join(dir, "none"), "no such file"},
		"two lines":       {write("c", "s3cret\nmore", 0o600), "one line"},
		"empty":           {write("d", "\n", 0o600), "one line"},
	} {
		if _, err := Line(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	for text, want := range map[string]string{"a b": "a b", "x\n": "x", "y\r\n\n": "y"} {
		if got, err := Line(write("e", text, 0o600)); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}
