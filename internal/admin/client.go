package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrNoServer means that no server answers on a data directory's socket.
var ErrNoServer = errors.New("no server is running on the data directory")

// Client is an [API] over the socket of a running server.
type Client struct{ http *http.Client }

var _ API = (*Client)(nil)

// Dial returns a client of the server that runs on the data directory, or
// ErrNoServer.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c, err := dialSocket(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNoServer
	case err != nil:
		return nil, err
	}
	c.Close()
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dir) },
	}}}, nil
}

// do calls a route. The answer's body is decoded into out, or copied to it
// when it is a writer.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if method != http.MethodGet {
		data := []byte("{}")
		if in != nil {
			var err error
			if data, err = json.Marshal(in); err != nil {
				return err
			}
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return readError(resp)
	}
	if w, ok := out.(io.Writer); ok {
		if _, err := io.Copy(w, resp.Body); err != nil {
			return fmt.Errorf("the server's answer was cut, see its log: %w", err)
		}
		return nil
	}
	return json.UnmarshalRead(resp.Body, out)
}

func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	if err := json.UnmarshalRead(io.LimitReader(resp.Body, maxBody), e); err != nil {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return e
}

func get[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	err = c.do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

func send[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	err = c.do(ctx, method, path, in, &out)
	return out, err
}

// ListUsers implements Users.
func (c *Client) ListUsers(ctx context.Context) ([]User, error) {
	return get[[]User](ctx, c, "/api/v1/users")
}

// AddUser implements Users.
func (c *Client) AddUser(ctx context.Context, u NewUser) (IssuedUser, error) {
	return send[IssuedUser](ctx, c, "POST", "/api/v1/users", u)
}

// SetDisabled implements Users.
func (c *Client) SetDisabled(ctx context.Context, user string, disabled bool) (User, error) {
	verb := "/enable"
	if disabled {
		verb = "/disable"
	}
	return send[User](ctx, c, "POST", "/api/v1/users/"+url.PathEscape(user)+verb, nil)
}

// ResetUser implements Users.
func (c *Client) ResetUser(ctx context.Context, user string, newPassword bool) (IssuedUser, error) {
	return send[IssuedUser](ctx, c, "POST", "/api/v1/users/"+url.PathEscape(user)+"/reset", Reset{newPassword})
}

// SetTeam implements Teams.
func (c *Client) SetTeam(ctx context.Context, user, team string) (User, error) {
	return send[User](ctx, c, "PUT", "/api/v1/users/"+url.PathEscape(user)+"/team", TeamOf{team})
}

// ListTeams implements Teams.
func (c *Client) ListTeams(ctx context.Context) ([]Team, error) {
	return get[[]Team](ctx, c, "/api/v1/teams")
}

// ListKeys implements Keys.
func (c *Client) ListKeys(ctx context.Context) ([]Key, error) {
	return get[[]Key](ctx, c, "/api/v1/keys")
}

// CreateKey implements Keys.
func (c *Client) CreateKey(ctx context.Context, k NewKey) (IssuedKey, error) {
	return send[IssuedKey](ctx, c, "POST", "/api/v1/keys", k)
}

// RotateKey implements Keys.
func (c *Client) RotateKey(ctx context.Context, id string, overlap time.Duration) (IssuedKey, error) {
	return send[IssuedKey](ctx, c, "POST", "/api/v1/keys/"+url.PathEscape(id)+"/rotate", Rotation{overlap.String()})
}

// RevokeKey implements Keys.
func (c *Client) RevokeKey(ctx context.Context, id string) (Key, error) {
	return send[Key](ctx, c, "POST", "/api/v1/keys/"+url.PathEscape(id)+"/revoke", nil)
}

// ListModels implements Models.
func (c *Client) ListModels(ctx context.Context) ([]Model, error) {
	return get[[]Model](ctx, c, "/api/v1/models")
}

// ShowModel implements Models.
func (c *Client) ShowModel(ctx context.Context, id string) (Model, error) {
	return get[Model](ctx, c, "/api/v1/models/"+url.PathEscape(id))
}

// ListLimits implements Limits.
func (c *Client) ListLimits(ctx context.Context) ([]Limit, error) {
	return get[[]Limit](ctx, c, "/api/v1/limits")
}

// JournalHead implements Journal.
func (c *Client) JournalHead(ctx context.Context) (Head, error) {
	return get[Head](ctx, c, "/api/v1/journal")
}

// VerifyJournal implements Journal.
func (c *Client) VerifyJournal(ctx context.Context) ([]Verification, error) {
	return get[[]Verification](ctx, c, "/api/v1/journal/verify")
}

// ExportJournal implements Journal.
func (c *Client) ExportJournal(ctx context.Context, e Export, w io.Writer) error {
	q := url.Values{"as": {e.As}}
	setTimes(q, e.From, e.To)
	return c.do(ctx, http.MethodGet, "/api/v1/journal/export?"+q.Encode(), nil, w)
}

// Info implements Server.
func (c *Client) Info(ctx context.Context) (Info, error) {
	return get[Info](ctx, c, "/api/v1/version")
}

// Config implements Server.
func (c *Client) Config(ctx context.Context) (jsontext.Value, error) {
	return get[jsontext.Value](ctx, c, "/api/v1/config")
}
