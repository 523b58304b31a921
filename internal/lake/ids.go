package lake

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"gatehouse/internal/event"
)

// Duplicates are told by the ids of everything that the lake holds, in runs:
// files of sorted ids, a seal one run, which are merged eight at a time, so
// that there are few. A run ends with every 256th id (fences) and a filter.
// Fences are kept in memory, so that an id is looked up with one read of five
// kilobytes; filters, ten bits an id, save that read for nearly all ids that
// are new. When there is no room for all filters, the largest runs, which are
// also the oldest, go without.

// known is one id of a run: which strand told of it first, and of what day.
type known struct {
	id     event.ID
	strand uint8 // index of manifest.Strands
	day    int32 // days since 1970
}

const (
	knownSize = 16 + 4
	fenceStep = 256
	blockSize = 64 // bytes of the filter that one id touches
	perBlock  = blockSize * 8 / 10
	maxRun    = 16 << 20 // ids; a run this large is merged no more
)

func (k known) append(b []byte) []byte {
	b = append(b, k.id[:]...)
	return append(b, k.strand, byte(k.day), byte(k.day>>8), byte(k.day>>16))
}

func readKnown(b []byte) known {
	day := int32(b[17]) | int32(b[18])<<8 | int32(int8(b[19]))<<16
	return known{event.ID(b[:16]), b[16], day}
}

// run is a file of ids, open for looking up, by one goroutine at a time.
type run struct {
	runEntry
	h      Handle
	buf    []byte
	fences []uint64 // first eight bytes of every 256th id
	filter filter   // nil when there was no room
}

// filter is a Bloom filter in blocks of 64 bytes, one bit in each of a block's
// eight words.
type filter []uint64

func filterWords(n int64) int { return int(n/perBlock+1) * blockSize / 8 }

func (f filter) place(id event.ID) (word int, h uint64) {
	a, b := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	h = (a ^ bits.RotateLeft64(b, 32)) * 0x9E3779B97F4A7C15
	h ^= h >> 29
	block, _ := bits.Mul64(b*0xD6E8FEB86659FD93^a, uint64(len(f)/8))
	return int(block) * 8, h
}

func (f filter) add(id event.ID) {
	at, h := f.place(id)
	for i := range 8 {
		f[at+i] |= 1 << (h >> (8 * i) & 63)
	}
}

func (f filter) may(id event.ID) bool {
	at, h := f.place(id)
	for i := range 8 {
		if f[at+i]>>(h>>(8*i)&63)&1 == 0 {
			return false
		}
	}
	return true
}

// find looks an id up.
func (r *run) find(id event.ID) (known, bool, error) {
	if r.filter != nil && !r.filter.may(id) {
		return known{}, false, nil
	}
	first := binary.BigEndian.Uint64(id[:8])
	// Ids that share their first bytes may begin in the stretch before.
	from, _ := slices.BinarySearch(r.fences, first)
	to := from
	for to < len(r.fences) && r.fences[to] == first {
		to++
	}
	lo, hi := int64(max(from-1, 0))*fenceStep, min(int64(to)*fenceStep, r.Count)
	if hi <= lo {
		return known{}, false, nil
	}
	r.buf = slices.Grow(r.buf[:0], int(hi-lo)*knownSize)
	b := r.buf[:int(hi-lo)*knownSize]
	if _, err := r.h.ReadAt(b, lo*knownSize); err != nil && !errors.Is(err, io.EOF) {
		return known{}, false, fmt.Errorf("look up ids in %s: %w", r.Name, err)
	}
	n := len(b) / knownSize
	at, ok := findIn(b, n, id)
	if !ok {
		return known{}, false, nil
	}
	return readKnown(b[at*knownSize:]), true, nil
}

func findIn(b []byte, n int, id event.ID) (int, bool) {
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if bytes.Compare(b[mid*knownSize:][:16], id[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < n && event.ID(b[lo*knownSize:][:16]) == id
}

// writeRun writes ids, which come in order, as a file that is durable but for
// its name. most is at least their number.
func writeRun(fsys FS, dir, name string, most int64, next func() (known, bool, error)) (runEntry, error) {
	h, err := fsys.Open(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return runEntry{}, err
	}
	out := &output{h: h}
	w := bufio.NewWriterSize(out, 256<<10)
	entry, err := writeIDs(w, most, next)
	entry.Name = name
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = h.Sync()
	}
	return entry, errors.Join(err, h.Close())
}

func writeIDs(w *bufio.Writer, most int64, next func() (known, bool, error)) (entry runEntry, err error) {
	f := make(filter, filterWords(most))
	var fences []uint64
	var buf []byte
	for {
		k, ok, err := next()
		if err != nil {
			return entry, err
		}
		if !ok {
			break
		}
		if entry.Count%fenceStep == 0 {
			fences = append(fences, binary.BigEndian.Uint64(k.id[:8]))
		}
		if entry.Count == 0 {
			entry.MinDay, entry.MaxDay = k.day, k.day
		}
		entry.Count++
		entry.MinDay, entry.MaxDay = min(entry.MinDay, k.day), max(entry.MaxDay, k.day)
		f.add(k.id)
		buf = k.append(buf[:0])
		w.Write(buf) // its error stays for Flush
	}
	for _, words := range [][]uint64{fences, f} {
		for _, n := range words {
			buf = binary.LittleEndian.AppendUint64(buf[:0], n)
			w.Write(buf)
		}
	}
	return entry, nil
}

// openRun opens a run, with its filter if room allows.
func openRun(fsys FS, dir string, e runEntry, room *int64) (*run, error) {
	h, err := fsys.Open(filepath.Join(dir, e.Name), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	r := &run{runEntry: e, h: h}
	if err := r.load(room); err != nil {
		h.Close()
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	return r, nil
}

func (r *run) load(room *int64) error {
	size, err := r.h.Size()
	if err != nil {
		return err
	}
	fences := (r.Count + fenceStep - 1) / fenceStep
	at := r.Count*knownSize + fences*8
	words := (size - at) / 8
	if r.Count < 0 || r.Count > size/knownSize || words < 8 || (size-at)%blockSize != 0 {
		return fmt.Errorf("%d bytes are not a run of %d ids", size, r.Count)
	}
	if r.fences, err = r.words(r.Count*knownSize, fences); err != nil {
		return err
	}
	if *room < words*8 {
		return nil
	}
	*room -= words * 8
	r.filter, err = r.words(at, words)
	return err
}

func (r *run) words(at, n int64) ([]uint64, error) {
	b := make([]byte, 8*n)
	if _, err := r.h.ReadAt(b, at); err != nil && n > 0 && !errors.Is(err, io.EOF) {
		return nil, err
	}
	words := make([]uint64, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words, nil
}

// ids gives a run's ids in order.
func (r *run) ids() func() (known, bool, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r.h, 0, r.Count*knownSize), 64<<10)
	var b [knownSize]byte
	return func() (known, bool, error) {
		switch _, err := io.ReadFull(in, b[:]); err {
		case nil:
			return readKnown(b[:]), true, nil
		case io.EOF:
			return known{}, false, nil
		default:
			return known{}, false, fmt.Errorf("read %s: %w", r.Name, err)
		}
	}
}

// mergeIDs gives the ids of several runs in order, those of days before
// horizon left out.
func mergeIDs(runs []*run, horizon int32) func() (known, bool, error) {
	next := make([]func() (known, bool, error), len(runs))
	head := make([]known, len(runs))
	live := make([]bool, len(runs))
	var failed error
	step := func(i int) {
		for {
			var err error
			if head[i], live[i], err = next[i](); err != nil {
				failed, live[i] = err, false
			}
			if !live[i] || head[i].day >= horizon {
				return
			}
		}
	}
	for i, r := range runs {
		next[i] = r.ids()
		step(i)
	}
	return func() (known, bool, error) {
		least := -1
		for i := range head {
			if live[i] && (least < 0 || bytes.Compare(head[i].id[:], head[least].id[:]) < 0) {
				least = i
			}
		}
		if failed != nil || least < 0 {
			return known{}, false, failed
		}
		k := head[least]
		step(least)
		return k, true, nil
	}
}

// inOrder gives collected ids in order.
func inOrder(all []known) func() (known, bool, error) {
	slices.SortFunc(all, func(a, b known) int { return bytes.Compare(a.id[:], b.id[:]) })
	return func() (known, bool, error) {
		if len(all) == 0 {
			return known{}, false, nil
		}
		k := all[0]
		all = all[1:]
		return k, true, nil
	}
}
