package normalise

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/value"
)

// id is the first half of the SHA-256 over what makes the record itself: the
// kind of thing and its key, each with its length before it, or the whole
// record where it has no key. Ids are stored and compared with those of later
// releases, so neither kinds nor keys may change.
func (n *Normaliser) id(src *source, r *event.Raw) event.ID {
	from := len(n.buf) // the key is built behind the texts and taken off again
	defer func() { n.buf = n.buf[:from] }()
	for _, k := range src.id {
		if n.key(k, r.Doc) {
			return first(sha256.Sum256(n.buf[from:]))
		}
		n.buf = n.buf[:from]
	}
	if src.starts != nil && src.starts(r.Doc) && n.processKey() {
		return first(sha256.Sum256(n.buf[from:]))
	}
	n.buf = append(append(n.buf[:from], "record "...), r.JSON...)
	return first(sha256.Sum256(n.buf[from:]))
}

// key appends a key, and reports whether all of it is there.
func (n *Normaliser) key(k keyRow, doc *fastjson.Value) bool {
	n.buf = append(append(n.buf, k.kind...), 0)
	for _, p := range k.keys {
		v := doc.Get(p...)
		if v == nil || v.Type() == fastjson.TypeNull {
			return false
		}
		from := len(n.buf)
		n.buf = append(n.buf, 0, 0, 0, 0)
		if v.Type() == fastjson.TypeString {
			b, _ := v.StringBytes()
			if len(b) == 0 {
				return false
			}
			n.buf = append(n.buf, b...)
		} else {
			n.buf = value.Append(n.buf, v)
		}
		binary.BigEndian.PutUint32(n.buf[from:], uint32(len(n.buf)-from-4))
	}
	return true
}

func first(sum [sha256.Size]byte) (id event.ID) {
	copy(id[:], sum[:])
	return id
}
