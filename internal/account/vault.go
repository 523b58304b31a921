package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/call"
	"gatehouse/internal/secretfile"
	"gatehouse/internal/sigv4"
)

// vault seals SigV4 secrets under the master key: AES-256-GCM, a random nonce
// before each, the key id as additional data, so that a sealed secret copied
// to another row does not open.
type vault struct {
	aead    cipher.AEAD
	lockKey []byte // chooses the lockout slot of an unknown name
}

const masterKeyLen = 32

// openVault reads the master key, one line of hex. It makes one only when
// nothing can have been sealed yet: a lost key must not be replaced silently.
func openVault(path string, mayCreate bool) (*vault, error) {
	b, err := secretfile.Read(path)
	if missing(err) && mayCreate {
		key := make([]byte, masterKeyLen)
		rand.Read(key)
		b = []byte(hex.EncodeToString(key) + "\n")
		err = secretfile.Write(path, b)
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != masterKeyLen {
		return nil, fmt.Errorf("%s is not %d bytes of hex", path, masterKeyLen)
	}
	return newVault(key)
}

func newVault(master []byte) (*vault, error) {
	sealKey, err := hkdf.Key(sha256.New, master, nil, "gatehouse sigv4 secrets", 32)
	if err != nil {
		return nil, err
	}
	lockKey, err := hkdf.Key(sha256.New, master, nil, "gatehouse lockout slots", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &vault{aead, lockKey}, err
}

func (v *vault) seal(id call.KeyID, s sigv4.Secret) []byte {
	return v.aead.Seal(nil, nil, []byte(s), []byte(id))
}

var errSealed = errors.New("sealed secret does not open")

func (v *vault) unseal(id call.KeyID, sealed []byte) (sigv4.Secret, error) {
	b, err := v.aead.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return "", errSealed
	}
	return sigv4.Secret(b), nil
}
