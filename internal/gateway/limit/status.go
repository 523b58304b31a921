package limit

import (
	"cmp"
	"slices"
	"time"

	"gatehouse/internal/store"
)

// Row is the state of one bucket. What remains is Max less Used and Reserved.
type Row struct {
	Limit    string    `json:"limit"`
	Measure  string    `json:"measure"`
	Per      []string  `json:"per"`
	Key      string    `json:"key"`       // the values of Per, escaped and joined by ","
	Max      int64     `json:"max"`       // of usd in nano-USD, like the others
	Used     int64     `json:"used"`      // by calls that have ended
	Reserved int64     `json:"reserved"`  // by calls that are open; of models 0
	Debt     int64     `json:"debt"`      // by how much both are beyond Max
	ResetsAt time.Time `json:"resets_at"` // when nothing is used any more; of concurrency at the latest
}

// Status lists the buckets that hold something, by limit and key.
func (l *Limiter) Status(now time.Time) []Row {
	l.mu.RLock()
	defer l.mu.RUnlock()
	reserved := make(map[queueKey]int64)
	l.eachOpen(func(_ string, r *reservation) {
		for _, a := range r.held {
			reserved[queueKey{a.Limit, a.Key}] += a.N
		}
	})
	rows := []Row{}
	for _, r := range l.rules {
		at := l.at(r.Window, now)
		r.each(func(key string, b *bucket) {
			s := b.now(r.Window, r.Window.index(at))
			used, _ := b.used(r.Window, s)
			if used == 0 {
				return
			}
			held := min(used, reserved[queueKey{r.Name, key}])
			if r.counting == store.Distinct {
				held = 0
			}
			rows = append(rows, Row{
				Limit: r.Name, Measure: r.Measure, Per: r.Per, Key: key, Max: r.Max, Used: used - held, Reserved: held, Debt: max(0, used-r.Max),
				ResetsAt: now.Add(time.Duration(b.frees(r.Window, s, 0) - at)).UTC(),
			})
		})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Limit, b.Limit), cmp.Compare(a.Key, b.Key))
	})
	return rows
}
