//go:build !race

package limit_test

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/internal/call"
)

// TestAllocations: none for an admission over eight limits. (The race detector
// makes sync.Pool forget.)
func TestAllocations(t *testing.T) {
	l := newLimiter(t, noon, eight()...)
	c, r, h := modelCall("ann"), &call.Result{Worked: true, Cost: 5, Usage: call.Usage{Input: 50, Output: 60}}, make(http.Header)
	now := noon
	reserve := func() {
		now = now.Add(1700 * time.Millisecond) // slots come and go
		d, ref := l.Reserve(ctx, c, now)
		if ref != nil || len(c.Amounts) != 8 {
			t.Fatal(ref, c.Amounts)
		}
		l.Settle(c, r, now)
		d.Free()
	}
	for range 1000 {
		reserve()
	}
	if n := testing.AllocsPerRun(1000, reserve); n > 0 {
		t.Errorf("a call costs %v allocations, want none", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		d, _ := l.Reserve(ctx, c, now)
		d.SetHeaders(h)
		l.Settle(c, r, now)
		d.Free()
	}); n > 2 {
		t.Errorf("headers cost %v allocations, want 2: text and values", n)
	}
}
