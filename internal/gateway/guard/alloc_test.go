//go:build !race

package guard

import "testing"

// TestAllocations checks that judging clean texts costs no memory. (The race detector
// makes sync.Pool forget.)
func TestAllocations(t *testing.T) {
	e := shipped(t)
	c := callOf(t, "converse", converse("Where is the harbour?", "And how long does the ferry take, in minutes?"))
	body := []byte(`{"output":{"message":{"content":[{"text":"It leaves from the old quay and takes 25 minutes."}]}}}`)
	for name, f := range map[string]func(){
		"Inbound": func() { e.Inbound(t.Context(), c) },
		"Whole":   func() { e.Whole(t.Context(), c, "application/json", body) },
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// TestRecallAllocations: knowing a conversation costs no memory either.
func TestRecallAllocations(t *testing.T) {
	e := shipped(t)
	c := callOf(t, "converse", converse(prose(3000), prose(2500), prose(2000)))
	c.LastTurn = nil
	if n := testing.AllocsPerRun(200, func() { e.Inbound(t.Context(), c) }); n >= 1 || unread(e, c) == 0 {
		t.Errorf("a known prompt allocates %v times; known: %d", n, unread(e, c))
	}
}
