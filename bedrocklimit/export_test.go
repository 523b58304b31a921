package bedrocklimit

import "time"

// Used is what a limit counts in all its buckets, open calls included.
func (l *Limiter) Used(limit string) (n int64) {
	for _, r := range l.limits.Status(time.Now()) {
		if r.Limit == limit {
			n += r.Used + r.Reserved
		}
	}
	return n
}

// Running is how many calls have not been settled.
func (l *Limiter) Running() int { return len(l.limits.Open()) }

// Delay is the wait after an attempt that ended in err.
func (l *Limiter) Delay(attempt int, err error) time.Duration {
	d, _ := l.delay(attempt, err)
	return d
}
