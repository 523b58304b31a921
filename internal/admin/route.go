package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// route is one row of the table: what is matched, what it says in the OpenAPI
// document, and what it does.
type route struct {
	method, path string // path segments in {braces} match any one segment
	name         string // operationId
	summary      string
	query        []param
	body, answer any // zero values of the types; nil: none
	line         any // of an answer that is a stream: zero value of a line's type; nil: any object
	status       int // of success; 0: 200
	open         bool
	local        bool // open to programs on this machine
	do           func(ctx context.Context, s *service, in *input) (any, error)
}

// param is a query parameter. Those that the table does not name are refused.
type param struct {
	name, doc string
	words     []string // that it may be, the default first; nil: any text
}

// input is what a request brings.
type input struct {
	path  map[string]string
	query url.Values
	body  any // pointer to the route's body type
}

// stream is an answer of JSON lines.
type stream func(w io.Writer) error

// routes is the whole admin API. A test holds the list of those that are open.
var routes = []route{
	{method: "GET", path: "/healthz", name: "health", summary: "The process answers.", answer: Health{}, open: true,
		do: func(context.Context, *service, *input) (any, error) { return Health{"ok"}, nil }},
	{method: "GET", path: "/readyz", name: "ready", summary: "Calls are accepted and recorded.", answer: Health{}, open: true,
		do: func(_ context.Context, s *service, _ *input) (any, error) {
			if err := s.Ready(); err != nil {
				return nil, ErrUnavailable.Say("not ready")
			}
			return Health{"ready"}, nil
		}},
	{method: "GET", path: "/metrics", name: "metrics", summary: "Metrics in Prometheus's text format. Without the token for programs on this machine.", answer: text{}, local: true, do: metricsText},
	{method: "GET", path: "/openapi.json", name: "openapi", summary: "This document.", answer: map[string]any{}, open: true,
		do: func(_ context.Context, s *service, _ *input) (any, error) { return s.document, nil }},

	{method: "GET", path: "/api/v1/version", name: "info", summary: "What is running.", answer: Info{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return s.API.Info(ctx) }},
	{method: "GET", path: "/api/v1/config", name: "config", summary: "The effective configuration.", answer: map[string]any{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return s.API.Config(ctx) }},

	{method: "GET", path: "/api/v1/users", name: "listUsers", summary: "All users, by name.", answer: []User{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListUsers(ctx)) }},
	{method: "POST", path: "/api/v1/users", name: "addUser", summary: "Add a user. A password or invitation that is asked for is in this answer and never again.", body: NewUser{}, answer: IssuedUser{}, status: 201,
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.AddUser(ctx, *in.body.(*NewUser))
		}},
	{method: "POST", path: "/api/v1/users/{user}/disable", name: "disableUser", summary: "Make a user's keys and tokens useless.", answer: User{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.SetDisabled(ctx, in.path["user"], true)
		}},
	{method: "POST", path: "/api/v1/users/{user}/enable", name: "enableUser", summary: "Let a user in again. Keys work again, old tokens do not.", answer: User{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.SetDisabled(ctx, in.path["user"], false)
		}},
	{method: "POST", path: "/api/v1/users/{user}/reset", name: "resetUser", summary: "Void a user's tokens, end a lockout and, if asked, replace the password.", body: Reset{}, answer: IssuedUser{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.ResetUser(ctx, in.path["user"], in.body.(*Reset).Password)
		}},
	{method: "PUT", path: "/api/v1/users/{user}/team", name: "setTeam", summary: "Put a user into a team.", body: TeamOf{}, answer: User{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.SetTeam(ctx, in.path["user"], in.body.(*TeamOf).Team)
		}},
	{method: "POST", path: "/api/v1/users/{user}/erase", name: "eraseUser", summary: "Overwrite what a user said and was answered. The records stay, and the journal verifies.", answer: Erasure{}, do: eraseUser},
	{method: "GET", path: "/api/v1/teams", name: "listTeams", summary: "All teams, by name.", answer: []Team{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListTeams(ctx)) }},

	{method: "GET", path: "/api/v1/keys", name: "listKeys", summary: "All keys, oldest first, without secrets.", answer: []Key{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListKeys(ctx)) }},
	{method: "POST", path: "/api/v1/keys", name: "createKey", summary: "Issue a key. Its secrets are in this answer and never again.", body: NewKey{}, answer: IssuedKey{}, status: 201,
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.CreateKey(ctx, *in.body.(*NewKey))
		}},
	{method: "POST", path: "/api/v1/keys/{key}/rotate", name: "rotateKey", summary: "Issue a key in place of another.", body: Rotation{}, answer: IssuedKey{}, status: 201,
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			overlap, err := time.ParseDuration(in.body.(*Rotation).Overlap)
			if err != nil || overlap < 0 {
				return nil, ErrInvalid.Say("overlap: write a duration such as 24h, or 0s")
			}
			return s.API.RotateKey(ctx, in.path["key"], overlap)
		}},
	{method: "POST", path: "/api/v1/keys/{key}/revoke", name: "revokeKey", summary: "End a key.", answer: Key{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.RevokeKey(ctx, in.path["key"])
		}},

	{method: "GET", path: "/api/v1/models", name: "listModels", summary: "The model table.", answer: []Model{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListModels(ctx)) }},
	{method: "GET", path: "/api/v1/models/{model}", name: "showModel", summary: "What an id, a profile id or an ARN stands for.", answer: Model{},
		do: func(ctx context.Context, s *service, in *input) (any, error) {
			return s.API.ShowModel(ctx, in.path["model"])
		}},
	{method: "GET", path: "/api/v1/alarms", name: "listAlarms", summary: "How all alarms stand.", answer: []Alarm{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListAlarms(ctx)) }},
	{method: "GET", path: "/api/v1/channels", name: "listChannels", summary: "How the channels for messages stand.", answer: []Channel{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListChannels(ctx)) }},
	{method: "GET", path: "/api/v1/limits", name: "listLimits", summary: "How much of each limit is used.", answer: []Limit{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListLimits(ctx)) }},
	{method: "GET", path: "/api/v1/limits/audit", name: "auditLimits", summary: "Recompute every counter from the journal and tell what differs.", answer: stream(nil), line: ScanLine{},
		do: auditRoute},
	{method: "GET", path: "/api/v1/usage", name: "usage", summary: "What calls came to, added up.", answer: stream(nil), line: ScanLine{},
		query: []param{
			{"by", "what to group by, with commas between: " + strings.Join(UsageWords(), ", ") + "; absent: " + strings.Join(DefaultUsage, ","), nil},
			{"from", "RFC 3339: no earlier calls", nil},
			{"to", "RFC 3339: only earlier calls", nil},
			{"tz", "zone of days and months, such as Europe/Berlin; absent: UTC", nil}},
		do: usageRoute},

	{method: "GET", path: "/api/v1/freeze", name: "listFreezes", summary: "What is frozen.", answer: []Freeze{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.ListFreezes(ctx)) }},
	{method: "PUT", path: "/api/v1/freeze", name: "freeze", summary: "Stop all spending within a second, running streams too.", body: FreezeReason{}, answer: Freeze{}, do: freeze},
	{method: "PUT", path: "/api/v1/freeze/{team}", name: "freezeTeam", summary: "Stop a team's spending within a second, running streams too.", body: FreezeReason{}, answer: Freeze{}, do: freeze},
	{method: "DELETE", path: "/api/v1/freeze", name: "unfreeze", summary: "End the freeze of everything. Those of teams stay.", answer: []Freeze{}, do: unfreeze},
	{method: "DELETE", path: "/api/v1/freeze/{team}", name: "unfreezeTeam", summary: "End the freeze of a team.", answer: []Freeze{}, do: unfreeze},

	{method: "GET", path: "/api/v1/telemetry", name: "telemetry", summary: "How the sources of telemetry and the lake fare.", answer: TelemetryState{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return s.API.TelemetryState(ctx) }},
	{method: "POST", path: "/api/v1/ingest", name: "ingest", summary: "Read files of the server's machine into the lake. Only through the socket.", body: IngestJob{}, answer: Ingested{}, do: ingest},
	{method: "POST", path: "/api/v1/hunt", name: "hunt", summary: "Ask a question of the lake.", body: HuntQuery{}, answer: stream(nil), line: HuntLine{}, do: huntRoute},

	{method: "GET", path: "/api/v1/journal", name: "journalHead", summary: "Where the journal stands.", answer: Head{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return s.API.JournalHead(ctx) }},
	{method: "GET", path: "/api/v1/journal/verify", name: "verifyJournal", summary: "Check every chain hash on disk.", answer: []Verification{},
		do: func(ctx context.Context, s *service, _ *input) (any, error) { return list(s.API.VerifyJournal(ctx)) }},
	{method: "GET", path: "/api/v1/journal/export", name: "exportJournal", summary: "Calls as AWS would have logged them, one JSON record a line.", answer: stream(nil),
		query: []param{
			{"as", "the form of the records", ExportForms},
			{"from", "RFC 3339: no earlier calls", nil},
			{"to", "RFC 3339: only earlier calls", nil}},
		do: exportJournal},
}

// Health is the answer of the probes.
type Health struct {
	Status string `json:"status"`
}

func exportJournal(ctx context.Context, s *service, in *input) (any, error) {
	e := Export{As: in.query.Get("as")}
	if e.As == "" {
		e.As = ExportForms[0]
	}
	if !slices.Contains(ExportForms, e.As) {
		return nil, ErrInvalid.Say("as: write %s", strings.Join(ExportForms, " or "))
	}
	if err := in.times(&e.From, &e.To); err != nil {
		return nil, err
	}
	return stream(func(w io.Writer) error { return s.API.ExportJournal(ctx, e, w) }), nil
}

// list makes an empty list of none, since clients get arrays.
func list[T any](rows []T, err error) (any, error) {
	if rows == nil {
		rows = []T{}
	}
	return rows, err
}

// match finds the route of a request, by the path as it was sent. Segments are
// unescaped once; nothing is cleaned.
func match(method, rawPath string) (*route, map[string]string, error) {
	var allowed []string
	segments := strings.Split(rawPath, "/")
	for i := range routes {
		r := &routes[i]
		params, ok := r.params(segments)
		switch {
		case ok && r.method == method:
			return r, params, nil
		case ok:
			allowed = append(allowed, r.method)
		}
	}
	if allowed != nil {
		slices.Sort(allowed)
		return nil, nil, &methodError{strings.Join(allowed, ", ")}
	}
	return nil, nil, ErrNotFound.Say("there is no such route: see /openapi.json")
}

// methodError carries the methods of a path.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "use " + e.allow }

func (r *route) params(segments []string) (map[string]string, bool) {
	want := strings.Split(r.path, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	var params map[string]string
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if w != segments[i] {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(segments[i])
		if err != nil || v == "" || len(v) > 2048 || strings.ContainsFunc(v, isControl) {
			return nil, false
		}
		if params == nil {
			params = map[string]string{}
		}
		params[strings.Trim(w, "{}")] = v
	}
	return params, true
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd }

// checkQuery refuses parameters that the route does not have, or has twice.
func (r *route) checkQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, ErrInvalid.Say("the query is malformed")
	}
	for name, values := range q {
		if !slices.ContainsFunc(r.query, func(p param) bool { return p.name == name }) {
			return nil, ErrInvalid.Say("unknown query parameter %q", name)
		}
		if len(values) > 1 {
			return nil, ErrInvalid.Say("query parameter %q stands twice", name)
		}
	}
	return q, nil
}

func (r *route) String() string { return fmt.Sprintf("%s %s", r.method, r.path) }

func (r *route) writes() bool { return r.method != http.MethodGet }
