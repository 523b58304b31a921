package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatehouse/internal/apikey"
	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/store"
)

// KeyPrefix begins every access key id. It is none of AWS's.
const KeyPrefix = "GTHK"

// NewKey is a key to make.
type NewKey struct {
	Name    string // what it is for
	User    string // name of its owner
	Team    string // empty: the user's
	Expires time.Time
	Scope   call.Scope
}

// Key is a key as lists show it: no hash, no secret.
type Key struct {
	ID         call.KeyID     `json:"id"`     // SigV4 access key id
	APIID      string         `json:"api_id"` // the public part of the API key
	Name       string         `json:"name"`
	User       string         `json:"user"`
	Team       string         `json:"team"`
	Models     []string       `json:"models"`
	Operations []string       `json:"operations"`
	Networks   []netip.Prefix `json:"networks"`
	Created    time.Time      `json:"created"`
	Expires    time.Time      `json:"expires,omitzero"`
	Revoked    time.Time      `json:"revoked,omitzero"`
	LastUsed   time.Time      `json:"last_used,omitzero"`
	Successor  call.KeyID     `json:"successor,omitzero"`
	State      string         `json:"state"` // live | expired | revoked | disabled
}

// Issued is a new key with its secrets, which cannot be had again.
type Issued struct {
	Key       Key
	SecretKey sigv4.Secret // SigV4 secret access key
	APIKey    apikey.Key
}

// CreateKey makes a key for an existing user.
func (s *Service) CreateKey(ctx context.Context, n NewKey) (Issued, error) {
	u, err := s.find(ctx, n.User)
	if err == nil && u.Disabled { // its secrets would be shown once, and be good for nothing
		err = conflict("user_disabled", "user %s is disabled: `gatehouse user disable %s --undo` lets it in again", u.Name, u.Name)
	}
	if err == nil {
		err = s.checkKey(&n)
	}
	if err != nil {
		return Issued{}, err
	}
	k, issued := s.newKey(store.Key{Name: n.Name, UserID: u.ID, Team: n.Team, Scope: n.Scope, Expires: n.Expires.UTC()})
	s.admin.Lock()
	defer s.admin.Unlock()
	if err := s.o.Store.Keys().Add(ctx, k); err != nil {
		return Issued{}, err
	}
	s.dir.setKey(k)
	s.o.Event(Event{Kind: "key_created", UserID: u.ID, User: u.Name, Key: k.ID})
	issued.Key = s.showKey(k)
	return issued, nil
}

// newKey fills in ids and secrets.
func (s *Service) newKey(k store.Key) (store.Key, Issued) {
	issued := Issued{SecretKey: sigv4.Secret(apikey.Random(40)), APIKey: apikey.New()}
	k.ID = newKeyID()
	k.APIID, k.APISHA256, _ = apikey.Parse(string(issued.APIKey))
	k.Sealed = s.vault.seal(k.ID, issued.SecretKey)
	k.Created = s.o.Now().UTC()
	return k, issued
}

// newKeyID is 20 characters as AWS's are: the prefix and 80 random bits.
func newKeyID() call.KeyID {
	var b [10]byte
	rand.Read(b[:])
	return call.KeyID(KeyPrefix + base32.StdEncoding.EncodeToString(b[:]))
}

const (
	maxKeyName = 64
	maxScope   = 64
	maxGlob    = 256
	maxOverlap = 90 * 24 * time.Hour
)

// checkKey validates a key to make and brings its scope into canonical form.
func (s *Service) checkKey(n *NewKey) error {
	if err := checkTeam(n.Team); err != nil {
		return err
	}
	switch sc := &n.Scope; {
	case n.Name == "" || len(n.Name) > maxKeyName || !every(n.Name, printable):
		return invalid("invalid_name", "a key needs a name of 1 to %d printable ASCII characters", maxKeyName)
	case !n.Expires.IsZero() && !n.Expires.After(s.o.Now()):
		return invalid("invalid_expiry", "the key would have expired already: choose a time to come")
	case len(sc.Models) > maxScope || len(sc.Operations) > maxScope || len(sc.Networks) > maxScope:
		return invalid("invalid_scope", "a scope has at most %d models, operations and networks each: use *, or make several keys", maxScope)
	}
	for _, m := range n.Scope.Models {
		if m == "" || len(m) > maxGlob || !every(m, globByte) {
			return invalid("invalid_scope", "model %q is no pattern: write model ids, with * for any characters, such as anthropic.*", m)
		}
	}
	for _, o := range n.Scope.Operations {
		if !isOperation(o) {
			return invalid("invalid_scope", "operation %q is none of Bedrock's: %s", o, operationHint(o))
		}
	}
	for i, p := range n.Scope.Networks {
		if !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			return invalid("invalid_scope", "network %d is no address range: write one such as 10.0.0.0/8", i+1)
		}
		n.Scope.Networks[i] = p.Masked()
	}
	return nil
}

func printable(c byte) bool { return c >= ' ' && c <= '~' }

func globByte(c byte) bool {
	return digit(c) || letter(c) || strings.IndexByte("*?-._:/", c) >= 0
}

func isOperation(name string) bool {
	for i := range bedrock.Operations {
		if bedrock.Operations[i].Name == name {
			return true
		}
	}
	return false
}

// operationHint is what to write in place of a name that is no operation's:
// the one that begins like it, in any case of letters, or how they look.
func operationHint(name string) string {
	const enough = 5 // letters in common
	best, most := "", enough-1
	for i := range bedrock.Operations {
		op := &bedrock.Operations[i]
		n := commonPrefix(strings.ToLower(name), strings.ToLower(op.Name))
		if op.Support != bedrock.Refused && (n > most || n == most && best != "" && len(op.Name) < len(best)) {
			best, most = op.Name, n
		}
	}
	if best == "" {
		return "write names such as Converse, ConverseStream, InvokeModel"
	}
	return "did you mean " + best + "?"
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// RotateKey makes a successor with the same name, owner, team, expiry and
// scope. The old key works for overlap longer, if it had that long.
func (s *Service) RotateKey(ctx context.Context, id call.KeyID, overlap time.Duration) (Issued, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Issued{}, invalid("invalid_overlap", "the overlap is 0 to %d days", int(maxOverlap.Hours()/24))
	}
	s.admin.Lock()
	defer s.admin.Unlock()
	row := s.dir.key(id)
	if row == nil {
		return Issued{}, ErrNoKey
	}
	now := s.o.Now().UTC()
	next := row.row
	next.Revoked, next.LastUsed, next.Successor = time.Time{}, time.Time{}, ""
	next, issued := s.newKey(next)
	old, err := s.o.Store.Keys().Rotate(ctx, id, func(k *store.Key) error {
		end := now.Add(overlap)
		switch {
		case k.Successor != "":
			return conflict("key_rotated", "the key was rotated already: rotate its successor, %s", k.Successor)
		case !k.Expires.IsZero() && !k.Expires.After(now):
			return conflict("key_expired", "the key has expired: make a new one with `gatehouse key create`")
		case k.Expires.IsZero() || end.Before(k.Expires):
			k.Expires = end
		}
		k.Successor = next.ID
		return nil
	}, next)
	if err != nil {
		return Issued{}, noKey(err)
	}
	s.dir.setKey(old)
	s.dir.setKey(next)
	s.o.Event(Event{Kind: "key_rotated", UserID: old.UserID, Key: id, Detail: "successor " + string(next.ID)})
	issued.Key = s.showKey(next)
	return issued, nil
}

// RevokeKey ends a key for good. Revoking it again is fine.
func (s *Service) RevokeKey(ctx context.Context, id call.KeyID) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	s.admin.Lock()
	defer s.admin.Unlock()
	k, err := s.o.Store.Keys().Update(ctx, id, func(k *store.Key) error {
		if k.Revoked.IsZero() {
			k.Revoked = s.o.Now().UTC()
		}
		return nil
	})
	if err != nil {
		return noKey(err)
	}
	s.dir.setKey(k)
	s.o.Event(Event{Kind: "key_revoked", UserID: k.UserID, Key: id})
	return nil
}

// Keys lists keys, oldest first; of one user when a name is given.
func (s *Service) Keys(ctx context.Context, user string) ([]Key, error) {
	var userID string
	if user != "" {
		u, err := s.find(ctx, user)
		if err != nil {
			return nil, err
		}
		userID = u.ID
	}
	rows, err := s.o.Store.Keys().All(ctx)
	keys := make([]Key, 0, len(rows))
	for _, k := range rows {
		if userID == "" || k.UserID == userID {
			keys = append(keys, s.showKey(k))
		}
	}
	return keys, err
}

func (s *Service) showKey(k store.Key) Key {
	if t := s.dir.lastUsed(k.ID); t.After(k.LastUsed) {
		k.LastUsed = t
	}
	v := Key{
		ID: k.ID, APIID: k.APIID, Name: k.Name, Team: k.Team,
		Models: k.Scope.Models, Operations: k.Scope.Operations, Networks: k.Scope.Networks,
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, LastUsed: k.LastUsed, Successor: k.Successor, State: "live",
	}
	u := s.dir.user(k.UserID)
	if u != nil {
		v.User = u.name
		if v.Team == "" {
			v.Team = u.team
		}
	}
	switch {
	case !k.Revoked.IsZero():
		v.State = "revoked"
	case !k.Expires.IsZero() && !s.o.Now().Before(k.Expires):
		v.State = "expired"
	case u == nil || u.disabled:
		v.State = "disabled"
	}
	return v
}

func conflict(code, format string, a ...any) error {
	return &Error{Class: Conflict, Code: code, Message: fmt.Sprintf(format, a...)}
}

func noKey(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoKey
	}
	return err
}
