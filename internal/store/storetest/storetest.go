// Package storetest checks that an implementation of the store's seams keeps
// their contracts. Every implementation runs [Test] from a test of its own.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// Test runs the suite. open returns a store over the same data each time it is
// called within one subtest, after the one before was closed.
func Test(t *testing.T, newStore func(t *testing.T) (open func() store.Store)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, open func() store.Store)
	}{
		{"users", testUsers},
		{"users update", testUserUpdate},
		{"keys", testKeys},
		{"keys rotate", testRotate},
		{"keys touch", testTouch},
		{"prompts", testPrompts},
		{"lockouts", testLockouts},
		{"untrusted text", testUntrusted},
		{"durable", testDurable},
		{"concurrent", testConcurrent},
		{"closed", testClosed},
		{"cancelled", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStore(t)) })
	}
}

var (
	ctx   = context.Background()
	now   = time.Date(2026, 11, 22, 15, 4, 5, 123456789, time.UTC)
	errNo = errors.New("no")
)

func start(t *testing.T, open func() store.Store) store.Store {
	t.Helper()
	s := open()
	t.Cleanup(func() { s.Close() })
	return s
}

func user(n int) store.User {
	return store.User{
		ID: fmt.Sprintf("id-%d", n), Name: fmt.Sprintf("u%d@example.com", n), Team: "red", Password: "$argon2id$x",
		Epoch: 7, Disabled: n%2 == 1, Created: now, InviteSHA256: []byte{1, 2}, InviteExpires: now.Add(time.Hour),
	}
}

func key(n int, u store.User) store.Key {
	return store.Key{
		ID: call.KeyID(fmt.Sprintf("GTHK%016d", n)), APIID: fmt.Sprintf("api%d", n), APISHA256: [32]byte{byte(n)}, Sealed: []byte{9, 9},
		Name: "ci", UserID: u.ID, Team: "blue", Created: now.Add(time.Duration(n)), Expires: now.Add(time.Hour), LastUsed: now,
		Scope: call.Scope{Models: []string{"anthropic.*"}, Operations: []string{"Converse"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("want - got +\n%s", d)
	}
}

func testUsers(t *testing.T, open func() store.Store) {
	users := start(t, open).Users()
	must(t, users.Add(ctx, user(2)))
	must(t, users.Add(ctx, user(1)))
	must(t, users.Add(ctx, store.User{ID: "bare", Name: "z"}))

	taken := user(3)
	taken.Name, taken.Team = user(1).Name, "thief"
	wantErr(t, users.Add(ctx, taken), store.ErrExists)
	taken = user(1)
	taken.Name = "other@example.com"
	wantErr(t, users.Add(ctx, taken), store.ErrExists)

	got, err := users.ByName(ctx, user(1).Name)
	must(t, err)
	same(t, got, user(1))
	for _, name := range []string{"", "U1@example.com", "u1@example.com ", "other@example.com"} {
		_, err = users.ByName(ctx, name)
		wantErr(t, err, store.ErrNotFound)
	}
	all, err := users.All(ctx)
	must(t, err)
	same(t, all, []store.User{user(1), user(2), {ID: "bare", Name: "z"}})
}

func testUserUpdate(t *testing.T, open func() store.Store) {
	users := start(t, open).Users()
	must(t, users.Add(ctx, user(1)))
	want := user(1)
	want.Team, want.Password, want.Epoch, want.Disabled, want.InviteSHA256, want.InviteExpires = "t", "p", 99, false, nil, time.Time{}
	got, err := users.Update(ctx, "id-1", func(u *store.User) error {
		same(t, *u, user(1))
		*u = want
		u.ID, u.Name = "forged", "forged"
		return nil
	})
	must(t, err)
	same(t, got, want)
	got, err = users.ByName(ctx, want.Name)
	must(t, err)
	same(t, got, want)

	_, err = users.Update(ctx, "id-1", func(u *store.User) error { u.Team = "x"; return errNo })
	wantErr(t, err, errNo)
	got, _ = users.ByName(ctx, want.Name)
	same(t, got, want)
	_, err = users.Update(ctx, "nobody", func(*store.User) error { t.Error("called for nobody"); return nil })
	wantErr(t, err, store.ErrNotFound)
}

func testKeys(t *testing.T, open func() store.Store) {
	s := start(t, open)
	keys := s.Keys()
	wantErr(t, keys.Add(ctx, key(1, user(1))), store.ErrNotFound)
	must(t, s.Users().Add(ctx, user(1)))
	must(t, keys.Add(ctx, key(2, user(1))))
	must(t, keys.Add(ctx, key(1, user(1))))
	wantErr(t, keys.Add(ctx, key(1, user(1))), store.ErrExists)
	sameAPI := key(3, user(1))
	sameAPI.APIID = key(1, user(1)).APIID
	wantErr(t, keys.Add(ctx, sameAPI), store.ErrExists)
	all, err := keys.All(ctx)
	must(t, err)
	same(t, all, []store.Key{key(1, user(1)), key(2, user(1))})

	want := key(1, user(1))
	want.Revoked, want.Name, want.Scope = now, "new", call.Scope{}
	got, err := keys.Update(ctx, want.ID, func(k *store.Key) error {
		forged := want
		forged.ID, forged.APIID, forged.Sealed, forged.UserID, forged.LastUsed = "x", "x", nil, "x", time.Time{}
		*k = forged
		return nil
	})
	must(t, err)
	same(t, got, want)
	_, err = keys.Update(ctx, "GTHKnone", func(*store.Key) error { return nil })
	wantErr(t, err, store.ErrNotFound)
	_, err = keys.Update(ctx, want.ID, func(*store.Key) error { return errNo })
	wantErr(t, err, errNo)
}

func testRotate(t *testing.T, open func() store.Store) {
	s := start(t, open)
	must(t, s.Users().Add(ctx, user(1)))
	must(t, s.Keys().Add(ctx, key(1, user(1))))
	retire := func(k *store.Key) error { k.Expires, k.Successor = now, "next"; return nil }

	// The new row is refused: the old one must not have changed.
	_, err := s.Keys().Rotate(ctx, key(1, user(1)).ID, retire, key(1, user(1)))
	wantErr(t, err, store.ErrExists)
	all, _ := s.Keys().All(ctx)
	same(t, all, []store.Key{key(1, user(1))})

	want := key(1, user(1))
	want.Expires, want.Successor = now, "next"
	got, err := s.Keys().Rotate(ctx, want.ID, retire, key(2, user(1)))
	must(t, err)
	same(t, got, want)
	all, _ = s.Keys().All(ctx)
	same(t, all, []store.Key{want, key(2, user(1))})
}

func testTouch(t *testing.T, open func() store.Store) {
	s := start(t, open)
	must(t, s.Users().Add(ctx, user(1)))
	k := key(1, user(1))
	must(t, s.Keys().Add(ctx, k))
	used := func(at time.Time) { must(t, s.Keys().Touch(ctx, map[call.KeyID]time.Time{k.ID: at, "GTHKnone": at})) }
	used(now.Add(time.Minute))
	used(now.Add(time.Second)) // later to arrive, not later
	all, err := s.Keys().All(ctx)
	must(t, err)
	same(t, all[0].LastUsed, now.Add(time.Minute))
}

func testPrompts(t *testing.T, open func() store.Store) {
	prompts := start(t, open).Prompts()
	for i := range 5 {
		p := store.Prompt{UserID: "a", CallID: fmt.Sprint("call", i), Time: now.Add(time.Duration(i) * time.Minute), Text: fmt.Sprint(i)}
		must(t, prompts.Add(ctx, p, 3))
	}
	must(t, prompts.Add(ctx, store.Prompt{UserID: "b", Time: now, Text: "other"}, 3))
	texts := func(user string, before int64, limit int) (s string, last int64) {
		t.Helper()
		list, err := prompts.List(ctx, user, before, limit)
		must(t, err)
		for _, p := range list {
			s, last = s+p.Text, p.ID
		}
		return s, last
	}
	first, last := texts("a", 0, 2)
	second, _ := texts("a", last, 2)
	if first != "43" || second != "2" {
		t.Errorf("got pages %q %q, want 43 2: the newest three, newest first", first, second)
	}
	list, _ := prompts.List(ctx, "a", 0, 1)
	same(t, list[0], store.Prompt{ID: list[0].ID, UserID: "a", CallID: "call4", Time: now.Add(4 * time.Minute), Text: "4"})
	if got, _ := texts("nobody", 0, 9); got != "" {
		t.Errorf("somebody else's prompts: %q", got)
	}
	n, err := prompts.Expire(ctx, now.Add(3*time.Minute))
	must(t, err)
	rest, _ := texts("a", 0, 9)
	if none, _ := texts("b", 0, 9); n != 2 || rest != "43" || none != "" {
		t.Errorf("got %d expired, %q and %q left, want 2, 43 and none", n, rest, none)
	}
	must(t, prompts.Add(ctx, store.Prompt{UserID: "b", Time: now, Text: "other"}, 3))
	n, err = prompts.Erase(ctx, "a")
	must(t, err)
	gone, _ := texts("a", 0, 9)
	if other, _ := texts("b", 0, 9); n != 2 || gone != "" || other != "other" {
		t.Errorf("got %d erased, %q and %q left, want 2, none and other", n, gone, other)
	}
	if n, err := prompts.Erase(ctx, "a"); n != 0 || err != nil {
		t.Errorf("erased %d again, %v", n, err)
	}
}

func testLockouts(t *testing.T, open func() store.Store) {
	locks := start(t, open).Lockouts()
	bump := func(until time.Time) func(*store.Lockout) error {
		return func(l *store.Lockout) error { l.Failures++; l.Until = until; return nil }
	}
	read := func(subject string) (l store.Lockout) {
		must(t, locks.Update(ctx, subject, func(got *store.Lockout) error { l = *got; return nil }))
		return l
	}
	must(t, locks.Update(ctx, "a", bump(now)))
	must(t, locks.Update(ctx, "a", bump(now.Add(time.Hour))))
	wantErr(t, locks.Update(ctx, "a", func(l *store.Lockout) error { l.Failures = 99; return errNo }), errNo)
	same(t, read("a"), store.Lockout{Failures: 2, Until: now.Add(time.Hour)})
	must(t, locks.Clear(ctx, "a"))
	must(t, locks.Clear(ctx, "a"))
	same(t, read("a"), store.Lockout{})

	must(t, locks.Update(ctx, "old", bump(now)))
	must(t, locks.Update(ctx, "new", bump(now.Add(time.Hour))))
	_, err := locks.Expire(ctx, now.Add(time.Minute))
	must(t, err)
	same(t, read("old"), store.Lockout{})
	same(t, read("new").Failures, 1)
}

// testUntrusted is S16 and B18: text is data wherever it goes.
func testUntrusted(t *testing.T, open func() store.Store) {
	s := start(t, open)
	texts := []string{
		"' OR '1'='1", "'; DROP TABLE users; --", "%", "_", "%27", "a\x00b", "\x1b[31m", strings.Repeat("k", 4096),
		"\u202e rtl", "﷽", "\U0001f9d1\u200d\U0001f91d\u200d\U0001f9d1", "", "?1", ":name", "\ufeff",
	}
	for i, text := range texts {
		u := user(i)
		u.Name, u.Team = text, text
		must(t, s.Users().Add(ctx, u))
		got, err := s.Users().ByName(ctx, text)
		must(t, err)
		same(t, got, u)
		must(t, s.Prompts().Add(ctx, store.Prompt{UserID: text, CallID: text, Time: now, Text: text}, 10))
		list, err := s.Prompts().List(ctx, text, 0, 10)
		must(t, err)
		if len(list) != 1 || list[0].Text != text || list[0].CallID != text {
			t.Errorf("prompt %q came back as %+v", text, list)
		}
		must(t, s.Lockouts().Update(ctx, text, func(l *store.Lockout) error { l.Failures++; return nil }))
		_, err = s.Keys().Update(ctx, call.KeyID(text), func(*store.Key) error { return nil })
		wantErr(t, err, store.ErrNotFound)
	}
	all, err := s.Users().All(ctx)
	must(t, err)
	if len(all) != len(texts) {
		t.Errorf("got %d users, want %d", len(all), len(texts))
	}
}

func testDurable(t *testing.T, open func() store.Store) {
	s := open()
	must(t, s.Users().Add(ctx, user(1)))
	must(t, s.Keys().Add(ctx, key(1, user(1))))
	must(t, s.Prompts().Add(ctx, store.Prompt{UserID: "id-1", Time: now, Text: "hi"}, 9))
	must(t, s.Lockouts().Update(ctx, "x", func(l *store.Lockout) error { l.Failures = 3; return nil }))
	must(t, s.Close())

	s = start(t, open)
	users, err := s.Users().All(ctx)
	must(t, err)
	keys, err := s.Keys().All(ctx)
	must(t, err)
	prompts, err := s.Prompts().List(ctx, "id-1", 0, 9)
	must(t, err)
	same(t, users, []store.User{user(1)})
	same(t, keys, []store.Key{key(1, user(1))})
	same(t, len(prompts), 1)
	must(t, s.Lockouts().Update(ctx, "x", func(l *store.Lockout) error { same(t, l.Failures, 3); return nil }))
}

// testConcurrent: read-modify-write of one row by many loses nothing, and one
// of many wins a name, beside changes that fail.
func testConcurrent(t *testing.T, open func() store.Store) {
	s := start(t, open)
	must(t, s.Users().Add(ctx, user(0)))
	const n = 64
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range n {
		wg.Go(func() {
			_, err := s.Users().Update(ctx, "id-0", func(u *store.User) error { u.Epoch++; return nil })
			if err != nil {
				t.Error(err)
			}
			s.Users().Update(ctx, "id-0", func(u *store.User) error { u.Epoch += 1000; return errNo })
			u := user(i + 1)
			u.Name = "prize@example.com"
			err = s.Users().Add(ctx, u)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	u, err := s.Users().ByName(ctx, user(0).Name)
	must(t, err)
	if u.Epoch != user(0).Epoch+n || won != 1 {
		t.Errorf("got epoch %d and %d winners, want %d and 1", u.Epoch, won, user(0).Epoch+n)
	}
	must(t, s.Err())
}

func testClosed(t *testing.T, open func() store.Store) {
	s := open()
	must(t, s.Close())
	must(t, s.Close())
	if err := s.Users().Add(ctx, user(1)); err == nil {
		t.Error("a closed store took a user")
	}
	if _, err := s.Users().All(ctx); err == nil {
		t.Error("a closed store listed users")
	}
}

// testCancelled: a change that was refused because its context had ended has
// not happened, and its neighbours are untouched.
func testCancelled(t *testing.T, open func() store.Store) {
	s := start(t, open)
	done, cancel := context.WithCancel(ctx)
	cancel()
	for i := range 50 {
		err := s.Users().Add(done, user(i))
		_, found := s.Users().ByName(ctx, user(i).Name)
		if (err == nil) != (found == nil) {
			t.Fatalf("Add gave %v, ByName %v", err, found)
		}
	}
	must(t, s.Users().Add(ctx, user(99)))
}
