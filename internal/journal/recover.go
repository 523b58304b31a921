package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Recovery is what Open found.
type Recovery struct {
	Segments int           // in the journal
	Replayed int           // segments that were read, from the newest snapshot on
	Frames   uint64        // handed to replay
	Last     uint64        // newest frame
	Dropped  int64         // bytes at the end that a crash had left half written, and that were cut
	Damage   []*Damage     // in what was read; nothing of it was cut
	Took     time.Duration // for all of it
}

// Damaged lists the segments in which something is wrong.
func (r *Recovery) Damaged() (names []string) {
	for _, d := range r.Damage {
		if len(names) == 0 || names[len(names)-1] != d.Segment {
			names = append(names, d.Segment)
		}
	}
	return names
}

// recover reads the journal, cuts its tail and sets up the flusher behind it.
func (j *Journal) recover(ctx context.Context, replay func(Entry) error) (rec Recovery, err error) {
	start := time.Now()
	if err := j.finishErase(); err != nil {
		return rec, err
	}
	names, err := listSegments(j.o.FS, j.o.Dir)
	if err != nil {
		return rec, err
	}
	if names, err = j.cutTail(names, &rec); err != nil {
		return rec, err
	}
	from, err := j.replayStart(names, replay != nil)
	if err != nil {
		return rec, err
	}
	a := auditor{found: func(d *Damage) { rec.Damage = append(rec.Damage, d) }}
	for _, name := range names[from:] {
		if err := j.replaySegment(ctx, name, &a, &rec, replay); err != nil {
			return rec, err
		}
	}
	if a.seq > maxSeq/2 {
		return rec, fmt.Errorf("frame number %d is out of range", a.seq)
	}
	j.fl.seq, j.fl.chain, j.fl.time = a.seq, a.chain, a.time
	if err := j.measure(names); err != nil {
		return rec, err
	}
	rec.Segments, rec.Replayed, rec.Last = len(names), len(names)-from, a.seq
	rec.Took = time.Since(start)
	j.report(&rec)
	return rec, nil
}

func (j *Journal) report(rec *Recovery) {
	if rec.Dropped > 0 {
		j.o.Log.Warn("journal: cut a half-written commit", "dir", j.o.Dir, "bytes", rec.Dropped)
	}
	for _, d := range rec.Damage {
		j.o.Log.Error("journal is damaged", "dir", j.o.Dir, "segment", d.Segment, "offset", d.Offset, "bytes", d.Bytes, "what", d.What)
	}
}

// measure notes the segments and their sizes.
func (j *Journal) measure(names []string) error {
	for _, name := range names {
		f, err := j.o.FS.Open(j.path(name), os.O_RDONLY)
		if err != nil {
			return err
		}
		size, err := f.Size()
		f.Close()
		if err != nil {
			return err
		}
		j.fl.names = append(j.fl.names, name)
		j.fl.sizes = append(j.fl.sizes, size)
	}
	return nil
}

// cutTail cuts the last segment behind its last good frame and makes that
// durable, so that the segment is never the last again with a tail on it. A
// segment in which nothing is left is removed: the one before it was
// complete when it was begun.
func (j *Journal) cutTail(names []string, rec *Recovery) ([]string, error) {
	for len(names) > 0 {
		name := names[len(names)-1]
		left, err := j.cutSegment(name, rec)
		if err != nil {
			return nil, err
		}
		if left {
			return names, nil
		}
		if err := j.o.FS.Remove(j.path(name)); err != nil {
			return nil, err
		}
		if err := j.o.FS.SyncDir(j.o.Dir); err != nil {
			return nil, err
		}
		names = names[:len(names)-1]
	}
	return names, nil
}

// cutSegment is false if no frame is left.
func (j *Journal) cutSegment(name string, rec *Recovery) (left bool, err error) {
	s, err := openSegment(j.o.FS, j.o.Dir, name, os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer s.close()
	keep, err := s.sound()
	if err != nil {
		return false, err
	}
	if keep <= headerSize {
		if s.unreadable() {
			return false, fmt.Errorf("segment %s: none of its %d bytes is readable; move the file away to go on without it", name, s.size)
		}
		rec.Dropped += s.size
		return false, nil
	}
	if keep == s.size {
		return true, nil
	}
	rec.Dropped += s.size - keep
	if err := s.f.Truncate(keep); err != nil {
		return false, err
	}
	return true, s.f.Sync()
}

// unreadable says, of a segment without a good frame, that no crash explains it.
func (s *scanner) unreadable() bool {
	return !s.headOK && s.size >= headerSize && !s.torn(0, min(s.size, sector))
}

// sound returns how much of the last segment to keep. Behind the last frame
// whose body is what it should be nothing is kept. Ahead of it, only a region
// of the last commit that has the trace of a torn write is cut: older commits
// were synced, so what is wrong there is damage, not a crash.
func (s *scanner) sound() (keep int64, err error) {
	var commit uint64
	torn := int64(-1) // first torn place in the last commit
	keep = headerSize
	for s.next() {
		if c := s.frame.commit(); c != commit {
			if commit != 0 {
				keep = s.frame.off - s.gap
			}
			commit, torn = c, -1
		}
		if s.gap > 0 && s.index > 0 && torn < 0 && s.torn(s.frame.off-s.gap, s.frame.off) {
			torn = s.frame.off - s.gap
		}
		switch {
		case s.body() != spoilt:
			keep = s.frame.end()
		case torn < 0 && s.torn(s.bodyOff(), s.frame.end()):
			torn = s.frame.off
		}
	}
	if torn >= 0 {
		keep = min(keep, torn)
	}
	return keep, s.err
}

// replayStart is the index of the newest segment that begins with a readable
// snapshot, or 0. Without a replay, the last segment tells enough.
func (j *Journal) replayStart(names []string, replays bool) (int, error) {
	for i := len(names) - 1; i > 0; i-- {
		if !replays {
			return i, nil
		}
		s, err := openSegment(j.o.FS, j.o.Dir, names[i], os.O_RDONLY)
		if err != nil {
			return 0, err
		}
		usable := s.headOK && s.next() && s.gap == 0 && s.kind == KindSnapshot && s.follows(&s.head.prev)
		err = errors.Join(s.err, s.close())
		if err != nil {
			return 0, err
		}
		if usable {
			return i, nil
		}
	}
	return 0, nil
}

// replaySegment hands a segment's frames to replay. Bodies are not read.
func (j *Journal) replaySegment(ctx context.Context, name string, a *auditor, rec *Recovery, replay func(Entry) error) error {
	s, err := openSegment(j.o.FS, j.o.Dir, name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer s.close()
	a.enter(s)
	for s.next() {
		a.frame(s)
		if rec.Frames++; rec.Frames%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if replay == nil {
			continue
		}
		e := s.entry()
		e.Meta = s.meta()
		if s.err != nil {
			break
		}
		if err := replay(e); err != nil {
			return fmt.Errorf("replay frame %d: %w", e.Seq, err)
		}
	}
	if s.tail > 0 {
		a.found(s.damage(s.size-s.tail, s.tail, "no frame is readable here"))
	}
	return s.err
}
