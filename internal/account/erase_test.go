package account

import (
	"context"
	"errors"
	"testing"

	"gatehouse/internal/store"
)

// TestErasePrompts: those of one user go, by any spelling of the name.
func TestErasePrompts(t *testing.T) {
	h := open(t, nil)
	ann, bob := h.register("ann@example.com"), h.register("bob@example.com")
	ctx := context.Background()
	for _, u := range []string{ann.ID, ann.ID, bob.ID} {
		must(t, h.SavePrompt(ctx, store.Prompt{UserID: u, Time: h.now(), Text: "hello"}))
	}
	if n, id, err := h.ErasePrompts(ctx, "Ann@Example.com"); n != 2 || id != ann.ID || err != nil {
		t.Errorf("got %d of %s, %v", n, id, err)
	}
	for u, want := range map[string]int{ann.ID: 0, bob.ID: 1} {
		if list, err := h.Prompts(ctx, u, 0, 9); len(list) != want || err != nil {
			t.Errorf("%s has %d prompts, %v, want %d", u, len(list), err, want)
		}
	}
	if _, _, err := h.ErasePrompts(ctx, "carol@example.com"); !errors.Is(err, ErrNoUser) {
		t.Errorf("nobody: %v", err)
	}
}
