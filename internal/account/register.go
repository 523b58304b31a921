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
	name, err := CanonicalEmail(email)
	if err != nil {
		return Registered{}, err
	}
	if err := checkPassword(password, name); err != nil {
		return Registered{}, err
	}
	if err := s.mayRegister(ip, name, invitation); err != nil {
		s.o.Event(Event{Kind: "register_refused", User: name, IP: ip, Detail: err.Error()})
		return Registered{}, err
	}
	if invitation != "" {
		return s.accept(ctx, ip, name, password, invitation)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return Registered{}, err
	}
	u := store.User{ID: call.NewRequestID(), Name: name, Password: hash, Created: s.o.Now().UTC()}
	err = s.o.Store.Users().Add(ctx, u)
	kind := "registered"
	switch {
	case errors.Is(err, store.ErrExists):
		kind = "register_existing"
	case err != nil:
		return Registered{}, err
	default:
		s.dir.setUser(u)
	}
	s.o.Event(Event{Kind: kind, UserID: u.ID, User: name, IP: ip})
	return Registered{u.ID, name}, nil
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

// accept sets the password of an invited account.
func (s *Service) accept(ctx context.Context, ip netip.Addr, name, password, invitation string) (Registered, error) {
	sum := sha256.Sum256([]byte(invitation))
	u, err := s.o.Store.Users().ByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Registered{}, err
	}
	if !s.invited(u, sum) {
		s.o.Event(Event{Kind: "register_refused", User: name, IP: ip, Detail: ErrInvitation.Message})
		return Registered{}, ErrInvitation
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return Registered{}, err
	}
	err = s.update(ctx, u.ID, func(u *store.User) error {
		if !s.invited(*u, sum) {
			return ErrInvitation // used in the meantime
		}
		u.Password, u.InviteSHA256, u.InviteExpires = hash, nil, time.Time{}
		return nil
	})
	if err != nil {
		return Registered{}, err
	}
	s.o.Event(Event{Kind: "registered", UserID: u.ID, User: name, IP: ip, Detail: "by invitation"})
	return Registered{u.ID, name}, nil
}

func (s *Service) invited(u store.User, sum [32]byte) bool {
	return subtle.ConstantTimeCompare(u.InviteSHA256, sum[:]) == 1 && s.o.Now().Before(u.InviteExpires) && !u.Disabled
}
