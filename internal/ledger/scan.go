package ledger

import (
	"iter"
	"time"

	"gatehouse/internal/journal"
)

// Entry is one entry without its body: what it says, and where it stands.
type Entry struct {
	Meta               // nil: none of this package's kinds, such as a limiter's snapshot
	Of   journal.Entry // its Meta is valid until the next entry
}

// Scan yields the entries of the journal in dir in order of time, without their
// bodies; nil disk means the operating system's. The first may be older than
// since, the zero time reads all. It may run beside a process that writes, and
// its memory does not grow with the journal.
//
// What cannot be read or decoded is yielded as an error in its place, and the
// reading goes on behind it where that is possible.
func Scan(disk journal.FS, dir string, since time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range journal.Metas(disk, dir, since) {
			var m Meta
			if err == nil && e.Kind >= KindAdmit && e.Kind <= KindAccount {
				m, err = Decode(e.Kind, e.Meta)
			}
			if !yield(Entry{m, e}, err) {
				return
			}
		}
	}
}

// Calls yields the calls that were asked at from or later and before to, in
// order of completion, without bodies but with their sizes; a zero time is an
// open end. Those still open at the end come last, as interrupted. It is Scan
// and Join: what is said there of errors and memory holds here.
func Calls(disk journal.FS, dir string, from, to time.Time) iter.Seq2[*Record, error] {
	return Join(journal.Metas(disk, dir, from), JoinOptions{From: from, To: to})
}
