package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	secretKey = "planted-secret-access-key"
	secretAPI = "gth_live_planted"
)

// fakeAPI is an API that keeps users and keys in memory.
type fakeAPI struct {
	sync.Mutex
	users []User
	keys  []Key
	asked Export

	frozen []Freeze
	ended  chan struct{} // closed when a scan's context has ended
}

var day = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func (f *fakeAPI) user(name string) (*User, error) {
	for i := range f.users {
		if u := &f.users[i]; u.Name == name || u.ID == name {
			return u, nil
		}
	}
	return nil, ErrNotFound.Say("there is no user %q", name)
}

func (f *fakeAPI) ListUsers(context.Context) ([]User, error) {
	f.Lock()
	defer f.Unlock()
	return append([]User(nil), f.users...), nil
}

func (f *fakeAPI) AddUser(_ context.Context, n NewUser) (IssuedUser, error) {
	f.Lock()
	defer f.Unlock()
	switch n.Name {
	case "panic":
		panic("planted internal detail")
	case "fail":
		return IssuedUser{}, errors.New("planted internal detail")
	}
	if _, err := f.user(n.Name); err == nil {
		return IssuedUser{}, ErrConflict.Say("there is a user %q already", n.Name)
	}
	u := User{ID: fmt.Sprint(len(f.users) + 1), Name: n.Name, Team: n.Team, CreatedAt: day}
	f.users = append(f.users, u)
	return IssuedUser{User: u, Invitation: "planted-code"}, nil
}

func (f *fakeAPI) SetDisabled(_ context.Context, name string, disabled bool) (User, error) {
	f.Lock()
	defer f.Unlock()
	u, err := f.user(name)
	if err != nil {
		return User{}, err
	}
	u.Disabled = disabled
	return *u, nil
}

func (f *fakeAPI) ResetUser(_ context.Context, name string, newPassword bool) (IssuedUser, error) {
	f.Lock()
	defer f.Unlock()
	u, err := f.user(name)
	if err != nil {
		return IssuedUser{}, err
	}
	if newPassword {
		return IssuedUser{User: *u, Password: "planted-password"}, nil
	}
	return IssuedUser{User: *u}, nil
}

func (f *fakeAPI) ListTeams(context.Context) ([]Team, error) { return nil, nil }

func (f *fakeAPI) SetTeam(_ context.Context, name, team string) (User, error) {
	f.Lock()
	defer f.Unlock()
	u, err := f.user(name)
	if err != nil {
		return User{}, err
	}
	u.Team = team
	return *u, nil
}

func (f *fakeAPI) ListKeys(context.Context) ([]Key, error) {
	f.Lock()
	defer f.Unlock()
	return append([]Key(nil), f.keys...), nil
}

func (f *fakeAPI) CreateKey(_ context.Context, n NewKey) (IssuedKey, error) {
	f.Lock()
	defer f.Unlock()
	k := Key{ID: fmt.Sprintf("GTHK%d", len(f.keys)), Name: n.Name, User: n.User, State: "live", Models: n.Models, CreatedAt: day, ExpiresAt: n.ExpiresAt}
	f.keys = append(f.keys, k)
	return IssuedKey{k, k.ID, secretKey, secretAPI}, nil
}

func (f *fakeAPI) RotateKey(ctx context.Context, id string, overlap time.Duration) (IssuedKey, error) {
	k, err := f.CreateKey(ctx, NewKey{Name: id + " after " + overlap.String()})
	return k, err
}

func (f *fakeAPI) RevokeKey(_ context.Context, id string) (Key, error) {
	f.Lock()
	defer f.Unlock()
	for i := range f.keys {
		if f.keys[i].ID == id {
			f.keys[i].State = "revoked"
			return f.keys[i], nil
		}
	}
	return Key{}, ErrNotFound.Say("there is no key %q", id)
}

func (f *fakeAPI) ListModels(context.Context) ([]Model, error) { return []Model{{ID: "a.b"}}, nil }

func (f *fakeAPI) ShowModel(_ context.Context, id string) (Model, error) { return Model{ID: id}, nil }

func (f *fakeAPI) ListAlarms(context.Context) ([]Alarm, error) {
	return []Alarm{{Name: "a", Metric: "Invocations", Threshold: 0.5, State: "OK"}}, nil
}

func (f *fakeAPI) ListChannels(context.Context) ([]Channel, error) {
	return []Channel{{Name: "c", Kind: "slack"}}, nil
}

func (f *fakeAPI) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") })
}

func (f *fakeAPI) ListLimits(context.Context) ([]Limit, error) {
	return []Limit{{Limit: "requests", Per: "user", Key: "u", Max: 100, Used: 1, ResetsAt: day}}, nil
}

func (f *fakeAPI) ListFreezes(context.Context) ([]Freeze, error) {
	f.Lock()
	defer f.Unlock()
	return slices.Clone(f.frozen), nil
}

func (f *fakeAPI) Freeze(_ context.Context, z Freeze) (Freeze, error) {
	f.Lock()
	defer f.Unlock()
	z.Since = day
	f.frozen = append(f.frozen, z)
	return z, nil
}

func (f *fakeAPI) Unfreeze(_ context.Context, team string) ([]Freeze, error) {
	f.Lock()
	defer f.Unlock()
	n := len(f.frozen)
	f.frozen = slices.DeleteFunc(f.frozen, func(z Freeze) bool { return z.Team == team })
	if len(f.frozen) == n {
		return nil, ErrNotFound.Say("team %q is not frozen", team)
	}
	return slices.Clone(f.frozen), nil
}

// Usage tells of progress, and fails as the query's zone says.
func (f *fakeAPI) Usage(ctx context.Context, q UsageQuery, told func(Scan)) ([]UsageRow, error) {
	switch q.TZ {
	case "Europe/Berlin":
		return nil, ErrInvalid.Say("too many rows")
	case "Europe/Paris":
		return nil, errors.New("planted internal detail")
	case "Europe/Rome": // a scan that lasts
		told(Scan{Read: 1})
		<-ctx.Done()
		close(f.ended)
		return nil, ctx.Err()
	}
	told(Scan{Read: 1024, Of: 2048})
	return []UsageRow{{Team: strings.Join(q.By, "+"), Calls: 1}, {Day: q.From.Format(time.DateOnly), Cost: 7}}, nil
}

func (f *fakeAPI) AuditLimits(_ context.Context, told func(Scan)) (LimitAudit, error) {
	told(Scan{Read: 1})
	return LimitAudit{Records: 3, Differences: []LimitDifference{{Limit: "requests", Used: 2, Recomputed: 1}}}, nil
}

func (f *fakeAPI) JournalHead(context.Context) (Head, error) { return Head{LastSeq: 7}, nil }

func (f *fakeAPI) VerifyJournal(context.Context) ([]Verification, error) {
	return []Verification{{Journal: "calls", OK: true}}, nil
}

func (f *fakeAPI) ExportJournal(_ context.Context, e Export, w io.Writer) error {
	f.asked = e
	if !e.To.IsZero() { // a disk that breaks
		io.WriteString(w, strings.Repeat("{}\n", 10_000))
		return errors.New("planted internal detail")
	}
	_, err := io.WriteString(w, "{}\n{}\n")
	return err
}

func (f *fakeAPI) Info(context.Context) (Info, error) { return Info{Version: "v1"}, nil }

func (f *fakeAPI) Config(context.Context) (jsontext.Value, error) {
	return jsontext.Value(`{"listen":"127.0.0.1:8080"}`), nil
}

func (f *fakeAPI) EraseUser(_ context.Context, user string) (Erasure, error) {
	f.Lock()
	defer f.Unlock()
	if _, err := f.user(user); err != nil {
		return Erasure{}, err
	}
	return Erasure{User: user, Calls: 2, Bodies: 5, Prompts: 1}, nil
}

func (f *fakeAPI) Ingest(_ context.Context, job IngestJob) (Ingested, error) {
	if len(job.Paths) == 0 {
		return Ingested{}, ErrInvalid.Say("paths: name a file")
	}
	return Ingested{Records: int64(len(job.Paths)), Strands: map[string]int64{job.Strand: 1}}, nil
}

func (f *fakeAPI) TelemetryState(context.Context) (TelemetryState, error) {
	return TelemetryState{On: true, Sources: []SourceState{{Name: "calls", Records: 3}}, Lake: LakeState{Rows: 3}}, nil
}

// Hunt answers a row, and then as the query says.
func (f *fakeAPI) Hunt(_ context.Context, q HuntQuery, each func(*HuntLine) error) error {
	if err := each(&HuntLine{Columns: []HuntColumn{{"n", "int"}}}); err != nil {
		return err
	}
	if err := each(&HuntLine{Row: []jsontext.Value{jsontext.Value("1")}}); err != nil {
		return err
	}
	switch q.Query {
	case "mistake":
		return &HuntError{Code: "query", Message: "bad", Mistakes: []HuntMistake{{Line: 1, Col: 2}}}
	case "broken":
		return errors.New("planted internal detail")
	}
	n := int64(1)
	return each(&HuntLine{Rows: &n})
}
