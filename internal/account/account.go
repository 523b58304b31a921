// Package account knows the people and programs that may call: it registers
// users, checks their passwords, issues login tokens and keys, and answers, on
// the request path, whose credential one is.
//
// A user is a name (a canonical e-mail address, or one an administrator gave),
// a team label and perhaps a password. A key belongs to one user and is two
// credentials in one: a SigV4 key pair and an API key, with one expiry and one
// scope. A login token is a JWT of one hour that a password buys.
//
// The rules:
//
//   - What a stranger can ask costs the same and answers the same whether or
//     not the account exists: the password hash is computed either way, an
//     address that is taken is answered like a new one, lockouts count names
//     that do not exist too.
//   - Everything a stranger can make us do is bounded: hashes at once, callers
//     in the queue for one, addresses remembered, lockouts kept.
//   - Secrets are stored hashed (passwords, API keys, invitations) or sealed
//     under the master key (SigV4 secrets, which the server must know); they
//     are shown once and their types print as [redacted].
//   - A change is durable in the store first and then visible to the request
//     path, before the method that made it returns.
//
// [Service] meets the lookups that gateway/auth declares: from memory, without
// I/O or allocation.
package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
)

// Options say where state is and what strangers may do.
type Options struct {
	Store  store.Store
	Dir    string // of master.key and token-keys.json, which are created there
	Issuer string // iss of tokens
	// Audience is the aud of tokens.
	Audience string
	// TokenKeys is a file of token keys that somebody else writes; empty: Dir/token-keys.json.
	TokenKeys    string
	Registration Registration
	PromptAge    time.Duration // how long prompts are kept; 0: 30 days
	PromptKeep   int           // prompts kept for each user; 0: 500
	Keys         *seal.Keys    // prompts are kept under them; nil: as they are

	Now   func() time.Time // nil: time.Now
	Event func(Event)      // told of everything that happened, in the goroutine it happened in; nil: nobody
	Log   *slog.Logger     // nil: discarded
}

// Registration says who may make an account.
type Registration struct {
	Mode         Mode     // empty: ModeOpen
	Domains      []string // of e-mail addresses, for ModeDomains
	PerIPPerHour int      // 0: 5
	LoopbackOnly bool     // only clients of this machine may register
}

// Mode is who may register.
type Mode string

// The modes. With an invitation anyone may register in each of them.
const (
	ModeOpen    Mode = "open"
	ModeInvite  Mode = "invite"
	ModeDomains Mode = "domains"
)

// Event is something that happened to an account, for the audit record.
type Event struct {
	Kind   string     // "registered", "login_failed", "key_revoked", …
	UserID string     // empty when no such user exists
	User   string     // the name, as far as it is known and valid
	Key    call.KeyID // for key events
	IP     netip.Addr // of the client; invalid for administrators
	Detail string
	// Stranger marks what anybody can cause as often as they like, so that its
	// record must not be able to fill the disk.
	Stranger bool
}

// Class is what a caller can do about an error.
type Class uint8

// The classes.
const (
	Invalid  Class = iota + 1 // the input is wrong
	Denied                    // the credentials are wrong, or it is not allowed
	NotFound                  // there is no such user or key
	Conflict                  // it exists already, or is in no state for this
	TooMany                   // later
)

// Error is a refusal that the caller may see.
type Error struct {
	Class      Class
	Code       string // for programs
	Message    string // for people; what strangers get is a sentence, as the chat API's answers are
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

func invalid(code, format string, a ...any) error {
	return &Error{Class: Invalid, Code: code, Message: fmt.Sprintf(format, a...)}
}

// Errors that callers compare with.
var (
	ErrCredentials = &Error{Class: Denied, Code: "invalid_credentials", Message: "Wrong credentials. Try again"}
	ErrBusy        = &Error{Class: TooMany, Code: "busy", Message: "Too many requests. Try again shortly", RetryAfter: time.Second}
	ErrInvitation  = &Error{Class: Denied, Code: "invitation_required", Message: "A valid invitation is required to register"}
	ErrClosed      = &Error{Class: Denied, Code: "registration_closed", Message: "Registration is not open to you"}
	ErrNoUser      = &Error{Class: NotFound, Code: "no_such_user", Message: "there is no such user: see `gatehouse user list`"}
	ErrNoKey       = &Error{Class: NotFound, Code: "no_such_key", Message: "there is no such key: see `gatehouse key list`"}
	ErrUserExists  = &Error{Class: Conflict, Code: "user_exists", Message: "there is a user of that name already: choose another, or see `gatehouse user list`"}
)

// Service is the accounts of one Gatehouse. It is safe for concurrent use.
type Service struct {
	o        Options
	vault    *vault
	hasher   *hasher
	dir      directory
	tokens   *tokenRing
	dummy    store.PHC // hash of no password, for users that do not exist
	logins   *meter
	registry *meter

	admin sync.Mutex // orders changes of existing rows: store, then directory

	stop chan struct{}
	done chan struct{}
}

// The bounds on what strangers may do.
const (
	loginsPerIP    = 60 // wrong passwords of one address in loginWindow
	loginWindow    = 5 * time.Minute
	hashQueue      = 32
	unknownSlots   = 1 << 16 // lockouts of names that do not exist
	defaultPerHour = 5
	maxPerHour     = 1000
)

// Open loads all users and keys and starts the housekeeping. Close ends it;
// the store stays open.
func Open(ctx context.Context, o Options) (*Service, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Service{
		o: o, hasher: newHasher(runtime.GOMAXPROCS(0), hashQueue),
		logins:   newMeter(loginsPerIP, loginWindow),
		registry: newMeter(o.Registration.PerIPPerHour, time.Hour),
		stop:     make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	go s.housekeep()
	return s, nil
}

func (o *Options) complete() error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PromptAge == 0 {
		o.PromptAge = 30 * 24 * time.Hour
	}
	if o.PromptKeep == 0 {
		o.PromptKeep = 500
	}
	r := &o.Registration
	if r.Mode == "" {
		r.Mode = ModeOpen
	}
	if r.PerIPPerHour == 0 {
		r.PerIPPerHour = defaultPerHour
	}
	switch {
	case o.Issuer == "" || o.Audience == "":
		return errors.New("accounts: tokens need an issuer and an audience")
	case r.PerIPPerHour < 0 || r.PerIPPerHour > maxPerHour:
		return fmt.Errorf("accounts: %d registrations an hour: want 1 to %d", r.PerIPPerHour, maxPerHour)
	case r.Mode != ModeOpen && r.Mode != ModeInvite && r.Mode != ModeDomains:
		return fmt.Errorf("accounts: unknown registration mode %q", r.Mode)
	case r.Mode == ModeDomains && len(r.Domains) == 0:
		return errors.New("accounts: registration by domain needs domains")
	}
	return nil
}

// load reads what is kept. A key that the master key cannot open means that
// the wrong one is there: better no start than callers refused one by one.
func (s *Service) load(ctx context.Context) error {
	users, err := s.o.Store.Users().All(ctx)
	if err != nil {
		return err
	}
	keys, err := s.o.Store.Keys().All(ctx)
	if err != nil {
		return err
	}
	if s.vault, err = openVault(filepath.Join(s.o.Dir, "master.key"), len(keys) == 0); err != nil {
		return err
	}
	for i := range keys {
		if _, err := s.vault.unseal(keys[i].ID, keys[i].Sealed); err != nil {
			return fmt.Errorf("master.key does not open key %s: restore the master.key that belongs to this data", keys[i].ID)
		}
	}
	s.dir.init(s.vault, users, keys)
	if s.tokens, err = openTokenRing(s.o); err != nil {
		return err
	}
	s.dummy, err = s.hasher.hash(ctx, "no user has this password")
	return err
}

// Close writes what is still in memory and stops the housekeeping.
func (s *Service) Close() error {
	close(s.stop)
	<-s.done
	return s.Flush(context.Background())
}

// housekeep saves last-used times and drops what is too old.
func (s *Service) housekeep() {
	defer close(s.done)
	flush := time.NewTicker(15 * time.Second)
	defer flush.Stop()
	expire := time.NewTicker(time.Hour)
	defer expire.Stop()
	for {
		var err error
		select {
		case <-s.stop:
			return
		case <-flush.C:
			err = s.Flush(context.Background())
		case <-expire.C:
			err = s.Expire(context.Background())
		}
		if err != nil {
			s.o.Log.Error("accounts: housekeeping", "err", err)
		}
	}
}

// Flush makes the last-used times of keys durable. It runs every 15 s.
func (s *Service) Flush(ctx context.Context) error {
	used := s.dir.takeUsed()
	if len(used) == 0 {
		return nil
	}
	return s.o.Store.Keys().Touch(ctx, used)
}

// Expire drops old prompts, and lockouts that ended a day ago. It runs every hour.
func (s *Service) Expire(ctx context.Context) error {
	now := s.o.Now()
	_, err := s.o.Store.Prompts().Expire(ctx, now.Add(-s.o.PromptAge))
	_, err2 := s.o.Store.Lockouts().Expire(ctx, now.Add(-24*time.Hour))
	return errors.Join(err, err2)
}

// lockSubject names who a wrong password counts against. Names that do not
// exist share a fixed number of slots, chosen by a secret, so that strangers
// can neither fill the store nor tell such a name from a real one.
func (s *Service) lockSubject(u store.User, name string) string {
	if u.ID != "" {
		return userSubject(u.ID)
	}
	m := hmac.New(sha256.New, s.vault.lockKey)
	m.Write([]byte(name))
	return fmt.Sprintf("slot:%d", binary.BigEndian.Uint32(m.Sum(nil))%unknownSlots)
}

func userSubject(id string) string { return "user:" + id }
