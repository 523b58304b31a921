package limit_test

import (
	"sync"
	"testing"
	"time"

	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/store/storetest"
)

// testClock is a clock that moves when it is told to.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestMemory runs what every store of counts must pass.
func TestMemory(t *testing.T) {
	storetest.Counts(t, func(*testing.T) storetest.Shared {
		clock := &testClock{now: noon}
		m := limit.NewMemory(clock.Now)
		return storetest.Shared{Counts: m, Other: m, Now: clock.Now, Advance: clock.Advance}
	})
}
