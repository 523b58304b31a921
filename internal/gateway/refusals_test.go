package gateway

import (
	"testing"
	"time"
)

// A flood of refusals is a few lines a second, and each line says how many were
// left out before it.
func TestRefusalLog(t *testing.T) {
	var l refusalLog
	now := time.Unix(1_000_000, 0)
	lines, left := 0, 0
	for second := range 3 {
		for range 100 {
			if skipped, ok := l.admit(now.Add(time.Duration(second) * time.Second)); ok {
				lines++
				left += skipped
			}
		}
	}
	if want := 3 * refusalsPerSecond; lines != want || left != 2*(100-refusalsPerSecond) {
		t.Errorf("%d lines that tell of %d left out, want %d and %d", lines, left, want, 2*(100-refusalsPerSecond))
	}
}
