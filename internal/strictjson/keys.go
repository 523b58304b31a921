package strictjson

import (
	"bytes"
	"hash/maphash"
	"unicode"
	"unicode/utf8"
)

// Two keys of one object must not be equal under simple Unicode case folding,
// the folding of encoding/json and of most case-insensitive readers: it maps
// the Kelvin sign to k and the long s to s. Small objects are compared pair by
// pair, larger ones through a hash table with a random seed, so that no choice
// of keys makes the check slow.

const pairwise = 8 // keys up to which comparing all pairs is quicker

var seed = maphash.MakeSeed()

func (d *Document) distinctKeys() error {
	for i := range d.nodes {
		o := &d.nodes[i]
		if o.kind != Object || o.count < 2 {
			continue
		}
		clash := None
		if o.count <= pairwise {
			clash = d.clashPairs(Node(i))
		} else {
			clash = d.clashHash(Node(i), int(o.count))
		}
		if clash != None {
			return &SyntaxError{int(d.nodes[clash].key.start), "duplicate key, or keys that differ only in case"}
		}
	}
	return nil
}

func (d *Document) clashPairs(object Node) Node {
	var keys [pairwise][]byte
	i := 0
	for n := d.First(object); n != None; n = d.Next(n) {
		keys[i] = d.KeyBytes(n)
		for _, k := range keys[:i] {
			if bytes.EqualFold(k, keys[i]) {
				return n
			}
		}
		i++
	}
	return None
}

func (d *Document) clashHash(object Node, count int) Node {
	size := 32
	for size < 2*count {
		size *= 2
	}
	if cap(d.table) < size {
		d.table = make([]int32, size)
	}
	table := d.table[:size]
	clear(table) // 0 is free: the top node is no member
	for n := d.First(object); n != None; n = d.Next(n) {
		key := d.KeyBytes(n)
		d.scratch = appendFolded(d.scratch[:0], key)
		i := maphash.Bytes(seed, d.scratch) & uint64(size-1)
		for ; table[i] != 0; i = (i + 1) & uint64(size-1) {
			if bytes.EqualFold(key, d.KeyBytes(Node(table[i]))) {
				return n
			}
		}
		table[i] = int32(n)
	}
	return None
}

// appendFolded appends key with each rune replaced by the least of those that
// fold together with it.
func appendFolded(dst, key []byte) []byte {
	for i := 0; i < len(key); {
		c := key[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(key[i:])
		i += size
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		dst = utf8.AppendRune(dst, least)
	}
	return dst
}
