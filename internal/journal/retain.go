package journal

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Retention is how long what the journal holds is kept. Zero means for good.
type Retention struct {
	Bodies time.Duration // then they are erased
	Frames time.Duration // then their segment is deleted, once all of it is that old
}

// Retained is what one run of Retain did.
type Retained struct {
	Bodies   int // erased
	Segments int // deleted
	Frames   uint64
}

// Retain erases and deletes what is older than r says. It may run while the
// journal is written, of whose time it leaves three quarters; what ctx or an
// error leaves undone is done by the next run.
//
// Bodies are erased wherever they stand. Segments are deleted only from the
// oldest on, and never one from which Open would replay, nor the newest. A frame
// of KindDeleted is durable before the first is gone: it says up to where, and
// the chain there, so that Verify can tell a deletion from a theft.
func (j *Journal) Retain(ctx context.Context, r Retention) (done Retained, err error) {
	now := j.o.Now()
	if r.Frames > 0 {
		if err := j.deleteOld(ctx, now.Add(-r.Frames), &done); err != nil {
			return done, fmt.Errorf("delete old segments: %w", err)
		}
	}
	if r.Bodies > 0 {
		if err := j.eraseOld(ctx, now.Add(-r.Bodies), &done); err != nil {
			return done, fmt.Errorf("erase old bodies: %w", err)
		}
	}
	return done, nil
}

// erasedName is the file that says below which frame all bodies are erased, so
// that no run looks at what an earlier one did. Without it the next run looks
// at everything again.
const erasedName = "erased"

func (j *Journal) eraseOld(ctx context.Context, before time.Time, done *Retained) error {
	names, err := listSegments(j.o.FS, j.o.Dir)
	if err != nil {
		return err
	}
	from, err := j.erasedBelow()
	if err != nil {
		return err
	}
	for i, name := range names {
		last := uint64(maxSeq)
		if i+1 < len(names) {
			next, _ := segmentFirst(names[i+1])
			last = next - 1
		}
		if last < from {
			continue
		}
		below, err := j.eraseSegment(ctx, name, from, last, before, done)
		if err != nil {
			return err
		}
		if below > from {
			if err := j.noteErased(below); err != nil {
				return err
			}
		}
		if below <= last { // what is behind is younger still
			return nil
		}
		from = below
	}
	return nil
}

// eraseSegment erases what is older in one segment and returns the first frame
// that is not.
func (j *Journal) eraseSegment(ctx context.Context, name string, from, last uint64, before time.Time, done *Retained) (below uint64, err error) {
	if began, err := segmentBegan(j.o.FS, j.o.Dir, name); err != nil || !began.IsZero() && !began.Before(before) {
		return from, err
	}
	below = min(last, j.Stats().Seq) + 1
	n, err := j.erase(&eraser{ctx: ctx, j: j, first: from, last: last, rests: 3, match: func(e Entry) bool {
		old := e.Time.Before(before)
		if !old {
			below = min(below, e.Seq)
		}
		return old
	}})
	done.Bodies += n
	return below, err
}

// erasedBelow reads the note of erasedName; 0 if there is none that counts.
func (j *Journal) erasedBelow() (uint64, error) {
	f, err := j.o.FS.Open(j.path(erasedName), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := window{f: f, size: 12}
	b, err := w.at(0, 12)
	if err != nil || len(b) < 12 || be.Uint32(b[8:]) != checksum(b[:8]) {
		return 0, err
	}
	return be.Uint64(b), nil
}

// noteErased writes within one sector, so a crash leaves the old note or the
// new, or one that counts for nothing.
func (j *Journal) noteErased(below uint64) error {
	f, err := j.o.FS.Open(j.path(erasedName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	b := be.AppendUint64(nil, below)
	if _, err := f.WriteAt(be.AppendUint32(b, checksum(b)), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return j.o.FS.SyncDir(j.o.Dir)
}

// deletion is the meta of a KindDeleted frame.
type deletion struct {
	Last   uint64    `json:"last"`   // frames up to here are deleted
	Chain  string    `json:"chain"`  // hex, of that frame
	Before time.Time `json:"before"` // all of them are older
}

func (j *Journal) deleteOld(ctx context.Context, before time.Time, done *Retained) error {
	j.eraseMu.Lock()
	defer j.eraseMu.Unlock()
	names, err := listSegments(j.o.FS, j.o.Dir)
	if err != nil {
		return err
	}
	n, err := j.deletable(names, before)
	if err != nil || n == 0 {
		return err
	}
	if err := j.tellDeletion(names[n], before); err != nil {
		return err
	}
	for i, name := range names[:n] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.deleteSegment(name); err != nil {
			return err
		}
		first, _ := segmentFirst(name)
		next, _ := segmentFirst(names[i+1])
		j.oldest.Store(next)
		done.Segments++
		done.Frames += next - first
	}
	return nil
}

// deletable counts the oldest segments that may go.
func (j *Journal) deletable(names []string, before time.Time) (int, error) {
	kept, err := segmentsSince(j.o.FS, j.o.Dir, names, before)
	if err != nil || len(names) == 0 {
		return 0, err
	}
	n := min(len(names)-len(kept), len(names)-1)
	if n > 0 && j.o.Snapshot != nil {
		replay, err := j.replayStart(names, true)
		if err != nil {
			return 0, err
		}
		n = min(n, replay)
	}
	return n, nil
}

// tellDeletion makes durable that everything ahead of the segment oldest goes.
func (j *Journal) tellDeletion(oldest string, before time.Time) error {
	s, err := openSegment(j.o.FS, j.o.Dir, oldest, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer s.close()
	if !s.headOK {
		return s.damage(0, headerSize, "header is damaged; what is ahead of it is kept")
	}
	d := deletion{Last: s.head.first - 1, Chain: hex.EncodeToString(s.head.prev[:]), Before: before.UTC()}
	meta, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return j.Append(KindDeleted, meta, nil, nil)
}

// deleteSegment makes each removal durable before the next, so that what is
// left is always the newest part.
func (j *Journal) deleteSegment(name string) error {
	if err := j.o.FS.Remove(j.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.o.FS.SyncDir(j.o.Dir)
}
