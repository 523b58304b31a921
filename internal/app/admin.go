package app

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/account"
	"gatehouse/internal/admin"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
)

// Data is what an administrator can do, with or without a server.
var _ admin.API = (*Data)(nil)

// failure puts an account error into the admin API's words.
func failure(err error) error {
	var e *account.Error
	if !errors.As(err, &e) {
		return err
	}
	class := map[account.Class]*admin.Error{
		account.Invalid: admin.ErrInvalid, account.Denied: admin.ErrForbidden, account.NotFound: admin.ErrNotFound,
		account.Conflict: admin.ErrConflict, account.TooMany: admin.ErrUnavailable,
	}[e.Class]
	return class.Say("%s", e.Message)
}

// ListUsers implements [admin.Users], as the next ones do.
func (d *Data) ListUsers(ctx context.Context) ([]admin.User, error) {
	rows, err := d.accounts.Users(ctx)
	users := make([]admin.User, len(rows))
	for i, u := range rows {
		users[i] = adminUser(u)
	}
	return users, failure(err)
}

func adminUser(u account.User) admin.User {
	return admin.User{ID: u.ID, Name: u.Name, Team: u.Team, Disabled: u.Disabled, HasPassword: u.HasPassword, Invited: u.Invited, CreatedAt: u.Created}
}

func (d *Data) AddUser(ctx context.Context, n admin.NewUser) (admin.IssuedUser, error) {
	u, secret, err := d.accounts.AddUser(ctx, account.NewUser{Name: n.Name, Team: n.Team, Password: n.Password, Invite: n.Invite})
	issued := admin.IssuedUser{User: adminUser(u)}
	if n.Invite {
		issued.Invitation = string(secret)
	} else {
		issued.Password = string(secret)
	}
	return issued, failure(err)
}

// user returns the row of a user after a change.
func (d *Data) user(ctx context.Context, name string) (admin.User, error) {
	users, err := d.ListUsers(ctx)
	if err != nil {
		return admin.User{}, err
	}
	canonical, err := account.CanonicalEmail(name)
	if err != nil {
		canonical = name
	}
	for _, u := range users {
		if u.Name == canonical || u.Name == name {
			return u, nil
		}
	}
	return admin.User{}, admin.ErrNotFound.Say("there is no user %q", name)
}

func (d *Data) SetDisabled(ctx context.Context, user string, disabled bool) (admin.User, error) {
	if err := d.accounts.SetDisabled(ctx, user, disabled); err != nil {
		return admin.User{}, failure(err)
	}
	return d.user(ctx, user)
}

func (d *Data) ResetUser(ctx context.Context, user string, newPassword bool) (admin.IssuedUser, error) {
	secret, err := d.accounts.ResetUser(ctx, user, newPassword)
	if err != nil {
		return admin.IssuedUser{}, failure(err)
	}
	u, err := d.user(ctx, user)
	return admin.IssuedUser{User: u, Password: string(secret)}, err
}

func (d *Data) ListTeams(ctx context.Context) ([]admin.Team, error) {
	rows, err := d.accounts.Teams(ctx)
	teams := make([]admin.Team, len(rows))
	for i, t := range rows {
		teams[i] = admin.Team{Name: t.Name, Users: t.Users, Keys: t.Keys}
	}
	return teams, failure(err)
}

func (d *Data) SetTeam(ctx context.Context, user, team string) (admin.User, error) {
	if err := d.accounts.SetTeam(ctx, user, team); err != nil {
		return admin.User{}, failure(err)
	}
	return d.user(ctx, user)
}

// ListKeys implements [admin.Keys], as the next ones do.
func (d *Data) ListKeys(ctx context.Context) ([]admin.Key, error) {
	rows, err := d.accounts.Keys(ctx, "")
	keys := make([]admin.Key, len(rows))
	for i, k := range rows {
		keys[i] = adminKey(k)
	}
	return keys, failure(err)
}

func adminKey(k account.Key) admin.Key {
	networks := make([]string, len(k.Networks))
	for i, n := range k.Networks {
		networks[i] = n.String()
	}
	return admin.Key{
		ID: string(k.ID), APIID: k.APIID, Name: k.Name, User: k.User, Team: k.Team, State: k.State,
		Models: k.Models, Operations: k.Operations, Networks: networks,
		CreatedAt: k.Created, ExpiresAt: k.Expires, RevokedAt: k.Revoked, LastUsedAt: k.LastUsed, Successor: string(k.Successor),
	}
}

func issued(i account.Issued, err error) (admin.IssuedKey, error) {
	if err != nil {
		return admin.IssuedKey{}, failure(err)
	}
	return admin.IssuedKey{
		Key: adminKey(i.Key), AccessKeyID: string(i.Key.ID), SecretAccessKey: string(i.SecretKey), APIKey: string(i.APIKey),
	}, nil
}

func (d *Data) CreateKey(ctx context.Context, n admin.NewKey) (admin.IssuedKey, error) {
	scope := call.Scope{Models: n.Models, Operations: n.Operations}
	for _, s := range n.Networks {
		p, err := config.ParsePrefix(s)
		if err != nil {
			return admin.IssuedKey{}, admin.ErrInvalid.Say("%v", err)
		}
		scope.Networks = append(scope.Networks, p)
	}
	if n.User == "" {
		n.User = "admin"
		if _, _, err := d.accounts.AddUser(ctx, account.NewUser{Name: n.User}); err != nil && !errors.Is(err, account.ErrUserExists) {
			return admin.IssuedKey{}, failure(err)
		}
	}
	return issued(d.accounts.CreateKey(ctx, account.NewKey{Name: n.Name, User: n.User, Team: n.Team, Expires: n.ExpiresAt, Scope: scope}))
}

func (d *Data) RotateKey(ctx context.Context, id string, overlap time.Duration) (admin.IssuedKey, error) {
	return issued(d.accounts.RotateKey(ctx, call.KeyID(id), overlap))
}

func (d *Data) RevokeKey(ctx context.Context, id string) (admin.Key, error) {
	if err := d.accounts.RevokeKey(ctx, call.KeyID(id)); err != nil {
		return admin.Key{}, failure(err)
	}
	keys, err := d.ListKeys(ctx)
	for _, k := range keys {
		if k.ID == id {
			return k, nil
		}
	}
	return admin.Key{}, err
}

// ListLimits implements [admin.Limits].
func (d *Data) ListLimits(context.Context) ([]admin.Limit, error) {
	return limitRows(d.limits.Status(time.Now())), nil
}

// JournalHead implements [admin.Journal], as the next two do.
func (d *Data) JournalHead(ctx context.Context) (admin.Head, error) {
	d.settle(ctx)
	s := d.calls.Stats()
	h := admin.Head{LastSeq: s.Seq, Chain: hex.EncodeToString(s.Head[:]), Bytes: s.Bytes, Segments: s.Segments, Healthy: true, Warnings: d.recorder.Warnings()}
	if err := d.calls.Err(); err != nil {
		h.Healthy, h.Error = false, err.Error()
	}
	return h, nil
}

// settle waits, a second at most, until what the journals hold in memory is on
// disk: records that nobody waits for are late by some milliseconds.
func (d *Data) settle(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.calls.Sync() // errors are what the head tells
		d.strangers.Sync()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

func (d *Data) VerifyJournal(context.Context) ([]admin.Verification, error) {
	return admin.VerifyJournals(d.dir)
}

func (d *Data) ExportJournal(_ context.Context, e admin.Export, w io.Writer) error {
	if err := errors.Join(d.calls.Sync(), d.strangers.Sync()); err != nil {
		return err
	}
	if e.Keys == nil {
		bodies, err := recordPolicy(d.settings.Load().config)
		if err != nil {
			return err
		}
		e.Keys = bodies.Keys
	}
	return admin.ExportJournals(d.dir, e, w)
}

// Info implements [admin.Server], as Config does.
func (d *Data) Info(context.Context) (admin.Info, error) {
	i := admin.Info{Go: runtime.Version(), Region: d.settings.Load().config.Region}
	if d.info != nil {
		s := d.info()
		i.Version, i.Endpoint, i.CAFile, i.StartedAt = s.version, s.endpoint, s.caFile, s.started
	}
	return i, nil
}

func (d *Data) Config(context.Context) (jsontext.Value, error) {
	return json.Marshal(d.settings.Load().config)
}

// ListModels implements [admin.Models], as ShowModel does.
func (d *Data) ListModels(context.Context) ([]admin.Model, error) {
	return admin.ModelRows(d.models()), nil
}

func (d *Data) ShowModel(_ context.Context, id string) (admin.Model, error) {
	return admin.ModelRow(d.models(), id)
}
