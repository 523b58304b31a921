// Package seal encrypts the bodies that the journal keeps, so that a stolen
// disk or backup shows no prompt.
//
// # The key file
//
// A key is 32 random bytes. The key file holds one or more, in base64, one a
// line; empty lines and lines that begin with # are skipped. The first key
// seals, all of them open. To change the key, put a new one on top and keep the
// old ones for as long as there are bodies under them; taking one out makes
// those unreadable for good, backups of the journal included. Only its owner
// may read or write the file. An entry of the journal names its key by the
// first eight hex digits of SHA-256 over a label and the key, which tell
// nothing of it.
//
// # The box
//
// A sealed body is nonce (24 bytes, random), ciphertext, tag (16 bytes), made by
// XAES-256-GCM (C2SP): each body has an AES-256-GCM key of its own, derived
// from the first half of the nonce. Plain AES-GCM with random nonces would
// want a new key every 2^32 bodies and somebody who counts them; here there is
// nothing to count, wrap or keep beside the key file. The context, which names
// the entry, is authenticated with it: a box moved to another entry does not open.
//
// The journal's hashes cover the box, so verifying needs no key. The box hides
// a body's bytes, not its length, and not that two calls had the same request
// where their records carry its SHA-256.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

const (
	keyLen   = 32
	nonceLen = 24
	tagLen   = 16
	// Overhead is how much longer a box is than the body in it.
	Overhead = nonceLen + tagLen
)

// ID names a key.
type ID string

// Keys are the keys of a key file. They do not change and may be used from any
// goroutine. They print as [redacted].
type Keys struct {
	list []*key // the first seals
}

// key is one key, ready for use.
type key struct {
	id    ID
	block cipher.Block
	k1    [aes.BlockSize]byte // what CMAC masks its last block with
}

const redacted = "[redacted]"

func (*Keys) String() string               { return redacted }
func (*Keys) GoString() string             { return redacted }
func (*Keys) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (*Keys) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (*key) String() string                { return redacted }
func (*key) GoString() string              { return redacted }

// ErrNoKey means that a body is sealed under a key that is not at hand.
var ErrNoKey = errors.New("its key is not in the key file")

// ErrOpen means that a box is not what was sealed, or not for this entry.
var ErrOpen = errors.New("the sealed body does not open: it was changed, or belongs to another record")

// newKey panics on a key of another length: ReadKeys has checked it.
func newKey(secret []byte) *key {
	block, err := aes.NewCipher(secret)
	if err != nil || len(secret) != keyLen {
		panic("seal: a key has 32 bytes")
	}
	k := &key{id: idOf(secret), block: block}
	block.Encrypt(k.k1[:], k.k1[:])
	carry := k.k1[0] >> 7
	for i := range k.k1 {
		k.k1[i] <<= 1
		if i+1 < len(k.k1) {
			k.k1[i] |= k.k1[i+1] >> 7
		}
	}
	k.k1[len(k.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return k
}

func idOf(secret []byte) ID {
	h := sha256.New()
	h.Write([]byte("gatehouse body key id\n"))
	h.Write(secret)
	return ID(hex.EncodeToString(h.Sum(nil)[:4]))
}

// derive makes the cipher of one nonce: AES-CMAC of a counter and the nonce's
// first half gives its key; the second half is the nonce of AES-GCM.
func (k *key) derive(nonce []byte) (cipher.AEAD, []byte) {
	var sub [keyLen]byte
	for i := range 2 {
		m := sub[i*aes.BlockSize : (i+1)*aes.BlockSize]
		m[1], m[2] = byte(i+1), 'X'
		copy(m[4:], nonce[:12])
		subtle.XORBytes(m, m, k.k1[:])
		k.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(sub[:])
	if err != nil {
		panic(err) // the length is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is right
	}
	return aead, nonce[12:nonceLen]
}

// Current is the key that seals.
func (k *Keys) Current() ID { return k.list[0].id }

// Seal appends the box of body to dst. body must not overlap what follows dst.
func (k *Keys) Seal(dst, body, context []byte) []byte {
	at := len(dst)
	var nonce [nonceLen]byte
	rand.Read(nonce[:])
	dst = append(dst, nonce[:]...)
	aead, rest := k.list[0].derive(dst[at:])
	return aead.Seal(dst, rest, body, context)
}

// Open appends the body in a box that was sealed under the key id. On an error
// it returns dst as it was.
func (k *Keys) Open(dst []byte, id ID, box, context []byte) ([]byte, error) {
	by := k.find(id)
	if by == nil {
		return dst, fmt.Errorf("body is sealed under key %.16s: %w", string(id), ErrNoKey)
	}
	if len(box) < Overhead {
		return dst, ErrOpen
	}
	aead, nonce := by.derive(box)
	out, err := aead.Open(dst, nonce, box[nonceLen:], context)
	if err != nil {
		return dst, ErrOpen
	}
	return out, nil
}

// find is nil for an unknown key; k may be nil.
func (k *Keys) find(id ID) *key {
	if k == nil {
		return nil
	}
	for _, one := range k.list {
		if one.id == id {
			return one
		}
	}
	return nil
}
