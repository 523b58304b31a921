package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// Registered is the answer to a registration. When the address had an account
// already, ID is a fresh one that names nobody.
type Registered struct {
	ID    string
	Email string // canonical
}

// Register makes an account. An address that is taken is answered like a new
// one, after the same work, and nothing changes. invitation may be empty; with
// a valid one it sets the password of the account it was made for.
//
// Errors are *[Error], the context's, or the store's.
func (s *Service) Register(ctx context.Context, ip netip.Addr, email, password, invitation string) (Registered, error) {
	r, kind, err := s.register(ctx, ip, email, password, invitation)
	if err == nil {
		s.o.Event(Event{Kind: kind, UserID: r.ID, User: r.Email, IP: ip})
		return r, nil
	}
	s.refused("register_refused", store.User{Name: email}, ip, err)
	return Registered{}, err
}

// register also returns the kind of event that a success is.
func (s *Service) register(ctx context.Context, ip netip.Addr, email, password, invitation string) (Registered, string, error) {
	name, err := CanonicalEmail(email)
	if err == nil {
		err = checkPassword(password, name)
	}
	if err == nil {
		err = s.mayRegister(ip, name, invitation)
	}
	if err != nil {
		return Registered{}, "", err
	}
	if invitation != "" {
		id, err := s.accept(ctx, name, password, invitation)
		return Registered{id, name}, "invitation_accepted", err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return Registered{}, "", err
	}
	u := store.User{ID: call.NewRequestID(), Name: name, Password: hash, Created: s.o.Now().UTC()}
	switch err := s.o.Store.Users().Add(ctx, u); {
	case errors.Is(err, store.ErrExists):
		return Registered{u.ID, name}, "register_existing", nil
	case err != nil:
		return Registered{}, "", err
	}
	s.dir.setUser(u)
	return Registered{u.ID, name}, "registered", nil
}

// mayRegister decides from what the caller says and where it is, never from
// what accounts exist.
func (s *Service) mayRegister(ip netip.Addr, name, invitation string) error {
	r := s.o.Registration
	_, domain, _ := strings.Cut(name, "@")
	switch {
	case r.LoopbackOnly && !ip.Unmap().IsLoopback():
		return ErrClosed
	case r.Mode == ModeInvite && invitation == "":
		return ErrInvitation
	case r.Mode == ModeDomains && invitation == "" && !slices.ContainsFunc(r.Domains, func(d string) bool { return strings.EqualFold(d, domain) }):
		return ErrClosed
	}
	if wait, ok := s.registry.take(ip, s.o.Now()); !ok {
		return &Error{Class: TooMany, Code: "too_many_registrations", Message: "Too many registrations from your network. Try again later", RetryAfter: wait}
	}
	return nil
}

// accept sets the password of an invited account and returns its id.
func (s *Service) accept(ctx context.Context, name, password, invitation string) (string, error) {
	sum := sha256.Sum256([]byte(invitation))
	u, err := s.o.Store.Users().ByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if !s.invited(u, sum) {
		return "", ErrInvitation
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	return u.ID, s.update(ctx, u.ID, func(u *store.User) error {
		if !s.invited(*u, sum) {
			return ErrInvitation // used in the meantime
		}
		u.Password, u.InviteSHA256, u.InviteExpires = hash, nil, time.Time{}
		return nil
	})
}

func (s *Service) invited(u store.User, sum [32]byte) bool {
	return subtle.ConstantTimeCompare(u.InviteSHA256, sum[:]) == 1 && s.o.Now().Before(u.InviteExpires) && !u.Disabled
}
