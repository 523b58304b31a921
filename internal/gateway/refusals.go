package gateway

import (
	"log/slog"
	"sync"
	"time"

	"gatehouse/internal/call"
)

// refusalsPerSecond is how many refusals of callers are logged in a second; all
// of them are in the journal and in the metrics.
const refusalsPerSecond = 5

// refusalLog tells the operator why callers are refused, since they themselves
// are told no more than AWS would say.
type refusalLog struct {
	mu      sync.Mutex
	second  int64
	logged  int
	skipped int // since the last line
}

func (l *refusalLog) log(to *slog.Logger, c *call.Call, ref *call.Refusal) {
	skipped, ok := l.admit(time.Now())
	if !ok {
		return
	}
	to.Info("refused", "call", c.ID, "caller", c.CallerARN, "reason", string(ref.Reason), "limit", ref.Limit, "why", ref.Detail, "not_logged_before", skipped)
}

// admit reports whether a line may be written now, and how many were not.
func (l *refusalLog) admit(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.logged = s, 0
	}
	if l.logged >= refusalsPerSecond {
		l.skipped++
		return 0, false
	}
	l.logged++
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}
