package record

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// bounded writes to a journal what anybody can cause as often as they like. It
// decides, second by second, what is written one by one, and sums up the rest
// in rows until flush writes them. Nothing of it waits. What the journal has
// no room for stays in the rows; only a journal that is absent or has failed
// loses counts, and then they are in dropped.
type bounded struct {
	journal *journal.Journal // nil: all is dropped
	dropped *atomic.Int64

	mu     sync.Mutex
	second int64                    // Unix time of the current second
	alone  map[string]int           // written one by one in it, by who caused them; at most maxRows
	rows   map[rowKey]*ledger.Tally // at most maxRows, and that of all others
}

// rowKey is what a row sums up by. It is zero for the row of all others.
type rowKey struct {
	reason string
	who    string       // the caller; empty for strangers
	prefix netip.Prefix // of strangers
}

const (
	maxRows   = 1024 // of a table, between two flushes
	maxSample = 128  // bytes of a row's path and user agent, before they are quoted
)

// admit reports whether one more that who caused may be written by itself in
// this second. A clock that steps back starts a new second.
func (b *bounded) admit(now time.Time, who string, perSecond int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sec := now.Unix(); sec != b.second {
		b.second = sec
		clear(b.alone)
	}
	n, known := b.alone[who]
	if n >= perSecond || !known && len(b.alone) >= maxRows {
		return false
	}
	if b.alone == nil {
		b.alone = make(map[string]int)
	}
	b.alone[who] = n + 1
	return true
}

// count adds one, at now, to the row of k. Reason, Prefix, Principal and, not
// yet quoted, Path and Agent are taken from one.
func (b *bounded) count(k rowKey, now time.Time, one ledger.Tally) {
	one.Count, one.First, one.Last = 1, now, now
	b.mu.Lock()
	defer b.mu.Unlock()
	if row := b.add(k, one); row.Count == 1 {
		row.Path, row.Agent = ledger.Quote(row.Path, maxSample), ledger.Quote(row.Agent, maxSample)
	}
}

// add adds more to the row of k and returns it; once the table is full, to that
// of all others. b.mu is held.
func (b *bounded) add(k rowKey, more ledger.Tally) *ledger.Tally {
	row := b.rows[k]
	if row == nil && len(b.rows) >= maxRows {
		k = rowKey{}
		more.Reason, more.Prefix, more.Principal = "other", netip.Prefix{}, ledger.Principal{}
		row = b.rows[k]
	}
	if row == nil {
		if b.rows == nil {
			b.rows = make(map[rowKey]*ledger.Tally)
		}
		fresh := more // so that only what stays is on the heap
		b.rows[k] = &fresh
		return &fresh
	}
	merge(row, &more)
	return row
}

// merge adds more to row, and takes from it what is not true of both.
func merge(row, more *ledger.Tally) {
	row.Count += more.Count
	if more.First.Before(row.First) {
		row.First = more.First
	}
	if more.Last.After(row.Last) {
		row.Last = more.Last
	}
	if row.Prefix != more.Prefix {
		row.Prefix = netip.Prefix{}
	}
	if row.Principal.Key != more.Principal.Key {
		row.Principal.Key = ""
	}
	if row.Principal.Scheme != more.Principal.Scheme {
		row.Principal.Scheme = ""
	}
}

// write writes an entry, and reports whether there was no room for it. An
// entry of count that can never be written is dropped.
func (b *bounded) write(m ledger.Meta, count int64) (full bool) {
	err := journal.ErrFailed
	if b.journal != nil {
		buf := buffer()
		*buf = m.AppendMeta(*buf)
		err = queue(b.journal, m.Kind(), buf, body{})
	}
	if errors.Is(err, journal.ErrFull) {
		return true
	}
	if err != nil {
		b.dropped.Add(count)
	}
	return false
}

// flush writes the rows and keeps those for which there is no room.
func (b *bounded) flush() {
	b.mu.Lock()
	rows := b.rows
	b.rows = nil
	b.mu.Unlock()
	for k, row := range rows {
		if b.write(row, row.Count) {
			b.mu.Lock()
			b.add(k, *row)
			b.mu.Unlock()
		}
	}
}

// drop gives up what flush could not write.
func (b *bounded) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, row := range b.rows {
		b.dropped.Add(row.Count)
	}
	b.rows = nil
}

// network is what strangers are counted by: /32 or /64.
func network(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}
