package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/seal"
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

// TestSealedPrompts: under a key the store holds no text, and its author reads
// it all the same; without the key nobody does, and older prompts stay readable.
func TestSealedPrompts(t *testing.T) {
	keys, err := seal.ParseKeys([]byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	must(t, err)
	h := open(t, nil)
	ctx := context.Background()
	save := func(text string) {
		must(t, h.SavePrompt(ctx, store.Prompt{UserID: "a", CallID: "c", Time: h.now(), Text: text}))
	}
	read := func() (out []string) {
		list, err := h.Prompts(ctx, "a", 0, 9)
		must(t, err)
		for _, p := range list {
			out = append(out, p.Text)
		}
		return out
	}
	save("from before")
	save("sealed:or:not")
	h.o.Keys = keys
	h.restart()
	save("hello")
	if got := fmt.Sprintf("%q", read()); got != `["hello" "sealed:or:not" "from before"]` {
		t.Errorf("with the key: %s", got)
	}
	rows, err := h.db.Prompts().List(ctx, "a", 0, 1)
	must(t, err)
	if strings.Contains(rows[0].Text, "hello") {
		t.Errorf("stored: %s", rows[0].Text)
	}
	rows[0].UserID = "b" // a row that is put under another user
	must(t, h.db.Prompts().Add(ctx, rows[0], 9))
	if list, err := h.Prompts(ctx, "b", 0, 9); err != nil || len(list) != 1 || list[0].Text != "" {
		t.Errorf("another user reads %+v, %v", list, err)
	}
	h.o.Keys = nil
	h.restart()
	if got := fmt.Sprintf("%q", read()); got != `["" "sealed:or:not" "from before"]` {
		t.Errorf("without the key: %s", got)
	}
}
