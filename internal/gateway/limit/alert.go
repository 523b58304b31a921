package limit

import "time"

// Alert says that a bucket has reached a fraction of its limit, for the first
// time in a window. Amounts are what calls that have ended came to, and what
// open ones may.
type Alert struct {
	Limit    string
	Measure  string
	Key      string
	Used     int64
	Max      int64
	Permille int64 // the highest fraction that was reached
	Time     time.Time
	Ends     time.Time // of the window; of one that slides, when Used begins to fall
}

// maxAlerts is how many alerts are told at once, about. What would be more is
// told when a later call of the same bucket ends.
const maxAlerts = 64

// alerts looks at the buckets of a call that has ended. With a shared store that
// is not enough, and alertShared looks too.
func (l *Limiter) alerts(r *reservation, now time.Time) {
	if l.o.Alert == nil {
		return
	}
	for i := range r.settled {
		a := &r.settled[i]
		if rule := l.rule(a.Limit); rule != nil && len(rule.AlertAt) > 0 {
			l.alert(rule, a.Key, 0, now)
		}
	}
}

// alertShared looks at what the shared store said of a call that it admitted.
// Every gateway that sees a fraction reached tells of it, once.
func (l *Limiter) alertShared(r *reservation, now time.Time) {
	if l.o.Alert == nil {
		return
	}
	for i := range r.claims {
		c := &r.claims[i]
		if len(c.rule.AlertAt) > 0 {
			l.alert(c.rule, string(c.place.key), c.used-c.n, now) // what it may come to is not yet used
		}
	}
}

// alertRefused tells that a limit is used up when it refuses: what is left may
// be too little for any call, and nobody would ever reach the last of it.
func (l *Limiter) alertRefused(c *claim, now time.Time) {
	if l.o.Alert != nil && !c.full && len(c.rule.AlertAt) > 0 && c.used > 0 {
		l.alert(c.rule, string(c.place.key), c.rule.Max, now)
	}
}

// alert tells whoever asked to know when the bucket of key has reached a
// fraction. Others have seen that at least so much is used.
func (l *Limiter) alert(r *rule, key string, least int64, now time.Time) {
	if l.alerting.Load() >= maxAlerts {
		return
	}
	at := l.at(r.Window, now)
	a, ok := r.reached(key, at, least)
	if !ok {
		return
	}
	a.Time, a.Ends = now, now.Add(time.Duration(a.Ends.UnixNano()-at))
	l.alerting.Add(1)
	go func() {
		defer l.alerting.Add(-1)
		l.o.Alert(a)
	}()
}

// reached marks which fractions a bucket has reached, and returns the highest
// when it is a new one of this window. Ends is by the window's own time.
func (r *rule) reached(key string, at, least int64) (a Alert, ok bool) {
	s := r.table.shard([]byte(key))
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil || e.buckets[r.column].empty() {
		return Alert{}, false
	}
	w, b := r.Window, &e.buckets[r.column]
	index := b.now(w, w.index(at))
	own, _ := b.used(w, index)
	used, level := max(own, least), int8(0)
	for _, f := range r.AlertAt {
		if used >= (r.Max*f+999)/1000 {
			level++
		}
	}
	if index >= b.alerted+w.span() {
		b.level = 0
	}
	if level <= b.level {
		return Alert{}, false
	}
	b.level, b.alerted = level, index
	ends := time.Unix(0, b.frees(w, index, own-1))
	return Alert{Limit: r.Name, Measure: r.Measure, Key: e.key, Used: used, Max: r.Max, Permille: r.AlertAt[level-1], Ends: ends}, true
}
