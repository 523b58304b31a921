package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"gatehouse/internal/secretfile"
)

const maxKeys = 64

// ReadKeys reads a key file. Its errors name the file and the line and never
// what stands there.
func ReadKeys(path string) (*Keys, error) {
	b, err := secretfile.Read(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	k, err := ParseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// ParseKeys reads the content of a key file.
func ParseKeys(b []byte) (*Keys, error) {
	k := new(Keys)
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		one, err := parseKey(line)
		if err == nil && k.find(one.id) != nil {
			err = errors.New("the key stands there twice")
		}
		if err == nil && len(k.list) == maxKeys {
			err = fmt.Errorf("more than %d keys", maxKeys)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		k.list = append(k.list, one)
	}
	if len(k.list) == 0 {
		return nil, errors.New("no key: write one with `openssl rand -base64 32`")
	}
	return k, nil
}

func parseKey(line []byte) (*key, error) {
	var secret [keyLen + 2]byte // what 44 digits may decode to at most, and more is refused
	if len(line) != base64.StdEncoding.EncodedLen(keyLen) {
		return nil, errors.New("not 32 bytes in base64: write one with `openssl rand -base64 32`")
	}
	n, err := base64.StdEncoding.Strict().Decode(secret[:], line)
	if err != nil || n != keyLen {
		return nil, errors.New("not 32 bytes in base64: write one with `openssl rand -base64 32`")
	}
	defer clear(secret[:])
	if allSame(secret[:keyLen]) {
		return nil, errors.New("the key is no random one")
	}
	return newKey(secret[:keyLen]), nil
}

func allSame(b []byte) bool {
	return bytes.Count(b, b[:1]) == len(b)
}
