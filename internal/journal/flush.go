package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// keepBuffer is the largest batch buffer that is kept for reuse.
const keepBuffer = 8 << 20

// flusher is the state of the one goroutine that writes.
type flusher struct {
	names []string // segments, oldest first, with their sizes
	sizes []int64

	file  File // newest segment of this opener; nil before the first commit
	fresh bool // its name and header are not durable yet
	lead  []byte
	sync  uint64
	began int64 // time of the segment's first frame
	end   int64 // where the next commit goes

	seq   uint64 // last sealed frame
	chain [32]byte
	time  int64 // of the last sealed frame

	spare *batch
	tick  *time.Ticker

	begun time.Time   // when the last commit began
	crowd int         // how many waited for it
	pause *time.Timer // of pace

	lazy  *time.Timer // until what nobody waits for is committed
	armed bool
}

func (fl *flusher) start(j *Journal) {
	fl.spare = new(batch)
	fl.tick = time.NewTicker(time.Second)
	fl.pause = time.NewTimer(0)
	fl.lazy = time.NewTimer(time.Hour)
	j.lookAtSpace()
	j.publish(0)
}

func (fl *flusher) close() error {
	fl.tick.Stop()
	fl.pause.Stop()
	fl.lazy.Stop()
	if fl.file == nil {
		return nil
	}
	return fl.file.Close()
}

// flush is the flusher's goroutine.
func (j *Journal) flush() {
	defer close(j.done)
	for {
		select {
		case <-j.kick:
			j.pace()
			if !j.commit() {
				return
			}
		case <-j.nudge:
			if !j.fl.armed {
				j.fl.armed = true
				j.fl.lazy.Reset(lazyWait)
			}
		case <-j.fl.lazy.C:
			j.fl.armed = false
			if !j.commit() {
				return
			}
		case <-j.fl.tick.C:
			j.lookAtSpace()
		case <-j.quit:
			j.commit()
			return
		}
	}
}

// What nobody waits for is committed with the next frame that somebody does wait
// for, or after lazyWait, or once it is lazyBytes long. Otherwise each call would
// cost two syncs, and the next one would wait for the second.
const (
	lazyWait  = 20 * time.Millisecond
	lazyBytes = 1 << 20
)

// commitPace is the shortest time between the starts of two commits while
// several appenders wait at once. A sync costs the same for one frame and for
// a hundred, about as much processor time as a whole call: a millisecond's
// frames share one. An appender that is alone does not wait for company, except
// that the first commit after a crowd may begin this much later.
const commitPace = time.Millisecond

func (j *Journal) pace() {
	fl := &j.fl
	if wait := commitPace - time.Since(fl.begun); fl.crowd > 1 && wait > 0 {
		fl.pause.Reset(wait)
		select {
		case <-fl.pause.C:
		case <-j.quit:
		}
	}
	fl.begun = time.Now()
}

// commit makes the next batch durable and wakes its waiters. It is false when
// the journal has ended.
func (j *Journal) commit() bool {
	j.mu.Lock()
	b := j.next
	j.next = j.fl.spare
	j.mu.Unlock()
	j.fl.crowd = len(b.waiters)
	j.since.Store(time.Now().UnixNano())
	err := j.persist(b)
	j.since.Store(0)
	if err != nil {
		j.latch(err, b)
		return false
	}
	for _, w := range b.waiters {
		w.ch <- nil
	}
	j.release(b)
	return true
}

// release makes b empty for reuse.
func (j *Journal) release(b *batch) {
	n := len(b.buf)
	b.buf = b.buf[:0]
	if cap(b.buf) > keepBuffer {
		b.buf = nil
	}
	clear(b.waiters)
	b.waiters = b.waiters[:0]
	j.fl.spare = b
	j.mu.Lock()
	j.held -= n
	j.mu.Unlock()
}

// latch ends the journal for good: b and all that is queued behind it fail.
func (j *Journal) latch(cause error, b *batch) {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	j.mu.Lock()
	j.err = err
	next := j.next
	j.next = new(batch)
	j.held = 0
	j.mu.Unlock()
	close(j.failed)
	j.o.Log.Error("journal failed", "dir", j.o.Dir, "error", cause)
	for _, b := range []*batch{b, next} {
		for _, w := range b.waiters {
			w.ch <- err
		}
	}
}

// persist writes and syncs one batch. Its error is final.
func (j *Journal) persist(b *batch) error {
	if len(b.buf) == 0 {
		return nil
	}
	if err := j.roll(b.buf); err != nil {
		return err
	}
	j.sealAll(b.buf)
	wanting := func(err error) bool { return noSpace(err) || noFiles(err) }
	if err := j.retry(wanting, func() error { return j.write(b.buf) }); err != nil {
		return err
	}
	return j.settle(int64(len(b.buf)))
}

// retry does something until its error is none that passes. Other errors are
// final, and so is the end of the journal.
func (j *Journal) retry(passes func(error) bool, do func() error) error {
	for {
		err := do()
		if err == nil || !passes(err) {
			return err
		}
		if err := j.await(err); err != nil {
			return err
		}
	}
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// noFiles says whether a file or directory could not be opened for want of
// descriptors or memory, in the process or the system: nothing was begun then.
// From a write or a sync the same errors are as final as any.
func noFiles(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Op == "open" &&
		(errors.Is(at.Err, syscall.EMFILE) || errors.Is(at.Err, syscall.ENFILE) || errors.Is(at.Err, syscall.ENOMEM))
}

// roll begins a new segment if buf does not fit in this one. The file itself
// is made by write, which can be tried again.
func (j *Journal) roll(buf []byte) error {
	fl := &j.fl
	if fl.file != nil {
		if fl.end+int64(len(buf)) <= j.o.SegmentBytes && frameTime(buf)-fl.began < int64(j.o.SegmentAge) {
			return nil
		}
		if err := fl.file.Close(); err != nil {
			return err
		}
		fl.file = nil
	}
	var marker [8]byte
	rand.Read(marker[:])
	fl.fresh, fl.end, fl.sync, fl.began = true, 0, be.Uint64(marker[:]), frameTime(buf)
	h := header{version: version, first: fl.seq + 1, sync: fl.sync, prev: fl.chain}
	fl.names = append(fl.names, segmentName(h.first))
	fl.sizes = append(fl.sizes, 0)
	fl.lead = h.append(fl.lead[:0])
	if j.o.Snapshot != nil {
		state := j.o.Snapshot()
		if len(state) > maxFrame-frameHead {
			return fmt.Errorf("snapshot of %d bytes: %w", len(state), ErrTooLarge)
		}
		fl.lead = appendFrame(fl.lead, KindSnapshot, frameTime(buf), state, nil, &emptySum)
	}
	return nil
}

// sealAll numbers and chains the frames of a commit: those of lead, then those of buf.
func (j *Journal) sealAll(buf []byte) {
	fl := &j.fl
	var index uint32
	if len(fl.lead) > headerSize {
		index = fl.sealFrames(fl.lead[headerSize:], 0)
	}
	fl.sealFrames(buf, index)
}

func (fl *flusher) sealFrames(b []byte, index uint32) uint32 {
	for len(b) > 0 {
		fl.seq++
		fl.chain, fl.time = seal(b, fl.sync, fl.seq, index, fl.time, &fl.chain)
		index++
		b = b[frameSize(b):]
	}
	return index
}

// write puts lead and buf at the end of the segment. When it fails for want of
// space, nothing of them is left in the file.
func (j *Journal) write(buf []byte) error {
	fl := &j.fl
	if fl.file == nil {
		f, err := j.o.FS.Open(j.path(fl.names[len(fl.names)-1]), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return err
		}
		fl.file = f
	}
	all := buf
	if len(fl.lead) > 0 {
		all = append(fl.lead, buf...)
		fl.lead = all[:len(fl.lead)]
	}
	_, err := fl.file.WriteAt(all, fl.end)
	if err == nil || !noSpace(err) {
		return err
	}
	if terr := fl.file.Truncate(fl.end); terr != nil {
		return fmt.Errorf("cut half-written commit: %v (after: %v)", terr, err)
	}
	return err
}

// settle syncs what write wrote, and accounts for it.
func (j *Journal) settle(n int64) error {
	fl := &j.fl
	if err := fl.file.Sync(); err != nil {
		return err
	}
	n += int64(len(fl.lead))
	fl.end += n
	fl.sizes[len(fl.sizes)-1] = fl.end
	fl.lead = fl.lead[:0]
	if cap(fl.lead) > keepBuffer {
		fl.lead = nil
	}
	if fl.fresh {
		fl.fresh = false
		if err := j.retry(noFiles, func() error { return j.o.FS.SyncDir(j.o.Dir) }); err != nil {
			return err
		}
		j.trim()
	}
	j.publish(1)
	if j.Level() == Full {
		j.lookAtSpace()
		j.setHeldBy(nil)
	}
	return nil
}

// trim deletes the oldest segments so that a whole new one stays below
// MaxBytes. Each removal is made durable before the next, so that what is
// left is always the newest part.
func (j *Journal) trim() {
	fl := &j.fl
	for j.o.MaxBytes > 0 && len(fl.names) > 1 {
		sealed := sum(fl.sizes[:len(fl.sizes)-1])
		if sealed+max(fl.end, j.o.SegmentBytes) <= j.o.MaxBytes {
			return
		}
		err := j.o.FS.Remove(j.path(fl.names[0]))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = j.o.FS.SyncDir(j.o.Dir)
		}
		if err != nil {
			j.o.Log.Error("delete oldest journal segment", "dir", j.o.Dir, "error", err)
			return
		}
		fl.names, fl.sizes = fl.names[1:], fl.sizes[1:]
	}
}

// forget drops the segments that Retain deleted.
func (fl *flusher) forget(oldest uint64) {
	for len(fl.names) > 1 {
		if first, _ := segmentFirst(fl.names[0]); first >= oldest {
			return
		}
		fl.names, fl.sizes = fl.names[1:], fl.sizes[1:]
	}
}

func sum(sizes []int64) (n int64) {
	for _, s := range sizes {
		n += s
	}
	return n
}

// publish brings Stats up to date.
func (j *Journal) publish(commits uint64) {
	fl := &j.fl
	fl.forget(j.oldest.Load())
	j.statsMu.Lock()
	defer j.statsMu.Unlock()
	s := &j.stats
	s.Seq, s.Head, s.Segments, s.Bytes = fl.seq, fl.chain, len(fl.names), sum(fl.sizes)
	s.Commits += commits
}
