//go:build !race

package read

import (
	"testing"

	"gatehouse/internal/bedrock/model"
)

// TestParseAllocates: nothing, for a body of a chat that has a bound. (The race detector makes
// sync.Pool forget.)
func TestParseAllocates(t *testing.T) {
	rd, c := New(Options{Models: model.Default()}), newCall("Converse", nova, chat(32<<10))
	if n := testing.AllocsPerRun(100, func() {
		if ref := rd.Parse(c); ref != nil {
			t.Fatal(ref)
		}
		rd.Release(c)
	}); n != 0 {
		t.Errorf("%v allocations for a body, want none", n)
	}
}
