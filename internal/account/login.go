package account

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"gatehouse/internal/store"
)

// Session is the answer to a login.
type Session struct {
	UserID  string
	Email   string // canonical; the user's name
	Token   Token
	Expires time.Time
}

// Login checks a password and issues a token. A wrong password, a name that
// does not exist, a user without password and a disabled one all answer
// [ErrCredentials] after the same work.
//
// Every attempt counts against the account before the password is looked at,
// so that many at once are not many free ones; success takes all of them back.
// From the fifth on, the account answers nobody for a second, then for twice
// as long each time, up to 15 minutes. Keys are not affected.
//
// Errors are *[Error], the context's, or the store's.
func (s *Service) Login(ctx context.Context, ip netip.Addr, email, password string) (Session, error) {
	u, err := s.login(ctx, ip, email, password)
	if err != nil {
		s.refused("login_failed", u, ip, err)
		return Session{}, err
	}
	// The epoch is that of the row the password was checked against: if a reset
	// has come in between, the token is void.
	token, expires, err := s.tokens.issue(s.o.Issuer, s.o.Audience, u.ID, u.Name, u.Epoch)
	if err != nil {
		return Session{}, err
	}
	s.o.Event(Event{Kind: "login", UserID: u.ID, User: u.Name, IP: ip})
	return Session{u.ID, u.Name, token, expires}, nil
}

// login returns the user whose password it is; with an error, what is known
// of the user who was asked for.
func (s *Service) login(ctx context.Context, ip netip.Addr, email, password string) (store.User, error) {
	name, err := canonicalName(email)
	if err != nil || len(password) > maxPassword || strings.IndexByte(password, 0) >= 0 {
		return store.User{}, ErrCredentials // no such user can exist, no user can have such a password
	}
	now := s.o.Now()
	if wait, ok := s.logins.take(ip, now); !ok {
		return store.User{Name: name}, tooMany(wait)
	}
	u, err := s.o.Store.Users().ByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.User{}, err
	}
	u.Name = name
	if err := s.tryPassword(ctx, u, password); err != nil {
		return u, err
	}
	s.logins.giveBack(ip, now)
	return u, nil
}

// refused tells of a refusal by us; other errors are not the caller's doing.
// What was typed as a name is passed on only if it is an address: people type
// passwords there too.
func (s *Service) refused(kind string, u store.User, ip netip.Addr, err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	name, bad := CanonicalEmail(u.Name)
	if bad != nil && u.ID != "" {
		name = u.Name
	}
	s.o.Event(Event{Kind: kind, UserID: u.ID, User: name, IP: ip, Detail: e.Code, Stranger: true})
}

// tryPassword counts the attempt and compares the password.
func (s *Service) tryPassword(ctx context.Context, u store.User, password string) error {
	if err := s.hasher.acquire(ctx); err != nil {
		return err
	}
	defer s.hasher.release()
	subject := s.lockSubject(u, u.Name)
	if err := s.o.Store.Lockouts().Update(ctx, subject, s.countAttempt); err != nil {
		return err
	}
	phc := u.Password
	if phc == "" {
		phc = s.dummy
	}
	ok, weak, err := s.hasher.verifyNow(phc, password)
	if err != nil {
		return err
	}
	if !ok || u.Password == "" || u.Disabled {
		return ErrCredentials
	}
	if weak {
		s.rehash(ctx, u, password)
	}
	return s.o.Store.Lockouts().Clear(ctx, subject)
}

// countAttempt refuses an attempt during a lockout, and counts any other as
// wrong until it is known to be right.
func (s *Service) countAttempt(l *store.Lockout) error {
	now := s.o.Now()
	if now.Before(l.Until) {
		return tooMany(l.Until.Sub(now))
	}
	l.Failures++
	l.Until = now.Add(lockFor(l.Failures))
	return nil
}

// lockFor is the lockout after that many attempts in a row.
func lockFor(failures int) time.Duration {
	const free, longest = 4, 15 * time.Minute
	if failures <= free {
		return 0
	}
	return min(time.Second<<min(failures-free-1, 20), longest)
}

func tooMany(wait time.Duration) error {
	return &Error{Class: TooMany, Code: "too_many_attempts", Message: "Too many attempts. Try again later", RetryAfter: wait}
}

// rehash replaces a hash weaker than today's. Failing to is no reason to
// refuse the login.
func (s *Service) rehash(ctx context.Context, u store.User, password string) {
	next := s.hasher.hashNow(password)
	err := s.update(ctx, u.ID, func(row *store.User) error {
		if row.Password == u.Password {
			row.Password = next
		}
		return nil
	})
	if err != nil {
		s.o.Log.Error("accounts: rehash password", "user", u.ID, "err", err)
	}
}
