// Package store holds the seams behind which Gatehouse keeps its state:
// [Users], [Keys], [Prompts] and [Lockouts], joined in a [Store]. Rows go in
// and out as plain values; what they mean is the business of internal/account.
//
// The contracts every implementation meets, and storetest checks:
//
//   - A method that returns nil has made its change durable: a crash right
//     after does not lose it. A method that returns an error has changed
//     nothing, unless the error is [ErrFailed], when nothing is known.
//   - Methods may be called from many goroutines. Each is one transaction:
//     a reader sees all of a change or none.
//   - A change function runs inside the transaction, exactly once when the
//     method succeeds, and must not call the store. Its error aborts the
//     change and is returned unchanged.
//   - No row is an error of its own, [ErrNotFound]; so is a second row under a
//     unique name, [ErrExists]. Untrusted text is a bound parameter, never SQL.
//   - Times are kept in UTC with nanoseconds; the zero time stays zero.
//
// Implementations are packages below this one.
package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gatehouse/internal/call"
)

// The errors callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrFailed means that the disk refused a commit. What it holds is
	// unknown, so the store refuses all further writes until a restart.
	ErrFailed = errors.New("store failed, restart to recover")
	// ErrNewer means that a later version of Gatehouse wrote the data.
	ErrNewer = errors.New("data was written by a newer version")
)

// Store is everything that is kept. Close waits for writes under way; after
// it every method fails. Err is nil while writes can succeed.
type Store interface {
	Users() Users
	Keys() Keys
	Prompts() Prompts
	Lockouts() Lockouts
	Err() error
	Close() error
}

// User is one account.
type User struct {
	ID            string // UUID, never reused
	Name          string // unique; a canonical e-mail address or an administrator's choice
	Team          string
	Password      PHC       // empty: cannot log in with a password
	Epoch         int64     // Unix seconds; login tokens issued before are void
	Disabled      bool      // neither tokens nor keys work
	Created       time.Time //
	InviteSHA256  []byte    // of the one-time code with which the password may be set; nil: none
	InviteExpires time.Time
}

// PHC is a password hash in PHC string form. It prints as [redacted].
type PHC string

const redacted = "[redacted]"

func (PHC) String() string               { return redacted }
func (PHC) GoString() string             { return redacted }
func (PHC) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (PHC) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Users keeps accounts.
type Users interface {
	// Add stores a new user. When the name or the id is taken it returns
	// ErrExists after the same work, a durable commit included, so that its
	// duration does not tell whether a name is taken.
	Add(ctx context.Context, u User) error
	// ByName finds a user by exact name.
	ByName(ctx context.Context, name string) (User, error)
	// Update changes the user with this id and returns the new row. The id
	// and the name stay what they were.
	Update(ctx context.Context, id string, change func(*User) error) (User, error)
	// All returns every user, by name.
	All(ctx context.Context) ([]User, error)
}

// Key is one credential object: a SigV4 key pair and an API key, which belong
// to one user and share name, team, expiry and scope.
type Key struct {
	ID        call.KeyID // SigV4 access key id
	APIID     string     // id part of the API key, unique
	APISHA256 [32]byte   // of the API key's secret
	Sealed    []byte     // SigV4 secret, encrypted
	Name      string
	UserID    string // a user that exists
	Team      string // empty: the user's
	Scope     call.Scope
	Created   time.Time
	Expires   time.Time  // zero: never
	Revoked   time.Time  // zero: live
	LastUsed  time.Time  // zero: never
	Successor call.KeyID // the key that a rotation made; empty: none
}

// Keys keeps credentials. Rows are never deleted: records name them.
type Keys interface {
	// Add stores a new key; ErrNotFound when its user does not exist.
	Add(ctx context.Context, k Key) error
	// Rotate applies change to the key old and stores next, both or neither.
	// It returns old as changed.
	Rotate(ctx context.Context, old call.KeyID, change func(*Key) error, next Key) (Key, error)
	// Update changes one key and returns the new row. Ids, secrets and the
	// user stay what they were.
	Update(ctx context.Context, id call.KeyID, change func(*Key) error) (Key, error)
	// Touch moves LastUsed forward, never back; unknown ids are skipped.
	Touch(ctx context.Context, used map[call.KeyID]time.Time) error
	// All returns every key, oldest first.
	All(ctx context.Context) ([]Key, error)
}

// Prompt is what a user asked on the chat API.
type Prompt struct {
	ID     int64 // rising; given by the store
	UserID string
	CallID string // the journal's id of the call
	Time   time.Time
	Text   string
}

// Prompts keeps what users asked, for their own reading. It is a convenience,
// bounded for each user; the journal is the record.
type Prompts interface {
	// Add stores p and drops the user's oldest ones beyond keep.
	Add(ctx context.Context, p Prompt, keep int) error
	// List returns up to limit prompts of one user with an ID below before
	// (0: from the newest), newest first.
	List(ctx context.Context, userID string, before int64, limit int) ([]Prompt, error)
	// Expire drops prompts older than the given time and tells how many.
	Expire(ctx context.Context, before time.Time) (int64, error)
	// Erase drops all prompts of one user, so that the store's own files hold
	// none of their text any more, and tells how many.
	Erase(ctx context.Context, userID string) (int64, error)
}

// Lockout counts wrong passwords of one subject.
type Lockout struct {
	Failures int       // since the last success
	Until    time.Time // no attempt is looked at before
}

// Lockouts keeps failed logins across restarts. The subject is any text; the
// caller bounds how many there can be.
type Lockouts interface {
	// Update changes the subject's lockout, the zero Lockout when there was none.
	Update(ctx context.Context, subject string, change func(*Lockout) error) error
	// Clear forgets the subject. Clearing an unknown one is fine.
	Clear(ctx context.Context, subject string) error
	// Expire forgets subjects whose lockout ended before the given time.
	Expire(ctx context.Context, before time.Time) (int64, error)
}
