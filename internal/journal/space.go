package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const ballastName = "ballast"

// lookAtSpace sets the level from the free space and, once there is room
// again, puts the ballast back. It runs on the flusher's goroutine.
func (j *Journal) lookAtSpace() {
	free, total, err := j.o.FS.Free(j.o.Dir)
	if err != nil {
		j.o.Log.Error("look at free disk space", "dir", j.o.Dir, "error", err)
		return
	}
	level := Normal
	switch {
	case free < j.o.StopBytes:
		level = Stop
	case free < j.o.LowBytes || free < total/100*int64(j.o.LowPercent):
		level = Low
	}
	j.setLevel(level, free)
	if !j.stats.Ballast && j.o.BallastBytes > 0 && free-j.o.BallastBytes >= max(j.o.StopBytes, 0) {
		j.placeBallast()
	}
}

func (j *Journal) setLevel(level Level, free int64) {
	if was := Level(j.level.Swap(uint32(level))); was != level {
		j.o.Log.Warn("journal disk space", "dir", j.o.Dir, "level", level, "was", was, "free", free)
	}
	j.statsMu.Lock()
	j.stats.Free = free
	j.statsMu.Unlock()
}

// placeBallast occupies the ballast's space. It is a precaution: failing to is no error.
func (j *Journal) placeBallast() {
	err := j.allocateBallast()
	if err != nil {
		j.o.Log.Warn("place journal ballast", "dir", j.o.Dir, "error", err)
		_ = j.o.FS.Remove(j.path(ballastName)) // half of it would only be in the way
		return
	}
	j.setBallast(true)
}

func (j *Journal) allocateBallast() error {
	f, err := j.o.FS.Open(j.path(ballastName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Allocate(j.o.BallastBytes)
}

func (j *Journal) setBallast(in bool) {
	j.statsMu.Lock()
	j.stats.Ballast = in
	j.statsMu.Unlock()
}

// await returns when it is worth trying again after cause, which says that the
// disk is full or that no file can be opened: at once if the ballast could be
// given up, else after the next tick. It is the journal's end if it is closed
// meanwhile.
func (j *Journal) await(cause error) error {
	if j.stats.Ballast && noSpace(cause) {
		if done, err := j.giveUpBallast(); done || err != nil {
			return err
		}
	}
	j.setHeldBy(cause)
	free := int64(0)
	if noFiles(cause) {
		free = j.stats.Free
	}
	j.setLevel(Full, free)
	select {
	case <-j.fl.tick.C:
		return nil
	case <-j.quit:
		return fmt.Errorf("%w: %w", j.heldErr(), cause)
	}
}

// giveUpBallast reports whether there is room now.
func (j *Journal) giveUpBallast() (done bool, err error) {
	j.setBallast(false)
	j.setLevel(Stop, 0)
	err = j.o.FS.Remove(j.path(ballastName))
	if err == nil {
		// Blocks may be free only once the removal is durable.
		err = j.o.FS.SyncDir(j.o.Dir)
		if !noFiles(err) {
			return err == nil, err
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		j.o.Log.Error("give up journal ballast", "dir", j.o.Dir, "error", err)
	}
	return false, nil
}

// setHeldBy notes why the commit under way waits; nil: it does not.
func (j *Journal) setHeldBy(cause error) {
	j.statsMu.Lock()
	defer j.statsMu.Unlock()
	if cause != nil && j.heldBy == nil {
		j.o.Log.Error("journal waits", "dir", j.o.Dir, "error", cause)
	}
	j.heldBy = cause
}

// heldErr is why no new work may be admitted at levels Stop and Full.
func (j *Journal) heldErr() error {
	j.statsMu.Lock()
	defer j.statsMu.Unlock()
	if j.heldBy != nil && noFiles(j.heldBy) {
		return ErrNoFiles
	}
	return ErrNoSpace
}
