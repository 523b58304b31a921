package limit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// A snapshot is binary, and holds counts and open reservations of one moment:
//
//	"gatehouse limits" version u8
//	limits:  count, then each: name, buckets: count, then each: key, slots: count, then each: time, n, item
//	calls:   count, then each: id, amounts: count, then each: limit, key, n, time, item
//
// Counts and lengths are unsigned varints, texts have their length before
// them, times (Unix nanoseconds) and amounts are signed varints. No limit, key
// of a limit, or id stands twice. An item is empty but in limits on models.
// Version 1, which is still read, had none.
const (
	snapshotMagic   = "gatehouse limits"
	snapshotVersion = 2
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
	l.eachOpen(func(string, *reservation) { calls++ })
	b = binary.AppendUvarint(b, uint64(calls))
	l.eachOpen(func(id string, r *reservation) {
		b = binary.AppendUvarint(appendText(b, id), uint64(len(r.held)))
		for _, a := range r.held {
			b = appendText(appendText(b, a.Limit), a.Key)
			b = appendText(binary.AppendVarint(binary.AppendVarint(b, a.N), a.At), a.Item)
		}
	})
	l.snapshotSize = len(b)
	return b
}

func (r *rule) appendCounts(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.table.size(r.column)))
	r.each(func(key string, k *bucket) {
		b = binary.AppendUvarint(appendText(b, key), uint64(len(k.slots)+len(k.items)))
		for _, s := range k.slots {
			b = appendText(binary.AppendVarint(binary.AppendVarint(b, r.Window.moment(s.index)), s.n), "")
		}
		for _, x := range k.items {
			b = appendText(binary.AppendVarint(binary.AppendVarint(b, r.Window.moment(x.index)), x.n), x.name)
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
	for _, t := range l.tables {
		t.clear()
	}
	for i := range l.open {
		l.open[i].calls = nil
	}
	for _, c := range counted {
		if r := l.rule(c.Limit); r != nil {
			l.replay(r, c.Key, c.Item, c.At, c.N)
		}
	}
	for id, amounts := range open {
		l.opened(id).hold(id, l.recorded(amounts))
	}
	return nil
}

// recorded is a reservation as the journal has it.
func (l *Limiter) recorded(amounts []call.Amount) *reservation {
	r := &reservation{held: slices.Clone(amounts), settled: []call.Amount{}, shared: true}
	for i := range r.held {
		a := &r.held[i]
		a.N, a.At = min(max(0, a.N), maxCount), l.past(a.At)
	}
	return r
}

// replay counts what was counted before. A key of similar_prompt brings the
// prompt that others are compared with back too.
func (l *Limiter) replay(r *rule, key, item string, at, n int64) {
	if (r.counting == store.Distinct) != (item != "") {
		return // another measure went by the name
	}
	if r.similar != nil {
		r.similar.learn(key)
	}
	r.adjust(key, item, l.past(at), n)
}

// past bounds the time of something that happened before this process began.
func (l *Limiter) past(at int64) int64 { return min(at, l.o.Start.UnixNano()) }

// ReplayAdmit counts a recorded reservation at the times it was taken at, and
// opens it. A call that is open already is skipped: the snapshot counted it.
func (l *Limiter) ReplayAdmit(callID string, amounts []call.Amount) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.opened(callID)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls[callID] != nil {
		return
	}
	held := l.recorded(amounts)
	for _, a := range held.held {
		if r := l.rule(a.Limit); r != nil {
			l.replay(r, a.Key, a.Item, a.At, a.N)
		}
	}
	o.hold(callID, held)
}

// ReplayResult closes a call with the amounts that were settled; what is not
// among them goes back, and so do slots, also those of a call that is charged as
// it was reserved because a crash interrupted it. A call that is not open is skipped.
func (l *Limiter) ReplayResult(callID string, settled []call.Amount) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	held := l.end(callID)
	if held == nil {
		return
	}
	l.finish(held, func(rule *rule, i int, _ int64) (n int64) {
		if rule.lease() {
			return 0
		}
		for j := range settled {
			if same(&settled[j], &held.held[i]) {
				n = min(n+min(max(0, settled[j].N), maxCount), maxCount)
			}
		}
		return n
	})
}

// decoder reads a snapshot. After the first error it reads nothing more.
type decoder struct {
	b       []byte
	version byte
	err     error
}

var errSnapshot = errors.New("limit: snapshot is damaged, or of another version")

func (d *decoder) snapshot() (counted []call.Amount, open map[string][]call.Amount) {
	b, ok := bytes.CutPrefix(d.b, []byte(snapshotMagic))
	if !ok || len(b) == 0 || b[0] < 1 || b[0] > snapshotVersion {
		d.err = errSnapshot
		return nil, nil
	}
	d.version, d.b = b[0], b[1:]
	d.list(func() string {
		limit := d.text()
		d.list(func() string {
			key := d.text()
			sums := 0
			for range d.count(2) {
				a := call.Amount{Limit: limit, Key: key, At: d.varint(), N: d.amount(), Item: d.item()}
				if a.Item == "" {
					sums++
				}
				if sums > slots+1 {
					d.fail()
				}
				if d.err != nil {
					break
				}
				counted = append(counted, a)
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
			amounts[i] = call.Amount{Limit: d.text(), Key: d.text(), N: d.amount(), At: d.varint(), Item: d.item()}
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

func (d *decoder) item() string {
	if d.version == 1 {
		return ""
	}
	return d.text()
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
	if n < 0 || n > maxCount {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) fail() { d.b, d.err = nil, errSnapshot }
