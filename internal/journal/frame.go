package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

const (
	version    = 1
	magic      = "GHJOURNL"
	headerSize = 64
	frameHead  = 108       // bytes of a frame before its meta
	maxFrame   = 1<<28 - 1 // what the length field can say
	mark       = 0xA << 28 // a frame's first byte is never zero, as a torn sector's is
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	emptySum   = sha256.Sum256(nil)
	be         = binary.BigEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// header is the start of a segment.
type header struct {
	version uint16
	first   uint64   // seq of the first frame
	sync    uint64   // marker of each frame of the segment
	prev    [32]byte // chain before the first frame
}

func (h *header) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = be.AppendUint16(dst, h.version)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	dst = be.AppendUint64(dst, h.first)
	dst = be.AppendUint64(dst, h.sync)
	dst = append(dst, h.prev[:]...)
	be.PutUint32(dst[at+12:], headerCRC(dst[at:]))
	return dst
}

func headerCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || string(b[:8]) != magic || be.Uint32(b[12:]) != headerCRC(b) {
		return header{}, false
	}
	h = header{version: be.Uint16(b[8:]), first: be.Uint64(b[16:]), sync: be.Uint64(b[24:])}
	copy(h.prev[:], b[32:])
	return h, h.version > 0
}

// frame is the fixed part of a frame, decoded, and where it stands.
type frame struct {
	off     int64
	total   int // bytes, all of it
	metaLen int
	sync    uint64
	seq     uint64
	time    int64
	index   uint32 // in its commit
	kind    Kind
	bodySum [32]byte
	chain   [32]byte
	metaSum [32]byte
}

func (f *frame) end() int64     { return f.off + int64(f.total) }
func (f *frame) commit() uint64 { return f.seq - uint64(f.index) }
func (f *frame) bodyLen() int   { return f.total - frameHead - f.metaLen }
func (f *frame) bodyOff() int64 { return f.off + frameHead + int64(f.metaLen) }

// appendFrame appends a frame that still lacks what seal fills in.
func appendFrame(dst []byte, kind Kind, time int64, meta, body []byte, sum *[32]byte) []byte {
	var h [frameHead]byte
	be.PutUint32(h[0:], uint32(mark|(frameHead+len(meta)+len(body))))
	be.PutUint64(h[24:], uint64(time))
	h[32] = byte(kind)
	be.PutUint32(h[40:], uint32(len(meta)))
	copy(h[44:], sum[:])
	dst = append(dst, h[:]...)
	dst = append(dst, meta...)
	return append(dst, body...)
}

func frameSize(b []byte) int   { return int(be.Uint32(b) &^ (0xF << 28)) }
func frameTime(b []byte) int64 { return int64(be.Uint64(b[24:])) }

// seal gives the frame at the start of b its number, place and chain, and a
// time that is not before notBefore. It returns the chain and that time.
func seal(b []byte, sync, seq uint64, index uint32, notBefore int64, prev *[32]byte) ([32]byte, int64) {
	t := max(frameTime(b), notBefore)
	be.PutUint64(b[8:], sync)
	be.PutUint64(b[16:], seq)
	be.PutUint64(b[24:], uint64(t))
	be.PutUint32(b[36:], index)
	meta := b[frameHead : frameHead+be.Uint32(b[40:])]
	metaSum := sha256.Sum256(meta)
	chain := link(prev, b[16:33], &metaSum, b[44:76])
	copy(b[76:], chain[:])
	be.PutUint32(b[4:], frameCRC(b, meta))
	return chain, t
}

// link is one step of the chain; fixed is seq, time and kind as they are in the frame.
func link(prev *[32]byte, fixed []byte, metaSum *[32]byte, bodySum []byte) [32]byte {
	var b [32 + 17 + 32 + 32]byte
	copy(b[0:], prev[:])
	copy(b[32:], fixed)
	copy(b[49:], metaSum[:])
	copy(b[81:], bodySum)
	return sha256.Sum256(b[:])
}

// follows says whether f's chain is what it must be behind a frame whose chain is prev.
func (f *frame) follows(prev *[32]byte) bool {
	var fixed [17]byte
	be.PutUint64(fixed[0:], f.seq)
	be.PutUint64(fixed[8:], uint64(f.time))
	fixed[16] = byte(f.kind)
	return link(prev, fixed[:], &f.metaSum, f.bodySum[:]) == f.chain
}

func frameCRC(head, meta []byte) uint32 {
	c := crc32.Checksum(head[:4], castagnoli)
	c = crc32.Update(c, castagnoli, head[8:frameHead])
	return crc32.Update(c, castagnoli, meta)
}

// parseFrame decodes the fixed part, without the crc, which needs the meta.
// It is false where the lengths cannot be those of a frame.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < frameHead || b[0]>>4 != 0xA || b[33]|b[34]|b[35] != 0 {
		return frame{}, false
	}
	f = frame{
		total: frameSize(b), metaLen: int(be.Uint32(b[40:])),
		sync: be.Uint64(b[8:]), seq: be.Uint64(b[16:]), time: int64(be.Uint64(b[24:])),
		kind: Kind(b[32]), index: be.Uint32(b[36:]),
	}
	copy(f.bodySum[:], b[44:])
	copy(f.chain[:], b[76:])
	return f, f.total >= frameHead && f.metaLen <= f.total-frameHead && uint64(f.index) < f.seq
}
