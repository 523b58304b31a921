package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"gatehouse/internal/store"
)

// cost is the work of one password hash. The current one is OWASP's minimum
// for argon2id, about 40 ms.
type cost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

var currentCost = cost{memory: 19456, time: 2, threads: 1}

// Bounds on a stored hash, so that a damaged row cannot ask for gigabytes.
var maxCost = cost{memory: 1 << 20, time: 16, threads: 16}

const (
	saltLen = 16
	hashLen = 32
)

// hasher computes password hashes, few at once: each takes 19 MiB.
type hasher struct {
	slots   chan struct{} // one for each hash at once
	waiting chan struct{} // one for each caller that waits for a slot
	count   atomic.Int64  // hashes computed, for tests
}

func newHasher(atOnce, queue int) *hasher {
	return &hasher{slots: make(chan struct{}, atOnce), waiting: make(chan struct{}, queue)}
}

// acquire waits for the right to compute one hash. It fails with [ErrBusy]
// when the queue is full and with the context's error when it ends.
func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) release() { <-h.slots }

// hash returns the hash of a password under a fresh salt.
func (h *hasher) hash(ctx context.Context, password string) (store.PHC, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	return h.hashNow(password), nil
}

// hashNow is hash for a caller that has acquired the hasher.
func (h *hasher) hashNow(password string) store.PHC {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	return encodePHC(currentCost, salt, h.key(password, salt, currentCost, hashLen))
}

// verifyNow tells whether the password is the hashed one, and whether the hash
// is weaker than a new one would be. The caller has acquired the hasher.
func (h *hasher) verifyNow(phc store.PHC, password string) (ok, weak bool, err error) {
	c, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, false, err
	}
	got := h.key(password, salt, c, uint32(len(want)))
	weak = c.memory < currentCost.memory || c.time < currentCost.time || len(want) < hashLen || len(salt) < saltLen
	return subtle.ConstantTimeCompare(got, want) == 1, weak, nil
}

func (h *hasher) key(password string, salt []byte, c cost, n uint32) []byte {
	h.count.Add(1)
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, n)
}

var b64 = base64.RawStdEncoding.Strict()

func encodePHC(c cost, salt, key []byte) store.PHC {
	return store.PHC(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		c.memory, c.time, c.threads, b64.EncodeToString(salt), b64.EncodeToString(key)))
}

var errPHC = errors.New("stored password hash is malformed")

// parsePHC reads exactly what encodePHC writes, with bounds.
func parsePHC(phc store.PHC) (c cost, salt, key []byte, err error) {
	parts := strings.Split(string(phc), "$")
	if len(parts) != 6 {
		return c, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil {
		return c, nil, nil, errPHC
	}
	salt, err1 := b64.DecodeString(parts[4])
	key, err2 := b64.DecodeString(parts[5])
	inBounds := c.memory >= 8*uint32(c.threads) && c.memory <= maxCost.memory && c.time >= 1 && c.time <= maxCost.time &&
		c.threads >= 1 && c.threads <= maxCost.threads && len(salt) >= 8 && len(salt) <= 64 && len(key) >= 16 && len(key) <= 64
	if err1 != nil || err2 != nil || !inBounds || encodePHC(c, salt, key) != phc {
		return c, nil, nil, errPHC
	}
	return c, salt, key, nil
}
