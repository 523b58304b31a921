package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/apikey"
	"gatehouse/internal/call"
	"gatehouse/internal/store"
)

// Password is a password or an invitation that we made. It prints as
// [redacted]; string(p) is shown once to the administrator.
type Password = Token

// User is an account as lists show it: no hash, no secret.
type User struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Team        string    `json:"team"`
	Disabled    bool      `json:"disabled"`
	HasPassword bool      `json:"has_password"`
	Invited     bool      `json:"invited"`
	Created     time.Time `json:"created"`
}

// NewUser is a user to add. With neither Password nor Invite it can only use keys.
type NewUser struct {
	Name     string // e-mail address, or letters, digits and _+=.-
	Team     string
	Password bool // make a random password
	Invite   bool // make an invitation with which the user sets one; needs an e-mail address
}

const inviteLife = 7 * 24 * time.Hour

// AddUser adds a user and returns the password or invitation that was asked for.
func (s *Service) AddUser(ctx context.Context, n NewUser) (User, Password, error) {
	name, err := canonicalName(n.Name)
	if err == nil {
		err = checkTeam(n.Team)
	}
	if err != nil {
		return User{}, "", err
	}
	if n.Password && n.Invite || n.Invite && !strings.Contains(name, "@") {
		return User{}, "", invalid("invalid_user", "ask for a password or an invitation, not both; an invitation needs an e-mail address")
	}
	now := s.o.Now().UTC()
	u := store.User{ID: call.NewRequestID(), Name: name, Team: n.Team, Created: now}
	var secret Password
	switch {
	case n.Password:
		secret = randomPassword()
		if u.Password, err = s.hasher.hash(ctx, string(secret)); err != nil {
			return User{}, "", err
		}
	case n.Invite:
		secret = randomPassword()
		sum := sha256.Sum256([]byte(secret))
		u.InviteSHA256, u.InviteExpires = sum[:], now.Add(inviteLife)
	}
	if err := s.o.Store.Users().Add(ctx, u); errors.Is(err, store.ErrExists) {
		return User{}, "", ErrUserExists
	} else if err != nil {
		return User{}, "", err
	}
	s.dir.setUser(u)
	s.o.Event(Event{Kind: "user_added", UserID: u.ID, User: name})
	return s.show(u), secret, nil
}

// randomPassword has about 140 bits.
func randomPassword() Password { return Password(apikey.Random(24)) }

// Users lists all users by name.
func (s *Service) Users(ctx context.Context) ([]User, error) {
	rows, err := s.o.Store.Users().All(ctx)
	users := make([]User, len(rows))
	for i, u := range rows {
		users[i] = s.show(u)
	}
	return users, err
}

func (s *Service) show(u store.User) User {
	return User{u.ID, u.Name, u.Team, u.Disabled, u.Password != "", s.o.Now().Before(u.InviteExpires), u.Created}
}

// SetDisabled shuts a user out, or lets it in again. Login tokens from before
// stay void; keys work again.
func (s *Service) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return s.change(ctx, name, map[bool]string{true: "user_disabled", false: "user_enabled"}[disabled], func(u *store.User) error {
		if disabled {
			s.voidTokens(u)
		}
		u.Disabled = disabled
		return nil
	})
}

// ResetUser voids the user's login tokens, ends a lockout and, if asked,
// replaces the password with a random one, which it returns.
func (s *Service) ResetUser(ctx context.Context, name string, newPassword bool) (Password, error) {
	var secret Password
	var hash store.PHC
	if newPassword {
		var err error
		secret = randomPassword()
		if hash, err = s.hasher.hash(ctx, string(secret)); err != nil {
			return "", err
		}
	}
	var id string
	err := s.change(ctx, name, "user_reset", func(u *store.User) error {
		s.voidTokens(u)
		if newPassword {
			u.Password, u.InviteSHA256, u.InviteExpires = hash, nil, time.Time{}
		}
		id = u.ID
		return nil
	})
	if err == nil {
		err = s.o.Store.Lockouts().Clear(ctx, userSubject(id))
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

// voidTokens refuses every token issued up to now. Token times are whole
// seconds, so that means before the next one.
func (s *Service) voidTokens(u *store.User) { u.Epoch = max(u.Epoch, s.o.Now().Unix()) + 1 }

// SetTeam moves a user, and those of its keys that have no team of their own.
func (s *Service) SetTeam(ctx context.Context, name, team string) error {
	if err := checkTeam(team); err != nil {
		return err
	}
	return s.change(ctx, name, "team_set", func(u *store.User) error {
		u.Team = team
		return nil
	})
}

// Team is a label and how much carries it.
type Team struct {
	Name  string `json:"name"` // empty: users without a team
	Users int    `json:"users"`
	Keys  int    `json:"keys"` // live ones
}

// Teams lists the teams that users or live keys have.
func (s *Service) Teams(ctx context.Context) ([]Team, error) {
	users, err := s.o.Store.Users().All(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]Team)
	for _, u := range users {
		t := byName[u.Team]
		t.Users++
		byName[u.Team] = t
	}
	for team, n := range s.dir.keysByTeam() {
		t := byName[team]
		t.Keys = n
		byName[team] = t
	}
	teams := make([]Team, 0, len(byName))
	for name, t := range byName {
		t.Name = name
		teams = append(teams, t)
	}
	slices.SortFunc(teams, func(a, b Team) int { return strings.Compare(a.Name, b.Name) })
	return teams, nil
}

// find returns the user with this name, in any spelling of it.
func (s *Service) find(ctx context.Context, name string) (store.User, error) {
	canonical, err := canonicalName(name)
	if err != nil {
		return store.User{}, err
	}
	u, err := s.o.Store.Users().ByName(ctx, canonical)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoUser
	}
	return u, err
}

func (s *Service) change(ctx context.Context, name, event string, f func(*store.User) error) error {
	u, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if err := s.update(ctx, u.ID, f); err != nil {
		return err
	}
	s.o.Event(Event{Kind: event, UserID: u.ID, User: u.Name})
	return nil
}

// update changes a row and then the directory, in one order for both.
func (s *Service) update(ctx context.Context, id string, f func(*store.User) error) error {
	s.admin.Lock()
	defer s.admin.Unlock()
	u, err := s.o.Store.Users().Update(ctx, id, f)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoUser
	}
	if err == nil {
		s.dir.setUser(u)
	}
	return err
}
