package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files of a data directory that open the doors.
const (
	SocketFile = "gatehouse.sock"
	TokenFile  = "admin.token"
)

// StateFile holds the accounts of a data directory: where it is missing, there
// is none.
const StateFile = "state.db"

// maxSocketPath is what a socket's address holds on the systems we run on.
const maxSocketPath = 103

// LoadToken returns the SHA-256 of the admin token in the data directory, and
// makes the token, in a file of mode 0600, when there is none. A file that
// others can read is refused: whoever read it may still hold the token.
func LoadToken(dir string) ([32]byte, error) {
	path := filepath.Join(dir, TokenFile)
	err := writeToken(path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return [32]byte{}, err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return [32]byte{}, err
	}
	if !fi.Mode().IsRegular() || fi.Mode().Perm()&0o077 != 0 {
		return [32]byte{}, fmt.Errorf("%s has mode %v: remove it, and a new token is made", path, fi.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return [32]byte{}, err
	}
	token := strings.TrimSpace(string(data))
	if len(token) < 32 {
		return [32]byte{}, fmt.Errorf("%s holds fewer than 32 characters: remove it, and a new token is made", path)
	}
	return sha256.Sum256([]byte(token)), nil
}

// writeToken creates the file whole or not at all.
func writeToken(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".token") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	secret := make([]byte, 32)
	rand.Read(secret)
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // fails when another was faster
}

// ListenSocket listens on the socket of the data directory. The socket has
// mode 0600 before it has its name, so that nobody else can open it in
// between. What a crashed server left is replaced; a living one is an error.
func ListenSocket(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketFile)
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("a server is running on %s already", dir)
	}
	tmp, err := os.MkdirTemp(dir, ".s") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	hidden := filepath.Join(tmp, "s")
	if len(hidden) > maxSocketPath {
		return nil, fmt.Errorf("the path of the data directory %s is too long for a socket: choose one shorter by %d characters", dir, len(hidden)-maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{l, path}, nil
}

// socket removes its name when it closes.
type socket struct {
	*net.UnixListener
	path string
}

func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if !errors.Is(err, net.ErrClosed) {
		os.Remove(s.path)
	}
	return err
}

// dialSocket connects to the socket of a data directory.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(dir, SocketFile))
}
