package journal

// HeaderOfVersion returns the header of a segment of another format.
func HeaderOfVersion(v uint16) []byte {
	h := header{version: v, first: 1, sync: 7}
	return h.append(nil)
}

// Reforge returns a frame with another meta of the same length and a checksum
// that fits: what someone does who knows the format, but not how to redo the chain.
func Reforge(frame, meta []byte) []byte {
	b := append([]byte(nil), frame...)
	copy(b[frameHead:], meta)
	be.PutUint32(b[4:], frameCRC(b, b[frameHead:frameHead+be.Uint32(b[40:])]))
	return b
}

// EraseNote returns the note of an erasure of one body.
func EraseNote(name string, off, n uint64) []byte {
	b := be.AppendUint64(be.AppendUint64([]byte(name), off), n)
	return be.AppendUint32(b, checksum(b))
}

// Resum puts right checksums into the header and into the frames that b holds
// by their lengths, so that fuzzing gets past them.
func Resum(b []byte) []byte {
	b = append([]byte(nil), b...)
	if len(b) < headerSize {
		return b
	}
	be.PutUint32(b[12:], headerCRC(b))
	for rest := b[headerSize:]; ; {
		f, ok := parseFrame(rest)
		if !ok || f.total > len(rest) {
			return b
		}
		be.PutUint32(rest[4:], frameCRC(rest, rest[frameHead:frameHead+f.metaLen]))
		rest = rest[f.total:]
	}
}
