package limit

import (
	"encoding/binary"
	"errors"
	"slices"

	"gatehouse/internal/call"
)

// A snapshot is binary, and holds counts and open reservations of one moment:
//
//	"gatehouse limits" version u8
//	limits:  count, then each: name, buckets: count, then each: key, slots: count, then each: time, n
//	calls:   count, then each: id, amounts: count, then each: limit, key, n, time
//
// Counts and lengths are unsigned varints, texts have their length before
// them, times (Unix nanoseconds) and amounts are signed varints. No limit, key
// of a limit, or id stands twice.
const (
	snapshotMagic   = "gatehouse limits"
	snapshotVersion = 1
)

// Snapshot returns counts and open reservations as they stand together. While
// it is made, reservations wait: some twenty milliseconds for 100,000 keys.
func (l *Limiter) Snapshot() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := make([]byte, 0, l.snapshotSize+l.snapshotSize/4)
	b = append(append(b, snapshotMagic...), snapshotVersion)
	b = binary.AppendUvarint(b, uint64(len(l.rules)))
	for _, r := range l.rules {
		b = r.appendCounts(appendText(b, r.Name))
	}
	calls := 0
	l.eachOpen(func(string, []call.Amount) { calls++ })
	b = binary.AppendUvarint(b, uint64(calls))
	l.eachOpen(func(id string, held []call.Amount) {
		b = binary.AppendUvarint(appendText(b, id), uint64(len(held)))
		for _, a := range held {
			b = appendText(appendText(b, a.Limit), a.Key)
			b = binary.AppendVarint(binary.AppendVarint(b, a.N), a.At)
		}
	})
	l.snapshotSize = len(b)
	return b
}

func (r *rule) appendCounts(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.counts.size()))
	r.counts.each(func(k *bucket) {
		b = binary.AppendUvarint(appendText(b, k.key), uint64(len(k.slots)))
		for _, s := range k.slots {
			b = binary.AppendVarint(binary.AppendVarint(b, r.Window.moment(s.index)), s.n)
		}
	})
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Restore replaces counts and open reservations by those of a snapshot. Counts
// of limits that are not in force are dropped. What the snapshot says happened
// after this process began, by a clock that was ahead then, is taken to have
// happened just before. On an error nothing changes.
func (l *Limiter) Restore(snapshot []byte) error {
	d := decoder{b: snapshot}
	counted, open := d.snapshot()
	if d.err != nil {
		return d.err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rules {
		r.counts = newCounts(r.Window, l.maxKeys)
	}
	for i := range l.open {
		l.open[i].calls = nil
	}
	for _, c := range counted {
		if r := l.rule(c.Limit); r != nil {
			r.counts.adjust(c.Key, l.past(c.At), c.N)
		}
	}
	for id, amounts := range open {
		for i := range amounts {
			amounts[i].At = l.past(amounts[i].At)
		}
		l.opened(id).hold(id, amounts)
	}
	return nil
}

// past bounds the time of something that happened before this process began.
func (l *Limiter) past(at int64) int64 { return min(at, l.start.UnixNano()) }

// ReplayAdmit counts a recorded reservation at the times it was taken at, and
// opens it. A call that is open already is skipped: the snapshot counted it.
func (l *Limiter) ReplayAdmit(callID string, amounts []call.Amount) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.opened(callID)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.calls[callID]; ok {
		return
	}
	held := slices.Clone(amounts)
	for i := range held {
		a := &held[i]
		a.At = l.past(a.At)
		if r := l.rule(a.Limit); r != nil && a.N > 0 {
			r.counts.adjust(a.Key, a.At, a.N)
		}
	}
	o.hold(callID, held)
}

// ReplayResult closes a call with the amounts that were settled; what is not
// among them goes back. A call that is not open is skipped.
func (l *Limiter) ReplayResult(callID string, settled []call.Amount) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	held, ok := l.end(callID)
	if !ok {
		return
	}
	for _, a := range held {
		final := int64(0)
		for _, s := range settled {
			if s.Limit == a.Limit && s.Key == a.Key {
				final = max(0, s.N)
			}
		}
		if r := l.rule(a.Limit); r != nil {
			r.counts.adjust(a.Key, a.At, final-max(0, a.N))
		}
	}
}

// Open returns what is held for each open call, by id.
func (l *Limiter) Open() map[string][]call.Amount {
	l.mu.RLock()
	defer l.mu.RUnlock()
	open := make(map[string][]call.Amount)
	l.eachOpen(func(id string, held []call.Amount) { open[id] = slices.Clone(held) })
	return open
}

// decoder reads a snapshot. After the first error it reads nothing more.
type decoder struct {
	b   []byte
	err error
}

var errSnapshot = errors.New("limit: snapshot is damaged, or of another version")

func (d *decoder) snapshot() (counted []call.Amount, open map[string][]call.Amount) {
	head := snapshotMagic + string(rune(snapshotVersion))
	if len(d.b) < len(head) || string(d.b[:len(head)]) != head {
		d.err = errSnapshot
		return nil, nil
	}
	d.b = d.b[len(head):]
	d.list(func() string {
		limit := d.text()
		d.list(func() string {
			key := d.text()
			n := d.count(2)
			if n > slots+1 {
				d.fail()
				n = 0
			}
			for range n {
				at := d.varint()
				counted = append(counted, call.Amount{Limit: limit, Key: key, At: at, N: d.amount()})
			}
			return key
		})
		return limit
	})
	open = make(map[string][]call.Amount)
	d.list(func() string {
		id := d.text()
		amounts := make([]call.Amount, d.count(4))
		for i := range amounts {
			amounts[i] = call.Amount{Limit: d.text(), Key: d.text(), N: d.amount(), At: d.varint()}
		}
		open[id] = amounts
		return id
	})
	if len(d.b) > 0 {
		d.err = errSnapshot
	}
	return counted, open
}

// list reads items, each of another name.
func (d *decoder) list(item func() string) {
	seen := make(map[string]bool)
	for range d.count(1) {
		name := item()
		if seen[name] {
			d.fail()
		}
		if d.err != nil {
			return
		}
		seen[name] = true
	}
}

// count reads how many items follow that take at least size bytes each.
func (d *decoder) count(size int) int {
	n, used := binary.Uvarint(d.b)
	if used <= 0 || n > uint64(len(d.b)-used)/uint64(size) {
		d.fail()
		return 0
	}
	d.b = d.b[used:]
	return int(n)
}

func (d *decoder) text() string {
	n := d.count(1)
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) varint() int64 {
	v, used := binary.Varint(d.b)
	if used <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[used:]
	return v
}

// amount reads a count: positive, and far from what could overflow.
func (d *decoder) amount() int64 {
	n := d.varint()
	if n < 0 || n > maxMax {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) fail() { d.b, d.err = nil, errSnapshot }
