package account

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/store"
)

// directory is all users and live keys in memory, for the request path. Rows
// in it are never changed, only replaced, so a reader holds the lock for one
// or two map lookups and a writer for the same.
type directory struct {
	vault *vault

	mu    sync.RWMutex
	users map[string]*userRow // by id
	keys  map[call.KeyID]*keyRow
	byAPI map[string]*keyRow
}

type userRow struct {
	id, name, team string
	epoch          int64
	disabled       bool
	token          *call.Principal // of login tokens
}

// keyRow is a key that is not revoked.
type keyRow struct {
	row         store.Key
	sigv4, api  *call.Principal
	day         atomic.Pointer[dayKey] // the signing key used last
	used, saved *atomic.Int64          // Unix nanoseconds, kept when the row is replaced
}

type dayKey struct {
	date, region, service string
	key                   sigv4.SigningKey
}

func (d *directory) init(v *vault, users []store.User, keys []store.Key) {
	d.vault = v
	d.users = make(map[string]*userRow, len(users))
	d.keys = make(map[call.KeyID]*keyRow, len(keys))
	d.byAPI = make(map[string]*keyRow, len(keys))
	for _, u := range users {
		d.setUser(u)
	}
	for _, k := range keys {
		d.setKey(k)
	}
}

// setUser adds or replaces a user, and the principals of its keys.
func (d *directory) setUser(u store.User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.users[u.ID]
	d.users[u.ID] = &userRow{
		id: u.ID, name: u.Name, team: u.Team, epoch: u.Epoch, disabled: u.Disabled,
		token: &call.Principal{UserID: u.ID, User: u.Name, Team: u.Team, Scheme: call.Token},
	}
	if old == nil || old.team == u.Team {
		return
	}
	for _, k := range d.keys {
		if k.row.UserID == u.ID {
			d.put(k.row, k)
		}
	}
}

// setKey adds or replaces a key; a revoked one leaves.
func (d *directory) setKey(k store.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !k.Revoked.IsZero() {
		delete(d.keys, k.ID)
		delete(d.byAPI, k.APIID)
		return
	}
	d.put(k, d.keys[k.ID])
}

// put stores a row made of k, which keeps what old knew of its use. The caller
// holds the lock.
func (d *directory) put(k store.Key, old *keyRow) {
	u := d.users[k.UserID]
	if u == nil { // the store's foreign key forbids it; such a key must not work
		return
	}
	p := call.Principal{UserID: u.id, User: u.name, Team: k.Team, Key: k.ID, Scope: k.Scope, Expires: k.Expires}
	if p.Team == "" {
		p.Team = u.team
	}
	bySig, byAPI := p, p
	bySig.Scheme, byAPI.Scheme = call.SigV4, call.APIKey
	row := &keyRow{row: k, sigv4: &bySig, api: &byAPI, used: new(atomic.Int64), saved: new(atomic.Int64)}
	if old != nil {
		row.used, row.saved = old.used, old.saved
		row.day.Store(old.day.Load())
	}
	d.keys[k.ID], d.byAPI[k.APIID] = row, row
}

// live returns the key if it and its user may be used.
func (d *directory) live(id call.KeyID) *keyRow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.enabled(d.keys[id])
}

func (d *directory) liveAPI(id string) *keyRow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.enabled(d.byAPI[id])
}

func (d *directory) enabled(k *keyRow) *keyRow {
	if k == nil || d.users[k.row.UserID].disabled {
		return nil
	}
	return k
}

func (d *directory) user(id string) *userRow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.users[id]
}

// key returns a key that is not revoked, whether or not it may be used now.
func (d *directory) key(id call.KeyID) *keyRow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[id]
}

func (d *directory) keysByTeam() map[string]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := make(map[string]int)
	for _, k := range d.keys {
		n[k.api.Team]++
	}
	return n
}

// lastUsed is the latest use known in memory; zero: none since the start.
func (d *directory) lastUsed(id call.KeyID) time.Time {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if k := d.keys[id]; k != nil && k.used.Load() != 0 {
		return time.Unix(0, k.used.Load()).UTC()
	}
	return time.Time{}
}

// takeUsed returns the uses that were not taken before.
func (d *directory) takeUsed() map[call.KeyID]time.Time {
	d.mu.RLock()
	defer d.mu.RUnlock()
	used := make(map[call.KeyID]time.Time)
	for id, k := range d.keys {
		if n := k.used.Load(); n > k.saved.Swap(n) {
			used[id] = time.Unix(0, n).UTC()
		}
	}
	return used
}

// signingKey returns the key's signing key for a day, derived once.
func (d *directory) signingKey(k *keyRow, date, region, service string) (sigv4.SigningKey, bool) {
	if day := k.day.Load(); day != nil && day.date == date && day.region == region && day.service == service {
		return day.key, true
	}
	secret, err := d.vault.unseal(k.row.ID, k.row.Sealed)
	if err != nil {
		return sigv4.SigningKey{}, false
	}
	day := &dayKey{strings.Clone(date), strings.Clone(region), strings.Clone(service), sigv4.DeriveKey(secret, date, region, service)}
	k.day.Store(day)
	return day.key, true
}

// SigningKey returns the SigV4 signing key of a live access key id for a day
// (YYYYMMDD), region and service. The Principal is shared: do not change it.
func (s *Service) SigningKey(id call.KeyID, date, region, service string) (sigv4.SigningKey, *call.Principal, bool) {
	k := s.dir.live(id)
	if k == nil {
		return sigv4.SigningKey{}, nil, false
	}
	key, ok := s.dir.signingKey(k, date, region, service)
	return key, k.sigv4, ok
}

// APIKey returns the SHA-256 of the secret of a live API key. The Principal is
// shared: do not change it.
func (s *Service) APIKey(id string) (secretSHA256 [32]byte, p *call.Principal, ok bool) {
	k := s.dir.liveAPI(id)
	if k == nil {
		return secretSHA256, nil, false
	}
	return k.row.APISHA256, k.api, true
}

// Used notes that a key proved itself.
func (s *Service) Used(id call.KeyID, now time.Time) {
	if k := s.dir.live(id); k != nil {
		k.used.Store(now.UnixNano())
	}
}

// TokenUser returns the Principal of an enabled user, which is shared, and the
// Unix second before which the user's tokens are void.
func (s *Service) TokenUser(userID string) (p *call.Principal, epoch int64, ok bool) {
	u := s.dir.user(userID)
	if u == nil || u.disabled {
		return nil, 0, false
	}
	return u.token, u.epoch, true
}
