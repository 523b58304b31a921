package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/apikey"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/store"
	"gatehouse/internal/store/sqlite"
)

var (
	ctx  = context.Background()
	home = netip.MustParseAddr("192.0.2.7")
)

const (
	alice  = "alice@example.com"
	strong = "Test@Pass*1239"
)

// house is a Service over a real store, with a clock that the test moves.
type house struct {
	*Service
	t      *testing.T
	dir    string
	db     store.Store
	o      Options
	mu     sync.Mutex
	time   time.Time
	events []Event
}

func open(t *testing.T, change func(*Options)) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), time: time.Date(2026, 11, 22, 15, 4, 5, 500, time.UTC)}
	h.o = Options{
		Dir: h.dir, Issuer: "gatehouse", Audience: "gatehouse-chat", Now: h.now,
		Event: func(e Event) { h.mu.Lock(); defer h.mu.Unlock(); h.events = append(h.events, e) },
	}
	if change != nil {
		change(&h.o)
	}
	h.start()
	t.Cleanup(func() { h.stopAll() })
	return h
}

func (h *house) start() {
	h.t.Helper()
	var err error
	if h.db, err = sqlite.Open(ctx, filepath.Join(h.dir, "state.db")); err != nil {
		h.t.Fatal(err)
	}
	h.o.Store = h.db
	if h.Service, err = Open(ctx, h.o); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stopAll() {
	if err := errors.Join(h.Close(), h.db.Close()); err != nil {
		h.t.Error(err)
	}
}

func (h *house) restart() {
	h.t.Helper()
	h.stopAll()
	h.start()
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

func (h *house) lastEvent() Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return Event{}
	}
	return h.events[len(h.events)-1]
}

func (h *house) register(email string) Registered {
	h.t.Helper()
	r, err := h.Register(ctx, home, email, strong, "")
	must(h.t, err)
	return r
}

func (h *house) key(user string) Issued {
	h.t.Helper()
	k, err := h.CreateKey(ctx, NewKey{Name: "ci", User: user})
	must(h.t, err)
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestRegisterAndLogin(t *testing.T) {
	h := open(t, nil)
	r := h.register("Alice@Example.COM")
	if r.Email != alice || len(r.ID) != 36 {
		t.Errorf("got %+v", r)
	}
	s, err := h.Login(ctx, home, "ALICE@example.com", strong)
	must(t, err)
	if s.UserID != r.ID || s.Email != alice || !s.Expires.Equal(h.now().Truncate(time.Second).Add(time.Hour)) {
		t.Errorf("got %+v", s)
	}
	if e := h.lastEvent(); e != (Event{Kind: "login", UserID: r.ID, User: alice, IP: home}) {
		t.Errorf("got event %+v", e)
	}
	for name, want := range map[string]string{alice: alice, "nobody@example.com": "nobody@example.com", "typed-Password-1": ""} {
		h.Login(ctx, home, name, "Wrong*Pass*1239")
		if e := h.lastEvent(); e.Kind != "login_failed" || e.User != want || !e.Stranger || e.Detail != "invalid_credentials" {
			t.Errorf("got event %+v", e)
		}
	}
	p, _, ok := h.TokenUser(r.ID)
	if want := (call.Principal{UserID: r.ID, User: alice, Scheme: call.Token}); !ok || !reflect.DeepEqual(*p, want) {
		t.Errorf("got principal %+v, want %+v", p, want)
	}
}

// C02: an address that is taken gets the answer of a new one, after the same
// work, and nothing changes.
func TestRegisterTaken(t *testing.T) {
	h := open(t, nil)
	first := h.register(alice)
	before := h.hasher.count.Load()
	r, err := h.Register(ctx, home, "ALICE@EXAMPLE.COM", "Another*Pass1239", "")
	must(t, err)
	if r.Email != alice || len(r.ID) != 36 || r.ID == first.ID {
		t.Errorf("got %+v, want a fresh-looking id", r)
	}
	if n := h.hasher.count.Load() - before; n != 1 {
		t.Errorf("computed %d hashes, want 1 as for a new address", n)
	}
	if e := h.lastEvent(); e.Kind != "register_existing" {
		t.Errorf("got event %+v", e)
	}
	if _, _, ok := h.TokenUser(r.ID); ok {
		t.Error("the id in the answer names somebody")
	}
	_, err = h.Login(ctx, home, alice, "Another*Pass1239")
	wantCode(t, err, "invalid_credentials")
	_, err = h.Login(ctx, home, alice, strong)
	wantCode(t, err, "ok")
	users, _ := h.Users(ctx)
	if len(users) != 1 || users[0].ID != first.ID {
		t.Errorf("got users %+v", users)
	}
}

// C02: every spelling is one account, or none.
func TestCanonicalEmail(t *testing.T) {
	for in, want := range map[string]string{
		"a@b.co": "a@b.co", "A.B+c_d=e-f@Ex-ample.Co.UK": "a.b+c_d=e-f@ex-ample.co.uk", "1@1.a1": "1@1.a1",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",
	} {
		if got, err := CanonicalEmail(in); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "a", "@", "a@", "@b.co", "a@b", "a@b.", "a@.b", "a@b..co", "a@b.co.", "a@b.co ", " a@b.co", "a @b.co", "a@b.co\n", "a@b.co\x00",
		".a@b.co", "a.@b.co", "a..b@b.co", "a@@b.co", "a@b@b.co", "a@-b.co", "a@b-.co", "a@b.123", "a@127.0.0.1", "a@[::1]", "a@b_c.co",
		"ａｌｉｃｅ@example.com", "alice@ｅxample.com", "аlice@example.com", "alıce@example.com", "ALİCE@example.com", "\u017f@example.com", "\u212a@example.com",
		"a'b@b.co", "a\"b\"@b.co", "a/b@b.co", "a%b@b.co", "a,b@b.co", "<a@b.co>", "a*@b.co", "' OR '1'='1@b.co",
		strings.Repeat("a", 65) + "@b.co", "a@" + strings.Repeat("b", 64) + ".co", "a@" + strings.Repeat("b.", 130) + "co",
	} {
		if got, err := CanonicalEmail(in); err == nil {
			t.Errorf("%q: got %q, want a refusal", in, got)
		} else {
			wantCode(t, err, "invalid_email")
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	for _, s := range []string{alice, "A@B.C", "a@b.co.", "ａ@b.co", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		again, err := CanonicalEmail(c)
		if again != c || err != nil || !strings.EqualFold(c, s) || strings.ContainsAny(c, " /\x00'\"") {
			t.Errorf("%q became %q, then %q, %v", s, c, again, err)
		}
	})
}

// C05: refused without hashing.
func TestPasswordRules(t *testing.T) {
	h := open(t, nil)
	before := h.hasher.count.Load()
	for _, c := range []struct{ password, want string }{
		{strings.Repeat("xY9-", 10<<20/4), "invalid_password"},
		{strings.Repeat("x", 60) + "\x00" + strings.Repeat("y", 60), "invalid_password"},
		{strings.Repeat("aB3-", 32) + "z", "invalid_password"},
		{"elevenchar1", "invalid_password"}, {"", "invalid_password"},
		{"password1234", "common_password"}, {"PASSWORD1234!", "common_password"}, {"P@ssw0rd2026!", "common_password"},
		{"qwertyuiop12", "common_password"}, {"1q2w3e4r5t6y", "common_password"}, {"123456789012", "common_password"},
		{"aaaaaaaaaaaa", "common_password"}, {"abcabcabcabc", "common_password"}, {"abcdefghijkl", "common_password"},
		{"passwordpassword", "common_password"}, {"iloveyou!!!!!!", "common_password"}, {"!!!letmein2025", "common_password"},
		{"@dministr@tor1", "common_password"}, {"qwerty123456", "common_password"}, {"hippopotamus", "common_password"},
		{"correcthorsebatterystaple", "common_password"}, {"zaq12wsxcde3", "common_password"}, {"1qaz2wsx3edc", "common_password"},
		{"alice@example.com", "common_password"}, {"Alice1234567", "common_password"},
	} {
		_, err := h.Register(ctx, home, alice, c.password, "")
		if got := code(err); got != c.want {
			t.Errorf("%.20q (%d bytes): got %s, want %s", c.password, len(c.password), got, c.want)
		}
	}
	if n := h.hasher.count.Load() - before; n != 0 {
		t.Errorf("computed %d hashes, want none", n)
	}
	for _, good := range []string{strong, "correct horse battery staple", "xkcd-936-tr0ub4dor", strings.Repeat("aB3-x", 26)[:128], "tiny hats 12", "пароль-мой-длинный", "MyDogAte12Shoes"} {
		if err := checkPassword(good, alice); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// FuzzPassword: what is accepted has the length and is neither listed nor the name.
func FuzzPassword(f *testing.F) {
	for _, s := range []string{strong, "password1234", "\u212a\u212a\u212a\u212a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\U00010400\U00010400\U00010400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := checkPassword(s, alice)
		if err == nil && (len(s) < 12 || len(s) > 128 || strings.Contains(s, "\x00") || common()[strings.ToLower(s)] || strings.EqualFold(s, alice)) {
			t.Errorf("took %q", s)
		}
	})
}

// C01: a name that does not exist, one without a password and a disabled one
// cost and answer what a wrong password does.
func TestLoginRevealsNothing(t *testing.T) {
	h := open(t, func(o *Options) { o.Registration.PerIPPerHour = 100 })
	h.register(alice)
	h.register("disabled@example.com")
	must(t, h.SetDisabled(ctx, "disabled@example.com", true))
	_, _, err := h.AddUser(ctx, NewUser{Name: "robot@example.com"})
	must(t, err)
	var want error
	for _, c := range []struct{ email, password string }{
		{alice, "Wrong*Pass*1239"}, {"nobody@example.com", strong}, {"robot@example.com", strong}, {"disabled@example.com", strong},
	} {
		before := h.hasher.count.Load()
		_, err := h.Login(ctx, home, c.email, c.password)
		if want == nil {
			want = err
		}
		if n := h.hasher.count.Load() - before; n != 1 || err != want || err != ErrCredentials {
			t.Errorf("%s: got %v after %d hashes, want %v after 1", c.email, err, n, want)
		}
	}
	for _, c := range []struct{ email, password string }{
		{"not an address", strong}, {alice, strings.Repeat("x", 10<<20)}, {alice, strong + "\x00"}, {"", ""}, {"' OR '1'='1", strong},
	} {
		if _, err := h.Login(ctx, home, c.email, c.password); err != ErrCredentials {
			t.Errorf("%.20q: got %v, want %v", c.email, err, ErrCredentials)
		}
	}
}

// C03: the lockout grows from a second to 15 minutes, counts names that do not
// exist alike, refuses the right password too, outlives a restart, and ends
// with a success. Keys keep working.
func TestLockout(t *testing.T) {
	for _, who := range []string{alice, "nobody@example.com"} {
		t.Run(who, func(t *testing.T) {
			h := open(t, nil)
			h.register(alice)
			key := h.key(alice)
			var waits []time.Duration
			for n := 1; n <= 17; n++ {
				_, err := h.Login(ctx, address(n), who, "Wrong*Pass*1239")
				wantCode(t, err, "invalid_credentials")
				if n < 5 {
					continue
				}
				_, err = h.Login(ctx, address(n), who, strong)
				var e *Error
				errors.As(err, &e)
				wantCode(t, err, "too_many_attempts")
				waits = append(waits, e.RetryAfter)
				if n == 7 {
					h.restart()
					_, err := h.Login(ctx, address(n), who, strong)
					wantCode(t, err, "too_many_attempts")
				}
				h.pass(e.RetryAfter)
			}
			want := "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 15m0s 15m0s 15m0s]"
			if got := fmt.Sprint(waits); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if _, _, ok := h.APIKey(key.Key.APIID); !ok {
				t.Error("the key stopped working")
			}
			if who == alice {
				_, err := h.Login(ctx, home, who, strong)
				wantCode(t, err, "ok")
				_, err = h.Login(ctx, home, who, "Wrong*Pass*1239")
				wantCode(t, err, "invalid_credentials") // counted from one again
				_, err = h.Login(ctx, home, who, strong)
				wantCode(t, err, "ok")
			}
		})
	}
}

// count sets the number of failures that who has.
func (h *house) count(who string, n int) {
	h.t.Helper()
	u, _ := h.o.Store.Users().ByName(ctx, who)
	must(h.t, h.o.Store.Lockouts().Update(ctx, h.lockSubject(u, who), func(l *store.Lockout) error {
		l.Failures = n
		return nil
	}))
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// C03: many guesses at once are not many free ones.
func TestLockoutInParallel(t *testing.T) {
	h := open(t, nil)
	h.register(alice)
	h.hasher = newHasher(2, 100)
	before := h.hasher.count.Load()
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() { h.Login(ctx, address(n), alice, "Wrong*Pass*1239") })
	}
	wg.Wait()
	if n := h.hasher.count.Load() - before; n != 5 {
		t.Errorf("looked at %d passwords, want 5 before the lock", n)
	}
}

// C03: one address cannot try many accounts; the others on the network can.
func TestLoginPerAddress(t *testing.T) {
	h := open(t, nil)
	h.hasher = newHasher(2, 100)
	before := h.hasher.count.Load()
	for range loginsPerIP {
		h.logins.take(home, h.now())
	}
	_, err := h.Login(ctx, home, alice, strong)
	wantCode(t, err, "too_many_attempts")
	if h.hasher.count.Load() != before {
		t.Error("hashed all the same")
	}
	_, err = h.Login(ctx, address(1), alice, strong)
	wantCode(t, err, "invalid_credentials")
	h.pass(loginWindow)
	_, err = h.Login(ctx, home, alice, strong)
	wantCode(t, err, "invalid_credentials")
}

// C04: at most so many hashes at once, a short queue, then a refusal.
func TestHasherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(2, 3)
		must(t, h.acquire(ctx))
		must(t, h.acquire(ctx))
		got := make(chan error, 3)
		gone, leave := context.WithCancel(ctx)
		for _, c := range []context.Context{ctx, ctx, gone} {
			go func() { got <- h.acquire(c) }()
		}
		synctest.Wait() // all three are in the queue
		if err := h.acquire(ctx); err != ErrBusy {
			t.Errorf("the sixth: got %v, want %v", err, ErrBusy)
		}
		leave()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that left: got %v", err)
		}
		h.release()
		h.release()
		must(t, <-got)
		must(t, <-got)
	})
}

// C04 end to end: 200 logins at once, of which few are let in.
func TestManyLogins(t *testing.T) {
	h := open(t, nil)
	h.hasher = newHasher(1, hashQueue)
	must(t, h.hasher.acquire(ctx)) // a hash that takes for ever
	results := make(chan error, 200)
	for n := range 200 {
		go func() {
			_, err := h.Login(ctx, address(n), fmt.Sprintf("u%d@example.com", n), strong)
			results <- err
		}()
	}
	for range 200 - hashQueue {
		if err := <-results; err != ErrBusy {
			t.Fatalf("got %v, want %v", err, ErrBusy)
		}
	}
	h.hasher.release()
	for range hashQueue {
		wantCode(t, <-results, "invalid_credentials")
	}
}

func TestPHC(t *testing.T) {
	h := newHasher(1, 1)
	phc, err := h.hash(ctx, strong)
	must(t, err)
	if s := string(phc); !strings.HasPrefix(s, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s", s)
	}
	for password, want := range map[string]bool{strong: true, strong + "x": false, "": false} {
		if ok, weak, err := h.verifyNow(phc, password); ok != want || weak || err != nil {
			t.Errorf("%q: got %v, weak %v, %v", password, ok, weak, err)
		}
	}
	s := string(phc)
	for _, bad := range []string{
		"", "x", strings.Replace(s, "argon2id", "argon2i", 1), strings.Replace(s, "v=19", "v=16", 1), strings.Replace(s, "m=19456", "m=4294967295", 1),
		strings.Replace(s, "t=2", "t=0", 1), strings.Replace(s, "p=1", "p=0", 1), strings.Replace(s, "m=19456", "m=019456", 1), strings.Replace(s, "p=1", "p=1,x=1", 1),
		s + "$", s + "=", s[:len(s)-40], strings.Replace(s, "t=2", "t=-2", 1), strings.Replace(s, "p=1", "p=257", 1),
	} {
		if _, _, err := h.verifyNow(store.PHC(bad), strong); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=99,p=255$AA$AA")
	f.Fuzz(func(t *testing.T, s string) {
		c, salt, key, err := parsePHC(store.PHC(s))
		if err == nil && (c.memory > maxCost.memory || c.time > maxCost.time || encodePHC(c, salt, key) != store.PHC(s)) {
			t.Errorf("took %q", s)
		}
	})
}

func TestRehash(t *testing.T) {
	h := open(t, nil)
	r := h.register(alice)
	salt := []byte("0123456789abcdef")
	old := cost{memory: 64, time: 1, threads: 1}
	weak := encodePHC(old, salt, h.hasher.key(strong, salt, old, hashLen))
	must(t, h.update(ctx, r.ID, func(u *store.User) error { u.Password = weak; return nil }))
	_, err := h.Login(ctx, home, alice, "Wrong*Pass*1239")
	wantCode(t, err, "invalid_credentials")
	for range 2 {
		_, err := h.Login(ctx, home, alice, strong)
		wantCode(t, err, "ok")
		u, _ := h.o.Store.Users().ByName(ctx, alice)
		if !strings.Contains(string(u.Password), "m=19456,t=2") {
			t.Errorf("the hash is %s", string(u.Password))
		}
	}
}

func TestRegistrationModes(t *testing.T) {
	far, near := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("::ffff:127.0.0.1")
	for _, c := range []struct {
		name  string
		r     Registration
		ip    netip.Addr
		email string
		want  string
	}{
		{"open", Registration{}, far, alice, "ok"},
		{"loopback, from afar", Registration{LoopbackOnly: true}, far, alice, "registration_closed"},
		{"loopback", Registration{LoopbackOnly: true}, near, alice, "ok"},
		{"loopback, IPv6", Registration{LoopbackOnly: true}, netip.IPv6Loopback(), alice, "ok"},
		{"invite", Registration{Mode: ModeInvite}, near, alice, "invitation_required"},
		{"domain", Registration{Mode: ModeDomains, Domains: []string{"Example.com"}}, far, alice, "ok"},
		{"other domain", Registration{Mode: ModeDomains, Domains: []string{"example.com"}}, far, "a@example.com.evil.org", "registration_closed"},
		{"subdomain", Registration{Mode: ModeDomains, Domains: []string{"example.com"}}, far, "a@mail.example.com", "registration_closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(o *Options) { o.Registration = c.r })
			before := h.hasher.count.Load()
			_, err := h.Register(ctx, c.ip, c.email, strong, "")
			wantCode(t, err, c.want)
			if n := h.hasher.count.Load() - before; (c.want == "ok") != (n == 1) {
				t.Errorf("computed %d hashes", n)
			}
			if c.want != "ok" && h.lastEvent().Kind != "register_refused" {
				t.Errorf("got event %+v", h.lastEvent())
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Issuer: "i", Audience: "a"}
	for name, change := range map[string]func(*Options){
		"no issuer":   func(o *Options) { o.Issuer = "" },
		"no audience": func(o *Options) { o.Audience = "" },
		"mode":        func(o *Options) { o.Registration.Mode = "closed" },
		"no domains":  func(o *Options) { o.Registration.Mode = ModeDomains },
		"negative":    func(o *Options) { o.Registration.PerIPPerHour = -1 },
		"unbounded":   func(o *Options) { o.Registration.PerIPPerHour = 1e6 },
	} {
		o := good
		change(&o)
		if _, err := Open(ctx, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestInvitation(t *testing.T) {
	h := open(t, func(o *Options) { o.Registration = Registration{Mode: ModeInvite, PerIPPerHour: 100} })
	u, invitation, err := h.AddUser(ctx, NewUser{Name: alice, Team: "red", Invite: true})
	must(t, err)
	if !u.Invited || u.HasPassword {
		t.Errorf("got %+v", u)
	}
	for _, c := range []struct{ email, code string }{
		{alice, "wrong"}, {"nobody@example.com", string(invitation)}, {"nobody@example.com", "wrong"},
	} {
		before := h.hasher.count.Load()
		_, err := h.Register(ctx, home, c.email, strong, c.code)
		if err != ErrInvitation || h.hasher.count.Load() != before {
			t.Errorf("%s with %s: got %v", c.email, c.code, err)
		}
	}
	r, err := h.Register(ctx, home, alice, strong, string(invitation))
	must(t, err)
	if r.ID != u.ID {
		t.Errorf("got id %s, want that of the user, %s", r.ID, u.ID)
	}
	s, err := h.Login(ctx, home, alice, strong)
	must(t, err)
	if p, _, _ := h.TokenUser(s.UserID); p.Team != "red" {
		t.Errorf("got %+v", p)
	}
	_, err = h.Register(ctx, home, alice, "Another*Pass1239", string(invitation))
	wantCode(t, err, "invitation_required")

	_, late, err := h.AddUser(ctx, NewUser{Name: "late@example.com", Invite: true})
	must(t, err)
	h.pass(inviteLife)
	_, err = h.Register(ctx, home, "late@example.com", strong, string(late))
	wantCode(t, err, "invitation_required")
}

func TestRegistrationsPerAddress(t *testing.T) {
	h := open(t, func(o *Options) { o.Registration.PerIPPerHour = 2 })
	site6 := func(n byte) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 15: n}) }
	for i, ip := range []netip.Addr{home, home, home, site6(1), site6(2), site6(3)} {
		_, err := h.Register(ctx, ip, fmt.Sprintf("u%d@example.com", i), strong, "")
		if i%3 == 2 {
			wantCode(t, err, "too_many_registrations")
			if e := err.(*Error); e.RetryAfter != time.Hour {
				t.Errorf("got Retry-After %v, want 1h", e.RetryAfter)
			}
			continue
		}
		wantCode(t, err, "ok")
	}
	h.pass(time.Hour - 1)
	_, err := h.Register(ctx, home, "x@example.com", strong, "")
	wantCode(t, err, "too_many_registrations")
	h.pass(1)
	_, err = h.Register(ctx, home, "x@example.com", strong, "")
	wantCode(t, err, "ok")
}

// L12: what strangers send cannot grow our memory without bound, and the
// bound refuses instead of forgetting.
func TestMeterIsBounded(t *testing.T) {
	m := newMeter(2, time.Hour)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxTimes {
		if _, ok := m.take(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), now); !ok {
			t.Fatalf("address %d refused", i)
		}
	}
	if _, ok := m.take(home, now.Add(time.Minute)); ok || m.total != maxTimes || len(m.times) > maxTimes {
		t.Errorf("took more than %d", maxTimes)
	}
	if _, ok := m.take(home, now.Add(time.Hour)); !ok || m.total != 1 || len(m.times) != 1 {
		t.Errorf("after the window: %d times of %d addresses, want 1 of 1", m.total, len(m.times))
	}
	m.giveBack(home, now.Add(time.Hour))
	m.giveBack(home, now.Add(time.Hour))
	if m.total != 0 || len(m.times) != 0 {
		t.Errorf("given back: %d of %d", m.total, len(m.times))
	}
}

func TestUsers(t *testing.T) {
	h := open(t, nil)
	_, password, err := h.AddUser(ctx, NewUser{Name: "Bob@Example.com", Team: "red", Password: true})
	must(t, err)
	_, err = h.Login(ctx, home, "bob@example.com", string(password))
	wantCode(t, err, "ok")
	_, _, err = h.AddUser(ctx, NewUser{Name: "BOB@example.com"})
	wantCode(t, err, "user_exists")
	_, _, err = h.AddUser(ctx, NewUser{Name: "Build.Bot_1"})
	wantCode(t, err, "ok")
	for _, n := range []NewUser{{Name: "a/b"}, {Name: ""}, {Name: "a b"}, {Name: strings.Repeat("a", 65)}, {Name: "ok", Team: "a/b"}, {Name: "ok", Invite: true}, {Name: "c@d.ef", Invite: true, Password: true}} {
		if _, _, err := h.AddUser(ctx, n); code(err) == "ok" {
			t.Errorf("took %+v", n)
		}
	}
	must(t, h.SetTeam(ctx, "build.bot_1", "blue"))
	users, err := h.Users(ctx)
	must(t, err)
	if len(users) != 2 || users[0].Name != "bob@example.com" || users[1].Team != "blue" {
		t.Errorf("got %+v", users)
	}
	for _, err := range []error{
		h.SetTeam(ctx, "nobody", "x"), h.SetDisabled(ctx, "nobody", true),
		func() error { _, err := h.ResetUser(ctx, "nobody", true); return err }(),
		func() error { _, err := h.CreateKey(ctx, NewKey{Name: "k", User: "nobody"}); return err }(),
		func() error { _, err := h.Keys(ctx, "nobody"); return err }(),
	} {
		wantCode(t, err, "no_such_user")
	}
}

// J09: a reset voids the tokens from before, also those of the same second,
// and the one that is issued right after is good.
func TestResetVoidsTokens(t *testing.T) {
	h := open(t, nil)
	r := h.register(alice)
	before, err := h.Login(ctx, home, alice, strong)
	must(t, err)
	h.count(alice, 30)
	must(t, h.o.Store.Lockouts().Update(ctx, userSubject(r.ID), func(l *store.Lockout) error { l.Until = h.now().Add(time.Hour); return nil }))
	password, err := h.ResetUser(ctx, alice, true)
	must(t, err)
	_, epoch, ok := h.TokenUser(r.ID)
	if issued := issuedAt(t, before.Token); !ok || issued >= epoch {
		t.Errorf("the token of second %d is good after epoch %d", issued, epoch)
	}
	_, err = h.Login(ctx, home, alice, strong)
	wantCode(t, err, "invalid_credentials")
	after, err := h.Login(ctx, home, alice, string(password))
	must(t, err)
	if issued := issuedAt(t, after.Token); issued < epoch || after.Expires.Unix() != issued+3600 {
		t.Errorf("the token of second %d is void before epoch %d", issued, epoch)
	}
	if _, err = h.ResetUser(ctx, alice, false); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := h.TokenUser(r.ID); again <= epoch {
		t.Errorf("epoch %d after %d", again, epoch)
	}
	_, err = h.Login(ctx, home, alice, string(password))
	wantCode(t, err, "ok")
}

func issuedAt(t *testing.T, token Token) int64 { return int64(claims(t, token)["iat"].(float64)) }

func claims(t *testing.T, token Token) map[string]any {
	t.Helper()
	parts := strings.Split(string(token), ".")
	b, err := b64url(parts[1])
	must(t, err)
	var c map[string]any
	must(t, json.Unmarshal(b, &c))
	return c
}

// S11: a change shows at once.
func TestKeyLife(t *testing.T) {
	h := open(t, nil)
	r := h.register(alice)
	must(t, h.SetTeam(ctx, alice, "red"))
	scope := call.Scope{Models: []string{"anthropic.*"}, Operations: []string{"Converse"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}
	k, err := h.CreateKey(ctx, NewKey{Name: "ci", User: alice, Scope: scope, Expires: h.now().Add(time.Hour)})
	must(t, err)
	if id := string(k.Key.ID); len(id) != 20 || !strings.HasPrefix(id, "GTHK") || len(k.SecretKey) != 40 || k.Key.State != "live" {
		t.Errorf("got %s, %d, %+v", id, len(k.SecretKey), k.Key)
	}
	scope.Networks[0] = netip.MustParsePrefix("10.0.0.0/8")
	want := call.Principal{UserID: r.ID, User: alice, Team: "red", Key: k.Key.ID, Scope: scope, Expires: h.now().Add(time.Hour), Scheme: call.SigV4}
	check := func(step string, want *call.Principal) {
		t.Helper()
		key, p, ok := h.SigningKey(k.Key.ID, "20261122", "us-east-1", "bedrock")
		if ok != (want != nil) || ok && (!reflect.DeepEqual(p, want) || key != sigv4.DeriveKey(k.SecretKey, "20261122", "us-east-1", "bedrock")) {
			t.Errorf("%s: got %+v, %v, want %+v", step, p, ok, want)
		}
		id, sum, _ := apikey.Parse(string(k.APIKey))
		got, p2, ok2 := h.APIKey(id)
		if ok2 != ok || ok && (got != sum || p2.Scheme != call.APIKey || p2.Key != p.Key) {
			t.Errorf("%s: API key: got %+v, %v", step, p2, ok2)
		}
	}
	check("new", &want)
	must(t, h.SetTeam(ctx, alice, "blue"))
	want.Team = "blue"
	check("team", &want)
	must(t, h.SetDisabled(ctx, alice, true))
	check("disabled", nil)
	if _, _, ok := h.TokenUser(r.ID); ok {
		t.Error("a disabled user's tokens work")
	}
	must(t, h.SetDisabled(ctx, alice, false))
	check("enabled", &want)
	h.restart()
	check("restarted", &want)
	must(t, h.RevokeKey(ctx, k.Key.ID))
	check("revoked", nil)
	must(t, h.RevokeKey(ctx, k.Key.ID))
	h.restart()
	check("revoked, restarted", nil)
	keys, err := h.Keys(ctx, alice)
	must(t, err)
	if len(keys) != 1 || keys[0].State != "revoked" || keys[0].User != alice || keys[0].Revoked.IsZero() {
		t.Errorf("got %+v", keys)
	}
	wantCode(t, h.RevokeKey(ctx, "GTHKnone"), "no_such_key")
}

func TestCreateKeyRefuses(t *testing.T) {
	h := open(t, nil)
	h.register(alice)
	many := make([]string, maxScope+1)
	for want, keys := range map[string][]NewKey{
		"invalid_name":   {{}, {Name: "a\nb"}, {Name: strings.Repeat("x", 65)}, {Name: "é"}},
		"invalid_team":   {{Name: "k", Team: "a/b"}, {Name: "k", Team: strings.Repeat("x", 65)}},
		"invalid_expiry": {{Name: "k", Expires: h.now()}, {Name: "k", Expires: h.now().Add(-time.Hour)}},
		"invalid_scope": {
			{Name: "k", Scope: call.Scope{Models: many}}, {Name: "k", Scope: call.Scope{Models: []string{""}}}, {Name: "k", Scope: call.Scope{Models: []string{"a b"}}},
			{Name: "k", Scope: call.Scope{Operations: []string{"converse"}}}, {Name: "k", Scope: call.Scope{Operations: []string{""}}},
			{Name: "k", Scope: call.Scope{Networks: []netip.Prefix{{}}}}, {Name: "k", Scope: call.Scope{Networks: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}},
		},
	} {
		for _, k := range keys {
			k.User = alice
			if _, err := h.CreateKey(ctx, k); code(err) != want {
				t.Errorf("%+v: got %s, want %s", k, code(err), want)
			}
		}
	}
	must(t, h.SetDisabled(ctx, alice, true))
	if _, err := h.CreateKey(ctx, NewKey{Name: "k", User: alice}); code(err) != "user_disabled" {
		t.Errorf("for a disabled user: %s, want user_disabled", code(err))
	}
	if keys, _ := h.Keys(ctx, ""); len(keys) != 0 {
		t.Errorf("made %+v", keys)
	}
}

// TestOperationHint: who nearly wrote an operation is told which.
func TestOperationHint(t *testing.T) {
	for name, want := range map[string]string{
		"converse": "did you mean Converse?", "Convers": "did you mean Converse?", "Conversestreem": "did you mean ConverseStream?",
		"invokemodel": "did you mean InvokeModel?", "InvokeModelWith": "did you mean InvokeModelWithResponseStream?",
		"COUNTTOKENS": "did you mean CountTokens?", "": "write names such as", "Frobnicate": "write names such as", "Conv": "write names such as",
	} {
		if got := operationHint(name); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestRotateKey(t *testing.T) {
	h := open(t, nil)
	h.register(alice)
	old, err := h.CreateKey(ctx, NewKey{Name: "ci", User: alice, Team: "blue", Scope: call.Scope{Models: []string{"a*"}}})
	must(t, err)
	_, err = h.RotateKey(ctx, old.Key.ID, maxOverlap+1)
	wantCode(t, err, "invalid_overlap")
	h.pass(time.Nanosecond) // lists are by age
	next, err := h.RotateKey(ctx, old.Key.ID, time.Hour)
	must(t, err)
	if k := next.Key; k.Name != "ci" || k.Team != "blue" || len(k.Models) != 1 || !k.Expires.IsZero() || k.ID == old.Key.ID || k.State != "live" {
		t.Errorf("got %+v", k)
	}
	_, p, ok := h.SigningKey(old.Key.ID, "20261122", "us-east-1", "bedrock")
	if !ok || !p.Expires.Equal(h.now().Add(time.Hour)) {
		t.Errorf("the old key: %+v, %v, want an hour more", p, ok)
	}
	if _, _, ok := h.APIKey(next.Key.APIID); !ok {
		t.Error("the new key does not work")
	}
	_, err = h.RotateKey(ctx, old.Key.ID, time.Hour)
	wantCode(t, err, "key_rotated")
	_, err = h.RotateKey(ctx, "GTHKnone", 0)
	wantCode(t, err, "no_such_key")
	h.pass(time.Hour)
	keys, _ := h.Keys(ctx, alice)
	if len(keys) != 2 || keys[0].State != "expired" || keys[0].Successor != next.Key.ID || keys[1].State != "live" {
		t.Errorf("got %+v", keys)
	}

	short, err := h.CreateKey(ctx, NewKey{Name: "short", User: alice, Expires: h.now().Add(time.Minute)})
	must(t, err)
	_, err = h.RotateKey(ctx, short.Key.ID, time.Hour)
	must(t, err)
	if _, p, _ := h.SigningKey(short.Key.ID, "20261122", "r", "s"); !p.Expires.Equal(h.now().Add(time.Minute)) {
		t.Errorf("a rotation lengthened a key's life to %v", p.Expires)
	}
	h.pass(time.Minute)
	gone := next.Key.ID
	must(t, h.RevokeKey(ctx, gone))
	_, err = h.RotateKey(ctx, gone, 0)
	wantCode(t, err, "no_such_key")
}

func TestLastUsed(t *testing.T) {
	h := open(t, nil)
	h.register(alice)
	k := h.key(alice)
	h.pass(time.Minute)
	h.Used(k.Key.ID, h.now())
	h.Used("GTHKnone", h.now())
	seen := func(step string) {
		t.Helper()
		keys, err := h.Keys(ctx, alice)
		if err != nil || !keys[0].LastUsed.Equal(h.now()) {
			t.Errorf("%s: got %+v, %v, want %v", step, keys, err, h.now())
		}
	}
	seen("in memory")
	h.restart() // Close writes it
	seen("after a restart")
	h.Used(k.Key.ID, h.now())
	must(t, h.RevokeKey(ctx, k.Key.ID))
	seen("after it was revoked")
}

func TestTeams(t *testing.T) {
	h := open(t, nil)
	for _, n := range []NewUser{{Name: "a", Team: "red"}, {Name: "b", Team: "red"}, {Name: "c"}} {
		_, _, err := h.AddUser(ctx, n)
		must(t, err)
		h.key(n.Name)
	}
	_, err := h.CreateKey(ctx, NewKey{Name: "x", User: "a", Team: "blue"})
	must(t, err)
	got, err := h.Teams(ctx)
	must(t, err)
	if s := fmt.Sprint(got); s != "[{ 1 1} {blue 0 1} {red 2 2}]" {
		t.Errorf("got %s", s)
	}
}

// C10: no list and no printed value holds a secret.
func TestNothingLeaks(t *testing.T) {
	h := open(t, nil)
	h.register(alice)
	_, invitation, err := h.AddUser(ctx, NewUser{Name: "bob@example.com", Invite: true})
	must(t, err)
	k := h.key(alice)
	s, err := h.Login(ctx, home, alice, strong)
	must(t, err)
	u, err := h.o.Store.Users().ByName(ctx, alice)
	must(t, err)
	users, _ := h.Users(ctx)
	keys, _ := h.Keys(ctx, "")
	teams, _ := h.Teams(ctx)
	var out strings.Builder
	for _, v := range []any{users, keys, teams, h.events, k, s, u, invitation} {
		j, _ := json.Marshal(v)
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, j)
	}
	for name, secret := range map[string]string{
		"password": strong, "hash": string(u.Password), "token": string(s.Token), "SigV4 secret": string(k.SecretKey),
		"API key": string(k.APIKey), "API secret": string(k.APIKey)[22:54], "invitation": string(invitation),
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the %s is in the output", name)
		}
	}
	var file strings.Builder
	for _, name := range []string{"state.db", "state.db-wal"} {
		b, _ := os.ReadFile(filepath.Join(h.dir, name))
		file.Write(b)
	}
	for name, secret := range map[string]string{
		"password": strong, "SigV4 secret": string(k.SecretKey), "API key": string(k.APIKey), "API secret": string(k.APIKey)[22:54], "invitation": string(invitation),
	} {
		if strings.Contains(file.String(), secret) {
			t.Errorf("the %s is in the database", name)
		}
	}
}

func TestPrompts(t *testing.T) {
	h := open(t, func(o *Options) { o.PromptKeep = 2; o.PromptAge = time.Hour })
	for i := range 3 {
		must(t, h.SavePrompt(ctx, store.Prompt{UserID: "a", CallID: "c", Time: h.now(), Text: fmt.Sprint(i)}))
		h.pass(40 * time.Minute)
	}
	must(t, h.Expire(ctx))
	got, err := h.Prompts(ctx, "a", 0, 10)
	must(t, err)
	if len(got) != 1 || got[0].Text != "2" {
		t.Errorf("got %+v, want the one of the last hour", got)
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	h := open(t, nil)
	r := h.register(alice)
	k := h.key(alice)
	h.SigningKey(k.Key.ID, "20261122", "us-east-1", "bedrock")
	now := h.now()
	n := testing.AllocsPerRun(100, func() {
		h.SigningKey(k.Key.ID, "20261122", "us-east-1", "bedrock")
		h.SigningKey("GTHKnone", "20261122", "us-east-1", "bedrock")
		h.APIKey(k.Key.APIID)
		h.TokenUser(r.ID)
		h.Used(k.Key.ID, now)
	})
	if n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkSigningKey(b *testing.B) {
	s := &Service{}
	v, err := newVault(make([]byte, masterKeyLen))
	if err != nil {
		b.Fatal(err)
	}
	users := []store.User{{ID: "u", Name: "u"}}
	keys := make([]store.Key, 10000)
	for i := range keys {
		id := call.KeyID(fmt.Sprintf("GTHK%016d", i))
		keys[i] = store.Key{ID: id, APIID: fmt.Sprint(i), UserID: "u", Sealed: v.seal(id, "s")}
	}
	s.dir.init(v, users, keys)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, _, ok := s.SigningKey(keys[i%64].ID, "20261122", "us-east-1", "bedrock"); !ok {
				b.Fatal("not found")
			}
		}
	})
}
