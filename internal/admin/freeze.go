package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Freezes stop spending, of all callers or of one team. They outlive a restart.
type Freezes interface {
	// ListFreezes returns what is frozen: everything first, then teams by name.
	ListFreezes(ctx context.Context) ([]Freeze, error)
	// Freeze refuses every further call, and ends the streams that are running,
	// within a second. Done again it replaces the reason.
	Freeze(ctx context.Context, f Freeze) (Freeze, error)
	// Unfreeze lets calls pass again, and returns what is still frozen. A team
	// named here is no part of a freeze of everything, and the other way round.
	Unfreeze(ctx context.Context, team string) ([]Freeze, error)
}

// Freeze is a stop of spending.
type Freeze struct {
	Team   string    `json:"team" doc:"empty: everything"`
	Reason string    `json:"reason" doc:"for the operators; callers are not told"`
	Since  time.Time `json:"since,omitzero"`
}

// FreezeReason is why spending is stopped.
type FreezeReason struct {
	Reason string `json:"reason,omitzero" doc:"at most 1,024 bytes"`
}

// Bounds of a freeze, in bytes.
const (
	maxTeam   = 256
	maxReason = 1024
)

// Check says what is wrong with a freeze to be made, in ErrInvalid. The team
// need not exist: it may be one that tokens of another issuer name.
func (f *Freeze) Check() error {
	switch {
	case len(f.Team) > maxTeam || strings.ContainsFunc(f.Team, isControl):
		return ErrInvalid.Say("team: write a name of no more than %d bytes", maxTeam)
	case len(f.Reason) > maxReason || !utf8.ValidString(f.Reason):
		return ErrInvalid.Say("reason: write no more than %d bytes of text", maxReason)
	}
	return nil
}

func freeze(ctx context.Context, s *service, in *input) (any, error) {
	f := Freeze{Team: in.path["team"], Reason: in.body.(*FreezeReason).Reason}
	if err := f.Check(); err != nil {
		return nil, err
	}
	return s.API.Freeze(ctx, f)
}

func unfreeze(ctx context.Context, s *service, in *input) (any, error) {
	return list(s.API.Unfreeze(ctx, in.path["team"]))
}

// freezePath is the route of a team's freeze, or of that of everything.
func freezePath(team string) string {
	if team == "" {
		return "/api/v1/freeze"
	}
	return "/api/v1/freeze/" + url.PathEscape(team)
}

// ListFreezes implements Freezes.
func (c *Client) ListFreezes(ctx context.Context) ([]Freeze, error) {
	return get[[]Freeze](ctx, c, freezePath(""))
}

// Freeze implements Freezes.
func (c *Client) Freeze(ctx context.Context, f Freeze) (Freeze, error) {
	return send[Freeze](ctx, c, http.MethodPut, freezePath(f.Team), FreezeReason{f.Reason})
}

// Unfreeze implements Freezes.
func (c *Client) Unfreeze(ctx context.Context, team string) ([]Freeze, error) {
	return send[[]Freeze](ctx, c, http.MethodDelete, freezePath(team), nil)
}
