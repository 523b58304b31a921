package app

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
)

const (
	socketFile     = "gatehouse.sock"
	adminTokenFile = "admin.token"
)

// listenSocket listens on a Unix socket that only its owner can open. The data
// directory is locked, so a socket that is there is left over from a crash.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	ln, err := net.Listen("unix", path) // in a directory of mode 0700
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w (is the path of the data directory longer than a socket's may be?)", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return ln, nil
}

// adminToken returns the hash of the admin API's token, which is made on the
// first start, in a file that only its owner can read.
func adminToken(path string) ([32]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var secret [32]byte
		rand.Read(secret[:])
		b = []byte(hex.EncodeToString(secret[:]))
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("admin token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < 32 {
		return [32]byte{}, fmt.Errorf("admin token: %s holds fewer than 32 characters; delete it to have a new one made", path)
	}
	return sha256.Sum256([]byte(token)), nil
}
